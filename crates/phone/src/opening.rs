//! What a call needs before it can be described: ports, their public addresses, keys.

use std::net::{IpAddr, SocketAddr};

use media::codec::CodecKind;
use media::dtls::Identity;
use media::ice;
use net::{PortPair, RtpPorts};

use crate::call_media::Order;
use crate::event::{CallNumber, Event, EventSink};
use crate::gather::{StunServer, public_addresses};
use crate::negotiation::Negotiation;
use crate::phone::{CallError, PhoneError, Settings};
use crate::secure::{Srtp, ice_credentials, local_srtp};
use crate::sound::Sound;

/// Media ports, below those that the system gives out by itself.
const MEDIA_PORTS: std::ops::RangeInclusive<u16> = 16_384..=32_767;

/// Prepares calls as the settings say.
pub(crate) struct Opening {
    address: IpAddr,
    codecs: Vec<CodecKind>,
    srtp: Srtp,
    /// One certificate for the life of the process.
    identity: Option<Identity>,
    ice: bool,
    stun: Option<(StunServer, SocketAddr)>,
    events: EventSink,
}

impl Opening {
    /// `look_up` finds the addresses of a name.
    ///
    /// # Errors
    /// [`PhoneError`] when there is no certificate or no address of the STUN server.
    pub(crate) fn new(
        settings: &Settings,
        address: IpAddr,
        events: EventSink,
        look_up: impl Fn(&str, u16) -> Vec<IpAddr>,
    ) -> Result<Opening, PhoneError> {
        let identity = match settings.srtp {
            Srtp::Off => None,
            _ => Some(Identity::generate().map_err(|e| PhoneError::Certificate(e.to_string()))?),
        };
        let stun = match &settings.stun {
            None => None,
            Some(server) => {
                let found = look_up(&server.host, server.port);
                let usable = found
                    .into_iter()
                    .find(|ip| ip.is_ipv4() == address.is_ipv4());
                let ip = usable.ok_or_else(|| PhoneError::Stun(server.host.clone()))?;
                Some((server.clone(), SocketAddr::new(ip, server.port)))
            }
        };
        Ok(Opening {
            address,
            codecs: settings.codecs.clone(),
            srtp: settings.srtp,
            identity,
            ice: settings.ice,
            stun,
            events,
        })
    }

    /// The order that gives a call its ports at an address of ours (that of the account when `None`), and our side of its
    /// description; `calling` when our offer opens the session.
    ///
    /// # Errors
    /// [`CallError`].
    pub(crate) fn open(
        &self,
        call: CallNumber,
        address: Option<IpAddr>,
        calling: bool,
        sound: Sound,
    ) -> Result<(Order, Box<Negotiation>), CallError> {
        let address = address.unwrap_or(self.address);
        let ports = RtpPorts::new(MEDIA_PORTS)
            .allocate(address)
            .map_err(CallError::Ports)?;
        let local = SocketAddr::new(address, ports.port);
        let mut seeds = [0; 16];
        getrandom::fill(&mut seeds).map_err(|_| CallError::Ended)?;
        let seed = u128::from_le_bytes(seeds);
        let keys = local_srtp(self.srtp).map_err(|_| CallError::Ended)?;
        let fingerprint = self.identity.as_ref().map(Identity::fingerprint);
        let mut negotiation = Negotiation::new(local, &self.codecs, seed as u64).protected(
            self.srtp,
            keys,
            fingerprint,
        );
        if let Some(public) = self.public(call, &ports) {
            negotiation = negotiation.mapped(public);
        }
        let mut setup = None;
        if self.ice {
            let made = ice::Setup {
                credentials: ice_credentials().map_err(|_| CallError::Ended)?,
                controlling: calling,
                components: 2,
                seed: (seed >> 64) as u64,
            };
            negotiation = negotiation.with_ice(made.clone());
            setup = Some(made);
        }
        let order = Order::Open {
            call,
            ports,
            identity: self.identity.clone().map(Box::new),
            ice: setup.map(Box::new),
            sound: Box::new(sound),
        };
        Ok((order, Box::new(negotiation)))
    }

    fn public(&self, call: CallNumber, ports: &PortPair) -> Option<[SocketAddr; 2]> {
        let (server, address) = self.stun.as_ref()?;
        match public_addresses(ports, *address) {
            Ok(public) => Some(public),
            Err(why) => {
                (self.events)(Event::Notice {
                    call,
                    message: format!(
                        "the STUN server {}:{} is of no use: {why}; the call goes on with the address of this host",
                        server.host, server.port
                    ),
                });
                None
            }
        }
    }
}

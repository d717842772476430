//! The phone as its owner sees it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use media::codec::CodecKind;
use net::{NetConfig, NetError, Network, PortPair, RtpPorts, Tap};
use sip::auth::Secret;
use sip::endpoint::{Config, Endpoint};
use sip::flow::Transport;
use sip::ua;

use crate::address::{Name, Server};
use crate::call_media::{CallMedia, Order};
use crate::event::{CallNumber, EventSink};
use crate::line::{Command, Line, Numbers};
use crate::negotiation::{Negotiation, capabilities};
use crate::secure::{Srtp, local_srtp};
use crate::sound::Sound;

/// Ports tried before giving up on one that is free for datagrams and streams alike.
const PORTS_TRIED: usize = 32;
/// How long the system may take to look up our server when choosing our own address.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Media ports, below those that the system gives out by itself.
const MEDIA_PORTS: std::ops::RangeInclusive<u16> = 16_384..=32_767;
/// How often a connection to the server is kept open (RFC 5626 §3.5.1).
const KEEP_ALIVE: Duration = Duration::from_secs(90);

/// How a phone is set up.
#[derive(Clone)]
pub struct Settings {
    /// Whose phone it is.
    pub account: Name,
    /// The name that callees see.
    pub display_name: Option<String>,
    /// What answers the server's challenges.
    pub password: Option<String>,
    /// The server that all requests go through; without one, the account's domain by RFC 3263.
    pub server: Option<Server>,
    /// Whether requests go straight to whom they are for, with no server of the account in between.
    pub direct: Option<String>,
    /// The local port for SIP, UDP and TCP; any free one when `None`.
    pub port: Option<u16>,
    /// Codecs in the order of preference.
    pub codecs: Vec<CodecKind>,
    /// Whether sound is encrypted.
    pub srtp: Srtp,
    /// What User-Agent and Server say.
    pub product: String,
    /// Receives a copy of every SIP message.
    pub tap: Option<Arc<dyn Tap>>,
}

impl Settings {
    /// The settings of an account with everything else at its default.
    pub fn new(account: Name) -> Settings {
        Settings {
            account,
            display_name: None,
            password: None,
            server: None,
            direct: None,
            port: None,
            codecs: CodecKind::ALL.to_vec(),
            srtp: Srtp::Off,
            product: concat!("sori/", env!("CARGO_PKG_VERSION")).to_owned(),
            tap: None,
        }
    }

    fn proxy(&self) -> Option<String> {
        match (&self.server, &self.direct) {
            (Some(server), _) => Some(server.uri()),
            (None, None) => Some(format!("sip:{}", self.account.domain)),
            (None, Some(_)) => None,
        }
    }

    /// The host that decides from which of our addresses we speak.
    fn nearest(&self) -> &str {
        match (&self.server, &self.direct) {
            (Some(server), _) => &server.host,
            (None, Some(host)) => host,
            (None, None) => self.account.host(),
        }
    }

    fn account(&self) -> ua::Account {
        let mut account = ua::Account::new(&self.account.uri());
        account.display_name.clone_from(&self.display_name);
        account.secret = self.password.clone().map(Secret::Password);
        account.proxy = self.proxy();
        account.user_agent.clone_from(&self.product);
        account
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("account", &self.account)
            .field("password", &self.password.as_ref().map(|_| ".."))
            .field("server", &self.server)
            .field("direct", &self.direct)
            .field("port", &self.port)
            .field("codecs", &self.codecs)
            .finish_non_exhaustive()
    }
}

/// A running telephone. Dropping it hangs up without waiting for anybody; [`Phone::close`] waits.
pub struct Phone {
    // The order matters: the signalling ends first, and the sound then tells how calls ended.
    network: Option<Network<Line>>,
    media: CallMedia,
    numbers: Numbers,
    address: SocketAddr,
    codecs: Vec<CodecKind>,
    srtp: Srtp,
}

impl Phone {
    /// Binds a port on the address that leads to the server, and starts.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn start(settings: Settings, events: EventSink) -> Result<Phone, PhoneError> {
        let account = settings.account();
        // What cannot be an account is said now, not on the network's thread.
        ua::UserAgent::new(String::new())
            .add_account(account.clone())
            .map_err(|misuse| PhoneError::Account(misuse.to_string()))?;
        let address = own_address(
            settings.nearest(),
            settings.server.as_ref().and_then(|s| s.port),
        )?;
        let media = CallMedia::start(events.clone()).map_err(PhoneError::System)?;
        let numbers = Numbers::default();
        let mut tried = 0;
        loop {
            tried += 1;
            let port = match settings.port {
                Some(port) => port,
                None => free_port(address).map_err(PhoneError::System)?,
            };
            let local = SocketAddr::new(address, port);
            let line = Line::new(
                account.clone(),
                capabilities(address),
                numbers.clone(),
                media.orders(),
                events.clone(),
            );
            let endpoint = Endpoint::new(
                Config {
                    shard: 0,
                    shards: 1,
                    seed: random()?,
                    product: settings.product.clone(),
                },
                sip::time::Time::ZERO,
            );
            match Network::start(net_config(local, &settings), vec![(endpoint, line)]) {
                Ok(network) => {
                    return Ok(Phone {
                        network: Some(network),
                        media,
                        numbers,
                        address: local,
                        codecs: settings.codecs,
                        srtp: settings.srtp,
                    });
                }
                // Somebody else took the port between our look and our bind.
                Err(NetError::Listen { .. }) if settings.port.is_none() && tried < PORTS_TRIED => {}
                Err(error) => return Err(PhoneError::Network(error)),
            }
        }
    }

    /// Where the phone receives SIP, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers for so many seconds and keeps the registration fresh.
    pub fn register(&self, expires: u32) {
        self.post(Command::Register { expires });
    }

    /// Takes our contact from the registrar.
    pub fn unregister(&self) {
        self.post(Command::Unregister);
    }

    /// Leaves our contact with the registrar when the phone ends.
    pub fn keep_contact(&self) {
        self.post(Command::KeepContact);
    }

    /// Calls a SIP URI. How it goes is told by events.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound.
    pub fn call(&self, target: &str, sound: Sound) -> Result<CallNumber, CallError> {
        let number = self.numbers.next();
        let negotiation = self.open(number, sound)?;
        let posted = self.post(Command::Call {
            number,
            target: target.to_owned(),
            negotiation,
        });
        if posted {
            Ok(number)
        } else {
            Err(CallError::Ended)
        }
    }

    /// Tells a caller that it rings here.
    pub fn ring(&self, call: CallNumber) {
        self.post(Command::Ring { number: call });
    }

    /// Answers a call.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound; the call still waits for an answer.
    pub fn answer(&self, call: CallNumber, sound: Sound) -> Result<(), CallError> {
        let negotiation = self.open(call, sound)?;
        self.post(Command::Answer {
            number: call,
            negotiation,
        });
        Ok(())
    }

    /// Refuses a call with a status from 300 to 699: 486 busy, 603 declined.
    pub fn reject(&self, call: CallNumber, status: u16) {
        self.post(Command::Reject {
            number: call,
            status,
        });
    }

    /// Ends a call, whatever it takes: CANCEL, a refusal, or BYE.
    pub fn hang_up(&self, call: CallNumber) {
        self.post(Command::HangUp { number: call });
    }

    /// Puts the peer on hold, or takes it off; [`crate::Event::MediaChanged`] comes when it has agreed.
    pub fn hold(&self, call: CallNumber, held: bool) {
        self.post(Command::Hold { number: call, held });
    }

    /// Presses keys: `0`–`9`, `*`, `#`, `A`–`D`, and commas for pauses of a second.
    pub fn press(&self, call: CallNumber, keys: &str) {
        let keys = keys.to_owned();
        let _ = self.media.orders().give(Order::Press { call, keys });
    }

    /// Asks a SIP URI what it can do; [`Event::Answered`] or [`Event::RequestFailed`] comes.
    pub fn options(&self, target: &str) {
        self.post(Command::Options {
            target: target.to_owned(),
        });
    }

    /// Hangs up and unregisters, waits for the answers but not longer than `grace`, and ends. All events have been told when
    /// it returns.
    pub fn close(mut self, grace: Duration) {
        self.end(grace);
    }

    fn end(&mut self, grace: Duration) {
        if let Some(network) = self.network.take() {
            let now = network.clock().now();
            for (_, line) in network.shutdown(grace) {
                line.abandon(now + grace);
            }
        }
    }

    /// Finds ports for the sound of a call and hands them to the sound thread.
    fn open(&self, call: CallNumber, sound: Sound) -> Result<Box<Negotiation>, CallError> {
        let ports: PortPair = RtpPorts::new(MEDIA_PORTS)
            .allocate(self.address.ip())
            .map_err(CallError::Ports)?;
        let local = SocketAddr::new(self.address.ip(), ports.port);
        let seed = random().map_err(|_| CallError::Ended)?;
        let seed = u64::from_le_bytes(seed);
        let srtp = local_srtp(self.srtp).map_err(|_| CallError::Ended)?;
        let open = Order::Open {
            call,
            ports,
            sound: Box::new(sound),
        };
        let given = self.media.orders().give(open);
        given.map_err(|_| CallError::Ended)?;
        let negotiation = Negotiation::new(local, &self.codecs, seed);
        Ok(Box::new(negotiation.protected(srtp)))
    }

    fn post(&self, command: Command) -> bool {
        self.network
            .as_ref()
            .is_some_and(|network| network.post(0, command).is_ok())
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// Why a phone cannot start.
#[derive(Debug)]
pub enum PhoneError {
    /// The account cannot be used.
    Account(String),
    /// The network cannot be used.
    Network(NetError),
    /// The system refused something.
    System(io::Error),
}

impl fmt::Display for PhoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PhoneError::Account(why) => write!(f, "the account cannot be used: {why}"),
            PhoneError::Network(error) => error.fmt(f),
            PhoneError::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl std::error::Error for PhoneError {}

/// Why a call cannot be begun or answered.
#[derive(Debug)]
pub enum CallError {
    /// There are no ports for its sound.
    Ports(NetError),
    /// The phone is ending, or overwhelmed.
    Ended,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Ports(error) => error.fmt(f),
            CallError::Ended => f.write_str("the phone takes no more commands"),
        }
    }
}

impl std::error::Error for CallError {}

fn net_config(local: SocketAddr, settings: &Settings) -> NetConfig {
    NetConfig {
        workers: 1,
        keep_alive: Some(KEEP_ALIVE),
        tap: settings.tap.clone(),
        ..NetConfig::new(vec![(Transport::Udp, local), (Transport::Tcp, local)])
    }
}

/// Our address towards `host`. When the system does not know the host – it may be known to NAPTR and SRV records only –
/// it is the one that leads to the rest of the world.
fn own_address(host: &str, port: Option<u16>) -> Result<IpAddr, PhoneError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return net::local_address_for(ip).map_err(PhoneError::Network);
    }
    for ip in look_up(host, port.unwrap_or(5060)) {
        if let Ok(own) = net::local_address_for(ip) {
            return Ok(own);
        }
    }
    // Addresses for documentation: nobody is there, but the route is that of everything far away.
    for far in ["192.0.2.1", "2001:db8::1"] {
        if let Ok(own) = far
            .parse::<IpAddr>()
            .map_or(Err(()), |ip| net::local_address_for(ip).map_err(drop))
        {
            return Ok(own);
        }
    }
    let known = net::interfaces().map_err(PhoneError::Network)?;
    let best = known
        .iter()
        .find(|(ip, _)| !ip.is_loopback())
        .or(known.first());
    best.map(|(ip, _)| *ip).ok_or_else(|| {
        PhoneError::System(io::Error::new(
            io::ErrorKind::NetworkUnreachable,
            "this host has no network address",
        ))
    })
}

/// Asks the system, in a thread of its own because that cannot be broken off. IPv4 comes first: a server that has both is
/// reached either way, and a name of this very host often stands for more than it listens on.
fn look_up(host: &str, port: u16) -> Vec<IpAddr> {
    let (found, wait) = mpsc::channel();
    let host = host.to_owned();
    let ask = move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        let mut addresses: Vec<IpAddr> = addresses.into_iter().flatten().map(|a| a.ip()).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        let _ = found.send(addresses);
    };
    match thread::Builder::new().name("look-up".to_owned()).spawn(ask) {
        Ok(_) => wait.recv_timeout(LOOK_UP).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// A port that is free for datagrams and streams; it is not held.
fn free_port(address: IpAddr) -> io::Result<u16> {
    let mut last = None;
    for _ in 0..PORTS_TRIED {
        let datagrams = UdpSocket::bind((address, 0))?;
        let port = datagrams.local_addr()?.port();
        match TcpListener::bind((address, port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::ErrorKind::AddrInUse.into()))
}

fn random<const N: usize>() -> Result<[u8; N], PhoneError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| PhoneError::System(io::Error::other(error)))?;
    Ok(bytes)
}

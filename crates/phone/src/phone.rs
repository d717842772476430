//! The phone as its owner sees it.

mod commands;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use media::codec::CodecKind;
use net::{NetConfig, NetError, Network, Tap, Tls, Trust, TrustError};
use sip::auth::Secret;
use sip::endpoint::{Config, Endpoint};
use sip::flow::Transport;
use sip::ua;

use crate::address::{Name, Server};
use crate::call_media::{CallMedia, Order};
use crate::event::{AccountNumber, CallNumber, EventSink};
use crate::gather::StunServer;
use crate::line::{Command, Line, Numbers, Parts, Waiting};
use crate::negotiation::{Negotiation, capabilities};
use crate::opening::Opening;
use crate::secure::Srtp;
use crate::sound::Sound;
use crate::trouble::Trouble;

/// Ports tried before giving up on one that is free for datagrams and streams alike.
const PORTS_TRIED: usize = 32;
/// How long the system may take to look up our server when choosing our own address.
const LOOK_UP: Duration = Duration::from_secs(3);
/// How often a connection to the server is kept open (RFC 5626 §3.5.1).
const KEEP_ALIVE: Duration = Duration::from_secs(90);

/// How a phone is set up.
#[derive(Clone)]
pub struct Settings {
    /// Whose phone it is.
    pub account: Name,
    /// The name that callees see.
    pub display_name: Option<String>,
    /// The user name for Digest, where it is not that of the account.
    pub auth_user: Option<String>,
    /// What answers the server's challenges.
    pub password: Option<String>,
    /// What answers them where there is no password.
    pub hashes: Option<Secret>,
    /// The server that all requests go through; without one, the account's domain by RFC 3263.
    pub server: Option<Server>,
    /// Whether requests go straight to whom they are for, with no server of the account in between.
    pub direct: Option<String>,
    /// The session interval to ask for, in seconds (RFC 4028); what the user agent finds right when `None`.
    pub session_expires: Option<u32>,
    /// The local port for SIP, UDP and TCP, but not for TLS, which is only opened; any free one when `None`.
    pub port: Option<u16>,
    /// Codecs in the order of preference.
    pub codecs: Vec<CodecKind>,
    /// Send next to nothing while nothing is said, where the codec and the other side allow it.
    pub suppress_silence: bool,
    /// Whether sound is encrypted.
    pub srtp: Srtp,
    /// Whether calls look for a way through address translators (ICE, RFC 8445), where the other side does too.
    pub ice: bool,
    /// Who tells us the public addresses of our media ports (STUN, RFC 8489).
    pub stun: Option<StunServer>,
    /// PEM files of certificates to trust in TLS, beside those that this system trusts; those of the first account say it.
    pub tls_roots: Vec<PathBuf>,
    /// What User-Agent and Server say.
    pub product: String,
    /// Receives a copy of every SIP message.
    pub tap: Option<Arc<dyn Tap>>,
    /// Whether calls and messages hide who we are (RFC 3323): the address in From is nobody's, and only our server is told.
    pub anonymous: bool,
    /// Whether the server that we are registered at is believed about who calls (P-Asserted-Identity, RFC 3325): only for
    /// servers that take it out of what strangers send.
    pub trust_asserted: bool,
    /// How keys travel; with several accounts, those of the first say it.
    pub keys_by: KeysBy,
    /// Calls at once; one above that finds the phone busy.
    pub max_calls: usize,
}

impl Settings {
    /// The codecs of a phone that was told nothing: the best ones, and those that everybody has.
    pub const CODECS: [CodecKind; 4] = [
        CodecKind::Opus,
        CodecKind::G722,
        CodecKind::Pcmu,
        CodecKind::Pcma,
    ];

    /// The settings of an account with everything else at its default.
    pub fn new(account: Name) -> Settings {
        Settings {
            account,
            display_name: None,
            auth_user: None,
            password: None,
            hashes: None,
            server: None,
            direct: None,
            session_expires: None,
            port: None,
            codecs: Settings::CODECS.to_vec(),
            suppress_silence: false,
            srtp: Srtp::Off,
            ice: false,
            stun: None,
            tls_roots: Vec::new(),
            product: concat!("sori/", env!("CARGO_PKG_VERSION")).to_owned(),
            tap: None,
            anonymous: false,
            trust_asserted: false,
            keys_by: KeysBy::default(),
            max_calls: 64,
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
        account.username.clone_from(&self.auth_user);
        account.session_expires = self.session_expires.or(account.session_expires);
        let password = self.password.clone().map(Secret::Password);
        account.secret = password.or_else(|| self.hashes.clone());
        account.proxy = self.proxy();
        account.user_agent.clone_from(&self.product);
        account.anonymous = self.anonymous;
        account.trust_asserted = self.trust_asserted;
        account
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("account", &self.account)
            .field("password", &self.password.as_ref().map(|_| ".."))
            .field("hashes", &self.hashes)
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
    waiting: Waiting,
    address: SocketAddr,
    accounts: Vec<(AccountNumber, Name)>,
    openings: Vec<Opening>,
    keys_by: KeysBy,
}

/// How keys travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeysBy {
    /// As telephone-events among the sound (RFC 4733).
    #[default]
    Rfc4733,
    /// In INFO requests (application/dtmf-relay), for peers that hear no telephone-events.
    Info,
}

impl Phone {
    /// Binds a port on the address that leads to the server, and starts.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn start(settings: Settings, events: EventSink) -> Result<Phone, PhoneError> {
        Phone::start_all(vec![settings], events)
    }

    /// Starts a phone of several accounts. Port, product, tap and the bound on calls are those of the first; the first is
    /// also the one that speaks where a command names none.
    ///
    /// # Errors
    /// [`PhoneError`].
    pub fn start_all(settings: Vec<Settings>, events: EventSink) -> Result<Phone, PhoneError> {
        let Some(first) = settings.first().cloned() else {
            return Err(PhoneError::Account("there is none".to_owned()));
        };
        let accounts: Vec<ua::Account> = settings.iter().map(Settings::account).collect();
        let mut trial = ua::UserAgent::new(String::new());
        for account in &accounts {
            // What cannot be an account is said now, not on the network's thread.
            trial
                .add_account(account.clone())
                .map_err(|misuse| PhoneError::Account(misuse.to_string()))?;
        }
        let trouble = Trouble::default();
        let events = trouble.explained(events);
        let mut openings = Vec::new();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for settings in &settings {
            let port = settings.server.as_ref().and_then(|s| s.port);
            let address = own_address(settings.nearest(), port)?;
            openings.push(Opening::new(settings, address, events.clone(), look_up)?);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let media = CallMedia::start(events.clone()).map_err(PhoneError::System)?;
        let (numbers, waiting) = (Numbers::default(), Waiting::default());
        let line = |address| {
            Line::new(Parts {
                accounts: accounts.clone(),
                capabilities: capabilities(address, &first.codecs),
                max_calls: first.max_calls,
                numbers: numbers.clone(),
                waiting: waiting.clone(),
                orders: media.orders(),
                events: events.clone(),
            })
        };
        let (network, address) = listen(&addresses, &first, &trouble, line)?;
        let accounts = (0..).map(AccountNumber);
        let names = settings.into_iter().map(|s| s.account);
        Ok(Phone {
            network: Some(network),
            media,
            numbers,
            waiting,
            address,
            accounts: accounts.zip(names).collect(),
            keys_by: first.keys_by,
            openings,
        })
    }

    /// The accounts, in the order in which they were given.
    pub fn accounts(&self) -> &[(AccountNumber, Name)] {
        &self.accounts
    }

    /// Where the phone receives SIP, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
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
    fn open(
        &self,
        call: CallNumber,
        (account, address): (AccountNumber, Option<IpAddr>),
        calling: bool,
        sound: Sound,
    ) -> Result<Box<Negotiation>, CallError> {
        let place = usize::try_from(account.0).unwrap_or(usize::MAX);
        let opening = self.openings.get(place).ok_or(CallError::Ended)?;
        let (order, negotiation) = opening.open(call, address, calling, sound)?;
        let given = self.media.orders().give(order);
        given.map_err(|_| CallError::Ended)?;
        Ok(negotiation)
    }

    /// The command was taken, or the ports opened for it are closed.
    fn post_call(&self, call: CallNumber, command: Command) -> Result<CallNumber, CallError> {
        if self.post(command) {
            return Ok(call);
        }
        let _ = self.media.orders().give(Order::Abandon { call });
        Err(CallError::Ended)
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
    /// A file of certificates to trust cannot be used.
    Trust(TrustError),
    /// There is no certificate to encrypt with.
    Certificate(String),
    /// The STUN server of this name has no address that can be reached from here.
    Stun(String),
    /// The system refused something.
    System(io::Error),
}

impl fmt::Display for PhoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PhoneError::Account(why) => write!(f, "the account cannot be used: {why}"),
            PhoneError::Network(error) => error.fmt(f),
            PhoneError::Trust(error) => error.fmt(f),
            PhoneError::Certificate(why) => write!(f, "no certificate can be made: {why}"),
            PhoneError::Stun(host) => {
                write!(
                    f,
                    "the STUN server {host} has no address that can be reached from here"
                )
            }
            PhoneError::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl std::error::Error for PhoneError {}

impl From<TrustError> for PhoneError {
    fn from(error: TrustError) -> PhoneError {
        PhoneError::Trust(error)
    }
}

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

/// Binds one port on all the addresses; yields the first of them with it.
fn listen(
    addresses: &[IpAddr],
    settings: &Settings,
    trouble: &Trouble,
    line: impl Fn(IpAddr) -> Line,
) -> Result<(Network<Line>, SocketAddr), PhoneError> {
    let first = addresses.first().copied();
    let first = first.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    let tls = Tls {
        server: None,
        trust: Some(Arc::new(Trust::new(&settings.tls_roots)?)),
        on_failure: Some(trouble.listener()),
    };
    let mut tried = 0;
    loop {
        tried += 1;
        let port = match settings.port {
            Some(port) => port,
            None => free_port(first).map_err(PhoneError::System)?,
        };
        let endpoint = Endpoint::new(
            Config {
                shard: 0,
                shards: 1,
                seed: random()?,
                product: settings.product.clone(),
            },
            sip::time::Time::ZERO,
        );
        let config = net_config(addresses, port, settings, tls.clone());
        match Network::start(config, vec![(endpoint, line(first))]) {
            Ok(network) => return Ok((network, SocketAddr::new(first, port))),
            // Somebody else took the port between our look and our bind.
            Err(NetError::Listen { .. }) if settings.port.is_none() && tried < PORTS_TRIED => {}
            Err(error) => return Err(PhoneError::Network(error)),
        }
    }
}

fn net_config(addresses: &[IpAddr], port: u16, settings: &Settings, tls: Tls) -> NetConfig {
    let listeners = addresses.iter().flat_map(|address| {
        let local = SocketAddr::new(*address, port);
        // TLS is only opened: a phone has no certificate to show.
        let opened = SocketAddr::new(*address, 0);
        [
            (Transport::Udp, local),
            (Transport::Tcp, local),
            (Transport::Tls, opened),
        ]
    });
    NetConfig {
        workers: 1,
        keep_alive: Some(KEEP_ALIVE),
        tap: settings.tap.clone(),
        tls,
        ..NetConfig::new(listeners.collect())
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

//! What a document says.

use std::fmt;
use std::time::Duration;

use media::codec::CodecKind;
use sip::auth::Secret;
use sip::flow::Transport;

use crate::address::{Name, Server, target};
use crate::gather::StunServer;
use crate::phone::{KeysBy, Settings};
use crate::secure::Srtp;

/// How long a program that was started for one call shows its end before it closes, unless told otherwise.
const AUTO_CLOSE: Duration = Duration::from_secs(3);

/// The settings of a phone as a document gives them; what is `None` was not said.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Whose phone it is, the first for outgoing calls.
    pub accounts: Vec<Account>,
    /// Whom a click calls: a number, an address, or a SIP URI.
    pub gateway: Option<String>,
    /// Codecs in the order of preference; empty when the phone may choose.
    pub codecs: Vec<CodecKind>,
    /// How servers are reached that no `<proxy>` is given for.
    pub transport: Option<Transport>,
    /// How keys are sent.
    pub dtmf: Option<Dtmf>,
    /// Whether sound is encrypted.
    pub srtp: Option<Srtp>,
    /// Whether ICE looks for a way through address translators.
    pub ice: Option<bool>,
    /// The STUN server, `HOST` or `HOST:PORT`.
    pub stun: Option<StunServer>,
    /// Times.
    pub timers: Timers,
    /// How long the end of a call is shown before a program that was started for one call closes.
    pub auto_close: Duration,
    /// Which devices are used.
    pub devices: Devices,
    /// Whether microphone and speaker are checked before a call.
    pub readiness: Option<bool>,
    /// The language that the phone speaks to its user, as in `ko` or `en-GB` (RFC 5646).
    pub language: Option<String>,
    /// After what time the document is to be fetched again.
    pub refresh: Option<Duration>,
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its address.
    pub name: Name,
    /// The name that callees see.
    pub display_name: Option<String>,
    /// The user name for Digest, where it is another.
    pub auth_user: Option<String>,
    /// What answers challenges.
    pub secret: Option<Secret>,
    /// The server that all requests go through.
    pub proxy: Option<Server>,
    /// Whether the phone registers.
    pub register: bool,
    /// For how many seconds.
    pub expires: Option<u32>,
}

/// How keys are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtmf {
    /// As telephone-events in RTP (RFC 4733).
    Events,
    /// As INFO requests (RFC 6086).
    Info,
    /// As tones among the sound.
    Tones,
}

/// Times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// Seconds that registrations are asked for.
    pub register: Option<u32>,
    /// The session interval (RFC 4028) in seconds.
    pub session: Option<u32>,
    /// How long a callee may ring.
    pub ring: Option<Duration>,
}

/// Names of devices as the system shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// What is spoken into.
    pub microphone: Option<String>,
    /// What is listened to.
    pub speaker: Option<String>,
    /// Where it rings.
    pub ringer: Option<String>,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile {
            accounts: Vec::new(),
            gateway: None,
            codecs: Vec::new(),
            transport: None,
            dtmf: None,
            srtp: None,
            ice: None,
            stun: None,
            timers: Timers::default(),
            auto_close: AUTO_CLOSE,
            devices: Devices::default(),
            readiness: None,
            language: None,
            refresh: None,
        }
    }
}

impl Profile {
    /// The seconds to ask the registrar for.
    pub fn expires(&self, account: &Account) -> Option<u32> {
        account.expires.or(self.timers.register)
    }

    /// The settings of a phone for one of the accounts.
    pub fn settings(&self, account: &Account) -> Settings {
        let server = account.proxy.clone().or_else(|| {
            self.transport.map(|transport| Server {
                transport,
                host: account.name.host().to_owned(),
                port: account.name.port(),
            })
        });
        let mut settings = Settings {
            display_name: account.display_name.clone(),
            auth_user: account.auth_user.clone(),
            server,
            session_expires: self.timers.session,
            ..Settings::new(account.name.clone())
        };
        match &account.secret {
            Some(Secret::Password(password)) => settings.password = Some(password.clone()),
            hashes => settings.hashes.clone_from(hashes),
        }
        if let Some(srtp) = self.srtp {
            settings.srtp = srtp;
        }
        if self.dtmf == Some(Dtmf::Info) {
            settings.keys_by = KeysBy::Info;
        }
        settings.ice = self.ice.unwrap_or(settings.ice);
        settings.stun.clone_from(&self.stun);
        if !self.codecs.is_empty() {
            settings.codecs.clone_from(&self.codecs);
        }
        settings
    }

    /// What the document asks for and this phone cannot do, for a person.
    pub fn unmet(&self) -> Vec<String> {
        let cannot = [(
            self.dtmf == Some(Dtmf::Tones),
            "<dtmf>: keys are sent as rfc4733, not as tones",
        )];
        let said = |(asked, what): (bool, &str)| asked.then(|| what.to_owned());
        cannot.into_iter().filter_map(said).collect()
    }

    /// The URI of the gateway, seen from an account.
    pub fn target(&self, account: &Account) -> Option<String> {
        let gateway = self.gateway.as_ref()?;
        // The document was refused if this did not work.
        target(gateway, &account.name.domain).ok()
    }

    /// In what `new` differs; empty when a phone has nothing to do.
    pub fn changes(&self, new: &Profile) -> Vec<Change> {
        let mut changes = Vec::new();
        for account in &new.accounts {
            match self.accounts.iter().find(|old| old.name == account.name) {
                None => changes.push(Change::AccountAdded(account.name.clone())),
                Some(old) if !old.same_as(account) => {
                    changes.push(Change::AccountChanged(account.name.clone()));
                }
                Some(_) => {}
            }
        }
        for old in &self.accounts {
            if !new.accounts.iter().any(|account| account.name == old.name) {
                changes.push(Change::AccountRemoved(old.name.clone()));
            }
        }
        let differs = [
            (self.gateway != new.gateway, "gateway"),
            (self.codecs != new.codecs, "codecs"),
            (self.transport != new.transport, "transport"),
            (self.dtmf != new.dtmf, "dtmf"),
            (self.srtp != new.srtp, "srtp"),
            (self.ice != new.ice, "ice"),
            (self.stun != new.stun, "stun"),
            (self.timers != new.timers, "timers"),
            (self.auto_close != new.auto_close, "auto-close"),
            (self.devices != new.devices, "devices"),
            (self.readiness != new.readiness, "readiness"),
            (self.language != new.language, "language"),
            (self.refresh != new.refresh, "refresh"),
        ];
        changes.extend(
            differs
                .into_iter()
                .filter_map(|(differs, name)| differs.then_some(Change::Setting(name))),
        );
        changes
    }
}

impl Account {
    fn same_as(&self, other: &Account) -> bool {
        self.name == other.name
            && self.display_name == other.display_name
            && self.auth_user == other.auth_user
            && self.secret == other.secret
            && self.proxy == other.proxy
            && self.register == other.register
            && self.expires == other.expires
    }
}

/// One difference between two profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An account is new.
    AccountAdded(Name),
    /// An account is gone.
    AccountRemoved(Name),
    /// Something about an account.
    AccountChanged(Name),
    /// A setting, by the name of its element.
    Setting(&'static str),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::AccountAdded(name) => write!(f, "account {name} is new"),
            Change::AccountRemoved(name) => write!(f, "account {name} is gone"),
            Change::AccountChanged(name) => write!(f, "account {name} has changed"),
            Change::Setting(name) => write!(f, "{name} has changed"),
        }
    }
}

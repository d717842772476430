//! What an administrator sets up, as it is stored and as the HTTP API says it (JSON).

use serde::{Deserialize, Serialize};

/// What an account has beside its name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Other user parts or numbers that mean this account, in its domain.
    pub aliases: Vec<String>,
    /// Where its calls go when it does not take them.
    pub forwards: Forwards,
    /// Identifiers of the trunks that it may call through; `None` for all.
    pub trunks: Option<Vec<String>>,
}

/// Forwarding of calls: addresses, users or numbers; empty for none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Forwards {
    /// Every call, before any phone rings.
    pub always: String,
    /// When a phone says that it is busy (486).
    pub busy: String,
    /// When nobody answers in time.
    pub no_answer: String,
    /// Seconds of ringing that are "in time".
    pub no_answer_after: u32,
    /// When no phone is registered.
    pub unregistered: String,
}

impl Default for Forwards {
    fn default() -> Self {
        Forwards {
            always: String::new(),
            busy: String::new(),
            no_answer: String::new(),
            no_answer_after: 20,
            unregistered: String::new(),
        }
    }
}

/// One rule of the dial plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Its identifier; made by the server when empty.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether it counts.
    pub enabled: bool,
    /// Which requests it is for.
    #[serde(rename = "match")]
    pub matches: Match,
    /// What becomes of the number.
    pub rewrite: Rewrite,
    /// What becomes of the request.
    pub action: Action,
}

/// Which requests a rule is for. What is empty matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Pattern for the number or user that is called (see [`Pattern`](super::Pattern)).
    pub number: String,
    /// Pattern for the caller: its user part, or `user@domain` when the pattern has an `@`.
    pub caller: String,
    /// The domain that is called.
    pub domain: String,
    /// Methods, such as `INVITE`.
    pub methods: Vec<String>,
    /// The trunk that the request came from: an identifier, `*` for any, empty for requests from anywhere.
    pub trunk: String,
    /// Whether it is also for numbers and names of this server, which otherwise come before all rules.
    pub internal: bool,
}

/// What becomes of a number: first `replace`, then `strip`, `prefix` and `suffix`, then `country`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rewrite {
    /// Characters to take off in front.
    pub strip: u32,
    /// What is put in front.
    pub prefix: String,
    /// What is put behind.
    pub suffix: String,
    /// For a pattern that is a regular expression: the new number, with `$1` and so on.
    pub replace: String,
    /// ISO 3166 code of the country whose national numbers become E.164 (`+82…`).
    pub country: String,
}

/// What becomes of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// It rings who has the number here.
    #[default]
    Accounts,
    /// It leaves through a trunk.
    Trunks {
        /// Identifiers.
        trunks: Vec<String>,
        /// Which one.
        mode: TrunkMode,
    },
    /// It goes to the same user of another domain.
    Domain {
        /// The domain.
        domain: String,
    },
    /// It is refused.
    Reject {
        /// Status code, 400 to 699.
        status: u16,
        /// Reason phrase; empty for the usual one.
        #[serde(default)]
        reason: String,
    },
    /// The next rule decides, about the number as it is now.
    Continue,
}

/// Which of several trunks is tried first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkMode {
    /// The first; the next one when it fails.
    #[default]
    InOrder,
    /// By their weights; another one when it fails.
    Shared,
}

/// A gateway or provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trunk {
    /// Its identifier; made by the server when empty.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Whether it is used.
    pub enabled: bool,
    /// Host name or address.
    pub host: String,
    /// Port; found by RFC 3263 when `None`.
    pub port: Option<u16>,
    /// `udp`, `tcp` or `tls`.
    pub transport: String,
    /// Whether this server registers there.
    pub register: bool,
    /// User name for REGISTER and for its challenges.
    pub username: String,
    /// Password; what asks for it is answered with its hash, but the hash needs it.
    pub password: String,
    /// What stands behind the @ of its addresses; empty for `host`.
    pub domain: String,
    /// Addresses or networks (`192.0.2.0/24`) that its requests come from, beside those of `host`.
    pub sources: Vec<String>,
    /// The number that its callees see.
    pub caller_id: CallerId,
    /// Calls at once; 0 for no limit.
    pub max_calls: u32,
    /// Seconds between OPTIONS; 0 for none.
    pub check_every: u32,
    /// Its share where trunks share.
    pub weight: u32,
    /// Where calls from it go that nobody here and no rule takes.
    pub incoming: String,
}

impl Default for Trunk {
    fn default() -> Self {
        Trunk {
            id: String::new(),
            name: String::new(),
            enabled: true,
            host: String::new(),
            port: None,
            transport: "udp".into(),
            register: false,
            username: String::new(),
            password: String::new(),
            domain: String::new(),
            sources: Vec::new(),
            caller_id: CallerId::default(),
            max_calls: 0,
            check_every: 30,
            weight: 1,
            incoming: String::new(),
        }
    }
}

/// Leaves the password out.
impl core::fmt::Debug for Trunk {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Trunk")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The number that callees of a trunk see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerId {
    /// Whether it is the caller's or always the same.
    pub mode: CallerIdMode,
    /// The same one.
    pub number: String,
}

/// See [`CallerId`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallerIdMode {
    /// The caller's.
    #[default]
    Keep,
    /// Always the same.
    Fixed,
}

/// A hunting group: one number that rings several people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// Its identifier; made by the server when empty.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// User part or number that calls it, in the default domain.
    pub number: String,
    /// Addresses, users or numbers.
    pub members: Vec<String>,
    /// Who rings first.
    pub strategy: Strategy,
    /// Seconds that each try rings.
    pub ring_for: u32,
    /// Where the call goes when nobody answers; empty for nowhere.
    pub fallback: String,
}

impl Default for Group {
    fn default() -> Self {
        Group {
            id: String::new(),
            name: String::new(),
            number: String::new(),
            members: Vec::new(),
            strategy: Strategy::All,
            ring_for: 20,
            fallback: String::new(),
        }
    }
}

/// Whom a hunting group rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Everybody at once.
    #[default]
    All,
    /// One after the other, as they stand.
    InTurn,
    /// One after the other, whose last call ended the longest time ago first.
    LongestIdle,
}

/// Settings that can be changed while the server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which requests have to show who sends them.
    pub authentication: AuthenticationSettings,
    /// Whether callers are told where to go (302) instead of being put through.
    pub redirect: bool,
    /// Bounds of registrations, in seconds.
    pub registration: RegistrationSettings,
    /// When the sound of calls passes through this server.
    pub relay: RelayMode,
    /// What one source or account may do.
    pub limits: LimitSettings,
    /// Days that call records are kept; 0 for ever.
    pub keep_records: u32,
    /// ISO 3166 code of the country for telephone numbers.
    pub country: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            authentication: AuthenticationSettings::default(),
            redirect: false,
            registration: RegistrationSettings::default(),
            relay: RelayMode::Auto,
            limits: LimitSettings::default(),
            keep_records: 365,
            country: "KR".into(),
        }
    }
}

impl Settings {
    /// Those of a server that was started so and has none stored.
    pub fn of(config: &crate::Config) -> Settings {
        Settings {
            authentication: AuthenticationSettings {
                register: config.authentication.register,
                invite: config.authentication.invite,
            },
            redirect: config.redirect,
            registration: RegistrationSettings {
                minimum: config.registration.min_expires,
                default: config.registration.default_expires,
                maximum: config.registration.max_expires,
            },
            ..Settings::default()
        }
    }
}

/// See [`Settings::authentication`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthenticationSettings {
    /// REGISTER.
    pub register: bool,
    /// INVITE and everything else.
    pub invite: bool,
}

impl Default for AuthenticationSettings {
    fn default() -> Self {
        AuthenticationSettings {
            register: true,
            invite: true,
        }
    }
}

/// See [`Settings::registration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistrationSettings {
    /// Less is answered with 423.
    pub minimum: u32,
    /// Where a phone does not say.
    pub default: u32,
    /// More is cut to this.
    pub maximum: u32,
}

impl RegistrationSettings {
    /// In the form in which the registrar takes them, with the most bindings of one address.
    pub fn limits(&self, max_bindings: usize) -> sip::registrar::Limits {
        sip::registrar::Limits {
            min_expires: self.minimum,
            default_expires: self.default,
            max_expires: self.maximum,
            max_bindings,
        }
    }
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        let limits = sip::registrar::Limits::default();
        RegistrationSettings {
            minimum: limits.min_expires,
            default: limits.default_expires,
            maximum: limits.max_expires,
        }
    }
}

/// When the sound of calls passes through this server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayMode {
    /// When the two sides could not reach each other.
    #[default]
    Auto,
    /// For every call.
    Always,
    /// For no call.
    Never,
}

/// See [`Settings::limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Requests a second from one source; 0 for no limit.
    pub requests_per_source: u32,
    /// Calls at once of one account; 0 for no limit.
    pub calls_per_account: u32,
    /// Wrong passwords from one source until it is blocked; 0 for never.
    pub wrong_passwords: u32,
    /// Seconds that it stays blocked.
    pub block_for: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        LimitSettings {
            requests_per_source: 0,
            calls_per_account: 0,
            wrong_passwords: 20,
            block_for: 300,
        }
    }
}

/// A phone that fetches its settings here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Its identifier.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The account that it gets, `user@domain`.
    pub account: String,
    /// `sori`, `linphone`, `yealink`, `grandstream`, `snom` or `polycom`.
    pub maker: String,
    /// Whether the token works once.
    pub one_time: bool,
    /// SHA-256 of its token, in hexadecimal.
    pub token_hash: String,
    /// The account's password, until the phone has fetched it.
    pub password: String,
    /// When it was set up, in milliseconds since 1970.
    pub created: u64,
    /// When it last fetched its settings.
    pub fetched: Option<u64>,
}

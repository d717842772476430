//! The client's side: which challenges to answer, with which nonce count, and when to stop.

use super::algorithm::{Algorithm, Hash, Qop};
use super::challenge::{Challenge, MAX_REALMS, choose};
use super::credentials::Credentials;
use super::digest::{Inputs, Protection, Subject};
use super::info::AuthenticationInfo;
use super::params::{Text, push_echo, push_quoted};
use super::secret::Secret;
use core::fmt::Write as _;
use subtle::ConstantTimeEq;

/// Refusals in a row after which a password counts as wrong, whatever the server says about nonces.
const MAX_REFUSALS: u8 = 4;

/// Who a user is and what proves it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user name for Digest.
    pub username: String,
    /// The password, or hashes.
    pub secret: Secret,
}

/// Who asks for authentication (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asker {
    /// A user agent server or a registrar, with 401.
    UserAgent,
    /// A proxy, with 407.
    Proxy,
}

impl Asker {
    /// The status code of its challenge.
    pub const fn status(self) -> u16 {
        match self {
            Asker::UserAgent => 401,
            Asker::Proxy => 407,
        }
    }

    /// The header with the challenge.
    pub const fn challenge_header(self) -> &'static str {
        match self {
            Asker::UserAgent => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }

    /// The header with the answer.
    pub const fn credentials_header(self) -> &'static str {
        match self {
            Asker::UserAgent => "Authorization",
            Asker::Proxy => "Proxy-Authorization",
        }
    }
}

/// What to do about a 401 or 407.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenged {
    /// Send the request again with [`Client::answers`].
    Retry,
    /// The server knows the answer and refuses it: ask the user, do not try again.
    WrongPassword,
    /// There is no challenge that can be answered.
    Unsupported,
    /// No account fits any of the realms.
    NoAccount,
}

/// What the proof in Authentication-Info is worth (RFC 7616 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerProof {
    /// The server knows our key.
    Right,
    /// It does not.
    Wrong,
    /// It did not say, or speaks of another request than the last.
    None,
}

/// The nonces that an account works with: one for each realm and kind of asker.
#[derive(Clone, Debug, Default)]
pub struct Client {
    nonces: Vec<(Asker, ClientNonce)>,
}

impl Client {
    /// A client that nobody has challenged yet.
    pub const fn new() -> Client {
        Client { nonces: Vec::new() }
    }

    /// Takes the challenges of one 401 or 407.
    ///
    /// `values` are all its challenge headers of that asker, `sent` the credentials headers for that asker in the
    /// request that was refused, and `account` finds who to be in a realm.
    pub fn challenged<'c, 'a>(
        &mut self,
        asker: Asker,
        values: impl IntoIterator<Item = &'c [u8]>,
        sent: &[&[u8]],
        account: impl Fn(&str) -> Option<&'a Account>,
    ) -> Challenged {
        let strangers = core::cell::Cell::new(false);
        let chosen = choose(values, |challenge| {
            let found = account(&challenge.realm.unescaped());
            strangers.set(strangers.get() || found.is_none());
            found.is_some_and(|a| a.secret.supports(challenge.algorithm))
        });
        if chosen.is_empty() {
            return if strangers.get() {
                Challenged::NoAccount
            } else {
                Challenged::Unsupported
            };
        }
        for challenge in &chosen {
            let used = sent
                .iter()
                .filter_map(|value| Credentials::parse(value).ok())
                .find(|c| c.realm == challenge.realm);
            if !self.take(asker, challenge, used.map(|c| c.nonce)) {
                return Challenged::WrongPassword;
            }
        }
        Challenged::Retry
    }

    /// Credentials for the next request, one for each realm that has asked before.
    ///
    /// `cnonce` is a fresh random word of the caller's for each request.
    pub fn answers<'a>(
        &mut self,
        subject: &Subject<'_>,
        cnonce: &str,
        account: impl Fn(&str) -> Option<&'a Account>,
    ) -> Vec<(Asker, String)> {
        self.nonces
            .iter_mut()
            .filter_map(|(asker, nonce)| {
                let account = account(nonce.realm())?;
                Some((*asker, nonce.answer(account, subject, cnonce)?))
            })
            .collect()
    }

    /// A request with these credentials headers got a response other than 401 and 407: they are good.
    pub fn accepted(&mut self, asker: Asker, sent: &[&[u8]]) {
        for credentials in sent.iter().filter_map(|v| Credentials::parse(v).ok()) {
            for nonce in self.of(asker) {
                if credentials.realm == *nonce.realm() {
                    nonce.accepted(credentials.nonce);
                }
            }
        }
    }

    /// Takes an Authentication-Info header of a response; `body` is the response's.
    pub fn informed<'a>(
        &mut self,
        asker: Asker,
        value: &[u8],
        body: &[u8],
        account: impl Fn(&str) -> Option<&'a Account>,
    ) -> ServerProof {
        let Ok(info) = AuthenticationInfo::parse(value) else {
            return ServerProof::None;
        };
        // The header names no realm, so with several only the proof can tell whose it is.
        let mut verdict = ServerProof::None;
        for nonce in self.of(asker) {
            let Some(account) = account(nonce.realm()) else {
                continue;
            };
            match nonce.informed(&info, &account.secret, &account.username, body) {
                ServerProof::Right => return ServerProof::Right,
                ServerProof::Wrong => verdict = ServerProof::Wrong,
                ServerProof::None => {}
            }
        }
        verdict
    }

    fn of(&mut self, asker: Asker) -> impl Iterator<Item = &mut ClientNonce> {
        self.nonces
            .iter_mut()
            .filter(move |(a, _)| *a == asker)
            .map(|(_, nonce)| nonce)
    }

    fn take(&mut self, asker: Asker, challenge: &Challenge<'_>, used: Option<Text<'_>>) -> bool {
        if let Some(known) = self.of(asker).find(|n| challenge.realm == *n.realm()) {
            return known.challenged(challenge, used);
        }
        if self.nonces.len() >= 2 * MAX_REALMS {
            self.nonces.remove(0);
        }
        self.nonces.push((asker, ClientNonce::new(challenge)));
        true
    }
}

/// A server's nonce in use, with the count of the requests that carried it.
#[derive(Clone, Debug)]
pub struct ClientNonce {
    challenge: Kept,
    count: u32,
    proven: bool,
    refusals: u8,
    stale_repeats: u8,
    /// Session keys belong to the cnonce of the first request (RFC 7616 §3.4.2).
    session_cnonce: Option<String>,
    last: Option<Last>,
}

#[derive(Clone, Debug)]
struct Kept {
    realm: String,
    realm_raw: Owned,
    nonce: Owned,
    opaque: Option<Owned>,
    algorithm: Algorithm,
    algorithm_named: bool,
    qop: Option<Qop>,
    auth_int: bool,
}

#[derive(Clone, Debug)]
struct Owned {
    raw: String,
    escaped: bool,
}

#[derive(Clone, Debug)]
struct Last {
    uri: String,
    cnonce: String,
    count: u32,
}

impl Owned {
    fn new(text: Text<'_>) -> Owned {
        Owned {
            raw: text.raw().to_owned(),
            escaped: text.has_escapes(),
        }
    }

    fn text(&self) -> Text<'_> {
        Text::with_escapes(&self.raw, self.escaped)
    }
}

impl ClientNonce {
    /// Starts with a challenge that was chosen.
    pub fn new(challenge: &Challenge<'_>) -> ClientNonce {
        ClientNonce {
            challenge: Kept {
                realm: challenge.realm.unescaped().into_owned(),
                realm_raw: Owned::new(challenge.realm),
                nonce: Owned::new(challenge.nonce),
                opaque: challenge.opaque.map(Owned::new),
                algorithm: challenge.algorithm,
                algorithm_named: challenge.algorithm_named,
                qop: challenge.qop,
                auth_int: challenge.auth_int,
            },
            count: 0,
            proven: false,
            refusals: 0,
            stale_repeats: 0,
            session_cnonce: None,
            last: None,
        }
    }

    /// The realm, unescaped.
    pub fn realm(&self) -> &str {
        &self.challenge.realm
    }

    /// The next answer with this nonce; `None` when the secret has no hash for the algorithm.
    pub fn answer(
        &mut self,
        account: &Account,
        subject: &Subject<'_>,
        cnonce: &str,
    ) -> Option<String> {
        let cnonce = if self.challenge.algorithm.is_session() {
            self.session_cnonce
                .get_or_insert_with(|| cnonce.to_owned())
                .clone()
        } else {
            cnonce.to_owned()
        };
        self.count = self.count.saturating_add(1);
        let value = answer(&self.view(), account, subject, self.count, &cnonce)?;
        self.last = Some(Last {
            uri: String::from_utf8_lossy(subject.uri).into_owned(),
            cnonce,
            count: self.count,
        });
        Some(value)
    }

    /// Takes another challenge of the same realm; `used` is the nonce that the refused request carried.
    /// `false`: trying again is of no use.
    pub fn challenged(&mut self, challenge: &Challenge<'_>, used: Option<Text<'_>>) -> bool {
        let current = self.challenge.nonce.text();
        let again = challenge.nonce == current;
        if let Some(used) = used {
            self.refusals = self.refusals.saturating_add(1);
            let same = challenge.nonce == used;
            // A request that was on its way with an older nonce says nothing about the current one.
            let overtaken = used != current;
            let hopeless = if challenge.stale {
                self.stale_repeats = if same {
                    self.stale_repeats.saturating_add(1)
                } else {
                    0
                };
                self.stale_repeats > 1
            } else {
                same || !(self.proven || overtaken)
            };
            if hopeless || self.refusals >= MAX_REFUSALS {
                return false;
            }
        }
        if !again {
            *self = ClientNonce {
                refusals: self.refusals,
                stale_repeats: self.stale_repeats,
                ..ClientNonce::new(challenge)
            };
        }
        true
    }

    /// A request that carried `used` was let pass.
    pub fn accepted(&mut self, used: Text<'_>) {
        if used == self.challenge.nonce.text() {
            self.proven = true;
        }
        self.refusals = 0;
        self.stale_repeats = 0;
    }

    /// Checks the server's proof for the last request, and goes on with the next nonce if it names one.
    pub fn informed(
        &mut self,
        info: &AuthenticationInfo<'_>,
        secret: &Secret,
        username: &str,
        body: &[u8],
    ) -> ServerProof {
        let proof = self.proof(info, secret, username, body);
        if proof != ServerProof::Wrong
            && let Some(next) = info.nextnonce
            && next != self.challenge.nonce.text()
        {
            self.challenge.nonce = Owned::new(next);
            self.count = 0;
            self.session_cnonce = None;
            self.last = None;
        }
        proof
    }

    fn proof(
        &self,
        info: &AuthenticationInfo<'_>,
        secret: &Secret,
        username: &str,
        body: &[u8],
    ) -> ServerProof {
        let (Some(given), Some(last)) = (info.rspauth, &self.last) else {
            return ServerProof::None;
        };
        let ours = info.cnonce.is_some_and(|c| c == *last.cnonce)
            && info
                .nc
                .is_some_and(|nc| u32::from_str_radix(nc.raw(), 16) == Ok(last.count));
        let algorithm = self.challenge.algorithm;
        let (true, Some(nc), Some(qop), Some(key)) = (
            ours,
            info.nc,
            info.qop,
            secret.hash(algorithm, username, &self.challenge.realm),
        ) else {
            return ServerProof::None;
        };
        let cnonce = Text::plain(&last.cnonce);
        let want = Inputs {
            algorithm,
            nonce: self.challenge.nonce.text(),
            cnonce: Some(cnonce),
            protection: Some(Protection {
                qop,
                nc: nc.raw(),
                cnonce,
            }),
            method: b"",
            uri: Text::plain(&last.uri),
            body,
        }
        .response(&key);
        match Hash::from_hex(given.raw().as_bytes(), algorithm.size()) {
            Some(given) if bool::from(given.as_bytes().ct_eq(want.as_bytes())) => {
                ServerProof::Right
            }
            _ => ServerProof::Wrong,
        }
    }

    fn view(&self) -> Challenge<'_> {
        let kept = &self.challenge;
        Challenge {
            realm: kept.realm_raw.text(),
            nonce: kept.nonce.text(),
            opaque: kept.opaque.as_ref().map(Owned::text),
            algorithm: kept.algorithm,
            algorithm_named: kept.algorithm_named,
            qop: kept.qop,
            auth_int: kept.auth_int,
            stale: false,
            userhash: false,
        }
    }
}

/// The credentials header's value that answers one challenge; `None` when the secret has no hash for its algorithm.
///
/// `count` is how many requests carried this nonce, this one included. Control characters in the arguments, which
/// could start another header, are left out of both the hash and the header.
pub fn answer(
    challenge: &Challenge<'_>,
    account: &Account,
    subject: &Subject<'_>,
    count: u32,
    cnonce: &str,
) -> Option<String> {
    let username = printable(&account.username);
    let uri = printable(&String::from_utf8_lossy(subject.uri));
    let cnonce = printable(cnonce);
    let realm = challenge.realm.unescaped();
    let key = account
        .secret
        .hash(challenge.algorithm, &username, &realm)?;
    let nc = format!("{count:08x}");
    let response = Inputs {
        algorithm: challenge.algorithm,
        nonce: challenge.nonce,
        cnonce: Some(Text::plain(&cnonce)),
        protection: challenge.qop.map(|qop| Protection {
            qop,
            nc: &nc,
            cnonce: Text::plain(&cnonce),
        }),
        method: subject.method,
        uri: Text::plain(&uri),
        body: subject.body,
    }
    .response(&key);

    let mut value = String::with_capacity(256);
    value.push_str("Digest username=");
    push_quoted(&mut value, &username);
    value.push_str(", realm=");
    push_echo(&mut value, challenge.realm);
    value.push_str(", nonce=");
    push_echo(&mut value, challenge.nonce);
    value.push_str(", uri=");
    push_quoted(&mut value, &uri);
    value.push_str(", response=");
    push_quoted(&mut value, response.hex().as_str());
    if challenge.algorithm_named {
        value.push_str(", algorithm=");
        value.push_str(challenge.algorithm.token());
    }
    if challenge.qop.is_some() || challenge.algorithm.is_session() {
        value.push_str(", cnonce=");
        push_quoted(&mut value, &cnonce);
    }
    if let Some(opaque) = challenge.opaque {
        value.push_str(", opaque=");
        push_echo(&mut value, opaque);
    }
    if let Some(qop) = challenge.qop {
        // Writing to a String cannot fail.
        let _ = write!(value, ", qop={}, nc={nc}", qop.token());
    }
    Some(value)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_control()).collect()
}

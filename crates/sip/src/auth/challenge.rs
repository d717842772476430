//! WWW-Authenticate and Proxy-Authenticate (RFC 3261 §20.44, §20.27; RFC 7616 §3.3).

use super::algorithm::{Algorithm, Qop};
use super::params::{AuthError, Fields, Groups, Name, Text};

/// More realms than any forked request is asked for by.
pub(super) const MAX_REALMS: usize = 8;

/// One Digest challenge that can be answered.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The protection space, to be shown to the user.
    pub realm: Text<'a>,
    /// The server's nonce.
    pub nonce: Text<'a>,
    /// To be sent back unchanged; present and empty is not absent.
    pub opaque: Option<Text<'a>>,
    /// The algorithm; MD5 when the challenge names none.
    pub algorithm: Algorithm,
    /// Whether the challenge named the algorithm, so that the answer names it too.
    pub algorithm_named: bool,
    /// The qop to answer with; `None` is the form of RFC 2069.
    pub qop: Option<Qop>,
    /// Whether `auth-int` is among the offered qop values.
    pub auth_int: bool,
    /// The password was right, only the nonce was too old.
    pub stale: bool,
    /// The server also takes hashed user names (RFC 7616 §3.4.4).
    pub userhash: bool,
}

impl<'a> Challenge<'a> {
    /// All challenges of one header field: one in SIP, several where a server writes an HTTP list.
    pub fn parse(value: &'a [u8]) -> Challenges<'a> {
        Challenges {
            groups: Groups::new(value),
        }
    }

    fn new(fields: &Fields<'a>) -> Result<Challenge<'a>, AuthError> {
        let named = fields.optional(Name::Algorithm);
        let algorithm = match named {
            Some(token) => Algorithm::from_token(&token.unescaped()).ok_or(AuthError::Algorithm)?,
            None => Algorithm::Md5,
        };
        let (auth, auth_int) = match fields.optional(Name::Qop) {
            Some(list) => offered(&list.unescaped())?,
            None => (false, false),
        };
        let qop = match (auth, auth_int) {
            (true, _) => Some(Qop::Auth),
            (false, true) => Some(Qop::AuthInt),
            (false, false) => None,
        };
        let flag = |name| {
            fields
                .optional(name)
                .is_some_and(|t| t.raw().eq_ignore_ascii_case("true"))
        };
        Ok(Challenge {
            realm: fields.required(Name::Realm)?,
            nonce: fields.required(Name::Nonce)?,
            opaque: fields.optional(Name::Opaque),
            algorithm,
            algorithm_named: named.is_some(),
            qop,
            auth_int,
            stale: flag(Name::Stale),
            userhash: flag(Name::Userhash),
        })
    }
}

/// The challenges of one header field in their order; an error stands for one that cannot be answered.
#[derive(Clone, Debug)]
pub struct Challenges<'a> {
    groups: Groups<'a>,
}

impl<'a> Iterator for Challenges<'a> {
    type Item = Result<Challenge<'a>, AuthError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.groups.next()?.and_then(|f| Challenge::new(&f)))
    }
}

/// The challenges to answer: of each realm the topmost that `able` accepts (RFC 8760 §2.4), at most eight realms.
///
/// `values` are the field values of all WWW-Authenticate or all Proxy-Authenticate headers of one response.
pub fn choose<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    able: impl Fn(&Challenge<'a>) -> bool,
) -> Vec<Challenge<'a>> {
    let mut chosen: Vec<Challenge<'a>> = Vec::new();
    for challenge in values.into_iter().flat_map(Challenge::parse).flatten() {
        if chosen.len() < MAX_REALMS
            && chosen.iter().all(|c| c.realm != challenge.realm)
            && able(&challenge)
        {
            chosen.push(challenge);
        }
    }
    chosen
}

/// Which qop values a list offers; an error when it has only unknown ones. An empty list is none at all.
fn offered(list: &str) -> Result<(bool, bool), AuthError> {
    let words = || list.split(',').map(str::trim).filter(|w| !w.is_empty());
    let has = |qop| words().any(|w| Qop::from_token(w) == Some(qop));
    match (has(Qop::Auth), has(Qop::AuthInt)) {
        (false, false) if words().next().is_some() => Err(AuthError::Qop),
        found => Ok(found),
    }
}

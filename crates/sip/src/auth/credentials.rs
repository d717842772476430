//! Authorization and Proxy-Authorization (RFC 3261 §20.7, §20.28; RFC 7616 §3.4).

use super::algorithm::{Algorithm, Hash, Qop};
use super::digest::{Inputs, Protection};
use super::params::{AuthError, Fields, Groups, Name, Text};
use super::secret::Ha1;
use subtle::{Choice, ConstantTimeEq};

/// Digest credentials as a client sent them.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// Who claims to be there.
    pub username: Text<'a>,
    /// The protection space that they are for.
    pub realm: Text<'a>,
    /// The nonce that is answered.
    pub nonce: Text<'a>,
    /// What the client took for the Request-URI.
    pub uri: Text<'a>,
    /// The algorithm; MD5 when none is named.
    pub algorithm: Algorithm,
    /// `None` is the form of RFC 2069, whatever else is there.
    pub qop: Option<Qop>,
    /// The nonce count as a number, when there is a readable one.
    pub nc: Option<u32>,
    /// The client's nonce.
    pub cnonce: Option<Text<'a>>,
    /// What the challenge's opaque was, if it had one.
    pub opaque: Option<Text<'a>>,
    /// The proof, in hexadecimal.
    pub response: Text<'a>,
    nc_text: &'a str,
}

impl<'a> Credentials<'a> {
    /// Reads one header field's value.
    ///
    /// # Errors
    /// Says what is missing, doubled or unknown; [`AuthError::Scheme`] for anything but Digest.
    pub fn parse(value: &'a [u8]) -> Result<Credentials<'a>, AuthError> {
        Credentials::new(&fields(value)?)
    }

    pub(super) fn new(fields: &Fields<'a>) -> Result<Credentials<'a>, AuthError> {
        let algorithm = match fields.optional(Name::Algorithm) {
            Some(token) => Algorithm::from_token(token.raw()).ok_or(AuthError::Algorithm)?,
            None => Algorithm::Md5,
        };
        let qop = match fields.optional(Name::Qop) {
            Some(token) => Some(Qop::from_token(token.raw()).ok_or(AuthError::Qop)?),
            None => None,
        };
        let cnonce = fields.optional(Name::Cnonce);
        let nc_text = fields.optional(Name::Nc).map(|t| t.raw());
        let nc = nc_text.and_then(nonce_count);
        if qop.is_some() {
            cnonce.ok_or(AuthError::Missing("cnonce"))?;
            nc_text.ok_or(AuthError::Missing("nc"))?;
            nc.ok_or(AuthError::Value("nc"))?;
        }
        Ok(Credentials {
            username: fields.required(Name::Username)?,
            realm: fields.required(Name::Realm)?,
            nonce: fields.required(Name::Nonce)?,
            uri: fields.required(Name::Uri)?,
            algorithm,
            qop,
            nc,
            cnonce,
            opaque: fields.optional(Name::Opaque),
            nc_text: nc_text.unwrap_or_default(),
            response: fields.required(Name::Response)?,
        })
    }

    /// Whether the response is right, in a time that does not tell how much of it was.
    ///
    /// `None` for a user who does not exist: the same work is done, and the answer is no. The URI that counts is
    /// the credentials' own; comparing it with the Request-URI is a separate step.
    pub fn verify(&self, ha1: Option<&Ha1>, method: &[u8], body: &[u8]) -> bool {
        let nobody = Ha1 {
            md5: [0; 16],
            sha256: [0; 32],
        };
        let Some(key) = ha1.unwrap_or(&nobody).hash(self.algorithm) else {
            return false;
        };
        let given = Hash::from_hex(self.response.raw().as_bytes(), self.algorithm.size());
        let shaped = Choice::from(u8::from(given.is_some()));
        let given = given.unwrap_or(Hash::new(&[0; 32]));
        let inputs = self.inputs(method, body);
        let mut right = inputs.response(&key).as_bytes().ct_eq(given.as_bytes());
        if let Some(kept) = inputs.with_escapes_kept() {
            right |= kept.response(&key).as_bytes().ct_eq(given.as_bytes());
        }
        bool::from(right & shaped & Choice::from(u8::from(ha1.is_some())))
    }

    /// Whether the username may speak for an address `user@host`: it is the user, or the whole address.
    pub fn speaks_for(&self, user: &str, host: &str) -> bool {
        let name = self.username.unescaped();
        name == user
            || name
                .rsplit_once('@')
                .is_some_and(|(u, h)| u == user && h.eq_ignore_ascii_case(host))
    }

    /// The `rspauth` value that proves to this client that the server knows the key too (RFC 7616 §3.5).
    pub(super) fn rspauth(&self, ha1: &Ha1, body: &[u8]) -> Option<Hash> {
        let key = ha1.hash(self.algorithm)?;
        Some(self.inputs(b"", body).response(&key))
    }

    pub(super) fn nc_text(&self) -> &'a str {
        self.nc_text
    }

    fn inputs<'b>(&'b self, method: &'b [u8], body: &'b [u8]) -> Inputs<'b> {
        Inputs {
            algorithm: self.algorithm,
            nonce: self.nonce,
            cnonce: self.cnonce,
            protection: match (self.qop, self.cnonce) {
                (Some(qop), Some(cnonce)) => Some(Protection {
                    qop,
                    nc: self.nc_text,
                    cnonce,
                }),
                _ => None,
            },
            method,
            uri: self.uri,
            body,
        }
    }
}

/// The parameters of a field value that must hold exactly one set of Digest credentials.
pub(super) fn fields(value: &[u8]) -> Result<Fields<'_>, AuthError> {
    let mut groups = Groups::new(value);
    let first = groups.next().unwrap_or(Err(AuthError::Malformed));
    match (first, groups.next()) {
        (Err(error), _) => Err(error),
        (Ok(fields), None) => Ok(fields),
        (Ok(_), Some(_)) => Err(AuthError::Malformed),
    }
}

/// One to eight hexadecimal digits: the RFC wants eight, some phones send fewer.
fn nonce_count(text: &str) -> Option<u32> {
    let digits = (1..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

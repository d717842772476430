//! Authentication-Info (RFC 7616 §3.5, RFC 3261 §20.6): the server proves itself, and hands out the next nonce.

use super::algorithm::Qop;
use super::credentials::Credentials;
use super::nonce::Nonce;
use super::params::{AuthError, Fields, Name, Text, push_echo, push_quoted};
use super::secret::Ha1;

/// What Authentication-Info says.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticationInfo<'a> {
    /// The nonce for further requests.
    pub nextnonce: Option<Text<'a>>,
    /// The server's proof that it knows the key.
    pub rspauth: Option<Text<'a>>,
    /// What the proof covers.
    pub qop: Option<Qop>,
    /// The nonce count of the request that is answered, as the server wrote it.
    pub nc: Option<Text<'a>>,
    /// The cnonce of the request that is answered.
    pub cnonce: Option<Text<'a>>,
}

impl<'a> AuthenticationInfo<'a> {
    /// Reads the header field's value; parameters of other schemes are passed over.
    ///
    /// # Errors
    /// A list that breaks the grammar, or a parameter twice.
    pub fn parse(value: &'a [u8]) -> Result<AuthenticationInfo<'a>, AuthError> {
        let fields = Fields::parse_bare(value)?;
        Ok(AuthenticationInfo {
            nextnonce: fields.optional(Name::Nextnonce),
            rspauth: fields.optional(Name::Rspauth),
            qop: fields
                .optional(Name::Qop)
                .and_then(|t| Qop::from_token(t.raw())),
            nc: fields.optional(Name::Nc),
            cnonce: fields.optional(Name::Cnonce),
        })
    }
}

/// The value for the response to a request with these credentials; `body` is the response's.
/// Empty proof, only `nextnonce`, for a client without qop.
pub fn authentication_info(
    credentials: &Credentials<'_>,
    ha1: &Ha1,
    body: &[u8],
    nextnonce: Option<&Nonce>,
) -> String {
    let mut value = String::with_capacity(192);
    if let (Some(qop), Some(cnonce), Some(proof)) = (
        credentials.qop,
        credentials.cnonce,
        credentials.rspauth(ha1, body),
    ) {
        value.push_str("qop=");
        value.push_str(qop.token());
        value.push_str(", rspauth=");
        push_quoted(&mut value, proof.hex().as_str());
        value.push_str(", cnonce=");
        push_echo(&mut value, cnonce);
        value.push_str(", nc=");
        value.push_str(credentials.nc_text());
    }
    if let Some(nonce) = nextnonce {
        value.push_str(if value.is_empty() {
            "nextnonce="
        } else {
            ", nextnonce="
        });
        push_quoted(&mut value, nonce.as_str());
    }
    value
}

//! The arithmetic of a response (RFC 7616 §3.4.1, RFC 2069 without qop).

use super::algorithm::{Algorithm, Hash, Hasher, Qop};
use super::params::Text;

/// What a response speaks for: one request, or for `rspauth` one response with an empty method.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The method as it stands on the start line; it is case-sensitive.
    pub method: &'a [u8],
    /// The Request-URI as it stands on the start line.
    pub uri: &'a [u8],
    /// The message body, which counts only with auth-int.
    pub body: &'a [u8],
}

/// `qop`, `nc` as sent, and `cnonce`, which come together or not at all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protection<'a> {
    pub(super) qop: Qop,
    pub(super) nc: &'a str,
    pub(super) cnonce: Text<'a>,
}

/// Everything besides the key that a response is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) nonce: Text<'a>,
    /// For session keys; also there when qop is not.
    pub(super) cnonce: Option<Text<'a>>,
    pub(super) protection: Option<Protection<'a>>,
    pub(super) method: &'a [u8],
    pub(super) uri: Text<'a>,
    pub(super) body: &'a [u8],
}

impl<'a> Inputs<'a> {
    /// H(H(A1) ":" nonce ":" [nc ":" cnonce ":" qop ":"] H(A2)); `key` is H(username ":" realm ":" password).
    pub(super) fn response(&self, key: &Hash) -> Hash {
        let a1 = self.session_key(key).hex();
        let a2 = self.a2().hex();
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(a1.as_bytes());
        hasher.update(b":");
        feed(&mut hasher, self.nonce);
        hasher.update(b":");
        if let Some(protection) = &self.protection {
            hasher.update(protection.nc.as_bytes());
            hasher.update(b":");
            feed(&mut hasher, protection.cnonce);
            hasher.update(b":");
            hasher.update(protection.qop.token().as_bytes());
            hasher.update(b":");
        }
        hasher.update(a2.as_bytes());
        hasher.finish()
    }

    /// The same with every value hashed as it stood on the wire, as phones do that never undo escapes.
    /// `None` when that makes no difference.
    pub(super) fn with_escapes_kept(&self) -> Option<Inputs<'a>> {
        let keep = |text: Text<'a>| Text::plain(text.raw());
        let escapes = self.nonce.has_escapes()
            || self.uri.has_escapes()
            || self.cnonce.is_some_and(|c| c.has_escapes());
        escapes.then(|| Inputs {
            nonce: keep(self.nonce),
            cnonce: self.cnonce.map(keep),
            protection: self.protection.map(|p| Protection {
                cnonce: keep(p.cnonce),
                ..p
            }),
            uri: keep(self.uri),
            ..*self
        })
    }

    fn session_key(&self, key: &Hash) -> Hash {
        if !self.algorithm.is_session() {
            return *key;
        }
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(key.hex().as_bytes());
        hasher.update(b":");
        feed(&mut hasher, self.nonce);
        hasher.update(b":");
        if let Some(cnonce) = self.cnonce {
            feed(&mut hasher, cnonce);
        }
        hasher.finish()
    }

    fn a2(&self) -> Hash {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(self.method);
        hasher.update(b":");
        feed(&mut hasher, self.uri);
        if self.protection.is_some_and(|p| p.qop == Qop::AuthInt) {
            hasher.update(b":");
            hasher.update(self.algorithm.hash([self.body]).hex().as_bytes());
        }
        hasher.finish()
    }
}

fn feed(hasher: &mut Hasher, text: Text<'_>) {
    for piece in text.pieces() {
        hasher.update(piece.as_bytes());
    }
}

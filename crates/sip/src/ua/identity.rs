//! Who we say that we are, and whom we believe (RFC 3323, 3325).

use super::UserAgent;
use super::account::Profile;
use super::draft::readable;
use super::event::AccountId;
use crate::flow::Flow;
use crate::header::{HeaderName, NameAddr};
use crate::wire::Packet;

/// The From of one who does not want to be known (RFC 3323 §4.1.1.3).
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
/// The user of such a Contact.
const NOBODYS_USER: &str = "anonymous";

impl Profile {
    /// From without a tag, and the user of our Contact.
    pub(super) fn face(&self, anonymous: bool) -> (&str, &str) {
        if anonymous {
            (NOBODY, NOBODYS_USER)
        } else {
            (&self.local, &self.user)
        }
    }

    /// What an anonymous request asks of the servers on its way. Only a server that is ours gets to know
    /// who we are: without one, nobody (RFC 3325 §9.2).
    pub(super) fn privacy(&self) -> Vec<(String, String)> {
        let mut headers = vec![("Privacy".to_owned(), "id".to_owned())];
        if !self.routes().is_empty() {
            headers.push(("P-Preferred-Identity".to_owned(), self.local.clone()));
        }
        headers
    }
}

impl UserAgent {
    /// Who a trusted server says is calling.
    pub(super) fn asserted(
        &self,
        account: Option<AccountId>,
        invite: &Packet<'_>,
        source: &Flow,
    ) -> Option<String> {
        let profile = self.profile(account?)?;
        let server = profile.registration.flow?;
        let trusted = profile.account.trust_asserted && server.remote.ip() == source.remote.ip();
        let value = invite
            .value(HeaderName::PAssertedIdentity)
            .filter(|_| trusted)?;
        let address = NameAddr::first(value).ok()?;
        let name = readable(&address.display_unquoted());
        let uri = readable(address.uri.as_bytes());
        Some(super::draft::name_addr(Some(&name), &uri))
    }
}

//! Challenges: answered inside, as long as that is of use (RFC 3261 §22.2, §22.3).

use super::UserAgent;
use super::account::Profile;
use super::outbound::{Outbound, OutboundId, Outcome, Purpose, reason_of};
use crate::auth::{Asker, Challenged};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::StatusCode;
use crate::slab::{Key, Slab};
use crate::time::Time;
use crate::transaction::Transactions;
use crate::wire::Packet;

/// How often one request is sent again with other credentials: a chain of proxies may each ask once,
/// and each may have a stale nonce to tell of.
pub(super) const MAX_ROUNDS: u8 = 8;

impl UserAgent {
    /// 401 and 407: the request goes again with credentials, or fails (RFC 3261 §22.2, §22.3).
    pub(super) fn on_challenge(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        response: &Packet<'_>,
        flow: Flow,
    ) {
        let verdict = if self.is_wanted(id) {
            self.judge_challenge(id, response)
        } else {
            Err("not tried again")
        };
        if let Err(why) = verdict {
            let status = response.status().unwrap_or(StatusCode(401));
            let reason = format!("{} ({why})", reason_of(response));
            self.deliver(now, tx, id, Outcome::Unauthorized(status, reason));
            return;
        }
        let Some(purpose) = self.outbound.get(id).map(|o| o.purpose) else {
            return;
        };
        let cseq = self.next_cseq(now, tx, id, purpose);
        let Some(outbound) = self.outbound.get_mut(id) else {
            return;
        };
        outbound.draft.cseq = cseq;
        authorise(&mut self.accounts, tx, outbound);
        let sent = outbound.flow.unwrap_or(flow);
        let grown = !sent.transport.is_reliable() && outbound.is_large();
        if grown {
            outbound.locate(tx, Some(sent));
        }
        if grown {
            self.drive(now, tx, id);
        } else {
            self.depart(now, tx, id, sent);
        }
    }

    /// Whether sending again with credentials is of use; else why not.
    fn judge_challenge(
        &mut self,
        id: OutboundId,
        response: &Packet<'_>,
    ) -> Result<(), &'static str> {
        let outbound = self.outbound.get_mut(id).ok_or("gone")?;
        outbound.rounds += 1;
        if outbound.rounds > MAX_ROUNDS {
            return Err("the servers ask again and again");
        }
        let register = outbound.is_register();
        let profile = outbound
            .account
            .and_then(|a| self.accounts.get_mut(Key::from_u64(a.0)));
        let profile = profile.ok_or("no account to answer with")?;
        let account = profile.credentials.as_ref().ok_or("no password is set")?;
        let nonces = if register {
            &mut profile.registrar_nonces
        } else {
            &mut profile.nonces
        };
        let mut asked = false;
        for (asker, name) in [
            (Asker::UserAgent, HeaderName::WwwAuthenticate),
            (Asker::Proxy, HeaderName::ProxyAuthenticate),
        ] {
            if !response.has(name) {
                continue;
            }
            asked = true;
            let sent = sent_for(&outbound.credentials, asker);
            let values = response.all(name).map(|h| h.value());
            match nonces.challenged(asker, values, &sent, |_| Some(account)) {
                Challenged::Retry => {}
                Challenged::WrongPassword => return Err("wrong user name or password"),
                Challenged::Unsupported => return Err("no known way to authenticate"),
                Challenged::NoAccount => return Err("unknown realm"),
            }
        }
        if asked { Ok(()) } else { Err("no challenge") }
    }

    /// The number of the next try: one more (RFC 3261 §8.1.3.5).
    pub(super) fn next_cseq(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        id: OutboundId,
        purpose: Purpose,
    ) -> u32 {
        let in_dialog = match purpose {
            Purpose::Register(account) => self.profile_mut(account).map(|p| {
                p.registration.cseq = p.registration.cseq.saturating_add(1);
                p.registration.cseq
            }),
            Purpose::Invite(call) => {
                self.forget_forks(now, tx, call);
                None
            }
            Purpose::Prack(call) | Purpose::Update(call) => {
                self.call_mut(call).and_then(|c| c.next_cseq_of(id))
            }
            Purpose::Reinvite(call) | Purpose::Bye(call) | Purpose::Asked(Some(call)) => {
                self.call_mut(call).and_then(super::call::Call::next_cseq)
            }
            purpose => self.usage_cseq(purpose),
        };
        let last = self.outbound.get(id).map_or(0, |o| o.draft.cseq);
        in_dialog.unwrap_or(last.saturating_add(1))
    }

    /// A server that did not ask for other credentials has taken those that it got.
    pub(super) fn credentials_taken(&mut self, id: OutboundId, response: &Packet<'_>) {
        let Some(outbound) = self.outbound.get(id) else {
            return;
        };
        if outbound.credentials.is_empty() {
            return;
        }
        let register = outbound.is_register();
        let profile = outbound
            .account
            .and_then(|a| self.accounts.get_mut(Key::from_u64(a.0)));
        let Some(profile) = profile else {
            return;
        };
        let nonces = if register {
            &mut profile.registrar_nonces
        } else {
            &mut profile.nonces
        };
        for (asker, name) in [
            (Asker::UserAgent, HeaderName::AuthenticationInfo),
            (Asker::Proxy, HeaderName::ProxyAuthenticationInfo),
        ] {
            nonces.accepted(asker, &sent_for(&outbound.credentials, asker));
            if let Some(value) = response.value(name) {
                let account = profile.credentials.as_ref();
                nonces.informed(asker, value, response.body(), |_| account);
            }
        }
    }
}

/// Puts credentials for all servers that asked before into the request.
pub(super) fn authorise(
    accounts: &mut Slab<Profile>,
    tx: &mut Transactions,
    outbound: &mut Outbound,
) {
    let profile = outbound
        .account
        .and_then(|a| accounts.get_mut(Key::from_u64(a.0)));
    let Some(profile) = profile else {
        return;
    };
    let Some(account) = profile.credentials.as_ref() else {
        return;
    };
    let nonces = if outbound.is_register() {
        &mut profile.registrar_nonces
    } else {
        &mut profile.nonces
    };
    let cnonce = tx.random.token();
    outbound.credentials = nonces.answers(&outbound.draft.subject(), &cnonce, |_| Some(account));
}

fn sent_for(credentials: &[(Asker, String)], asker: Asker) -> Vec<&[u8]> {
    credentials
        .iter()
        .filter(|(a, _)| *a == asker)
        .map(|(_, value)| value.as_bytes())
        .collect()
}

//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use server::admin::Admin;
use sha2::{Digest, Sha256};
use store::{Account, Algorithm, Store};
use tokio::sync::broadcast;

use crate::administrators::Administrators;
use crate::logs::LogBook;
use crate::problem::Problem;
use crate::session::{Identity, Role, Sessions};
use crate::throttle::Throttle;

/// What somebody asked of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Stop,
    /// To end and begin again.
    Restart,
}

pub(crate) struct Context {
    pub(crate) admin: Admin,
    pub(crate) store: Store,
    pub(crate) administrators: Administrators,
    pub(crate) sessions: Sessions,
    pub(crate) throttle: Throttle,
    pub(crate) logs: Arc<LogBook>,
    /// Passwords that are being checked now.
    pub(crate) signing_in: AtomicUsize,
    /// Events for `/api/live`, ready to be sent.
    pub(crate) events: broadcast::Sender<Arc<str>>,
    pub(crate) streams: AtomicUsize,
    pub(crate) wishes: SyncSender<Wish>,
    pub(crate) status: crate::resource::status::Board,
    pub(crate) stopping: AtomicBool,
    pub(crate) fixed: crate::Fixed,
}

impl Context {
    /// Whose session a token is, and whether the password that it was begun with still counts.
    pub(crate) fn identify(&self, token: &str, now: Instant) -> Result<Option<Identity>, Problem> {
        self.checked(token, self.sessions.find(token, now))
    }

    /// The same without using the session.
    pub(crate) fn is_still_signed_in(&self, token: &str, now: Instant) -> bool {
        matches!(
            self.checked(token, self.sessions.peek(token, now)),
            Ok(Some(_))
        )
    }

    fn checked(&self, token: &str, found: Option<Identity>) -> Result<Option<Identity>, Problem> {
        let Some(mut identity) = found else {
            return Ok(None);
        };
        let (proof, role) = match identity.role {
            Role::User => {
                let account = self.account(&identity.name)?.filter(|a| a.enabled);
                (account.as_ref().and_then(proof), Role::User)
            }
            role => match self.administrators.find(&identity.name)? {
                Some(one) => (Some(one.proof()), one.role),
                None => (None, role),
            },
        };
        if proof != Some(identity.proof) {
            self.sessions.end(token);
            return Ok(None);
        }
        // A role that was changed counts at once.
        identity.role = role;
        Ok(Some(identity))
    }

    /// An account by its address, `user@domain`.
    pub(crate) fn account(&self, address: &str) -> Result<Option<Account>, Problem> {
        let Some((user, domain)) = address.rsplit_once('@') else {
            return Ok(None);
        };
        Ok(self.store.account(user, domain)?)
    }
}

/// Differs after every change of an account's password; `None` when it has none.
pub(crate) fn proof(account: &Account) -> Option<[u8; 32]> {
    let of = |c: &&store::Credential| c.algorithm == Algorithm::Sha256 && c.realm == account.domain;
    let credential = account.credentials.iter().find(of)?;
    Some(Sha256::digest(&credential.ha1).into())
}

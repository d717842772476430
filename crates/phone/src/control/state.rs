//! What a phone is doing, worked out from its events alone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::address::Name;
use crate::event::{AccountNumber, Agreed, CallNumber, Event, Quality};

/// What a phone is doing.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The accounts, in the order of their numbers.
    pub accounts: Vec<AccountState>,
    /// The calls that are not over.
    pub calls: BTreeMap<CallNumber, CallState>,
    /// Our side of every call is silenced.
    pub muted: bool,
}

/// One account.
#[derive(Clone, Debug)]
pub struct AccountState {
    /// Its number.
    pub number: AccountNumber,
    /// Whose it is.
    pub name: Name,
    /// Whether the registrar holds our contact.
    pub registration: Registration,
    /// Voice messages that wait: new and old; `None` as long as nothing is known.
    pub voice_mail: Option<(u32, u32)>,
}

/// Where a registration stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Nobody asked for one, or it was taken back.
    #[default]
    None,
    /// The registrar holds our contact.
    Registered {
        /// Our contact.
        contact: String,
        /// Since when this one stands, and for how long.
        since: Instant,
        /// For how long.
        expires: Duration,
    },
    /// It failed.
    Failed {
        /// Why, for a person.
        reason: String,
        /// When it is tried again by itself.
        retry_at: Option<Instant>,
    },
}

/// One call.
#[derive(Clone, Debug)]
pub struct CallState {
    /// Its number.
    pub number: CallNumber,
    /// Whose call it is.
    pub account: Option<AccountNumber>,
    /// Whether we made it.
    pub outgoing: bool,
    /// Who the other side is, for a person: display name and address, or what was dialled.
    pub peer: String,
    /// Its address: what to call back.
    pub peer_uri: String,
    /// Who was called.
    pub called: String,
    /// Where it stands.
    pub phase: CallPhase,
    /// We hold the peer.
    pub held_by_us: bool,
    /// The peer holds us.
    pub held_by_peer: bool,
    /// How sound travels, once that is agreed on.
    pub agreed: Option<Agreed>,
    /// When it was dialled, or came in.
    pub began: Instant,
    /// When it was answered.
    pub since: Option<Instant>,
    /// How it sounds, as far as [`crate::Phone::watch`] was asked to tell.
    pub quality: Option<Box<Quality>>,
    /// No sound comes, though it should.
    pub silent: bool,
    /// What records it.
    pub recording: Option<PathBuf>,
    /// What is played to the peer.
    pub playing: Option<PathBuf>,
    /// It is part of the conference.
    pub in_conference: bool,
    /// A transfer, as long as it is under way.
    pub transfer: Option<TransferState>,
    /// What went wrong last, for a person; the call goes on.
    pub trouble: Option<String>,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallPhase {
    /// Ours, on its way.
    Calling,
    /// Ours: the other side rings.
    Alerting,
    /// It rings here.
    Ringing,
    /// It is answered.
    Established,
}

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferState {
    /// The peer asks us to call somebody else; accept or refuse.
    Requested {
        /// Whom.
        target: String,
    },
    /// The peer calls whom we named; the status of that call, 100 at first.
    Progress {
        /// The status code.
        status: u16,
    },
}

impl State {
    /// The state of a phone that has just started with these accounts.
    pub fn new(accounts: impl IntoIterator<Item = (AccountNumber, Name)>) -> State {
        let accounts = accounts.into_iter().map(|(number, name)| AccountState {
            number,
            name,
            registration: Registration::None,
            voice_mail: None,
        });
        State {
            accounts: accounts.collect(),
            ..State::default()
        }
    }

    /// Takes in what happened.
    pub fn note(&mut self, event: &Event) {
        match event {
            Event::Calling {
                call,
                account,
                target,
            } => {
                let call = CallState {
                    account: Some(*account),
                    ..CallState::new(*call, true, target, target)
                };
                self.calls.insert(call.number, call);
            }
            Event::Incoming {
                call,
                account,
                from,
                from_uri,
                to_uri,
                ..
            } => {
                let call = CallState {
                    account: *account,
                    called: to_uri.clone(),
                    ..CallState::new(*call, false, from, from_uri)
                };
                self.calls.insert(call.number, call);
            }
            Event::Ended { call, .. } => {
                self.calls.remove(call);
            }
            Event::Muted { muted } => self.muted = *muted,
            Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Unregistered { .. }
            | Event::MessagesWaiting { .. } => self.note_account(event),
            other => {
                if let Some(call) = other.call().and_then(|call| self.calls.get_mut(&call)) {
                    call.note(other);
                }
            }
        }
    }

    fn note_account(&mut self, event: &Event) {
        let number = match event {
            Event::Registered { account, .. }
            | Event::RegistrationFailed { account, .. }
            | Event::Unregistered { account }
            | Event::MessagesWaiting { account, .. } => *account,
            _ => return,
        };
        let Some(account) = self.accounts.iter_mut().find(|a| a.number == number) else {
            return;
        };
        match event {
            Event::Registered {
                expires, contact, ..
            } => {
                account.registration = Registration::Registered {
                    contact: contact.clone(),
                    since: Instant::now(),
                    expires: Duration::from_secs(u64::from(*expires)),
                };
            }
            Event::RegistrationFailed {
                cause, retry_in, ..
            } => {
                account.registration = Registration::Failed {
                    reason: cause.to_string(),
                    retry_at: retry_in.and_then(|wait| Instant::now().checked_add(wait)),
                };
            }
            Event::MessagesWaiting { new, old, .. } => account.voice_mail = Some((*new, *old)),
            _ => account.registration = Registration::None,
        }
    }

    /// The calls that ring here, the oldest first.
    pub fn ringing(&self) -> impl Iterator<Item = &CallState> {
        self.calls
            .values()
            .filter(|call| call.phase == CallPhase::Ringing)
    }

    /// The calls that are talked in: answered, and not held by us.
    pub fn talking(&self) -> impl Iterator<Item = &CallState> {
        self.calls
            .values()
            .filter(|call| call.phase == CallPhase::Established && !call.held_by_us)
    }

    /// The calls whose peer we hold.
    pub fn held(&self) -> impl Iterator<Item = &CallState> {
        self.calls
            .values()
            .filter(|call| call.phase == CallPhase::Established && call.held_by_us)
    }
}

impl CallState {
    fn new(number: CallNumber, outgoing: bool, peer: &str, peer_uri: &str) -> CallState {
        CallState {
            number,
            account: None,
            outgoing,
            peer: peer.to_owned(),
            peer_uri: peer_uri.to_owned(),
            called: peer_uri.to_owned(),
            phase: if outgoing {
                CallPhase::Calling
            } else {
                CallPhase::Ringing
            },
            held_by_us: false,
            held_by_peer: false,
            agreed: None,
            began: Instant::now(),
            since: None,
            quality: None,
            silent: false,
            recording: None,
            playing: None,
            in_conference: false,
            transfer: None,
            trouble: None,
        }
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Progress { .. } if self.phase == CallPhase::Calling => {
                self.phase = CallPhase::Alerting;
            }
            Event::EarlyMedia { agreed, .. } | Event::MediaChanged { agreed, .. } => {
                self.agreed = Some(agreed.clone());
            }
            Event::Established { agreed, .. } => {
                self.phase = CallPhase::Established;
                self.since = Some(Instant::now());
                if agreed.is_some() {
                    self.agreed.clone_from(agreed);
                }
            }
            Event::Held { by_us, by_peer, .. } => {
                self.held_by_us = *by_us;
                self.held_by_peer = *by_peer;
            }
            Event::ChangeRefused { what, cause, .. } => {
                self.trouble = Some(format!("{what}: {cause}"));
            }
            Event::TransferRequested { target, .. } => {
                self.transfer = Some(TransferState::Requested {
                    target: target.clone(),
                });
            }
            Event::Transferring { status, .. } => {
                self.transfer = Some(TransferState::Progress { status: *status });
            }
            Event::Transferred { failure, .. } => {
                self.transfer = None;
                if let Some(cause) = failure {
                    self.trouble = Some(format!("transfer: {cause}"));
                }
            }
            Event::Replaced { .. } => self.transfer = None,
            Event::Redirected { target, .. } => self.called.clone_from(target),
            Event::Silent { .. } => self.silent = true,
            Event::Heard { .. } => self.silent = false,
            Event::SoundTrouble { message, .. } => self.trouble = Some(message.clone()),
            Event::Recording { file, .. } => self.recording.clone_from(file),
            Event::Playing { file, .. } => self.playing.clone_from(file),
            Event::Conference { joined, .. } => self.in_conference = *joined,
            Event::Quality { quality, .. } => self.quality = Some(quality.clone()),
            _ => {}
        }
    }
}

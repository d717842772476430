//! The phone's state as the screen shows it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::causes;
use super::estimate::Estimate;
use super::model::bare;
use super::scene::{Account, Call, Levels, Quality, Registration, Services, Stage};
use super::texts::Language;
use crate::control::{self, AccountState, CallPhase, CallState, Rules, State, TransferState};
use crate::event::{CallNumber, Event};
use crate::secure::Security;

/// Keys of the other side that are remembered of a call.
const KEYS: usize = 32;

/// What the state of the phone does not keep, but the screen shows.
#[derive(Debug)]
pub(super) struct Presenter {
    /// A moment on both clocks.
    anchor: (Instant, Duration),
    calls: HashMap<CallNumber, Extra>,
    /// Why a registration failed and what to do, by number of the account.
    failures: HashMap<u32, (String, String)>,
    /// Registrations that an answer is waited for.
    trying: HashMap<u32, bool>,
    /// The account that calls go out from.
    pub default: u32,
}

#[derive(Debug, Default)]
struct Extra {
    estimate: Estimate,
    quality: Option<Quality>,
    keys: String,
    transport: Option<String>,
    call_id: String,
    contact: String,
}

impl Presenter {
    /// `since` is the present moment, as a duration since 1970.
    pub fn new(since: Duration) -> Presenter {
        Presenter {
            anchor: (Instant::now(), since),
            calls: HashMap::new(),
            failures: HashMap::new(),
            trying: HashMap::new(),
            default: 0,
        }
    }

    /// A moment as a duration since 1970.
    pub fn epoch(&self, at: Instant) -> Duration {
        let (instant, epoch) = self.anchor;
        match at.checked_duration_since(instant) {
            Some(later) => epoch + later,
            None => epoch.saturating_sub(instant.saturating_duration_since(at)),
        }
    }

    /// An answer to REGISTER is waited for.
    pub fn registering(&mut self, account: u32) {
        self.trying.insert(account, true);
    }

    /// Takes in what the state does not keep.
    pub fn note(&mut self, state: &State, event: &Event, language: Language) {
        match event {
            Event::Registered { account, .. } | Event::Unregistered { account } => {
                self.trying.remove(&account.as_u32());
            }
            Event::RegistrationFailed { account, cause, .. } => {
                self.trying.remove(&account.as_u32());
                let why = causes::reason(cause, language);
                let advice = causes::advice(cause, language).to_owned();
                self.failures.insert(account.as_u32(), (why, advice));
            }
            Event::Established {
                call,
                call_id,
                peer,
                transport,
                ..
            } => {
                let extra = self.calls.entry(*call).or_default();
                extra.transport = Some(transport.param().to_ascii_uppercase());
                extra.call_id.clone_from(call_id);
                extra.contact.clone_from(peer);
            }
            Event::Dtmf { call, digit, .. } => {
                let extra = self.calls.entry(*call).or_default();
                extra.keys.push(*digit);
                if extra.keys.len() > KEYS {
                    extra.keys.remove(0);
                }
            }
            Event::Quality { call, quality } => {
                let codec = state.calls.get(call).and_then(|c| c.agreed.as_ref());
                let codec = codec.map_or("", |a| a.codec);
                let extra = self.calls.entry(*call).or_default();
                let heard = extra
                    .estimate
                    .note(Instant::now(), codec, &quality.statistics);
                extra.quality = Some(heard);
            }
            Event::Ended { call, .. } => {
                self.calls.remove(call);
            }
            _ => {}
        }
    }

    /// All accounts.
    pub fn accounts(&self, state: &State) -> Vec<Account> {
        state.accounts.iter().map(|a| self.account(a)).collect()
    }

    fn account(&self, account: &AccountState) -> Account {
        let number = account.number.as_u32();
        let trying = self.trying.contains_key(&number);
        let registration = match &account.registration {
            control::Registration::None if trying => Registration::Trying,
            control::Registration::None => Registration::Off,
            control::Registration::Registered { since, expires, .. } => Registration::Registered {
                until: Some(self.epoch(*since) + *expires),
            },
            control::Registration::Failed { reason, retry_at } => {
                let known = self.failures.get(&number).cloned();
                let (reason, advice) = known.unwrap_or_else(|| (reason.clone(), String::new()));
                Registration::Failed {
                    reason,
                    advice,
                    retry_at: retry_at.map(|at| self.epoch(at)),
                }
            }
        };
        Account {
            id: number.to_string(),
            address: account.name.to_string(),
            registration,
            is_default: number == self.default,
            voicemail: account
                .voice_mail
                .map(|(new, _)| new)
                .filter(|new| *new > 0),
        }
    }

    /// All calls.
    pub fn calls(&self, state: &State) -> Vec<Call> {
        let calls = state.calls.values();
        calls.map(|call| self.call(state, call)).collect()
    }

    fn call(&self, state: &State, call: &CallState) -> Call {
        let none = Extra::default();
        let extra = self.calls.get(&call.number).unwrap_or(&none);
        let stage = match call.phase {
            CallPhase::Calling => Stage::Calling,
            CallPhase::Alerting => Stage::Ringing,
            CallPhase::Ringing => Stage::Incoming,
            CallPhase::Established => Stage::Established,
        };
        let account = state
            .accounts
            .iter()
            .find(|a| Some(a.number) == call.account);
        let quality = call.quality.as_ref();
        let asks_for = match &call.transfer {
            Some(TransferState::Requested { target }) => Some(bare(target).to_owned()),
            _ => None,
        };
        let agreed = call.agreed.as_ref();
        Call {
            id: call.number.as_u64(),
            account: account.map_or(String::new(), |a| a.name.to_string()),
            name: display_name(&call.peer),
            peer: bare(&call.peer_uri).to_owned(),
            is_incoming: !call.outgoing,
            stage,
            since: self.epoch(call.since.unwrap_or(call.began)),
            is_held: call.held_by_us,
            is_held_there: call.held_by_peer,
            is_muted: state.muted,
            is_recorded: call.recording.is_some(),
            is_joined: call.in_conference,
            codec: agreed.map(|a| format!("{} {} kHz", a.codec, a.sample_rate / 1000)),
            security: agreed.and_then(|a| security(a.security)),
            transport: extra.transport.clone(),
            levels: quality.map(|q| Levels {
                heard: q.heard,
                said: q.said,
            }),
            quality: extra.quality,
            keys_heard: extra.keys.clone(),
            asks_for,
            trouble: call.trouble.clone(),
            details: details(call, extra),
        }
    }
}

/// What encrypts the sound, and where its keys came from; `None` when nothing does.
fn security(security: Security) -> Option<String> {
    match security {
        Security::None => None,
        keys => Some(format!("SRTP {}", keys.name().to_ascii_uppercase())),
    }
}

fn details(call: &CallState, extra: &Extra) -> Vec<(String, String)> {
    let mut details = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            details.push((name.to_owned(), value));
        }
    };
    if let Some(agreed) = &call.agreed {
        let remote = agreed.remote.map_or(String::new(), |r| r.to_string());
        add("RTP", format!("{} - {remote}", agreed.local));
        add("ptime", format!("{} ms", agreed.ptime_ms));
        add("SRTP", agreed.suite.unwrap_or_default().to_owned());
    }
    if let Some(quality) = &call.quality {
        let numbers = &quality.statistics;
        add(
            "RTP packets",
            format!(
                "{} sent, {} received, {} lost, {} late",
                numbers.packets_sent,
                numbers.packets_received,
                numbers.packets_lost,
                numbers.played.late
            ),
        );
        add(
            "Jitter buffer",
            format!("{} ms", numbers.playout_delay.as_millis()),
        );
    }
    let path = |path: &std::path::PathBuf| path.display().to_string();
    add("WAV", call.recording.as_ref().map_or(String::new(), path));
    add("Contact", extra.contact.clone());
    add("Call-ID", extra.call_id.clone());
    details
}

/// The name before an address in angle brackets: `"Bob" <sip:bob@example.org>`.
pub(super) fn display_name(peer: &str) -> Option<String> {
    let name = peer.split_once('<')?.0.trim().trim_matches('"').trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// What becomes of calls that come.
pub(super) fn services(rules: &Rules) -> Services {
    let target = |target: &Option<String>| target.as_deref().map(|t| bare(t).to_owned());
    Services {
        do_not_disturb: rules.do_not_disturb,
        divert_always: target(&rules.always),
        divert_busy: target(&rules.busy),
        divert_no_answer: rules
            .no_answer
            .as_ref()
            .map(|(target, _)| bare(target).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_encrypted_is_not_said_to_be() {
        assert_eq!(security(Security::None), None);
        assert_eq!(security(Security::Sdes).as_deref(), Some("SRTP SDES"));
    }

    #[test]
    fn names_of_callers() {
        let name = display_name("\"Bob Builder\" <sip:bob@example.org>");
        assert_eq!(name.as_deref(), Some("Bob Builder"));
        assert_eq!(display_name("박지성 <sip:j@x>").as_deref(), Some("박지성"));
        assert_eq!(display_name("<sip:j@x>"), None);
        assert_eq!(display_name("sip:j@x"), None);
    }
}

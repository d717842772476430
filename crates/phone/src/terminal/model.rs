//! What the screen shows and where its owner is in it.

use std::collections::VecDeque;
use std::time::Duration;

use super::field::Field;
use super::keys::{Action, Pane, Press, Scope};
use super::look::Look;
use super::scene::{
    Account, Call, CallId, Contact, Conversation, Devices, Logged, Past, Services, Stage,
};
use super::texts::{Language, Text};
use super::width::matches;

/// SIP messages kept; the oldest go.
pub const LOG: usize = 2000;
/// Suggestions that a line shows at most.
pub const SUGGESTIONS: usize = 6;

/// Something the screen is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A key.
    Press(Press),
    /// Text put in at once.
    Paste(String),
    /// The size of the terminal.
    Size {
        /// Its width.
        columns: u16,
        /// Its height.
        rows: u16,
    },
    /// What time it is, since 1970, and how far local time is east of UTC in seconds.
    Clock(Duration, i32),
    /// All accounts.
    Accounts(Vec<Account>),
    /// All calls that are not over.
    Calls(Vec<Call>),
    /// The book.
    Contacts(Vec<Contact>),
    /// Calls that are over, the newest first.
    History(Vec<Past>),
    /// All conversations, the newest first.
    Conversations(Vec<Conversation>),
    /// A SIP message went by.
    Logged(Logged),
    /// The devices.
    Devices(Devices),
    /// What becomes of calls that come.
    Services(Services),
    /// Something happened that a person should know.
    Told(Notice),
    /// A link asks for a call: it is asked for, never just made.
    Link(String),
}

/// A line for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What happened, and what to do.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The phone has to do something.
    Order(Order),
    /// The terminal should sound its bell.
    Bell,
    /// The program should stop until it is continued.
    Suspend,
    /// The screen should be drawn from scratch.
    Redraw,
    /// The program should end.
    Quit,
}

/// What the phone is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Call somebody from the chosen account.
    Dial {
        /// Whom.
        target: String,
        /// From which account; the phone's first when `None`.
        account: Option<String>,
    },
    /// Answer.
    Answer(CallId),
    /// Refuse, as busy.
    Reject(CallId),
    /// End.
    HangUp(CallId),
    /// Put on hold.
    Hold(CallId),
    /// Take off hold.
    Resume(CallId),
    /// Connect the other side with somebody.
    Transfer(CallId, String),
    /// Connect the other sides of two calls.
    TransferTo(CallId, CallId),
    /// Call whom the other side asks us to.
    AcceptTransfer(CallId),
    /// Do not.
    RefuseTransfer(CallId),
    /// Send a ringing call elsewhere.
    Forward(CallId, String),
    /// Send calls elsewhere by themselves, or no longer.
    Divert(Divert, Option<String>),
    /// Let nobody ring, or everybody.
    DoNotDisturb(bool),
    /// Mix these calls.
    Conference(Vec<CallId>),
    /// Take a call out of the conference.
    Part(CallId),
    /// Press keys.
    Keys(CallId, String),
    /// Send a text.
    Message {
        /// Whom.
        to: String,
        /// What.
        text: String,
    },
    /// Microphone off or on.
    Mute(bool),
    /// Record a call, or stop.
    Record(CallId, bool),
    /// Register an account.
    Register(String),
    /// Unregister an account.
    Unregister(String),
    /// Call out from this account.
    UseAccount(String),
    /// Use this microphone.
    Microphone(String),
    /// Use this speaker.
    Speaker(String),
    /// In percent.
    MicrophoneVolume(u8),
    /// In percent.
    SpeakerVolume(u8),
    /// Play a test tone.
    TestTone,
    /// Measure the microphone, or no longer.
    Measure(bool),
    /// Keep a contact, or change its name.
    KeepContact {
        /// Its address, which it is known by.
        address: String,
        /// Its name.
        name: String,
    },
    /// Remove the contact with this address.
    RemoveContact(String),
    /// Remove from the history.
    Forget(crate::book::CallId),
    /// Missed calls were looked at.
    SawHistory,
    /// The texts of this other side were looked at.
    Read(String),
    /// The screen speaks another language from now on.
    Speak(Language),
}

/// When calls are sent elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divert {
    /// All of them.
    Always,
    /// Those that find us in a call.
    Busy,
    /// Those that nobody answers.
    NoAnswer,
}

/// What lies over the panes and has the keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Overlay {
    Prompt(Prompt),
    Search,
    /// A conversation with this other side, and the line of the next text.
    Compose {
        peer: String,
        field: Field,
        scroll: usize,
    },
    Keypad {
        call: CallId,
        sent: String,
    },
    Choose {
        choice: Choice,
        at: usize,
    },
    Confirm(Question),
    Help {
        scroll: usize,
    },
    Message {
        message: Logged,
        scroll: usize,
    },
    Details {
        call: CallId,
        scroll: usize,
    },
}

/// A line that asks for something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Prompt {
    pub purpose: Purpose,
    pub field: Field,
    /// Which suggestion is chosen.
    pub chosen: Option<usize>,
}

/// What the line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Purpose {
    Call,
    Transfer(CallId),
    Deflect(CallId),
    TextTo,
    Divert(Divert),
    ContactAddress,
    ContactName { address: String },
}

/// A list to choose from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Choice {
    Microphone,
    Speaker,
    /// Which call to connect this one with.
    Other(CallId),
}

/// A question of yes or no.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    Quit,
    Link(String),
    RemoveContact { address: String, name: String },
}

/// A row of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Microphone,
    MicrophoneVolume,
    Level,
    Speaker,
    SpeakerVolume,
    DoNotDisturb,
    Divert(Divert),
    Language,
}

impl Setting {
    const fn is_of_devices(self) -> bool {
        matches!(
            self,
            Setting::Microphone
                | Setting::MicrophoneVolume
                | Setting::Level
                | Setting::Speaker
                | Setting::SpeakerVolume
        )
    }

    pub const ALL: [Setting; 10] = [
        Setting::Microphone,
        Setting::MicrophoneVolume,
        Setting::Level,
        Setting::Speaker,
        Setting::SpeakerVolume,
        Setting::DoNotDisturb,
        Setting::Divert(Divert::Always),
        Setting::Divert(Divert::Busy),
        Setting::Divert(Divert::NoAnswer),
        Setting::Language,
    ];
}

/// Somebody who may be meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Suggestion {
    pub name: String,
    pub address: String,
    /// One of our calls.
    pub call: Option<CallId>,
}

/// Everything on the screen.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The language of its texts.
    pub language: Language,
    /// How it may look.
    pub look: Look,
    pub(super) columns: u16,
    pub(super) rows: u16,
    pub(super) now: Duration,
    pub(super) offset: i32,
    pub(super) accounts: Vec<Account>,
    pub(super) calls: Vec<Call>,
    pub(super) contacts: Vec<Contact>,
    pub(super) history: Vec<Past>,
    pub(super) conversations: Vec<Conversation>,
    pub(super) log: VecDeque<Logged>,
    pub(super) devices: Devices,
    pub(super) services: Services,
    pub(super) pane: Pane,
    /// What the lower right shows while the keys are elsewhere.
    pub(super) lower: Pane,
    pub(super) zoomed: bool,
    pub(super) overlays: Vec<Overlay>,
    pub(super) notice: Option<(Notice, Duration)>,
    pub(super) call: Option<CallId>,
    pub(super) at: Places,
    pub(super) contact_filter: Field,
    pub(super) history_filter: Field,
    pub(super) log_filter: Field,
    pub(super) only_missed: bool,
    /// Whether the log stands still.
    pub(super) paused: bool,
    /// When the bell sounded last.
    pub(super) rang: Duration,
}

/// Which row is chosen in each list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    pub contact: usize,
    pub past: usize,
    pub account: usize,
    pub conversation: usize,
    pub logged: usize,
    pub setting: usize,
}

impl Model {
    /// A screen of this size with nothing on it yet.
    pub fn new(language: Language, columns: u16, rows: u16) -> Model {
        Model {
            language,
            columns,
            rows,
            lower: Pane::History,
            ..Model::default()
        }
    }

    pub(super) fn text(&self, text: Text) -> &'static str {
        text.in_language(self.language)
    }

    pub(super) fn text_with(&self, text: Text, values: &[&str]) -> String {
        text.with(self.language, values)
    }

    /// Where a key is looked for, in this order.
    pub(super) fn scopes(&self) -> Vec<Scope> {
        match self.overlays.last() {
            Some(Overlay::Prompt(_)) => vec![Scope::Dial, Scope::Line, Scope::Always],
            Some(Overlay::Search) => vec![Scope::Search, Scope::Line, Scope::Always],
            Some(Overlay::Compose { .. }) => vec![Scope::Compose, Scope::Line, Scope::Always],
            Some(Overlay::Keypad { .. }) => vec![Scope::Keypad, Scope::Always],
            Some(Overlay::Choose { .. }) => vec![Scope::Choose, Scope::Always],
            Some(Overlay::Confirm(_)) => vec![Scope::Confirm, Scope::Always],
            Some(Overlay::Help { .. } | Overlay::Message { .. } | Overlay::Details { .. }) => {
                vec![Scope::Read, Scope::Always]
            }
            None => {
                let mut scopes = vec![self.pane.scope(), Scope::Panes, Scope::Always];
                if self.asking().is_some() {
                    scopes.insert(0, Scope::Ringing);
                }
                scopes
            }
        }
    }

    /// The call that the banner is about: one that rings here, or one whose other side asks for a transfer.
    pub(super) fn asking(&self) -> Option<&Call> {
        let ringing = self.calls.iter().find(|c| c.stage == Stage::Incoming);
        ringing.or_else(|| self.calls.iter().find(|c| c.asks_for.is_some()))
    }

    /// The chosen call.
    pub(super) fn chosen_call(&self) -> Option<&Call> {
        let id = self.call?;
        self.calls.iter().find(|c| c.id == id)
    }

    pub(super) fn call_named(&self, id: CallId) -> Option<&Call> {
        self.calls.iter().find(|c| c.id == id)
    }

    /// Contacts that the search leaves.
    pub(super) fn shown_contacts(&self) -> Vec<&Contact> {
        let wanted = self.contact_filter.text();
        let hit = |c: &&Contact| matches(&c.name, wanted) || matches(&c.address, wanted);
        self.contacts.iter().filter(hit).collect()
    }

    /// Past calls that the search leaves.
    pub(super) fn shown_history(&self) -> Vec<&Past> {
        let wanted = self.history_filter.text();
        let hit = |p: &&Past| {
            (!self.only_missed || p.is_missed)
                && (matches(&p.peer, wanted)
                    || p.name.as_deref().is_some_and(|n| matches(n, wanted)))
        };
        self.history.iter().filter(hit).collect()
    }

    /// SIP messages that the search leaves.
    pub(super) fn shown_log(&self) -> Vec<&Logged> {
        let wanted = self.log_filter.text();
        let hit = |l: &&Logged| matches(&l.text, wanted) || matches(&l.remote, wanted);
        self.log.iter().filter(hit).collect()
    }

    /// The conversation with this other side.
    pub(super) fn conversation_with(&self, peer: &str) -> Option<&Conversation> {
        self.conversations
            .iter()
            .find(|c| self.is_same(&c.peer, peer))
    }

    /// Whether two addresses mean the same person: a number alone is one of our own domain.
    pub(super) fn is_same(&self, a: &str, b: &str) -> bool {
        let (a, b) = (bare(a), bare(b));
        if a.contains('@') == b.contains('@') {
            return a.eq_ignore_ascii_case(b);
        }
        let domain = self.outgoing().and_then(|o| o.address.split_once('@'));
        let (short, long) = if a.contains('@') { (b, a) } else { (a, b) };
        match (domain, long.split_once('@')) {
            (Some((_, ours)), Some((user, theirs))) => {
                user.eq_ignore_ascii_case(short) && theirs.eq_ignore_ascii_case(ours)
            }
            _ => false,
        }
    }

    /// The rows of the settings: those of devices only where devices are used.
    pub(super) fn settings(&self) -> Vec<Setting> {
        let all = Setting::ALL.into_iter();
        all.filter(|s| self.devices.are_used || !s.is_of_devices())
            .collect()
    }

    /// Missed calls that nobody has looked at.
    pub(super) fn missed(&self) -> usize {
        self.history
            .iter()
            .filter(|p| p.is_missed && !p.is_seen)
            .count()
    }

    /// Texts that nobody has looked at.
    pub(super) fn unread(&self) -> usize {
        self.conversations.iter().map(|c| c.unread).sum()
    }

    /// The account that calls go out from.
    pub(super) fn outgoing(&self) -> Option<&Account> {
        let default = self.accounts.iter().find(|a| a.is_default);
        default.or(self.accounts.first())
    }

    /// The name that the book has for an address.
    pub(super) fn name_of(&self, address: &str) -> Option<&str> {
        let found = self
            .contacts
            .iter()
            .find(|c| self.is_same(&c.address, address));
        found.map(|c| c.name.as_str())
    }

    /// Who may be meant by what was typed.
    pub(super) fn suggestions(&self, prompt: &Prompt) -> Vec<Suggestion> {
        if matches!(
            prompt.purpose,
            Purpose::ContactAddress | Purpose::ContactName { .. }
        ) {
            return Vec::new();
        }
        let wanted = prompt.field.text();
        let mut found: Vec<Suggestion> = Vec::new();
        if let Purpose::Transfer(this) = prompt.purpose {
            let others = self
                .calls
                .iter()
                .filter(|c| c.id != this && c.stage == Stage::Established);
            found.extend(others.map(|c| Suggestion {
                name: c.title().to_owned(),
                address: c.peer.clone(),
                call: Some(c.id),
            }));
        }
        let contacts = self.contacts.iter().map(|c| (Some(&c.name), &c.address));
        let history = self.history.iter().map(|p| (p.name.as_ref(), &p.peer));
        // Everybody would be meant by nothing: then only the calls are offered, and whom we had to do with last.
        let people: Vec<_> = if wanted.is_empty() {
            history.chain(contacts).collect()
        } else {
            contacts.chain(history).collect()
        };
        for (name, address) in people {
            let known = |s: &Suggestion| s.call.is_none() && self.is_same(&s.address, address);
            if !found.iter().any(known) {
                found.push(Suggestion {
                    name: name.unwrap_or(address).clone(),
                    address: address.clone(),
                    call: None,
                });
            }
        }
        found.retain(|s| matches(&s.name, wanted) || matches(&s.address, wanted));
        found.truncate(SUGGESTIONS);
        found
    }

    /// Whether a key would do something now: only such keys are hinted at.
    pub(super) fn applies(&self, action: Action) -> bool {
        if !self.overlays.is_empty() {
            return match (action, self.overlays.last()) {
                (Action::Complete | Action::Up | Action::Down, Some(Overlay::Prompt(prompt))) => {
                    !self.suggestions(prompt).is_empty()
                }
                _ => true,
            };
        }
        match (self.pane, action) {
            (Pane::Calls, action) => self.applies_to_call(action),
            (Pane::Contacts, Action::Open | Action::Text | Action::Edit | Action::Remove) => {
                !self.shown_contacts().is_empty()
            }
            (Pane::History, Action::Open | Action::Text | Action::Create | Action::Remove) => {
                !self.shown_history().is_empty()
            }
            (Pane::Settings, Action::TestTone) => self.devices.are_used,
            (Pane::Messages, Action::Open) => !self.conversations.is_empty(),
            (Pane::Log, Action::Open | Action::Clear) => !self.shown_log().is_empty(),
            (Pane::Accounts, Action::Register | Action::Unregister) => !self.accounts.is_empty(),
            (Pane::Accounts, Action::Default) => self.accounts.len() > 1,
            _ => true,
        }
    }

    fn applies_to_call(&self, action: Action) -> bool {
        let call = self.chosen_call();
        let talking = call.is_some_and(|c| c.stage == Stage::Established);
        let established = self
            .calls
            .iter()
            .filter(|c| c.stage == Stage::Established)
            .count();
        match action {
            Action::Open => {
                call.is_some_and(|c| c.stage == Stage::Incoming || (talking && c.is_held))
            }
            Action::HangUp | Action::Text | Action::Details => call.is_some(),
            Action::Hold | Action::Mute | Action::Keypad | Action::Transfer | Action::Record => {
                talking
            }
            Action::Attended => talking && established > 1,
            Action::Conference => talking && (established > 1 || call.is_some_and(|c| c.is_joined)),
            _ => true,
        }
    }
}

/// Whether two addresses are written differently only in what does not matter to a person.
pub(super) fn same(a: &str, b: &str) -> bool {
    bare(a).eq_ignore_ascii_case(bare(b))
}

/// An address without its scheme and parameters.
pub(super) fn bare(address: &str) -> &str {
    let address = address.trim().trim_start_matches('<').trim_end_matches('>');
    let address = ["sip:", "sips:", "tel:"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme))
        .unwrap_or(address);
    address.split([';', '?']).next().unwrap_or(address)
}

//! What there is to show: the phone's state in the words of its screen.
//!
//! Moments are durations since 1970 (UTC); the driver puts everything together and gives it to the model as inputs.

use std::time::Duration;

/// Names a call for as long as the phone runs.
pub type CallId = u64;

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Names it in orders.
    pub id: String,
    /// Its address: `alice@example.org`.
    pub address: String,
    /// How its registration stands.
    pub registration: Registration,
    /// Whether calls go out from it unless said otherwise.
    pub is_default: bool,
    /// New voice messages that wait (RFC 3842), where the server tells.
    pub voicemail: Option<u32>,
}

/// How a registration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is not wanted.
    Off,
    /// An answer is waited for.
    Trying,
    /// It stands.
    Registered {
        /// When the registrar would forget it; refreshed before.
        until: Option<Duration>,
    },
    /// It does not stand.
    Failed {
        /// What happened.
        reason: String,
        /// What to do, where that is known.
        advice: String,
        /// When it is tried again by itself.
        retry_at: Option<Duration>,
    },
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// We call; nothing rings yet.
    Calling,
    /// It rings there.
    Ringing,
    /// It rings here.
    Incoming,
    /// Both talk.
    Established,
}

/// One call that is not over.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Its name in orders.
    pub id: CallId,
    /// The account it belongs to.
    pub account: String,
    /// The other side's name, where it gave one or the contacts know it.
    pub name: Option<String>,
    /// The other side's address, without `sip:`.
    pub peer: String,
    /// Whether the other side called.
    pub is_incoming: bool,
    /// Where it stands.
    pub stage: Stage,
    /// When it began to stand there.
    pub since: Duration,
    /// We put the other side on hold.
    pub is_held: bool,
    /// The other side put us on hold.
    pub is_held_there: bool,
    /// Our microphone is off.
    pub is_muted: bool,
    /// It is being recorded.
    pub is_recorded: bool,
    /// It is mixed with others.
    pub is_joined: bool,
    /// How it sounds: `PCMU 8 kHz`.
    pub codec: Option<String>,
    /// How it is secured: `SDES AES_CM_128`, `DTLS-SRTP`; `None` when it is not.
    pub security: Option<String>,
    /// What signalling travels over: `UDP`.
    pub transport: Option<String>,
    /// What comes in and goes out, in dB below full scale (0 is the loudest).
    pub levels: Option<Levels>,
    /// How well sound arrives.
    pub quality: Option<Quality>,
    /// Keys that the other side pressed.
    pub keys_heard: String,
    /// Whom the other side asks us to call instead (RFC 3515), while nobody has decided on it.
    pub asks_for: Option<String>,
    /// What is wrong, for a person.
    pub trouble: Option<String>,
    /// Everything else that is known: name and value.
    pub details: Vec<(String, String)>,
}

impl Call {
    /// The name, else the address.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.peer)
    }
}

/// Loudness of both directions in dB relative to full scale, 0 at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// What we hear.
    pub heard: f32,
    /// What we say.
    pub said: f32,
}

/// How well sound arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Packets lost, in percent.
    pub loss: f32,
    /// Interarrival jitter (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// There and back, where the other side reports.
    pub round_trip: Option<Duration>,
    /// Mean opinion score that the E-model gives (ITU-T G.107), from 1 to 4.5.
    pub mos: Option<f32>,
}

/// Somebody in the book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The name in the book.
    pub name: String,
    /// The address or number.
    pub address: String,
    /// Whether they can be reached, where that is known.
    pub presence: Presence,
    /// What they say of themselves.
    pub note: Option<String>,
}

/// Whether somebody can be reached (RFC 3863, RFC 4480).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Nothing is known.
    #[default]
    Unknown,
    /// Not reachable.
    Offline,
    /// Reachable.
    Online,
    /// Reachable, but not there.
    Away,
    /// Reachable, but busy or on the telephone.
    Busy,
}

/// A call that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Names it in orders.
    pub id: crate::book::CallId,
    /// The other side's name.
    pub name: Option<String>,
    /// The other side's address.
    pub peer: String,
    /// Whether the other side called.
    pub is_incoming: bool,
    /// When it began.
    pub at: Duration,
    /// How long was talked; `None` when it was not answered.
    pub talked: Option<Duration>,
    /// Why it came to nothing or how it ended.
    pub reason: String,
    /// Whether somebody called whom nobody answered.
    pub is_missed: bool,
    /// Whether a missed call was looked at.
    pub is_seen: bool,
}

/// Texts with one other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The other side's address.
    pub peer: String,
    /// Its name, where one is known.
    pub name: Option<String>,
    /// Texts, the oldest first.
    pub texts: Vec<Text>,
    /// Texts not looked at.
    pub unread: usize,
}

/// One text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// When it was sent or came.
    pub at: Duration,
    /// What it says.
    pub body: String,
    /// What became of it.
    pub state: TextState,
}

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextState {
    /// It came from the other side.
    Received,
    /// On its way.
    Sending,
    /// The other side has it (200).
    Delivered,
    /// The server keeps it until the other side is there (202).
    Stored,
    /// It did not arrive, and why.
    Failed(String),
}

/// One SIP message that went by, secrets masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// When.
    pub at: Duration,
    /// Whether it came in.
    pub is_incoming: bool,
    /// The other end: `udp 192.0.2.1:5060`.
    pub remote: String,
    /// The whole message.
    pub text: String,
}

/// A device that sound can come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Names it in orders.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// The sound of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// Whether devices of this machine are used at all, and not files.
    pub are_used: bool,
    /// Microphones there are.
    pub microphones: Vec<Device>,
    /// Speakers there are.
    pub speakers: Vec<Device>,
    /// The one in use, by id.
    pub microphone: Option<String>,
    /// The one in use, by id.
    pub speaker: Option<String>,
    /// What is wrong with the microphone, and what to do.
    pub microphone_trouble: Option<String>,
    /// What is wrong with the speaker, and what to do.
    pub speaker_trouble: Option<String>,
    /// In percent.
    pub microphone_volume: u8,
    /// In percent.
    pub speaker_volume: u8,
    /// What the microphone hears, in dB relative to full scale, while it is measured.
    pub level: Option<f32>,
}

/// What becomes of calls that come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services {
    /// Nobody may ring.
    pub do_not_disturb: bool,
    /// Everything goes there.
    pub divert_always: Option<String>,
    /// Calls go there while we talk.
    pub divert_busy: Option<String>,
    /// Calls go there when nobody answers.
    pub divert_no_answer: Option<String>,
}

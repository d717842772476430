//! What a phone tells its owner.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use media::session::Statistics;
use sip::flow::Transport;
use sip::ua::Cause;

use crate::device::{DeviceChange, Role};
use crate::secure::Security;

/// Receives the events of a phone, on the threads that they happen on: it has to return at once.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// Names one call of a phone; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub(crate) u64);

impl CallNumber {
    /// The number, counted from 0.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for CallNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one account of a phone, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountNumber(pub(crate) u32);

impl AccountNumber {
    /// The number, counted from 0.
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

impl fmt::Display for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The registrar holds our contact; comes again with each refresh.
    Registered {
        /// Whose.
        account: AccountNumber,
        /// Seconds granted.
        expires: u32,
        /// Our contact.
        contact: String,
    },
    /// A registration failed.
    RegistrationFailed {
        /// Whose.
        account: AccountNumber,
        /// Why.
        cause: Cause,
        /// When it is tried again by itself.
        retry_in: Option<Duration>,
    },
    /// Our contact, or every contact of the account, is gone from the registrar.
    Unregistered {
        /// Whose.
        account: AccountNumber,
    },
    /// A call of ours is on its way.
    Calling {
        /// The new call.
        call: CallNumber,
        /// Whose.
        account: AccountNumber,
        /// Whom it is for.
        target: String,
    },
    /// Somebody calls: ring, answer or reject.
    Incoming {
        /// The new call.
        call: CallNumber,
        /// Whom it is for, where that is known.
        account: Option<AccountNumber>,
        /// Who calls: display name and address, as the server asserts them where it is trusted.
        from: String,
        /// The caller's address.
        from_uri: String,
        /// Who is called.
        to_uri: String,
        /// The Call-ID.
        call_id: String,
        /// The call of ours that it is to take the place of (RFC 3891): answering it ends that one.
        replaces: Option<CallNumber>,
        /// Who transferred the caller to us, as the caller says (RFC 3892).
        referred_by: Option<String>,
    },
    /// The other side is ringing, or says something else on the way (180 to 199).
    Progress {
        /// The call.
        call: CallNumber,
        /// The status code.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// Sound flows before the call is answered.
    EarlyMedia {
        /// The call.
        call: CallNumber,
        /// How.
        agreed: Agreed,
    },
    /// The call is answered.
    Established {
        /// The call.
        call: CallNumber,
        /// The Call-ID; empty where it is not known.
        call_id: String,
        /// The peer's contact.
        peer: String,
        /// What signalling travels over.
        transport: Transport,
        /// What sound travels as; `None` when nothing could be agreed on yet.
        agreed: Option<Agreed>,
    },
    /// The sound was agreed on anew: hold, resume, another codec, another address.
    MediaChanged {
        /// The call.
        call: CallNumber,
        /// How it travels now.
        agreed: Agreed,
    },
    /// ICE found the way of the sound (RFC 8445).
    PathFound {
        /// The call.
        call: CallNumber,
        /// Where sound goes now.
        remote: SocketAddr,
        /// How that address came to be known: `host`, `srflx`, `prflx` or `relay`.
        kind: &'static str,
    },
    /// A DTLS handshake gave the keys; sound flows from now on.
    Secured {
        /// The call.
        call: CallNumber,
        /// How it is protected.
        suite: &'static str,
    },
    /// Something worth knowing about the way of the sound; the call goes on.
    Notice {
        /// The call.
        call: CallNumber,
        /// What, for a person.
        message: String,
    },
    /// Somebody was put on hold, or taken off it.
    Held {
        /// The call.
        call: CallNumber,
        /// We hold the peer.
        by_us: bool,
        /// The peer holds us.
        by_peer: bool,
    },
    /// What we wanted to change in a call came to nothing; it goes on as it was.
    ChangeRefused {
        /// The call.
        call: CallNumber,
        /// What was to be changed, for a person: `hold`, `resume`, `codecs`.
        what: &'static str,
        /// Why not.
        cause: Cause,
    },
    /// The peer asks us to call somebody else (REFER): [`crate::Phone::accept_transfer`] or
    /// [`crate::Phone::refuse_transfer`].
    TransferRequested {
        /// The call that it came in.
        call: CallNumber,
        /// Whom.
        target: String,
        /// Who asks, if it says so (RFC 3892).
        referred_by: Option<String>,
        /// The new call is to take the place of one that stands there (RFC 3891).
        attended: bool,
    },
    /// How a transfer that we asked for goes on: the status of the peer's new call (RFC 3515).
    Transferring {
        /// The call whose peer is transferred.
        call: CallNumber,
        /// The status code.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// A transfer that we asked for is over.
    Transferred {
        /// The call whose peer was transferred.
        call: CallNumber,
        /// Why it came to nothing; `None` when it is done.
        failure: Option<Cause>,
    },
    /// A new call takes the place of another: a transfer by the peer, or one that names it (RFC 3891).
    Replaced {
        /// The old call.
        call: CallNumber,
        /// The new one.
        by: CallNumber,
    },
    /// A call that came in was sent elsewhere.
    Diverted {
        /// The call.
        call: CallNumber,
        /// Where.
        target: String,
    },
    /// The callee, or a server, sends our call elsewhere (3xx), and we follow.
    Redirected {
        /// The call.
        call: CallNumber,
        /// Where.
        target: String,
    },
    /// The peer pressed a key.
    Dtmf {
        /// The call.
        call: CallNumber,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held.
        duration: Duration,
        /// Whether INFO told it, and not the sound's stream.
        by_info: bool,
    },
    /// No sound comes, though it should.
    Silent {
        /// The call.
        call: CallNumber,
        /// Whether any came before.
        heard_before: bool,
    },
    /// Sound comes again.
    Heard {
        /// The call.
        call: CallNumber,
    },
    /// Something is wrong with the sound; the call goes on.
    SoundTrouble {
        /// The call.
        call: CallNumber,
        /// What, for a person.
        message: String,
        /// Whether it concerns a file.
        file: bool,
    },
    /// A microphone or speaker that is in use vanished or came back; calls go on.
    Device {
        /// Which of the two.
        role: Role,
        /// What happened.
        change: DeviceChange,
        /// The device that is gone, or that is used now.
        name: String,
    },
    /// Our side of every call is silenced, or no longer.
    Muted {
        /// Whether it is.
        muted: bool,
    },
    /// A recording begins, or ends.
    Recording {
        /// The call.
        call: CallNumber,
        /// The file; `None` at the end.
        file: Option<PathBuf>,
    },
    /// A file is played to the peer, or no longer.
    Playing {
        /// The call.
        call: CallNumber,
        /// The file; `None` at the end.
        file: Option<PathBuf>,
    },
    /// A call joins the conference, or leaves it.
    Conference {
        /// The call.
        call: CallNumber,
        /// Whether it is part of it.
        joined: bool,
    },
    /// How a call sounds; comes once a second where [`crate::Phone::watch`] asked for it.
    Quality {
        /// The call.
        call: CallNumber,
        /// How.
        quality: Box<Quality>,
    },
    /// INFO came in a call; it is answered already (RFC 6086).
    Info {
        /// The call.
        call: CallNumber,
        /// What the body is; empty without a body.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A text message came; it is answered already (RFC 3428).
    Message {
        /// Whom it is for, where that is known.
        account: Option<AccountNumber>,
        /// The call that it came in, if it did.
        call: Option<CallNumber>,
        /// The sender's address.
        from: String,
        /// What the body is.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A text message, INFO or the like of ours was answered.
    Sent {
        /// The method: `MESSAGE`, `INFO`.
        method: &'static str,
        /// Whom it was for.
        target: String,
        /// The call that it was sent in, if it was.
        call: Option<CallNumber>,
        /// The status code; 200 and 202 say that it arrived.
        status: u16,
        /// The reason phrase.
        reason: String,
    },
    /// How many voice messages wait (RFC 3842).
    MessagesWaiting {
        /// Whose.
        account: AccountNumber,
        /// Whether any do.
        waiting: bool,
        /// New ones.
        new: u32,
        /// Old ones.
        old: u32,
    },
    /// What we subscribed to has news.
    Notified {
        /// Whose subscription.
        account: AccountNumber,
        /// The event package.
        package: String,
        /// Who is watched.
        target: String,
        /// What the body is; empty without a body.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// A subscription is over, or never was.
    SubscriptionEnded {
        /// Whose subscription.
        account: AccountNumber,
        /// The event package.
        package: String,
        /// Who was watched.
        target: String,
        /// Why, for a person.
        reason: String,
    },
    /// A response to [`crate::Phone::options`].
    Answered {
        /// The status code.
        status: u16,
        /// The reason phrase.
        reason: String,
        /// Methods in Allow.
        allow: Vec<String>,
        /// Media types in Accept.
        accept: Vec<String>,
        /// Option tags in Supported.
        supported: Vec<String>,
        /// Server, or User-Agent.
        product: Option<String>,
        /// How long it took.
        round_trip: Duration,
    },
    /// A request outside calls got no response.
    RequestFailed {
        /// The method: `OPTIONS`, `MESSAGE`.
        method: &'static str,
        /// Whom it was for.
        target: String,
        /// The call that it was sent in, if it was.
        call: Option<CallNumber>,
        /// Why.
        cause: Cause,
    },
    /// A call is over; nothing more comes about it.
    Ended {
        /// The call.
        call: CallNumber,
        /// The Call-ID; empty where it is not known.
        call_id: String,
        /// Why.
        cause: Cause,
        /// How long it stood; `None` when it was never answered.
        talked: Option<Duration>,
        /// The numbers of its sound, where there was any.
        statistics: Option<Box<Statistics>>,
    },
}

impl Event {
    /// The call that it is about, if it is about one.
    pub fn call(&self) -> Option<CallNumber> {
        match self {
            Event::Calling { call, .. }
            | Event::Incoming { call, .. }
            | Event::Progress { call, .. }
            | Event::EarlyMedia { call, .. }
            | Event::Established { call, .. }
            | Event::MediaChanged { call, .. }
            | Event::PathFound { call, .. }
            | Event::Secured { call, .. }
            | Event::Notice { call, .. }
            | Event::Held { call, .. }
            | Event::ChangeRefused { call, .. }
            | Event::TransferRequested { call, .. }
            | Event::Transferring { call, .. }
            | Event::Transferred { call, .. }
            | Event::Replaced { call, .. }
            | Event::Diverted { call, .. }
            | Event::Redirected { call, .. }
            | Event::Dtmf { call, .. }
            | Event::Silent { call, .. }
            | Event::Heard { call }
            | Event::SoundTrouble { call, .. }
            | Event::Recording { call, .. }
            | Event::Playing { call, .. }
            | Event::Conference { call, .. }
            | Event::Quality { call, .. }
            | Event::Info { call, .. }
            | Event::Ended { call, .. } => Some(*call),
            Event::Message { call, .. }
            | Event::Sent { call, .. }
            | Event::RequestFailed { call, .. } => *call,
            Event::Registered { .. }
            | Event::RegistrationFailed { .. }
            | Event::Unregistered { .. }
            | Event::Muted { .. }
            | Event::MessagesWaiting { .. }
            | Event::Notified { .. }
            | Event::SubscriptionEnded { .. }
            | Event::Device { .. }
            | Event::Answered { .. } => None,
        }
    }
}

/// How a call sounds.
#[derive(Clone, Debug)]
pub struct Quality {
    /// Level of what we hear, in dB below the loudest: 0 to -96.
    pub heard: f32,
    /// Level of what we say.
    pub said: f32,
    /// The numbers so far.
    pub statistics: Statistics,
}

/// How sound travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Name of the codec that we send: `PCMU`.
    pub codec: &'static str,
    /// Samples per second.
    pub sample_rate: u32,
    /// Length of a packet in milliseconds.
    pub ptime_ms: u32,
    /// Where we receive RTP.
    pub local: SocketAddr,
    /// Where RTP goes, as the description says.
    pub remote: Option<SocketAddr>,
    /// Whether we may send.
    pub sends: bool,
    /// Whether the peer may send.
    pub receives: bool,
    /// Whether keys travel as telephone-events (RFC 4733).
    pub dtmf: bool,
    /// Where the keys came from that protect it.
    pub security: Security,
    /// How it is protected: `AES_CM_128_HMAC_SHA1_80`.
    pub suite: Option<&'static str>,
}

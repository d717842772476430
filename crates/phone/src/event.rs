//! What a phone tells its owner.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use media::session::Statistics;
use sip::flow::Transport;
use sip::ua::Cause;

use crate::device::{DeviceChange, Role};

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

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The registrar holds our contact; comes again with each refresh.
    Registered {
        /// Seconds granted.
        expires: u32,
        /// Our contact.
        contact: String,
    },
    /// A registration failed.
    RegistrationFailed {
        /// Why.
        cause: Cause,
        /// When it is tried again by itself.
        retry_in: Option<Duration>,
    },
    /// Our contact, or every contact of the account, is gone from the registrar.
    Unregistered,
    /// Somebody calls: ring, answer or reject.
    Incoming {
        /// The new call.
        call: CallNumber,
        /// Who calls: display name and address.
        from: String,
        /// The caller's address.
        from_uri: String,
        /// Who is called.
        to_uri: String,
        /// The Call-ID.
        call_id: String,
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
    /// The peer pressed a key.
    Dtmf {
        /// The call.
        call: CallNumber,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// How long it was held.
        duration: Duration,
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
    /// A text message came; it is answered already (RFC 3428).
    Message {
        /// The sender's address.
        from: String,
        /// What the body is.
        content_type: String,
        /// The body.
        body: Vec<u8>,
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
}

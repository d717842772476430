//! Commands as a person or a script writes them: one a line.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::parse;
use crate::device::{Choice, Role};
use crate::event::CallNumber;
use crate::phone::KeysBy;

/// Something that a phone is asked to do.
///
/// `call` is `None` where the line names none and the one obvious call is meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `dial TARGET [as ACCOUNT]`
    Dial {
        /// Whom to call.
        target: String,
        /// Whose call it is: an address, its user part, or a number.
        account: Option<String>,
    },
    /// `answer [CALL]`
    Answer {
        /// The call.
        call: Option<CallNumber>,
    },
    /// `reject [CALL] [STATUS]`
    Reject {
        /// The call.
        call: Option<CallNumber>,
        /// 300 to 699.
        status: Option<u16>,
    },
    /// `hangup [CALL|all]`
    HangUp {
        /// The call.
        call: Option<CallNumber>,
    },
    /// `hangup all`
    HangUpAll,
    /// `hold [CALL]`
    Hold {
        /// The call.
        call: Option<CallNumber>,
    },
    /// `resume [CALL]`
    Resume {
        /// The call.
        call: Option<CallNumber>,
    },
    /// `swap`: holds the call that is talked with, and resumes the one that is held.
    Swap,
    /// `transfer CALL TARGET`
    Transfer {
        /// The call whose peer is to call somebody else.
        call: CallNumber,
        /// Whom.
        target: String,
    },
    /// `transfer CALL to CALL`
    TransferTo {
        /// The call whose peer is to take the other call's place.
        call: CallNumber,
        /// The call whose peer it is connected with.
        to: CallNumber,
    },
    /// `accept-transfer CALL`
    AcceptTransfer {
        /// The call whose peer asks for it.
        call: CallNumber,
    },
    /// `refuse-transfer CALL`
    RefuseTransfer {
        /// The call whose peer asks for it.
        call: CallNumber,
    },
    /// `forward CALL TARGET`
    Forward {
        /// A call that rings here.
        call: CallNumber,
        /// Where it is sent.
        target: String,
    },
    /// `divert always|busy|no-answer TARGET|off [SECONDS]`
    Divert {
        /// When.
        when: Divert,
        /// Where calls are sent; `None` for nowhere any more.
        target: Option<String>,
        /// For [`Divert::NoAnswer`]: how long it rings before.
        after: Option<Duration>,
    },
    /// `dnd on|off`
    DoNotDisturb(bool),
    /// `waiting on|off`
    CallWaiting(bool),
    /// `autoanswer on|off|SECONDS`
    AutoAnswer(Option<Duration>),
    /// `pickup TARGET`
    Pickup {
        /// Whose ringing call is taken.
        target: String,
    },
    /// `conference CALL CALL...`
    Conference {
        /// The calls to join.
        calls: Vec<CallNumber>,
    },
    /// `join CALL`
    Join {
        /// The call that joins the conference.
        call: CallNumber,
    },
    /// `part CALL`
    Part {
        /// The call that leaves the conference.
        call: CallNumber,
    },
    /// `dtmf CALL DIGITS [rfc4733|info]`
    Dtmf {
        /// The call.
        call: CallNumber,
        /// `0`–`9`, `*`, `#`, `A`–`D`, and commas for pauses of a second.
        digits: String,
        /// How they travel.
        /// `None`: as the settings say.
        by: Option<KeysBy>,
    },
    /// `info CALL TYPE BODY`
    Info {
        /// The call.
        call: CallNumber,
        /// The media type of the body.
        content_type: String,
        /// The body.
        body: String,
    },
    /// `message TARGET TEXT`, or `message #CALL TEXT` inside a call.
    Message {
        /// Whom it is for.
        to: Recipient,
        /// The text.
        text: String,
    },
    /// `mute on|off`
    Mute(bool),
    /// `devices`
    Devices,
    /// `device microphone|speaker CHOICE`
    Device {
        /// Which of the two.
        role: Role,
        /// What is used from now on.
        choice: Choice,
    },
    /// `volume microphone|speaker PERCENT`
    Volume {
        /// Which of the two.
        role: Role,
        /// 100 leaves the sound as it is; 400 at most.
        percent: u16,
    },
    /// `echo-cancellation on|off`
    CancelEcho(bool),
    /// `noise-suppression on|off`
    SuppressNoise(bool),
    /// `record CALL FILE|off`
    Record {
        /// The call.
        call: CallNumber,
        /// The WAV file; `None` to stop.
        file: Option<PathBuf>,
    },
    /// `play CALL FILE|off`
    Play {
        /// The call.
        call: CallNumber,
        /// The WAV file; `None` to go back to what was said before.
        file: Option<PathBuf>,
    },
    /// `codec CALL NAMES`
    Codec {
        /// The call.
        call: CallNumber,
        /// Names in the order of preference.
        names: Vec<String>,
    },
    /// `register [ACCOUNT]`
    Register {
        /// Which; all when `None`.
        account: Option<String>,
    },
    /// `unregister [ACCOUNT]`
    Unregister {
        /// Which; all when `None`.
        account: Option<String>,
    },
    /// `options TARGET`
    Options {
        /// Who is asked.
        target: String,
    },
    /// `subscribe EVENT TARGET`
    Subscribe {
        /// The event package: `presence`, `message-summary`, `dialog`.
        package: String,
        /// Whose.
        target: String,
    },
    /// `calls`
    Calls,
    /// `accounts`
    Accounts,
    /// `status`
    Status,
    /// `sleep SECONDS`
    Sleep(Duration),
    /// `wait EVENT [CALL] [SECONDS]`
    Wait {
        /// Name of the event as `--json` writes it.
        event: String,
        /// Of which call; of any when `None`.
        call: Option<CallNumber>,
        /// How long at most.
        patience: Duration,
    },
    /// `quit`
    Quit,
}

/// When calls are sent elsewhere (RFC 5359 §2.8 to §2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divert {
    /// All of them, at once.
    Always,
    /// Those that find us in a call.
    Busy,
    /// Those that nobody answers.
    NoAnswer,
}

impl Divert {
    /// As the command writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Divert::Always => "always",
            Divert::Busy => "busy",
            Divert::NoAnswer => "no-answer",
        }
    }
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Somebody, outside any call (RFC 3428).
    Target(String),
    /// The peer of a call, inside it.
    Call(CallNumber),
}

/// The loudest that a volume may be, in percent.
pub const LOUDEST: u16 = 400;

/// How long `wait` waits where the line does not say.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What can be written, and what it does: the help of every face of the phone.
pub const GRAMMAR: &[(&str, &str)] = &[
    ("dial TARGET [as ACCOUNT]", "call somebody"),
    ("answer [CALL]", "answer a call that rings here"),
    (
        "reject [CALL] [STATUS]",
        "refuse it: 486 busy, 603 declined",
    ),
    ("hangup [CALL|all]", "end a call"),
    ("hold [CALL]", "put the other side on hold"),
    ("resume [CALL]", "take it off hold"),
    ("swap", "hold the call in progress and resume the held one"),
    (
        "transfer CALL TARGET",
        "connect the other side with somebody",
    ),
    (
        "transfer CALL to CALL",
        "connect the other sides of two calls",
    ),
    (
        "accept-transfer CALL",
        "call whom the other side asks us to",
    ),
    ("refuse-transfer CALL", "do not"),
    (
        "forward CALL TARGET",
        "send a call that rings here elsewhere",
    ),
    (
        "divert always|busy|no-answer TARGET|off [SECONDS]",
        "send calls elsewhere by themselves",
    ),
    ("dnd on|off", "do not disturb"),
    ("waiting on|off", "let a second call ring, or find us busy"),
    ("autoanswer on|off|SECONDS", "answer calls by themselves"),
    ("pickup TARGET", "take a call that rings at somebody else's"),
    ("conference CALL CALL...", "join calls into a conference"),
    ("join CALL", "take a call into the conference"),
    ("part CALL", "take it out again"),
    ("dtmf CALL DIGITS [rfc4733|info]", "press keys"),
    ("info CALL TYPE BODY", "send INFO"),
    ("message TARGET|#CALL TEXT", "send a text message"),
    ("mute on|off", "silence our side of every call"),
    ("devices", "tell the microphones and speakers there are"),
    (
        "device microphone|speaker CHOICE",
        "use another: default, none, file:PATH, a name or number",
    ),
    (
        "volume microphone|speaker PERCENT",
        "louder or quieter; 100 leaves it as it is",
    ),
    (
        "echo-cancellation on|off",
        "take the speaker's sound out of the microphone's",
    ),
    ("noise-suppression on|off", "lower steady noise"),
    ("record CALL FILE|off", "record a call to a WAV file"),
    ("play CALL FILE|off", "play a WAV file to the other side"),
    ("codec CALL NAMES", "change to other codecs: pcma,pcmu"),
    ("register [ACCOUNT]", "register, or register again"),
    ("unregister [ACCOUNT]", "unregister"),
    ("options TARGET", "ask what somebody's phone can do"),
    (
        "subscribe EVENT TARGET",
        "follow presence, message-summary or dialog",
    ),
    ("calls", "tell all calls"),
    ("accounts", "tell all accounts"),
    ("status", "tell calls, accounts and rules"),
    ("sleep SECONDS", "wait so long before the next line"),
    (
        "wait EVENT [CALL] [SECONDS]",
        "wait for an event before the next line",
    ),
    ("quit", "hang up, unregister and end"),
];

impl std::str::FromStr for Command {
    type Err = super::Refusal;

    /// Reads a line.
    fn from_str(line: &str) -> Result<Command, super::Refusal> {
        parse::line(line)
    }
}

impl fmt::Display for Command {
    /// The line that is read back as the same command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Dial { target, account } => {
                write!(f, "dial {target}")?;
                with(f, " as ", account.as_ref())
            }
            Command::Answer { call } => on(f, "answer", *call),
            Command::Reject { call, status } => {
                on(f, "reject", *call)?;
                with(f, " ", status.as_ref())
            }
            Command::HangUp { call } => on(f, "hangup", *call),
            Command::HangUpAll => f.write_str("hangup all"),
            Command::Hold { call } => on(f, "hold", *call),
            Command::Resume { call } => on(f, "resume", *call),
            Command::Swap => f.write_str("swap"),
            Command::Transfer { call, target } => write!(f, "transfer {call} {target}"),
            Command::TransferTo { call, to } => write!(f, "transfer {call} to {to}"),
            Command::AcceptTransfer { call } => write!(f, "accept-transfer {call}"),
            Command::RefuseTransfer { call } => write!(f, "refuse-transfer {call}"),
            Command::Forward { call, target } => write!(f, "forward {call} {target}"),
            Command::Divert {
                when,
                target,
                after,
            } => {
                let target = target.as_deref().unwrap_or("off");
                write!(f, "divert {} {target}", when.name())?;
                with(f, " ", after.map(|d| d.as_secs_f64()).as_ref())
            }
            Command::DoNotDisturb(on) => write!(f, "dnd {}", switch(*on)),
            Command::CallWaiting(on) => write!(f, "waiting {}", switch(*on)),
            Command::AutoAnswer(None) => f.write_str("autoanswer off"),
            Command::AutoAnswer(Some(Duration::ZERO)) => f.write_str("autoanswer on"),
            Command::AutoAnswer(Some(after)) => write!(f, "autoanswer {}", after.as_secs_f64()),
            Command::Pickup { target } => write!(f, "pickup {target}"),
            Command::Conference { calls } => {
                f.write_str("conference")?;
                calls.iter().try_for_each(|call| write!(f, " {call}"))
            }
            Command::Join { call } => write!(f, "join {call}"),
            Command::Part { call } => write!(f, "part {call}"),
            Command::Dtmf { call, digits, by } => match by {
                None => write!(f, "dtmf {call} {digits}"),
                Some(KeysBy::Rfc4733) => write!(f, "dtmf {call} {digits} rfc4733"),
                Some(KeysBy::Info) => write!(f, "dtmf {call} {digits} info"),
            },
            other => other.write_rest(f),
        }
    }
}

impl Command {
    fn write_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Info {
                call,
                content_type,
                body,
            } => write!(f, "info {call} {content_type} {}", escaped(body)),
            Command::Message { to, text } => match to {
                Recipient::Target(target) => write!(f, "message {target} {}", escaped(text)),
                Recipient::Call(call) => write!(f, "message #{call} {}", escaped(text)),
            },
            Command::Mute(on) => write!(f, "mute {}", switch(*on)),
            Command::Devices => f.write_str("devices"),
            Command::Device { role, choice } => {
                write!(f, "device {role} {}", escaped(&choice.to_string()))
            }
            Command::Volume { role, percent } => write!(f, "volume {role} {percent}"),
            Command::CancelEcho(on) => write!(f, "echo-cancellation {}", switch(*on)),
            Command::SuppressNoise(on) => write!(f, "noise-suppression {}", switch(*on)),
            Command::Record { call, file } => file_or_off(f, "record", *call, file.as_ref()),
            Command::Play { call, file } => file_or_off(f, "play", *call, file.as_ref()),
            Command::Codec { call, names } => write!(f, "codec {call} {}", names.join(",")),
            Command::Register { account } => {
                f.write_str("register")?;
                with(f, " ", account.as_ref())
            }
            Command::Unregister { account } => {
                f.write_str("unregister")?;
                with(f, " ", account.as_ref())
            }
            Command::Options { target } => write!(f, "options {target}"),
            Command::Subscribe { package, target } => write!(f, "subscribe {package} {target}"),
            Command::Calls => f.write_str("calls"),
            Command::Accounts => f.write_str("accounts"),
            Command::Status => f.write_str("status"),
            Command::Sleep(time) => write!(f, "sleep {}", time.as_secs_f64()),
            Command::Wait {
                event,
                call,
                patience,
            } => {
                write!(f, "wait {event}")?;
                with(f, " ", call.as_ref())?;
                write!(f, " {}s", patience.as_secs_f64())
            }
            Command::Quit => f.write_str("quit"),
            // All others have been written.
            _ => Ok(()),
        }
    }
}

fn on(f: &mut fmt::Formatter<'_>, verb: &str, call: Option<CallNumber>) -> fmt::Result {
    f.write_str(verb)?;
    with(f, " ", call.as_ref())
}

fn with(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    value: Option<&impl fmt::Display>,
) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "{before}{value}"))
}

fn file_or_off(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    call: CallNumber,
    file: Option<&PathBuf>,
) -> fmt::Result {
    match file {
        Some(file) => write!(f, "{verb} {call} {}", file.display()),
        None => write!(f, "{verb} {call} off"),
    }
}

const fn switch(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// A text of several lines on one.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\r', "\\r")
        .replace('\n', "\\n")
}

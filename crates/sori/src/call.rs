//! `sori call`: one call, from dialling to its end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use phone::device::{Hook, Melody};
use phone::{CallNumber, Cause, Event, KeysBy, Name, Sound};

use crate::arguments::{
    Line, Passage, Voice, parse_keys, parse_keys_by, parse_pause, parse_seconds,
};
use crate::console::Console;
use crate::desk::{Desk, GRACE, Happening};
use crate::devices::{Devices, Usual, language};
use crate::exit::{Exit, Failure, exit_codes};
use crate::provision::SetUp;
use crate::report::json_events;

/// What others hear who call while this call is on.
const BUSY: u16 = 486;
/// How long nobody may answer, when nothing else is said.
const RING: Duration = Duration::from_secs(120);
/// How long a registrar may take to answer before the call: as long as a request is repeated (RFC 3261 timer F).
const REGISTERING: Duration = Duration::from_secs(32);

/// Call somebody: play a file, record what is heard, press keys.
///
/// TARGET is a user or a number of the account's domain (bob, 4711), an address (bob@example.org) or a SIP URI
/// (sip:bob@192.0.2.7). The call ends when either side hangs up, after --duration, or with Ctrl-C. No registration is
/// needed: the password answers the server when it asks.
///
/// You talk with this machine's microphone and speaker. Before anything is sent both are opened and heard: where one of
/// them is missing, muted or dead nobody is called, and the exit code is 7. With --play or --record files take their
/// place, with --microphone none silence.
///
/// With --provision an XML document gives the account, the server, and the gateway that is called when there is no
/// TARGET. The phone registers if the document says so, calls at once, and closes by itself a while after the end:
/// three seconds, unless the document or --auto-close says something else.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori call bob --account alice@example.org
  sori call echo --account alice@example.org --proxy udp:127.0.0.1:5060 --duration 5
  sori call bob --account alice@example.org --microphone USB --speaker 2
  sori call bob --account alice@example.org --play hello.wav --record bob.wav --json
  SORI_PASSWORD=... sori call 4711 --account alice@example.org --dtmf '1,,23#' --json
  sori call --provision https://www.example.org/phone.xml

", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    /// Whom to call [with --provision: the document's gateway]
    #[arg(value_name = "TARGET", required_unless_present = "provision")]
    target: Option<String>,
    #[command(flatten)]
    line: Line,
    #[command(flatten)]
    voice: Voice,
    #[command(flatten)]
    devices: Devices,
    #[command(flatten)]
    passage: Passage,
    /// Hang up so many seconds after the answer
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Do not let the other side know who calls (RFC 3323); the server is told
    #[arg(long)]
    anonymous: bool,
    /// Press these keys after the answer: 0-9, *, #, A-D, and a comma for a pause of a second
    #[arg(long, value_name = "DIGITS", value_parser = parse_keys)]
    dtmf: Option<String>,
    /// How they travel: rfc4733 (among the sound) or info [default: rfc4733, or what the document says]
    #[arg(long, value_name = "HOW", value_parser = parse_keys_by)]
    dtmf_by: Option<KeysBy>,
    /// Give up when nobody has answered after so many seconds [default: 120]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    ring: Option<Duration>,
    /// Stay so many seconds after the end of the call [default: 0; with --provision: 3]
    #[arg(long, value_name = "SECONDS", value_parser = parse_pause)]
    auto_close: Option<Duration>,
}

/// Calls and stays until the call is over.
pub fn run(args: Args) -> ExitCode {
    let mut console = Console::new("call", args.line.output.json);
    match place(&args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn place(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let mut sound = args.voice.open(1)?;
    // What can be said without the document is said before it is fetched.
    if let (Some(text), Some(account)) = (&args.target, &args.line.account) {
        of_command_line(text, account)?;
    }
    let mut set_up = SetUp::of(&args.line, console)?;
    args.voice.apply(&mut set_up.settings);
    args.passage.apply(&mut set_up.settings);
    set_up.settings.anonymous = args.anonymous;
    let by = args.dtmf_by.unwrap_or(set_up.settings.keys_by);
    let keys = keys(args, by)?;
    if by == KeysBy::Rfc4733 {
        sound.keys = keys.clone();
    }
    let target = target(args, &set_up)?;
    let hook = lift(args, &set_up, &mut sound, console)?;
    let ring = args.ring.or(set_up.profile.timers.ring).unwrap_or(RING);
    let pause = args.auto_close.unwrap_or(if set_up.is_provisioned {
        set_up.profile.auto_close
    } else {
        Duration::ZERO
    });
    let (whom, has_password) = (set_up.whom(), set_up.has_password());
    let (server, registers) = (set_up.server(), set_up.registers());
    let desk = Desk::open(set_up.settings)?;
    if let Some(expires) = registers
        && let Err(failure) = register(&desk, console, expires, &whom, has_password)
    {
        // There is nothing to take back.
        desk.phone.keep_contact();
        desk.close(Duration::ZERO);
        return Err(failure);
    }
    let number = desk
        .phone
        .call(&target, sound)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string(), ""))?;
    let mut talk = Talk::new(args, number, ring, hook);
    if by == KeysBy::Info {
        talk.keys = keys;
    }
    let mut grace = GRACE;
    while talk.ended.is_none() {
        if !talk.step(&desk, console) {
            // The answers have been waited for already.
            grace = Duration::ZERO;
            break;
        }
    }
    if let Some((cause, talked)) = &talk.ended
        && !pause.is_zero()
        && !talk.stopped
    {
        let why = (!talked).then(|| cause.to_string());
        console.closing(pause, why.as_deref());
        linger(&desk, console, pause);
    }
    for event in desk.close(grace) {
        console.event(&event);
        talk.note(&event);
    }
    talk.verdict(&format!("{target} (through {server})"), has_password)
}

/// Opens microphone and speaker before anything is sent, so that nobody gets a silent call.
fn lift(
    args: &Args,
    set_up: &SetUp,
    sound: &mut Sound,
    console: &mut Console,
) -> Result<Option<Hook>, Failure> {
    let hook = args
        .devices
        .hook(Usual::OfMachine, &args.voice, &set_up.profile);
    let Some(mut hook) = hook else {
        return Ok(None);
    };
    let lifted = hook
        .lift()
        .map_err(|why| Failure::not_ready(&why, language(&set_up.profile)))?;
    console.ready(&lifted.report);
    sound.attach(lifted.port);
    Ok(Some(hook))
}

/// The keys to press after the answer.
fn keys(args: &Args, by: KeysBy) -> Result<String, Failure> {
    let keys = args.dtmf.clone().unwrap_or_default();
    if by == KeysBy::Info && keys.contains(',') {
        return Err(Failure::new(
            Exit::Usage,
            "keys that travel by INFO know no pauses",
            "leave the commas out of --dtmf, or say --dtmf-by rfc4733",
        ));
    }
    Ok(keys)
}

/// Whom to call: the command line goes before the document.
fn target(args: &Args, set_up: &SetUp) -> Result<String, Failure> {
    let account = &set_up.settings.account;
    if let Some(text) = &args.target {
        return of_command_line(text, account);
    }
    let Some(gateway) = &set_up.profile.gateway else {
        return Err(Failure::new(
            Exit::Provision,
            "the document of --provision names no gateway to call",
            "name a TARGET, or write a <gateway> into the document",
        ));
    };
    phone::target(gateway, &account.domain)
        .map_err(|error| Failure::new(Exit::Provision, format!("<gateway> {error}"), ""))
}

fn of_command_line(text: &str, account: &Name) -> Result<String, Failure> {
    phone::target(text, &account.domain)
        .map_err(|error| Failure::new(Exit::Usage, format!("TARGET {error}"), ""))
}

/// Registers before the call, and waits until that stands.
fn register(
    desk: &Desk,
    console: &mut Console,
    expires: u32,
    whom: &str,
    has_password: bool,
) -> Result<(), Failure> {
    desk.phone.register(expires);
    let until = Instant::now().checked_add(REGISTERING);
    loop {
        match desk.next(until) {
            Happening::Phone(event) => {
                console.event(&event);
                match event {
                    Event::Registered { .. } => return Ok(()),
                    Event::RegistrationFailed { cause, .. } => {
                        return Err(Failure::of(&cause, "cannot register", whom, has_password));
                    }
                    Event::Incoming { call, .. } => desk.phone.reject(call, BUSY),
                    _ => {}
                }
            }
            Happening::Stop => {
                let message = "interrupted before the registrar answered";
                return Err(Failure::new(Exit::Interrupted, message, ""));
            }
            Happening::Time => {
                return Err(Failure::of(
                    &Cause::TimedOut,
                    "cannot register",
                    whom,
                    has_password,
                ));
            }
        }
    }
}

/// Stays for a while, or until Ctrl-C.
fn linger(desk: &Desk, console: &mut Console, pause: Duration) {
    let until = Instant::now().checked_add(pause);
    loop {
        match desk.next(until) {
            Happening::Phone(event) => {
                console.event(&event);
                if let Event::Incoming { call, .. } = event {
                    desk.phone.reject(call, BUSY);
                }
            }
            Happening::Stop | Happening::Time => return,
        }
    }
}

/// The course of one call.
struct Talk<'a> {
    args: &'a Args,
    number: CallNumber,
    /// To press in INFO requests after the answer; telephone-events go with the sound.
    keys: String,
    ring: Duration,
    hook: Option<Hook>,
    /// When patience ends: with ringing, with talking, or with leaving.
    until: Option<Instant>,
    since: Option<Instant>,
    /// Nobody answered in time.
    unanswered: bool,
    interrupted: bool,
    /// Ctrl-C.
    stopped: bool,
    trouble: Option<String>,
    ended: Option<(Cause, bool)>,
}

impl Talk<'_> {
    fn new(args: &Args, number: CallNumber, ring: Duration, hook: Option<Hook>) -> Talk<'_> {
        Talk {
            args,
            number,
            keys: String::new(),
            ring,
            hook,
            until: Instant::now().checked_add(ring),
            since: None,
            unanswered: false,
            interrupted: false,
            stopped: false,
            trouble: None,
            ended: None,
        }
    }

    /// Reacts to what happens next; `false` when the answer to our farewell does not come.
    fn step(&mut self, desk: &Desk, console: &mut Console) -> bool {
        let tick = self
            .since
            .filter(|_| console.is_live())
            .and_then(|_| Instant::now().checked_add(Duration::from_secs(1)));
        let until = [self.until, tick].into_iter().flatten().min();
        match desk.next(until) {
            Happening::Phone(event) => {
                console.event(&event);
                self.note(&event);
                match event {
                    Event::Incoming { call, .. } => desk.phone.reject(call, BUSY),
                    Event::Established { .. } if !self.keys.is_empty() => {
                        desk.phone.press_by(self.number, &self.keys, KeysBy::Info);
                    }
                    _ => {}
                }
            }
            Happening::Stop => {
                self.interrupted = true;
                self.stopped = true;
                self.leave(desk);
            }
            Happening::Time if self.until.is_some_and(|at| Instant::now() >= at) => {
                if self.interrupted || self.unanswered {
                    return false;
                }
                if self.since.is_none() {
                    self.unanswered = true;
                }
                self.interrupted = self.since.is_some();
                self.leave(desk);
            }
            Happening::Time => {
                if let Some(since) = self.since {
                    console.talking(since.elapsed());
                }
            }
        }
        true
    }

    fn leave(&mut self, desk: &Desk) {
        desk.phone.hang_up(self.number);
        self.until = Instant::now().checked_add(GRACE);
    }

    /// One hears that it rings there, where the other side sends no sound of its own.
    fn play(&mut self, event: &Event) {
        let Some(hook) = &mut self.hook else {
            return;
        };
        match event {
            Event::Progress { status: 180, .. } => hook.play(Some(Melody::Ringback)),
            Event::EarlyMedia { .. } | Event::Established { .. } | Event::Ended { .. } => {
                hook.play(None);
            }
            _ => {}
        }
    }

    fn note(&mut self, event: &Event) {
        self.play(event);
        match event {
            Event::Established { .. } if !self.interrupted && !self.unanswered => {
                let now = Instant::now();
                self.since = Some(now);
                self.until = self.args.duration.and_then(|d| now.checked_add(d));
            }
            Event::SoundTrouble { message, .. } => self.trouble = Some(message.clone()),
            Event::Ended {
                call,
                cause,
                talked,
                ..
            } if *call == self.number => {
                self.ended = Some((cause.clone(), talked.is_some()));
            }
            _ => {}
        }
    }

    fn verdict(self, whom: &str, has_password: bool) -> Result<(), Failure> {
        let what = "cannot call";
        match (self.ended, self.trouble) {
            (Some((_, true)), None) => Ok(()),
            (Some((Cause::ByUs | Cause::Cancelled, _)) | None, None) if self.unanswered => {
                let seconds = self.ring.as_secs_f64();
                let message = format!("{what} {whom}: nobody answered within {seconds} s");
                Err(Failure::new(
                    Exit::Refused,
                    message,
                    "try again later, or wait longer with --ring",
                ))
            }
            (Some((Cause::ByUs | Cause::Cancelled, false)) | None, None) => Err(Failure::new(
                Exit::Interrupted,
                "interrupted before there was an answer",
                "",
            )),
            (Some((Cause::ByUs, false) | (_, true)) | None, Some(trouble)) => {
                Err(Failure::new(Exit::Sound, trouble, ""))
            }
            (Some((cause, false)), _) => Err(Failure::of(&cause, what, whom, has_password)),
        }
    }
}

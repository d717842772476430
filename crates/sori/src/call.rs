//! `sori call`: one call, from dialling to its end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use phone::{CallNumber, Cause, Event};

use crate::arguments::{Line, Passage, Voice, parse_keys, parse_seconds};
use crate::console::Console;
use crate::desk::{Desk, GRACE, Happening};
use crate::exit::{Exit, Failure, exit_codes};
use crate::report::json_events;

/// Call somebody: play a file, record what is heard, press keys.
///
/// TARGET is a user or a number of the account's domain (bob, 4711), an address (bob@example.org) or a SIP URI
/// (sip:bob@192.0.2.7). The call ends when either side hangs up, after --duration, or with Ctrl-C. No registration is
/// needed: the password answers the server when it asks.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori call bob --account alice@example.org
  sori call echo --account alice@example.org --proxy udp:127.0.0.1:5060 --duration 5
  sori call bob --account alice@example.org --play hello.wav --record bob.wav --json
  SORI_PASSWORD=... sori call 4711 --account alice@example.org --dtmf '1,,23#' --json

", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    /// Whom to call
    #[arg(value_name = "TARGET")]
    target: String,
    #[command(flatten)]
    line: Line,
    #[command(flatten)]
    voice: Voice,
    #[command(flatten)]
    passage: Passage,
    /// Hang up so many seconds after the answer
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Press these keys after the answer: 0-9, *, #, A-D, and a comma for a pause of a second
    #[arg(long, value_name = "DIGITS", value_parser = parse_keys)]
    dtmf: Option<String>,
    /// Give up when nobody has answered after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds, default_value = "120")]
    ring: Duration,
}

/// Calls and stays until the call is over.
pub fn run(args: Args) -> ExitCode {
    let account = args.line.account.to_string();
    let mut console = Console::new("call", &account, args.line.output.json);
    match place(&args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn place(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let target = phone::target(&args.target, &args.line.account.domain)
        .map_err(|error| Failure::new(Exit::Usage, format!("TARGET {error}"), ""))?;
    let mut sound = args.voice.open(1)?;
    sound.keys = args.dtmf.clone().unwrap_or_default();
    let mut settings = args.line.settings()?;
    settings.codecs.clone_from(&args.voice.codec);
    args.passage.apply(&mut settings);
    let has_password = settings.password.is_some();
    let desk = Desk::open(settings)?;
    console.calling(&target);
    let number = desk
        .phone
        .call(&target, sound)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string(), ""))?;
    let mut talk = Talk::new(args, number);
    let mut grace = GRACE;
    while talk.ended.is_none() {
        if !talk.step(&desk, console) {
            // The answers have been waited for already.
            grace = Duration::ZERO;
            break;
        }
    }
    for event in desk.close(grace) {
        console.event(&event);
        talk.note(&event);
    }
    talk.verdict(
        &format!("{target} (through {})", args.line.server()),
        has_password,
    )
}

/// The course of one call.
struct Talk<'a> {
    args: &'a Args,
    number: CallNumber,
    /// When patience ends: with ringing, with talking, or with leaving.
    until: Option<Instant>,
    since: Option<Instant>,
    /// Nobody answered in time.
    unanswered: bool,
    interrupted: bool,
    trouble: Option<String>,
    ended: Option<(Cause, bool)>,
}

impl Talk<'_> {
    fn new(args: &Args, number: CallNumber) -> Talk<'_> {
        Talk {
            args,
            number,
            until: Instant::now().checked_add(args.ring),
            since: None,
            unanswered: false,
            interrupted: false,
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
            }
            Happening::Stop => {
                self.interrupted = true;
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

    fn note(&mut self, event: &Event) {
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
                let seconds = self.args.ring.as_secs_f64();
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

//! `sori answer`: registers and answers calls.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use phone::device::Hook;
use phone::readiness::Language;
use phone::{CallNumber, Event, Sound, Source};

use crate::arguments::{Line, Passage, Voice, parse_seconds};
use crate::console::Console;
use crate::desk::{Desk, GRACE, Happening};
use crate::devices::{Devices, Usual, language};
use crate::exit::{Exit, Failure, exit_codes};
use crate::provision::{EXPIRES, SetUp};
use crate::report::json_events;

/// Calls answered at once where nothing is recorded.
const AT_ONCE: u32 = 32;

/// Register and answer calls, with a file, an echo or silence, until Ctrl-C.
///
/// Each call is answered at once, or after --after seconds of ringing. It ends when either side hangs up, after
/// --duration, or with Ctrl-C, which also removes the registration. Calls above --at-once find the phone busy (486).
/// Nobody is listened to without being asked: microphone and speaker are used with --microphone and --speaker only.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori answer --account bob@example.org --echo
  sori answer --account bob@example.org --play welcome.wav --record caller.wav --calls 1 --json
  SORI_PASSWORD=... sori answer --account bob@example.org --proxy tcp:192.0.2.1:5060 --duration 60

The recording of the second call goes to caller-2.wav, that of the third to caller-3.wav.

", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    #[command(flatten)]
    line: Line,
    #[command(flatten)]
    voice: Voice,
    #[command(flatten)]
    devices: Devices,
    #[command(flatten)]
    passage: Passage,
    /// Send back what is heard
    #[arg(long, conflicts_with_all = ["play", "microphone"])]
    echo: bool,
    /// End after so many calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    calls: Option<u32>,
    /// Hang up so many seconds after answering
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    duration: Option<Duration>,
    /// Let it ring so many seconds before answering [default: answer at once]
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    after: Option<Duration>,
    /// Answer at most so many calls at a time [default: 1 with --record or a microphone, else 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    at_once: Option<u32>,
    /// Ask the registrar for so many seconds; refreshed in time [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    expires: Option<u32>,
}

/// Answers calls until told to stop.
pub fn run(args: Args) -> ExitCode {
    let mut console = Console::new("answer", args.line.output.json);
    match serve(&args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn serve(args: &Args, console: &mut Console) -> Result<(), Failure> {
    // A file that is not there is noticed now, not with the first call.
    if let Some(path) = &args.voice.play {
        Source::file(path).map_err(|error| Failure::new(Exit::Sound, error.to_string(), ""))?;
    }
    let mut set_up = SetUp::of(&args.line, console)?;
    args.voice.apply(&mut set_up.settings);
    args.passage.apply(&mut set_up.settings);
    let language = language(&set_up.profile);
    let mut hook = args.devices.hook(Usual::None, &args.voice, &set_up.profile);
    if let Some(hook) = &mut hook {
        // What does not work is noticed now, not with the first call.
        let lifted = hook
            .lift()
            .map_err(|why| Failure::not_ready(&why, language))?;
        console.ready(&lifted.report);
    }
    let (whom, has_password) = (set_up.whom(), set_up.has_password());
    let expires = args.expires.or(set_up.expires()).unwrap_or(EXPIRES);
    let desk = Desk::open(set_up.settings)?;
    desk.phone.register(expires);
    let mut post = Post {
        args,
        hook,
        language,
        whom,
        has_password,
        registered: false,
        calls: BTreeMap::new(),
        begun: 0,
        finished: 0,
        trouble: None,
    };
    let outcome = loop {
        match desk.next(post.next_deadline()) {
            Happening::Phone(event) => {
                console.event(&event);
                if let Some(outcome) = post.on_event(&desk, &event) {
                    break outcome;
                }
            }
            Happening::Stop if post.registered => break Ok(()),
            Happening::Stop => {
                break Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted before the registration stood",
                    "",
                ));
            }
            Happening::Time => post.on_time(&desk),
        }
    };
    for event in desk.close(GRACE) {
        console.event(&event);
        post.note(&event);
    }
    outcome?;
    match post.trouble {
        Some(trouble) => Err(trouble),
        None => Ok(()),
    }
}

/// What becomes of calls.
struct Post<'a> {
    args: &'a Args,
    hook: Option<Hook>,
    language: Language,
    /// The account and its server.
    whom: String,
    has_password: bool,
    registered: bool,
    calls: BTreeMap<CallNumber, Stage>,
    /// Calls that were taken, and those of them that are over.
    begun: u32,
    finished: u32,
    trouble: Option<Failure>,
}

/// Where a call stands, and when that ends.
enum Stage {
    Ringing(Instant, Box<Sound>),
    Answered(Option<Instant>),
}

impl Post<'_> {
    fn on_event(&mut self, desk: &Desk, event: &Event) -> Option<Result<(), Failure>> {
        self.note(event);
        match event {
            Event::RegistrationFailed { cause, .. } if !self.registered => {
                // There is nothing to take back.
                desk.phone.keep_contact();
                return Some(Err(Failure::of(
                    cause,
                    "cannot register",
                    &self.whom,
                    self.has_password,
                )));
            }
            Event::Incoming { call, .. } => self.incoming(desk, *call),
            Event::Ended { .. }
                if self.calls.is_empty() && self.args.calls.is_some_and(|n| self.finished >= n) =>
            {
                return Some(Ok(()));
            }
            _ => {}
        }
        None
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Registered { .. } => self.registered = true,
            Event::Established { call, .. } => {
                let until = self
                    .args
                    .duration
                    .and_then(|d| Instant::now().checked_add(d));
                if let Some(stage) = self.calls.get_mut(call) {
                    *stage = Stage::Answered(until);
                }
            }
            Event::SoundTrouble { message, .. } => {
                self.trouble = Some(Failure::new(Exit::Sound, message.clone(), ""));
            }
            Event::Ended { call, talked, .. } if self.calls.remove(call).is_some() => {
                if talked.is_some() {
                    self.finished += 1;
                } else {
                    self.begun -= 1;
                }
            }
            _ => {}
        }
    }

    fn incoming(&mut self, desk: &Desk, call: CallNumber) {
        let most = self.args.at_once.unwrap_or(
            if self.args.voice.record.is_some() || self.hook.is_some() {
                1
            } else {
                AT_ONCE
            },
        );
        let busy = self.calls.len() >= most as usize;
        if busy || self.args.calls.is_some_and(|n| self.begun >= n) {
            desk.phone.reject(call, 486);
            return;
        }
        let mut sound = match self.args.voice.open(self.begun + 1) {
            Ok(sound) => sound,
            Err(failure) => {
                self.trouble = Some(failure);
                desk.phone.reject(call, 500);
                return;
            }
        };
        if self.args.echo {
            sound.source = Source::Echo;
        }
        if let Some(hook) = &mut self.hook {
            match hook.lift() {
                Ok(lifted) => sound.attach(lifted.port),
                Err(why) => {
                    self.trouble = Some(Failure::not_ready(&why, self.language));
                    desk.phone.reject(call, 480);
                    return;
                }
            }
        }
        self.begun += 1;
        desk.phone.ring(call);
        match self.args.after.and_then(|d| Instant::now().checked_add(d)) {
            Some(until) => {
                self.calls
                    .insert(call, Stage::Ringing(until, Box::new(sound)));
            }
            None => self.answer(desk, call, sound),
        }
    }

    fn answer(&mut self, desk: &Desk, call: CallNumber, sound: Sound) {
        self.calls.insert(call, Stage::Answered(None));
        if let Err(error) = desk.phone.answer(call, sound) {
            self.trouble = Some(Failure::new(Exit::Internal, error.to_string(), ""));
            desk.phone.reject(call, 500);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.calls.values().filter_map(Stage::until).min()
    }

    fn on_time(&mut self, desk: &Desk) {
        let now = Instant::now();
        let due = |stage: &Stage| stage.until().is_some_and(|at| at <= now);
        let due: Vec<CallNumber> = self
            .calls
            .iter()
            .filter(|(_, s)| due(s))
            .map(|(c, _)| *c)
            .collect();
        for call in due {
            match self.calls.insert(call, Stage::Answered(None)) {
                Some(Stage::Ringing(_, sound)) => self.answer(desk, call, *sound),
                _ => desk.phone.hang_up(call),
            }
        }
    }
}

impl Stage {
    fn until(&self) -> Option<Instant> {
        match self {
            Stage::Ringing(until, _) => Some(*until),
            Stage::Answered(until) => *until,
        }
    }
}

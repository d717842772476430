//! `sori phone --headless`: lines in, events out.

mod control;
pub mod lists;
mod script;

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use phone::control::{Control, Sounds};
use phone::device::Hook;
use phone::readiness::Language;
use phone::{Event, Phone, Settings};

use self::script::{Script, Scripts};
use crate::console::Console;
use crate::desk::{GRACE, failure};
use crate::exit::{Exit, Failure};
use crate::signals;

/// Happenings that may wait; more events are lost and counted, and more lines are not read yet.
const HAPPENINGS: usize = 65_536;
/// Lines of one script that may wait.
const LINES: usize = 64;
/// Longest line that is read, in octets.
const LONGEST: u64 = 64 * 1024;
/// Happenings dealt with before what is written leaves.
const BURST: usize = 256;

/// What a phone without a face can be told on the command line.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Read commands from standard input, and show no screen
    #[arg(long)]
    pub headless: bool,
    /// Read commands from this Unix socket too, which only its owner may open
    #[arg(long, value_name = "SOCKET", requires = "headless")]
    pub control: Option<PathBuf>,
    /// Answer calls by itself
    #[arg(long, requires = "headless")]
    pub answer: bool,
    /// Do not register
    #[arg(long, requires = "headless")]
    pub no_register: bool,
    /// Ask the registrar for so many seconds; refreshed in time
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = clap::value_parser!(u32).range(1..))]
    pub expires: u32,
    /// Calls at once; one above that finds the phone busy
    #[arg(long, value_name = "N", default_value = "4096", value_parser = clap::value_parser!(u32).range(1..=8000))]
    pub max_calls: u32,
}

/// Something to react to.
pub enum Happening {
    /// The phone tells something.
    Phone(Event),
    /// A script has lines that wait.
    Lines(u64),
    /// Another script begins: a connection to the control socket.
    Begin(Box<Script>),
    /// Ctrl-C.
    Stop,
}

/// Runs until it is told to quit.
///
/// # Errors
/// Why it cannot start.
pub fn run(
    settings: Vec<Settings>,
    sounds: Sounds,
    devices: Option<(Hook, Language)>,
    options: &Options,
    console: &mut Console,
) -> Result<(), Failure> {
    raise_file_limit();
    let (tell, happenings) = sync_channel(HAPPENINGS);
    let stop = tell.clone();
    signals::on_stop(move || drop(stop.try_send(Happening::Stop)))
        .map_err(|error| internal("cannot listen for Ctrl-C", &error))?;
    let lost = Arc::new(AtomicU64::new(0));
    let (events, count) = (tell.clone(), lost.clone());
    let sink = move |event: Event| {
        // Waits for nobody: calls go on while nobody reads.
        if events.try_send(Happening::Phone(event)).is_err() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let socket = match &options.control {
        Some(path) => Some(control::listen(path, tell.clone())?),
        None => None,
    };
    let phone = Phone::start_all(settings, Arc::new(sink)).map_err(|e| failure(&e))?;
    let mut control = Control::new(phone, sounds);
    if let Some((hook, language)) = devices {
        control.set_hook(hook, language);
    }
    control.set_expires(options.expires);
    if options.answer {
        let mut rules = control.rules().clone();
        rules.auto_answer = Some(Duration::ZERO);
        control.set_rules(rules);
    }
    if options.no_register {
        control.phone().keep_contact();
    } else {
        control.phone().register(options.expires);
    }
    let mut scripts = Scripts::default();
    scripts.begin(standard_input(&tell)?);
    let stays = options.answer || options.control.is_some();
    let mut desk = Headless {
        control,
        scripts,
        stays,
    };
    desk.work(&happenings, console);
    drop(socket);
    desk.control.into_phone().close(GRACE);
    while let Ok(happening) = happenings.try_recv() {
        if let Happening::Phone(event) = happening {
            console.event_later(&event);
        }
    }
    console.flush();
    let lost = lost.load(Ordering::Relaxed);
    if lost > 0 {
        eprintln!(
            "sori phone: {lost} events were lost because nobody read standard output fast enough"
        );
    }
    Ok(())
}

/// A phone with the scripts that drive it.
struct Headless {
    control: Control,
    scripts: Scripts,
    /// It goes on without scripts and calls.
    stays: bool,
}

impl Headless {
    fn work(&mut self, happenings: &Receiver<Happening>, console: &mut Console) {
        loop {
            if !self.scripts.go_on(&mut self.control, console) {
                return;
            }
            console.flush();
            if self.is_done() {
                return;
            }
            let mut next = match self.wait(happenings) {
                Ok(happening) => Some(happening),
                Err(RecvTimeoutError::Timeout) => None,
                // This program holds a sender as long as it lives.
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut taken = 0;
            while let Some(happening) = next.take() {
                if !self.react(happening, console) {
                    return;
                }
                taken += 1;
                if taken < BURST {
                    next = happenings.try_recv().ok();
                }
            }
            self.control.on_time(Instant::now());
        }
    }

    fn wait(&self, happenings: &Receiver<Happening>) -> Result<Happening, RecvTimeoutError> {
        let deadlines = [self.control.next_deadline(), self.scripts.next_deadline()];
        let wait = deadlines
            .into_iter()
            .flatten()
            .min()
            .map_or(Duration::from_secs(3600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
        happenings.recv_timeout(wait)
    }

    /// Reacts to one happening; `false` at the end.
    fn react(&mut self, happening: Happening, console: &mut Console) -> bool {
        match happening {
            Happening::Phone(event) => {
                console.event_later(&event);
                self.control.note(&event);
                self.scripts.note(&event, console);
            }
            Happening::Lines(script) => self.scripts.wake(script),
            Happening::Begin(script) => self.scripts.begin(*script),
            Happening::Stop => return false,
        }
        true
    }

    /// Nothing is left to do, and nothing will come.
    fn is_done(&self) -> bool {
        !self.stays && self.scripts.are_over() && self.control.state().calls.is_empty()
    }
}

/// Standard input as a script.
fn standard_input(tell: &SyncSender<Happening>) -> Result<Script, Failure> {
    let (lines, waiting) = sync_channel(LINES);
    let script = Script::new(0, waiting, None);
    let tell = tell.clone();
    if io::stdin().is_terminal() {
        eprintln!("commands are read from here; --help lists them, quit ends");
    }
    let read = move || read_lines(io::stdin().lock(), 0, lines, &tell);
    thread::Builder::new()
        .name("lines".to_owned())
        .spawn(read)
        .map_err(|error| internal("cannot read standard input", &error))?;
    Ok(script)
}

/// Hands lines over, and waits where they are not taken fast enough.
fn read_lines(
    mut from: impl io::BufRead,
    script: u64,
    lines: SyncSender<String>,
    tell: &SyncSender<Happening>,
) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            break;
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if lines.send(text).is_err() || tell.send(Happening::Lines(script)).is_err() {
            return;
        }
    }
    // The end of the channel is the end of the script: somebody has to look.
    drop(lines);
    let _ = tell.send(Happening::Lines(script));
}

/// Every call has two sockets: take as many open files as the system lets us have. Where it does not, calls above its limit
/// find no ports, and say so.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        );
    }
}

fn internal(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Internal, format!("{what}: {error}"), "")
}

//! `sori phone` on a terminal: what the screen needs of this program and its surroundings.

use std::env;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use net::{Direction, Tap};
use phone::book::Book;
use phone::control::{Control, Sounds};
use phone::device::{Choice, Hook, Role};
use phone::link::Link;
use phone::provision::Profile;
use phone::terminal::{self, Happening, Language, Logged, Look, Setup};
use phone::{Event, Phone, Settings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use sip::flow::Flow;

use crate::desk::{GRACE, failure};
use crate::devices::{self, Devices, locale};
use crate::exit::{Exit, Failure};
use crate::trace::readable;

/// Happenings that may wait for the screen; more are lost.
const WAITING: usize = 8192;

/// What the screen can be told on the command line.
#[derive(Debug, clap::Args)]
#[group(id = "screen")]
pub struct Options {
    /// Speak this language: en, ko [default: that of LC_ALL, LC_MESSAGES or LANG]
    #[arg(long, value_name = "LANGUAGE", value_parser = language)]
    pub language: Option<Language>,
    /// Ask whether to call this: a sip: or tel: link, as a desktop passes it on
    #[arg(value_name = "LINK", value_parser = link)]
    pub link: Option<Link>,
}

/// Runs the phone on this terminal until its owner quits.
///
/// # Errors
/// Why it cannot.
pub fn run(
    mut settings: Vec<Settings>,
    sounds: Sounds,
    devices: Option<(Hook, Devices)>,
    profile: Profile,
    options: Options,
) -> Result<(), Failure> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "standard input and output are no terminal",
            "start it in a terminal, or with --headless, which reads commands from standard input",
        ));
    }
    let (tell, happenings) = sync_channel(WAITING);
    let tap: Arc<dyn Tap> = Arc::new(Log(tell.clone()));
    for settings in &mut settings {
        settings.tap = Some(tap.clone());
    }
    let events = tell.clone();
    let events = move |event: Event| {
        // Waits for nobody: a screen that stands still must not stop calls.
        let _ = events.try_send(Happening::Phone(event));
    };
    let book = open_book()?;
    let phone = Phone::start_all(settings, Arc::new(events)).map_err(|e| failure(&e))?;
    watch_signals(tell.clone()).map_err(|error| internal("cannot listen for signals", &error))?;
    let mut control = Control::new(phone, sounds);
    let language = options.language.or_else(|| chosen_language(&book));
    let language = language.unwrap_or_else(|| devices::language(&profile));
    if let Some((mut hook, given)) = devices {
        prefer(&mut hook, &given, &book);
        control.set_hook(hook, language);
    }
    let control = show(control, (tell, happenings), book, language, options.link)?;
    control.into_phone().close(GRACE);
    Ok(())
}

fn show(
    control: Control,
    happenings: (SyncSender<Happening>, Receiver<Happening>),
    book: Book,
    language: Language,
    link: Option<Link>,
) -> Result<Control, Failure> {
    let accounts = control.phone().accounts();
    let domain = accounts.first().map_or("", |(_, name)| &name.domain);
    let link = link.map(|link| link.uri(domain));
    let charset = locale(&["LC_ALL", "LC_CTYPE", "LANG"]);
    let setup = Setup {
        language,
        look: Look {
            colour: env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            ascii: charset.as_deref().is_some_and(is_ascii),
        },
        control,
        happenings,
        suspend: Box::new(|| {
            // What cannot be stopped goes on.
            let _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
        }),
        recordings: book_folder(&book).join("recordings"),
        book,
        link: link
            .transpose()
            .map_err(|error| Failure::new(Exit::Usage, error.to_string(), ""))?,
    };
    terminal::run(setup).map_err(|error| internal("the terminal cannot be used", &error))
}

fn internal(what: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Internal, format!("{what}: {error}"), "")
}

/// The language that this person chose.
fn chosen_language(book: &Book) -> Option<Language> {
    Language::from_locale(&book.preferences().ok()?.language?)
}

/// The devices and volumes that this person chose; those of the command line go before them, those of the document do not.
fn prefer(hook: &mut Hook, given: &Devices, book: &Book) {
    let Ok(choices) = book.preferences() else {
        return;
    };
    let mut setup = hook.setup().clone();
    // A headset that lies in the office does not keep anybody from calling at home.
    let found = phone::device::devices().unwrap_or_default();
    let choose = |role, wanted: &mut Choice, given: &Option<Choice>, chosen: &Option<String>| {
        let is_there = |id: &String| found.iter().any(|d| d.role == role && d.id == *id);
        if let (None, true, Some(id)) = (given, wanted.is_system(), chosen)
            && is_there(id)
        {
            *wanted = Choice::Named(id.clone());
        }
    };
    choose(
        Role::Microphone,
        &mut setup.microphone,
        &given.microphone,
        &choices.microphone,
    );
    choose(
        Role::Speaker,
        &mut setup.speaker,
        &given.speaker,
        &choices.speaker,
    );
    setup.microphone_gain = f32::from(choices.microphone_volume) / 100.0;
    setup.speaker_gain = f32::from(choices.speaker_volume) / 100.0;
    hook.set_setup(setup);
    if let Some(name) = &choices.ringer {
        hook.set_ringer(Some(devices::named(name)));
    }
}

/// Whether a locale has no characters but ASCII's, or others than Unicode's.
fn is_ascii(locale: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    !(locale.contains("utf-8") || locale.contains("utf8"))
}

/// The phone's own file.
fn open_book() -> Result<Book, Failure> {
    let folder = crate::config::data_dir().map_err(|e| Failure::new(Exit::Usage, e, ""))?;
    Book::open(&folder).map_err(|error| Failure::new(Exit::Internal, error.to_string(), ""))
}

fn book_folder(book: &Book) -> PathBuf {
    book.path().parent().map(Path::to_owned).unwrap_or_default()
}

/// A link that can do no harm.
fn link(text: &str) -> Result<Link, String> {
    phone::link::parse(text).map_err(|error| error.to_string())
}

fn language(text: &str) -> Result<Language, String> {
    Language::from_locale(text).ok_or_else(|| "languages are en and ko".to_owned())
}

/// Signals become happenings, so that the terminal is given back before they take effect; the second to end ends at once.
fn watch_signals(tell: SyncSender<Happening>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP])?;
    let watch = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            if signal == SIGTSTP {
                let _ = tell.try_send(Happening::Suspend);
            } else if stopping {
                terminal::give_back();
                std::process::exit(i32::from(Exit::Interrupted as u8));
            } else {
                stopping = true;
                let _ = tell.try_send(Happening::Stop);
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(watch)
        .map(drop)
}

/// Messages for the pane that shows them.
struct Log(SyncSender<Happening>);

impl Tap for Log {
    fn packet(&self, direction: Direction, flow: &Flow, bytes: &[u8]) {
        // What keeps an address translator open is no message (RFC 5626 §4.4).
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let logged = Logged {
            at: now.unwrap_or_default(),
            is_incoming: direction == Direction::In,
            remote: format!("{} {}", flow.transport.param(), flow.remote),
            text: readable(bytes),
        };
        let _ = self.0.try_send(Happening::Logged(logged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_without_unicode_get_plain_signs() {
        assert!(is_ascii("C") && is_ascii("POSIX") && is_ascii("ko_KR.EUC-KR"));
        assert!(!is_ascii("C.UTF-8") && !is_ascii("ko_KR.utf8"));
        assert_eq!(language("ko"), Ok(Language::Korean));
        assert!(language("xx").is_err());
    }
}

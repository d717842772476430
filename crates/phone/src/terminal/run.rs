//! The phone and the terminal brought together: what happens becomes inputs, what the screen wants becomes commands.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::keys::Pane;
use super::look::Look;
use super::model::{Effect, Input, Model, Notice, Order, bare};
use super::orders;
use super::present::{Presenter, services};
use super::records::Records;
use super::scene::Logged;
use super::screen::{self, Screen};
use super::sound::Seen;
use super::texts::Language;
use super::update;
use crate::address::Name;
use crate::book::Book;
use crate::control::{Command, Control};
use crate::event::{CallNumber, Event};

/// How often the screen moves while somebody is on the line: levels, time, the sign that it rings.
const LIVELY: Duration = Duration::from_millis(250);
/// How often it moves otherwise.
const QUIET: Duration = Duration::from_secs(1);
/// Happenings taken in before the screen is drawn.
const BATCH: usize = 256;

/// Something that the owner of the phone passes on.
#[derive(Debug)]
pub enum Happening {
    /// The phone tells something.
    Phone(Event),
    /// A key, or another size.
    Terminal(Input),
    /// A SIP message went by, secrets masked.
    Logged(Logged),
    /// The program should stop until it is continued (SIGTSTP).
    Suspend,
    /// The program should end.
    Stop,
}

/// What the phone on a terminal is started with.
pub struct Setup {
    /// The language of the screen.
    pub language: Language,
    /// How it may look.
    pub look: Look,
    /// The phone.
    pub control: Control,
    /// Where what happens comes from, and how it gets there.
    pub happenings: (SyncSender<Happening>, Receiver<Happening>),
    /// Stops this program until it is continued.
    pub suspend: Box<dyn Fn()>,
    /// Where contacts, calls and texts are kept.
    pub book: Book,
    /// Whom a link asks to call.
    pub link: Option<String>,
    /// The folder of recordings.
    pub recordings: PathBuf,
}

/// Runs until its owner quits, and gives the phone back, still running.
///
/// # Errors
/// When there is no terminal, or it is gone.
pub fn run(setup: Setup) -> io::Result<Control> {
    let mut screen = Screen::open()?;
    let (columns, rows) = screen.size()?;
    let mut model = Model::new(setup.language, columns, rows);
    model.look = setup.look;
    let (tell, happenings) = setup.happenings;
    listen(tell)?;
    let records = Records::open(setup.book).map_err(io::Error::other)?;
    let mut desk = Desk {
        presenter: Presenter::new(epoch()),
        records,
        control: setup.control,
        handled: HashSet::new(),
        recordings: setup.recordings,
        told: Vec::new(),
        seen: Seen::default(),
    };
    desk.begin();
    let mut effects = Vec::new();
    desk.refresh(&mut model, &mut effects);
    if let Some(target) = setup.link {
        effects.extend(update(&mut model, Input::Link(target)));
    }
    loop {
        if !perform(&mut desk, &mut model, &mut screen, effects, &setup.suspend)? {
            break;
        }
        screen.draw(&model)?;
        effects = Vec::new();
        if !take_in(&mut desk, &mut model, &happenings, &mut effects) || !screen.is_ours() {
            break;
        }
        desk.refresh(&mut model, &mut effects);
    }
    Ok(desk.control)
}

/// Carries effects out, also those that come of them; `false` when the program is to end.
fn perform(
    desk: &mut Desk,
    model: &mut Model,
    screen: &mut Screen,
    effects: Vec<Effect>,
    suspend: &dyn Fn(),
) -> io::Result<bool> {
    for effect in effects {
        match effect {
            Effect::Order(order) => desk.obey(order, model),
            Effect::Bell => screen.bell()?,
            Effect::Redraw => screen.redraw()?,
            Effect::Suspend => {
                screen.aside(suspend)?;
                let (columns, rows) = screen.size()?;
                update(model, Input::Size { columns, rows });
            }
            Effect::Quit => return Ok(false),
        }
    }
    let mut more = Vec::new();
    desk.refresh(model, &mut more);
    // What an order changed at once can only ring or be read.
    for effect in more {
        match effect {
            Effect::Order(order) => desk.obey(order, model),
            Effect::Bell => screen.bell()?,
            _ => {}
        }
    }
    Ok(true)
}

/// Waits for what happens next and takes in all that has happened; `false` when the program is to end.
fn take_in(
    desk: &mut Desk,
    model: &mut Model,
    happenings: &Receiver<Happening>,
    effects: &mut Vec<Effect>,
) -> bool {
    let pace = if model.is_lively() { LIVELY } else { QUIET };
    let now = Instant::now();
    let due = desk.control.next_deadline();
    let wait = due.map_or(pace, |at| at.saturating_duration_since(now).min(pace));
    let mut next = match happenings.recv_timeout(wait) {
        Ok(happening) => Some(happening),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => return false,
    };
    let mut taken = 0;
    while let Some(happening) = next {
        match happening {
            Happening::Phone(event) => desk.happened(&event, model.language),
            Happening::Terminal(input) => effects.extend(update(model, input)),
            Happening::Logged(message) => effects.extend(update(model, Input::Logged(message))),
            Happening::Suspend => effects.push(Effect::Suspend),
            Happening::Stop => return false,
        }
        taken += 1;
        next = (taken < BATCH)
            .then(|| happenings.try_recv().ok())
            .flatten();
    }
    desk.control.on_time(Instant::now());
    true
}

/// Reads the terminal on a thread of its own, which ends with the program.
fn listen(tell: SyncSender<Happening>) -> io::Result<()> {
    let read = move || {
        while let Ok(event) = ratatui::crossterm::event::read() {
            for input in screen::inputs(event) {
                if tell.send(Happening::Terminal(input)).is_err() {
                    return;
                }
            }
        }
        // The terminal is gone.
        let _ = tell.send(Happening::Stop);
    };
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(read)
        .map(drop)
}

/// Now, since 1970.
pub(super) fn epoch() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
}

/// How far local time is east of UTC now, in seconds.
fn east() -> i32 {
    chrono::Local::now().offset().local_minus_utc()
}

/// The phone with all that is known beside it.
pub(super) struct Desk {
    pub control: Control,
    pub presenter: Presenter,
    pub records: Records,
    /// Calls that came and were decided on by hand or by rule: nobody missed them.
    pub handled: HashSet<CallNumber>,
    pub recordings: PathBuf,
    /// What is to be said next.
    pub told: Vec<Notice>,
    pub seen: Seen,
}

impl Desk {
    fn begin(&mut self) {
        let mut rules = self.control.rules().clone();
        rules.one_at_a_time = true;
        match self.records.book.preferences() {
            Ok(choices) => {
                rules.do_not_disturb = choices.do_not_disturb;
                rules.call_waiting = !choices.no_call_waiting;
                rules.always = choices.forward.always;
                rules.busy = choices.forward.busy;
                rules.no_answer = choices.forward.no_answer;
            }
            Err(error) => self.tell(error.to_string(), true),
        }
        self.control.set_rules(rules);
        self.control.phone().watch(true);
        self.look();
        for account in &self.control.state().accounts {
            self.presenter.registering(account.number.as_u32());
        }
        if let Err(refusal) = self.control.execute(&Command::Register { account: None }) {
            self.tell(refusal.to_string(), true);
        }
    }

    /// Gives the model everything as it is now.
    fn refresh(&mut self, model: &mut Model, effects: &mut Vec<Effect>) {
        self.look_again();
        let state = self.control.state();
        let mut inputs = vec![
            Input::Clock(epoch(), east()),
            Input::Accounts(self.presenter.accounts(state)),
            Input::Calls(self.presenter.calls(state)),
            Input::Services(services(self.control.rules())),
            Input::Devices(self.devices(model.language)),
        ];
        if std::mem::take(&mut self.records.changed) {
            inputs.extend([
                Input::Contacts(self.records.contacts.clone()),
                Input::History(self.records.history.clone()),
                Input::Conversations(self.records.conversations.clone()),
            ]);
        }
        inputs.extend(self.told.drain(..).map(Input::Told));
        for input in inputs {
            effects.extend(update(model, input));
        }
    }

    pub(super) fn tell(&mut self, text: String, is_error: bool) {
        self.told.push(Notice { text, is_error });
    }

    /// Does what the screen wants, and says so when it cannot be done.
    fn obey(&mut self, order: Order, model: &Model) {
        if let Err(why) = orders::obey(self, order, model) {
            self.tell(why, true);
        }
    }

    /// The account that calls go out from.
    fn default_account(&self) -> Option<&Name> {
        let accounts = &self.control.state().accounts;
        let default = accounts
            .iter()
            .find(|a| a.number.as_u32() == self.presenter.default);
        default.or(accounts.first()).map(|a| &a.name)
    }

    /// Its address.
    pub(super) fn account_name(&self) -> String {
        let name = self.default_account();
        name.map_or(String::new(), ToString::to_string)
    }

    /// The domain that numbers and names without one belong to.
    pub(super) fn domain(&self) -> &str {
        self.default_account().map_or("", |name| &name.domain)
    }

    /// The address that a person means: with the domain of the account where none is written.
    pub(super) fn whole(&self, address: &str) -> String {
        match crate::address::target(address, self.domain()) {
            Ok(uri) => bare(&uri).to_owned(),
            Err(_) => address.to_owned(),
        }
    }
}

impl Model {
    /// Whether something moves on the screen all the time.
    fn is_lively(&self) -> bool {
        !self.calls.is_empty() || (self.pane == Pane::Settings && self.devices.are_used)
    }
}

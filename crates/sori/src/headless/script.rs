//! Scripts: lines that are carried out one after the other, and may wait.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Instant;

use phone::control::{CallPhase, Command, Control, Outcome, Refusal, Registration};
use phone::device::Hook;
use phone::{CallNumber, Event};

use super::lists;
use crate::console::Console;
use crate::json::Object;
use crate::report;

/// Lines that one script carries out before the others have their turn.
const TURN: usize = 64;

/// Lines of one origin.
pub struct Script {
    id: u64,
    lines: Receiver<String>,
    /// Where what happens is told, for those that are not standard input.
    answers: Option<SyncSender<String>>,
    blocked: Option<Blocked>,
    /// It may have lines.
    awake: bool,
    over: bool,
}

/// What a script waits for.
struct Blocked {
    until: Instant,
    /// The event, and the line that waits for it; `None` while it only sleeps.
    event: Option<(String, Option<CallNumber>, String)>,
}

impl Script {
    /// A script whose lines come from a reader.
    pub fn new(id: u64, lines: Receiver<String>, answers: Option<SyncSender<String>>) -> Script {
        Script {
            id,
            lines,
            answers,
            blocked: None,
            awake: true,
            over: false,
        }
    }
}

/// All scripts.
#[derive(Default)]
pub struct Scripts {
    scripts: BTreeMap<u64, Script>,
}

impl Scripts {
    /// Another script begins.
    pub fn begin(&mut self, script: Script) {
        self.scripts.insert(script.id, script);
    }

    /// A script has lines.
    pub fn wake(&mut self, id: u64) {
        if let Some(script) = self.scripts.get_mut(&id) {
            script.awake = true;
        }
    }

    /// Whether no line will come any more.
    pub fn are_over(&self) -> bool {
        self.scripts.values().all(|script| script.over)
    }

    /// When a script goes on at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let blocked = self.scripts.values().filter_map(|s| s.blocked.as_ref());
        blocked.map(|b| b.until).min()
    }

    /// Takes in what happened: scripts that wait for it go on, connections are told.
    pub fn note(&mut self, event: &Event, console: &mut Console) {
        let connections = self.scripts.values().any(|s| s.answers.is_some());
        let waiting = self.scripts.values().any(|s| s.blocked.is_some());
        if !connections && !waiting {
            return;
        }
        let object = console.object(event);
        let name = object.first_text().to_owned();
        let line = object.line();
        for script in self.scripts.values_mut() {
            script.compare(event, &name, console);
            if let Some(answers) = &script.answers
                && answers.try_send(line.clone()).is_err()
            {
                // Whoever does not read is not waited for.
                script.over = true;
            }
        }
        self.scripts
            .retain(|_, script| !(script.over && script.answers.is_some()));
    }

    /// Carries out what can be carried out now; `false` when one of them wants the phone to end.
    pub fn go_on(&mut self, control: &mut Control, console: &mut Console) -> bool {
        let now = Instant::now();
        for script in self.scripts.values_mut() {
            if !script.go_on(now, control, console) {
                return false;
            }
        }
        self.scripts
            .retain(|_, script| !(script.over && script.answers.is_some()));
        true
    }
}

impl Script {
    /// Goes on when this is what it waits for, or when that cannot come any more.
    fn compare(&mut self, event: &Event, name: &str, console: &mut Console) {
        let is_it = |awaited: &(String, Option<CallNumber>, String)| {
            awaited.0 == name && (awaited.1.is_none() || awaited.1 == event.call())
        };
        let is_over = |awaited: &(String, Option<CallNumber>, String)| matches!(event, Event::Ended { call, .. } if awaited.1 == Some(*call));
        let Some(awaited) = self.blocked.as_mut().and_then(|b| b.event.as_mut()) else {
            return;
        };
        if is_it(awaited) {
            self.blocked = None;
            self.awake = true;
        } else if is_over(awaited) {
            let refusal = Refusal {
                code: None,
                what: format!("the call has ended, and '{}' did not come", awaited.0),
                command: std::mem::take(&mut awaited.2),
                advice: String::new(),
            };
            self.blocked = None;
            self.awake = true;
            self.refused(&refusal, console);
        }
    }

    fn go_on(&mut self, now: Instant, control: &mut Control, console: &mut Console) -> bool {
        if let Some(blocked) = self.blocked.take_if(|b| b.until <= now) {
            self.awake = true;
            if let Some((event, _, line)) = blocked.event {
                let what = format!("no event '{event}' came in time");
                let refusal = Refusal {
                    code: None,
                    command: line,
                    what,
                    advice: "events and their names are listed by --help".to_owned(),
                };
                self.refused(&refusal, console);
            }
        }
        // A line may change what the next one rests on: it waits until the phone has told what came of it, if it has to.
        for _ in 0..TURN {
            if !self.awake || self.blocked.is_some() || self.over {
                return true;
            }
            let line = match self.lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Empty) => {
                    self.awake = false;
                    return true;
                }
                Err(TryRecvError::Disconnected) => {
                    self.over = true;
                    return true;
                }
            };
            if !self.execute(line, control, console) {
                return false;
            }
        }
        true
    }

    fn execute(&mut self, line: String, control: &mut Control, console: &mut Console) -> bool {
        let outcome = line
            .parse::<Command>()
            .and_then(|command| control.execute(&command));
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => {
                self.refused(&refusal, console);
                return true;
            }
        };
        let done = || report::named("done").text("command", &line);
        match outcome {
            Outcome::Done => self.answer(done),
            Outcome::Call(call) => self.answer(|| done().number("call", call.as_u64())),
            Outcome::Calls => lists::calls(control, &mut |object, text| {
                self.tell(object, &text, console);
            }),
            Outcome::Accounts => lists::accounts(control, &mut |object, text| {
                self.tell(object, &text, console);
            }),
            Outcome::Status => lists::status(control, &mut |object, text| {
                self.tell(object, &text, console);
            }),
            Outcome::Devices => {
                let found = control.hook_mut().map(Hook::look).unwrap_or_default();
                if let Some(hook) = control.hook() {
                    lists::devices(&found, hook, &mut |object, text| {
                        self.tell(object, &text, console);
                    });
                }
                self.answer(done);
            }
            Outcome::Sleep(time) => {
                self.blocked = Instant::now()
                    .checked_add(time)
                    .map(|until| Blocked { until, event: None });
            }
            Outcome::Wait {
                event,
                call,
                patience,
            } => {
                if is_so(control, &event, call) {
                    return true;
                }
                self.blocked = Instant::now().checked_add(patience).map(|until| Blocked {
                    until,
                    event: Some((event, call, line)),
                });
            }
            Outcome::Quit => return false,
        }
        true
    }

    fn refused(&self, refusal: &Refusal, console: &mut Console) {
        let object = report::refusal(refusal);
        self.tell(object, &refusal.to_string(), console);
    }

    /// Tells whoever wrote the line.
    fn tell(&self, object: Object, text: &str, console: &mut Console) {
        match &self.answers {
            // Whoever does not read is not waited for.
            Some(answers) => drop(answers.try_send(object.line())),
            None => console.tell(object, text),
        }
    }

    /// Tells a connection that its line is carried out; standard input reads it from the events.
    fn answer(&self, object: impl FnOnce() -> Object) {
        if let Some(answers) = &self.answers {
            let _ = answers.try_send(object().line());
        }
    }
}

/// Whether what is waited for has come about already and lasts: nobody can write faster than a phone answers.
fn is_so(control: &Control, event: &str, call: Option<CallNumber>) -> bool {
    let state = control.state();
    match (event, call) {
        ("established", Some(call)) => {
            let call = state.calls.get(&call);
            call.is_some_and(|c| c.phase == CallPhase::Established)
        }
        ("registered", None) => {
            let stands = |r: &Registration| matches!(r, Registration::Registered { .. });
            state.accounts.iter().any(|a| stands(&a.registration))
        }
        _ => false,
    }
}

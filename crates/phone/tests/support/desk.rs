//! A phone driven by commands.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use phone::control::{CallState, Control, Outcome, Refusal, Sounds};
use phone::{CallNumber, Event, Phone, Settings, Sound};

use super::{PATIENCE, settings};

/// A phone with its control layer and its events.
pub struct Desk {
    pub control: Control,
    events: Receiver<Event>,
    name: String,
    passed_over: Vec<Event>,
}

/// A phone that says nothing and sends straight to whom it calls.
pub fn desk(name: &str) -> Desk {
    desk_with(name, Box::new(|| Ok(Sound::default())))
}

/// The same with another sound.
pub fn desk_with(name: &str, sounds: Sounds) -> Desk {
    let (tell, events) = channel();
    let settings = Settings {
        direct: Some("127.0.0.1".to_owned()),
        ..settings(name)
    };
    let tell = move |event| {
        let _ = tell.send(event);
    };
    let phone = Phone::start(settings, Arc::new(tell)).unwrap();
    Desk {
        control: Control::new(phone, sounds),
        events,
        name: name.to_owned(),
        passed_over: Vec::new(),
    }
}

impl Desk {
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.control.phone().address())
    }

    /// Carries out a line.
    pub fn run(&mut self, line: &str) -> Outcome {
        let command = line.parse().unwrap();
        self.control.execute(&command).unwrap()
    }

    /// Carries out a line that is refused.
    pub fn refused(&mut self, line: &str) -> Refusal {
        let command = line.parse().unwrap();
        self.control.execute(&command).unwrap_err()
    }

    pub fn dial(&mut self, whom: &Desk) -> CallNumber {
        match self.run(&format!("dial {}", whom.uri(&whom.name))) {
            Outcome::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the first event that `wanted` makes something of; all are taken in.
    pub fn until<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => {
                    self.control.note(&event);
                    match wanted(&event) {
                        Some(found) => return found,
                        None => self.passed_over.push(event),
                    }
                }
                Err(error) => {
                    panic!(
                        "{}: no {what} ({error}), but {:#?}",
                        self.name, self.passed_over
                    )
                }
            }
        }
    }

    /// As [`Self::until`], and what was passed over counts too: threads tell of the same call in either order.
    pub fn told<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        for index in 0..self.passed_over.len() {
            if let Some(found) = wanted(&self.passed_over[index]) {
                self.passed_over.remove(index);
                return found;
            }
        }
        self.until(what, wanted)
    }

    /// Waits for a call to come in; the rules decide what becomes of it.
    pub fn incoming(&mut self) -> CallNumber {
        self.until("call", |event| match event {
            Event::Incoming { call, .. } => Some(*call),
            _ => None,
        })
    }

    /// The same, where its number does not matter.
    pub fn settle_incoming(&mut self) {
        self.incoming();
    }

    pub fn call(&self, call: CallNumber) -> &CallState {
        &self.control.state().calls[&call]
    }
}

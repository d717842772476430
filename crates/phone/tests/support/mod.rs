//! Phones on the loopback address, and what they tell.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses its part")]

pub mod desk;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use phone::{CallNumber, Cause, Event, Phone, Settings, Sound, Statistics};

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A phone with its events.
pub struct Side {
    pub phone: Phone,
    pub events: Receiver<Event>,
    passed_over: RefCell<Vec<Event>>,
}

/// How a call ended.
#[derive(Debug)]
pub struct End {
    pub cause: Cause,
    pub talked: Option<Duration>,
    pub statistics: Option<Box<Statistics>>,
}

/// A phone that sends straight to whom it calls.
pub fn direct(user: &str) -> Side {
    start(Settings {
        direct: Some("127.0.0.1".to_owned()),
        ..settings(user)
    })
}

pub fn settings(user: &str) -> Settings {
    Settings::new(format!("{user}@example.org").parse().unwrap())
}

pub fn start(settings: Settings) -> Side {
    let (tell, events) = channel();
    let phone = Phone::start(
        settings,
        Arc::new(move |event| {
            let _ = tell.send(event);
        }),
    )
    .unwrap();
    Side {
        phone,
        events,
        passed_over: RefCell::default(),
    }
}

impl Side {
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.phone.address())
    }

    /// Waits for the first event that `wanted` makes something of; others are passed over.
    pub fn wait<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut passed_over = self.passed_over.borrow_mut();
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) => match wanted(&event) {
                    Some(found) => return found,
                    None => passed_over.push(event),
                },
                Err(error) => panic!("no {what} ({error}), but {passed_over:#?}"),
            }
        }
    }

    /// As [`Self::wait`], and what was passed over counts too: media and signalling tell of the same
    /// call from threads of their own, in either order.
    pub fn told<T>(&self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let mut passed_over = self.passed_over.borrow_mut();
        for index in 0..passed_over.len() {
            if let Some(found) = wanted(&passed_over[index]) {
                passed_over.remove(index);
                return found;
            }
        }
        drop(passed_over);
        self.wait(what, wanted)
    }

    pub fn incoming(&self) -> CallNumber {
        self.wait("call", |event| match event {
            Event::Incoming { call, .. } => Some(*call),
            _ => None,
        })
    }

    pub fn established(&self) -> phone::Agreed {
        self.wait("answered call", |event| match event {
            Event::Established { agreed, .. } => Some(agreed.clone().expect("sound was agreed on")),
            Event::Ended { cause, .. } => panic!("the call ended: {cause}"),
            _ => None,
        })
    }

    pub fn ringing(&self) {
        self.wait("ringing", |event| {
            matches!(event, Event::Progress { status: 180, .. }).then_some(())
        });
    }

    pub fn ended(&self) -> End {
        self.wait("end", |event| match event {
            Event::Ended {
                cause,
                talked,
                statistics,
                ..
            } => Some(End {
                cause: cause.clone(),
                talked: *talked,
                statistics: statistics.clone(),
            }),
            _ => None,
        })
    }

    pub fn key(&self) -> (char, Duration) {
        self.told("key", |event| match event {
            Event::Dtmf {
                digit, duration, ..
            } => Some((*digit, *duration)),
            _ => None,
        })
    }
}

/// Both sides in a call: the caller's number and the callee's.
pub fn connect(
    caller: &Side,
    callee: &Side,
    says: Sound,
    answers: Sound,
) -> (CallNumber, CallNumber) {
    let (out, call, _) = connected(caller, callee, says, answers);
    (out, call)
}

/// The caller's number, and what caller and callee agreed on.
pub fn connect_agreed(
    caller: &Side,
    callee: &Side,
    says: Sound,
    answers: Sound,
) -> (CallNumber, [phone::Agreed; 2]) {
    let (out, _, agreed) = connected(caller, callee, says, answers);
    (out, agreed)
}

fn connected(
    caller: &Side,
    callee: &Side,
    says: Sound,
    answers: Sound,
) -> (CallNumber, CallNumber, [phone::Agreed; 2]) {
    let out = caller.phone.call(&callee.uri("bob"), says).unwrap();
    let call = callee.incoming();
    callee.phone.ring(call);
    caller.ringing();
    callee.phone.answer(call, answers).unwrap();
    let agreed = [caller.established(), callee.established()];
    (out, call, agreed)
}

pub fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("sori-phone-{}-{name}.wav", std::process::id()))
}

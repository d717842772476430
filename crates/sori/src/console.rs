//! Tells what happens: JSON lines on standard output, or progress on standard error.

use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use phone::device::{DeviceChange, Levels};
use phone::provision::{Fetched, Origin};
use phone::readiness::Report;
use phone::{Agreed, Event, Security, Statistics};

use crate::exit::{Exit, Failure};
use crate::json::Object;
use crate::report;

/// Where things are told.
pub struct Console {
    command: &'static str,
    accounts: Vec<String>,
    json: bool,
    /// Standard error is a terminal, on which a line can be written over.
    live: bool,
    /// Such a line stands there now.
    open: bool,
    /// What leaves with the next flush.
    waiting: String,
}

/// What waits no longer for others to leave with, in octets.
const LONG: usize = 32 * 1024;

impl Console {
    /// A console of the command `sori COMMAND`.
    pub fn new(command: &'static str, json: bool) -> Console {
        Console {
            command,
            accounts: Vec::new(),
            json,
            live: !json && std::io::stderr().is_terminal(),
            open: false,
            waiting: String::new(),
        }
    }

    /// Whose phone it is that is told of; the next account where it has several.
    pub fn is_for(&mut self, account: &str) {
        self.accounts.push(account.to_owned());
    }

    /// Settings have been taken from a document.
    pub fn provisioned(&mut self, url: &str, fetched: &Fetched) {
        if self.json {
            print(&report::provisioned(url, fetched).line());
        }
        self.say(&match &fetched.origin {
            Origin::Server | Origin::Unchanged => format!("settings from {url}"),
            Origin::Cache { because } => {
                format!("{because}\nusing settings of {}", report::day(fetched.date))
            }
        });
        for warning in &fetched.warnings {
            self.say(&format!("settings: {warning}"));
        }
    }

    /// Microphone and speaker work.
    pub fn ready(&mut self, report: &Report) {
        if self.json {
            print(&report::ready(report).line());
        }
        self.say(&format!(
            "microphone: {}, speaker: {}",
            report.microphone, report.speaker
        ));
    }

    /// How loud it is, in place of the line before.
    pub fn level(&mut self, levels: Levels) {
        if self.json {
            print(&report::level(levels).line());
        } else if self.live {
            let (rms, peak) = (levels.microphone.rms_db(), levels.microphone.peak_db());
            eprint!("\r{} {rms:4.0} dB ", meter(rms, peak));
            self.open = true;
        }
    }

    /// The call is over and the program stays a while, so that it can be read why.
    pub fn closing(&mut self, pause: Duration, why: Option<&str>) {
        if self.json {
            let object = report::named("closing").decimal("after_s", pause.as_secs_f64());
            print(&object.line());
        }
        let why = why.map(|why| format!("{why}; ")).unwrap_or_default();
        self.say(&format!("{why}closing in {} s", pause.as_secs_f64()));
    }

    /// Whether [`Console::talking`] shows anything.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// How long the call has stood.
    pub fn talking(&mut self, since: Duration) {
        if self.live {
            eprint!("\rtalking {} ", clock(since));
            self.open = true;
        }
    }

    /// An event as an object.
    pub fn object(&self, event: &Event) -> Object {
        report::event(event, &self.accounts)
    }

    /// An object for programs, a text for persons. It leaves with [`Console::flush`].
    pub fn tell(&mut self, object: Object, text: &str) {
        if self.json {
            self.waiting.push_str(&object.line());
        } else {
            self.waiting.push_str(&harmless(text));
            self.waiting.push('\n');
        }
        self.flush_if_long();
    }

    /// Tells an event with others: it leaves with [`Console::flush`].
    pub fn event_later(&mut self, event: &Event) {
        if self.json {
            let line = self.object(event).line();
            self.waiting.push_str(&line);
        } else if let Some(text) = text(event) {
            let call = event.call().map(|c| format!("#{c} ")).unwrap_or_default();
            self.waiting.push_str(&harmless(&format!("{call}{text}\n")));
        }
        self.flush_if_long();
    }

    fn flush_if_long(&mut self) {
        if self.waiting.len() > LONG {
            self.flush();
        }
    }

    /// Lets everything told so far leave.
    pub fn flush(&mut self) {
        if !self.waiting.is_empty() {
            print(&self.waiting);
            self.waiting.clear();
        }
    }

    /// Tells an event.
    pub fn event(&mut self, event: &Event) {
        if self.json {
            print(&report::event(event, &self.accounts).line());
        } else if let Some(text) = text(event)
            && !self.is_failure_of_command(event)
        {
            self.say(&text);
        }
    }

    /// What [`Console::failure`] says in a moment.
    fn is_failure_of_command(&self, event: &Event) -> bool {
        match event {
            Event::Ended { talked: None, .. } => self.command == "call",
            Event::RegistrationFailed { .. } => self.command == "register",
            _ => false,
        }
    }

    /// Answers to OPTIONS are what the command is for, and go to standard output.
    pub fn result(&mut self, text: &str) {
        if !self.json {
            print(&format!("{}\n", harmless(text)));
        }
    }

    /// Tells why the command fails; yields its exit.
    pub fn failure(&mut self, failure: &Failure) -> Exit {
        if self.json {
            print(&report::failure(failure).line());
        }
        self.end_line();
        eprintln!("sori {}: {}", self.command, harmless(&failure.message));
        if !failure.advice.is_empty() {
            eprintln!("  {}", failure.advice);
        }
        failure.exit
    }

    /// No line is written over any more.
    pub fn end(&mut self) {
        self.end_line();
    }

    fn say(&mut self, text: &str) {
        if !self.json {
            self.end_line();
            eprintln!("{}", harmless(text));
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.open) {
            eprintln!();
        }
    }
}

/// Lines leave whole and at once; nobody reads them when standard output is closed.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Text from the network without what a terminal would obey.
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\n' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// An event for a person; `None` for what only programs want to know.
fn text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Registered {
            expires, contact, ..
        } => {
            format!("registered as {contact} for {expires} s")
        }
        Event::RegistrationFailed {
            cause, retry_in, ..
        } => {
            let again = retry_in.map(|d| format!("; trying again in {} s", d.as_secs()));
            format!("not registered: {cause}{}", again.unwrap_or_default())
        }
        Event::Unregistered { .. } => "unregistered".to_owned(),
        Event::Incoming { from, .. } => format!("call from {from}"),
        Event::Progress { status: 180, .. } => "ringing".to_owned(),
        Event::Progress { status, reason, .. } => format!("{status} {reason}"),
        Event::EarlyMedia { .. } => "sound before the answer".to_owned(),
        Event::Established { peer, agreed, .. } => {
            format!(
                "talking with {peer}{}",
                agreed.as_ref().map(path).unwrap_or_default()
            )
        }
        Event::MediaChanged { agreed, .. } => match (agreed.sends, agreed.receives) {
            (true, true) => format!("sound flows both ways{}", path(agreed)),
            (false, _) => "on hold".to_owned(),
            (true, false) => "the other side only listens".to_owned(),
        },
        Event::PathFound { remote, kind, .. } => format!("sound goes to {remote} ({kind})"),
        Event::Secured { suite, .. } => format!("encrypted with {suite}"),
        Event::Notice { message, .. } => message.clone(),
        Event::Dtmf { digit, .. } => format!("key {digit}"),
        Event::Silent {
            heard_before: false,
            ..
        } => "no sound has come yet: perhaps a firewall or an address translator lets none through"
            .to_owned(),
        Event::Silent { .. } => "no sound comes any more".to_owned(),
        Event::Heard { .. } => "sound comes again".to_owned(),
        Event::SoundTrouble { message, .. } => message.clone(),
        Event::Message { from, body, .. } => {
            format!("message from {from}: {}", String::from_utf8_lossy(body))
        }
        Event::Ended {
            cause,
            talked: Some(talked),
            statistics,
            ..
        } => {
            let numbers = statistics.as_deref().map(numbers).unwrap_or_default();
            format!("{cause} after {}{numbers}", clock(*talked))
        }
        Event::Ended {
            cause,
            talked: None,
            ..
        } => cause.to_string(),
        other => return of_services(other),
    })
}

/// Hold, transfer and their like, for a person.
fn of_services(event: &Event) -> Option<String> {
    Some(match event {
        Event::Calling { target, .. } => format!("calling {target}"),
        Event::ChangeRefused { what, cause, .. } => format!("{what} was refused: {cause}"),
        Event::TransferRequested { target, .. } => {
            format!("the other side asks us to call {target}")
        }
        Event::Transferring { status, reason, .. } => format!("transfer: {status} {reason}"),
        Event::Transferred { failure: None, .. } => "transferred".to_owned(),
        Event::Transferred {
            failure: Some(cause),
            ..
        } => format!("not transferred: {cause}"),
        Event::Replaced { call, by } => format!("call {by} takes the place of call {call}"),
        Event::Diverted { target, .. } => format!("sent on to {target}"),
        Event::Redirected { target, .. } => format!("sent on by the other side to {target}"),
        Event::Device { role, change, name } => match change {
            DeviceChange::Lost => format!("{role} {name} is gone, and there is no other"),
            DeviceChange::Replaced => format!("{role} is gone; using {name}"),
            DeviceChange::Back => format!("{role} {name} is back"),
            DeviceChange::Chosen => format!("{role}: {name}"),
        },
        Event::Muted { muted: true } => "muted".to_owned(),
        Event::Muted { muted: false } => "no longer muted".to_owned(),
        Event::Recording { file, .. } => match file {
            Some(file) => format!("recording to {}", file.display()),
            None => "recording ended".to_owned(),
        },
        Event::Playing { file, .. } => match file {
            Some(file) => format!("playing {}", file.display()),
            None => "playing ended".to_owned(),
        },
        Event::Conference { call, joined } => {
            let how = if *joined { "in" } else { "out of" };
            format!("call {call} is {how} the conference")
        }
        Event::Info { content_type, .. } => format!("INFO with {content_type}"),
        Event::MessagesWaiting { new, old, .. } => {
            format!("voice mail: {new} new, {old} old")
        }
        Event::Notified {
            package, target, ..
        } => format!("news of {target} ({package})"),
        Event::SubscriptionEnded {
            package,
            target,
            reason,
            ..
        } => format!("no more news of {target} ({package}): {reason}"),
        // Sound that changes says the same as hold; programs alone want the rest.
        _ => return None,
    })
}

fn path(agreed: &Agreed) -> String {
    let locked = if agreed.security == Security::None {
        ""
    } else {
        "encrypted, "
    };
    match agreed.remote {
        Some(remote) => format!(" ({}, {locked}{} ⇄ {remote})", agreed.codec, agreed.local),
        None => format!(" ({}, {locked}{})", agreed.codec, agreed.local),
    }
}

fn numbers(statistics: &Statistics) -> String {
    format!(
        ": {} packets sent, {} received, {} lost, jitter {:.1} ms",
        statistics.packets_sent,
        statistics.packets_received,
        statistics.packets_lost,
        report::ms(statistics.jitter)
    )
}

/// A bar from -60 dB to 0, with a mark at the peak.
fn meter(rms: f32, peak: f32) -> String {
    const COLUMNS: usize = 40;
    let column =
        |db: f32| ((db + 60.0) / 60.0 * COLUMNS as f32).clamp(0.0, COLUMNS as f32) as usize;
    let (rms, peak) = (column(rms), column(peak));
    let cell = |n: usize| match n {
        n if n < rms => '#',
        n if n + 1 == peak => '|',
        _ => '-',
    };
    (0..COLUMNS).map(cell).collect()
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters() {
        assert_eq!(meter(-96.0, -96.0), "-".repeat(40));
        assert_eq!(meter(0.0, 0.0), "#".repeat(40));
        assert_eq!(
            meter(-30.0, -15.0),
            format!("{}{}|{}", "#".repeat(20), "-".repeat(9), "-".repeat(10))
        );
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(Duration::from_secs(12)), "0:12");
        assert_eq!(clock(Duration::from_secs(3725)), "1:02:05");
    }

    #[test]
    fn what_strangers_send_does_not_reach_the_terminal_raw() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}

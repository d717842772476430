//! Tells what happens: JSON lines on standard output, or progress on standard error.

use std::io::{IsTerminal, Write as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phone::{Agreed, Cause, Event, Statistics};

use crate::exit::{Exit, Failure};
use crate::json::Object;

/// The events of `--json`, for the help and the manual.
macro_rules! json_events {
    () => {
        "\
Events of --json, one object a line; each has \"event\" and \"time\" (RFC 3339, UTC), those of calls
have \"call\" (0, 1, …). Times end in _s (seconds) or _ms (milliseconds).
  registered           account, contact, expires_s
  registration_failed  account, reason, status?, retry_in_s? (absent: it is not tried again)
  unregistered         account
  calling              target
  incoming             from, from_uri, to, call_id
  ringing              status (180), reason
  progress             status (181 to 199), reason
  early_media          sound before the answer: codec, sample_rate, ptime_ms, local_rtp,
                       remote_rtp?, sends, receives, dtmf
  established          peer, call_id?, transport, and all of early_media
  media_changed        hold, resume or another address: all of early_media
  dtmf                 digit, duration_ms
  silence              heard_before: no sound has come for five seconds
  sound                sound comes again
  trouble              message: something about the sound; the call goes on
  failed               of options: reason
  message              from, content_type, text
  answered             of options: status, reason, allow, accept, supported, product?,
                       round_trip_ms
  ended                cause, reason, status?, call_id?, duration_s, packets_sent,
                       packets_received, packets_lost, packets_late, jitter_ms, round_trip_ms?,
                       remote_packets_lost?, remote_jitter_ms?
  error                why the exit code is not 0: exit_code, status?, message, advice
cause is one of hung_up_here, hung_up_there, cancelled, refused, unauthorized, timed_out,
unreachable, no_ack."
    };
}
pub(crate) use json_events;

/// Where things are told.
pub struct Console {
    command: &'static str,
    account: String,
    json: bool,
    /// Standard error is a terminal, on which a line can be written over.
    live: bool,
    /// Such a line stands there now.
    open: bool,
}

impl Console {
    /// A console of the command `sori COMMAND`.
    pub fn new(command: &'static str, account: &str, json: bool) -> Console {
        Console {
            command,
            account: account.to_owned(),
            json,
            live: !json && std::io::stderr().is_terminal(),
            open: false,
        }
    }

    /// Whether [`Console::talking`] shows anything.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A call is being placed.
    pub fn calling(&mut self, target: &str) {
        self.object(Object::new().text("event", "calling"), |o| {
            o.text("target", target)
        });
        self.say(&format!("calling {target}"));
    }

    /// How long the call has stood.
    pub fn talking(&mut self, since: Duration) {
        if self.live {
            eprint!("\rtalking {} ", clock(since));
            self.open = true;
        }
    }

    /// Tells an event.
    pub fn event(&mut self, event: &Event) {
        if self.json {
            let (name, fill) = members(event, &self.account);
            self.object(Object::new().text("event", name), fill);
        } else if let Some(text) = text(event) {
            self.say(&text);
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
        let object = Object::new().text("event", "error");
        self.object(object, |o| {
            o.number("exit_code", failure.exit as u64)
                .number_if("status", failure.status.map(u64::from))
                .text("message", &failure.message)
                .text("advice", &failure.advice)
        });
        self.end_line();
        eprintln!("sori {}: {}", self.command, harmless(&failure.message));
        if !failure.advice.is_empty() {
            eprintln!("  {}", failure.advice);
        }
        failure.exit
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

    fn object(&self, object: Object, fill: impl FnOnce(Object) -> Object) {
        if self.json {
            print(&fill(object.text("time", &now())).line());
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
fn harmless(text: &str) -> String {
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

type Fill<'a> = Box<dyn FnOnce(Object) -> Object + 'a>;

/// The name of an event and its members.
fn members<'a>(event: &'a Event, account: &'a str) -> (&'static str, Fill<'a>) {
    match event {
        Event::Registered { expires, contact } => (
            "registered",
            Box::new(move |o| {
                o.text("account", account)
                    .text("contact", contact)
                    .number("expires_s", u64::from(*expires))
            }),
        ),
        Event::RegistrationFailed { cause, retry_in } => (
            "registration_failed",
            Box::new(move |o| {
                o.text("account", account)
                    .text("reason", &cause.to_string())
                    .number_if("status", status(cause))
                    .number_if("retry_in_s", retry_in.map(|d| d.as_secs()))
            }),
        ),
        Event::Unregistered => (
            "unregistered",
            Box::new(move |o| o.text("account", account)),
        ),
        Event::Message {
            from,
            content_type,
            body,
        } => (
            "message",
            Box::new(move |o| {
                o.text("from", from)
                    .text("content_type", content_type)
                    .text("text", &String::from_utf8_lossy(body))
            }),
        ),
        Event::Answered {
            status,
            reason,
            allow,
            accept,
            supported,
            product,
            round_trip,
        } => (
            "answered",
            Box::new(move |o| {
                o.number("status", u64::from(*status))
                    .text("reason", reason)
                    .list("allow", allow)
                    .list("accept", accept)
                    .list("supported", supported)
                    .text_if("product", product.as_deref())
                    .decimal("round_trip_ms", ms(*round_trip))
            }),
        ),
        Event::RequestFailed { cause } => (
            "failed",
            Box::new(move |o| o.text("reason", &cause.to_string())),
        ),
        other => members_of_call(other),
    }
}

fn members_of_call(event: &Event) -> (&'static str, Fill<'_>) {
    match event {
        Event::Incoming {
            call,
            from,
            from_uri,
            to_uri,
            call_id,
        } => (
            "incoming",
            Box::new(move |o| {
                o.number("call", call.as_u64())
                    .text("from", from)
                    .text("from_uri", from_uri)
                    .text("to", to_uri)
                    .text("call_id", call_id)
            }),
        ),
        Event::Progress {
            call,
            status,
            reason,
        } => {
            let name = if *status == 180 {
                "ringing"
            } else {
                "progress"
            };
            (
                name,
                Box::new(move |o| {
                    o.number("call", call.as_u64())
                        .number("status", u64::from(*status))
                        .text("reason", reason)
                }),
            )
        }
        Event::EarlyMedia { call, agreed } => (
            "early_media",
            Box::new(move |o| with_agreed(o.number("call", call.as_u64()), agreed)),
        ),
        Event::Established {
            call,
            call_id,
            peer,
            transport,
            agreed,
        } => (
            "established",
            Box::new(move |o| {
                let o = o
                    .number("call", call.as_u64())
                    .text("peer", peer)
                    .text_if(
                        "call_id",
                        Some(call_id.as_str()).filter(|id| !id.is_empty()),
                    )
                    .text("transport", transport.param());
                match agreed {
                    Some(agreed) => with_agreed(o, agreed),
                    None => o,
                }
            }),
        ),
        Event::MediaChanged { call, agreed } => (
            "media_changed",
            Box::new(move |o| with_agreed(o.number("call", call.as_u64()), agreed)),
        ),
        Event::Dtmf {
            call,
            digit,
            duration,
        } => (
            "dtmf",
            Box::new(move |o| {
                o.number("call", call.as_u64())
                    .text("digit", digit.encode_utf8(&mut [0; 4]))
                    .number(
                        "duration_ms",
                        duration.as_millis().try_into().unwrap_or(u64::MAX),
                    )
            }),
        ),
        Event::Silent { call, heard_before } => (
            "silence",
            Box::new(move |o| {
                o.number("call", call.as_u64())
                    .flag("heard_before", *heard_before)
            }),
        ),
        Event::Heard { call } => ("sound", Box::new(move |o| o.number("call", call.as_u64()))),
        Event::SoundTrouble { call, message, .. } => (
            "trouble",
            Box::new(move |o| o.number("call", call.as_u64()).text("message", message)),
        ),
        Event::Ended {
            call,
            call_id,
            cause,
            talked,
            statistics,
        } => (
            "ended",
            Box::new(move |o| {
                let o = o
                    .number("call", call.as_u64())
                    .text("cause", cause_name(cause))
                    .text("reason", &cause.to_string())
                    .number_if("status", status(cause))
                    .text_if(
                        "call_id",
                        Some(call_id.as_str()).filter(|id| !id.is_empty()),
                    )
                    .decimal("duration_s", talked.unwrap_or_default().as_secs_f64());
                with_statistics(o, statistics.as_deref().copied().unwrap_or_default())
            }),
        ),
        _ => ("unknown", Box::new(|o| o)),
    }
}

fn with_agreed(object: Object, agreed: &Agreed) -> Object {
    object
        .text("codec", agreed.codec)
        .number("sample_rate", u64::from(agreed.sample_rate))
        .number("ptime_ms", u64::from(agreed.ptime_ms))
        .text("local_rtp", &agreed.local.to_string())
        .text_if(
            "remote_rtp",
            agreed.remote.map(|r| r.to_string()).as_deref(),
        )
        .flag("sends", agreed.sends)
        .flag("receives", agreed.receives)
        .flag("dtmf", agreed.dtmf)
}

fn with_statistics(object: Object, statistics: Statistics) -> Object {
    let object = object
        .number("packets_sent", statistics.packets_sent)
        .number("packets_received", statistics.packets_received)
        .number("packets_lost", statistics.packets_lost)
        .number("packets_late", statistics.played.late)
        .decimal("jitter_ms", ms(statistics.jitter));
    let object = match statistics.round_trip {
        Some(round_trip) => object.decimal("round_trip_ms", ms(round_trip)),
        None => object,
    };
    match statistics.remote {
        Some(remote) => object
            .number(
                "remote_packets_lost",
                u64::try_from(remote.packets_lost).unwrap_or(0),
            )
            .decimal("remote_jitter_ms", ms(remote.jitter)),
        None => object,
    }
}

fn cause_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::ByUs => "hung_up_here",
        Cause::ByPeer { .. } => "hung_up_there",
        Cause::Cancelled => "cancelled",
        Cause::Refused { .. } => "refused",
        Cause::Unauthorized { .. } => "unauthorized",
        Cause::TimedOut => "timed_out",
        Cause::Unreachable { .. } => "unreachable",
        Cause::NoAck => "no_ack",
    }
}

fn status(cause: &Cause) -> Option<u64> {
    match cause {
        Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => {
            Some(u64::from(status.0))
        }
        _ => None,
    }
}

/// An event for a person; `None` for what only programs want to know.
fn text(event: &Event) -> Option<String> {
    Some(match event {
        Event::Registered { expires, contact } => {
            format!("registered as {contact} for {expires} s")
        }
        Event::RegistrationFailed { cause, retry_in } => {
            let again = retry_in.map(|d| format!("; trying again in {} s", d.as_secs()));
            format!("not registered: {cause}{}", again.unwrap_or_default())
        }
        Event::Unregistered => "unregistered".to_owned(),
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
        Event::Answered { .. } | Event::RequestFailed { .. } => return None,
    })
}

fn path(agreed: &Agreed) -> String {
    match agreed.remote {
        Some(remote) => format!(" ({}, {} ⇄ {remote})", agreed.codec, agreed.local),
        None => format!(" ({}, {})", agreed.codec, agreed.local),
    }
}

fn numbers(statistics: &Statistics) -> String {
    format!(
        ": {} packets sent, {} received, {} lost, jitter {:.1} ms",
        statistics.packets_sent,
        statistics.packets_received,
        statistics.packets_lost,
        ms(statistics.jitter)
    )
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

fn now() -> String {
    rfc3339(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}

/// `2026-11-21T07:31:09.123Z` for a time since 1970 (RFC 3339 §5.6).
fn rfc3339(since: Duration) -> String {
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March make the leap day the last of the year; 719,468 days lie between 0000-03-01 and 1970.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_246_269, "2026-11-21T07:31:09.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            rfc3339(Duration::from_millis(1)),
            "1970-01-01T00:00:00.001Z"
        );
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(Duration::from_secs(12)), "0:12");
        assert_eq!(clock(Duration::from_secs(3725)), "1:02:05");
    }

    #[test]
    fn every_event_is_in_the_manual() {
        let manual = json_events!();
        let source = include_str!("console.rs");
        let names: Vec<&str> = source
            .split("=> (\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            .collect();
        assert!(names.len() >= 12, "{names:?}");
        for name in names.into_iter().filter(|n| !["unknown"].contains(n)) {
            assert!(
                manual.contains(&format!("\n  {name} ")),
                "{name} is missing"
            );
        }
    }

    #[test]
    fn what_strangers_send_does_not_reach_the_terminal_raw() {
        assert_eq!(harmless("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}

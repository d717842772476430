//! Reading a line.

use std::path::PathBuf;
use std::time::Duration;

use super::command::{Command, Divert, GRAMMAR, LOUDEST, PATIENCE, Recipient};
use super::refusal::Refusal;
use crate::device::{Choice, Role};
use crate::event::CallNumber;
use crate::phone::KeysBy;

/// Longer lines are refused.
const LONGEST: usize = 16 * 1024;

/// Reads a command.
pub(super) fn line(line: &str) -> Result<Command, Refusal> {
    let line = line.trim();
    if line.len() > LONGEST {
        return Err(Refusal::new(
            line.chars().take(40).collect::<String>(),
            "the line is longer than 16 KiB",
            "write less",
        ));
    }
    let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let mut words = Words {
        line,
        verb,
        rest: rest.trim(),
    };
    let command = read(&verb.to_ascii_lowercase(), &mut words)?;
    match words.rest {
        "" => Ok(command),
        more => Err(words.wrong(&format!("'{}' is too much", more.escape_debug()))),
    }
}

fn read(verb: &str, words: &mut Words<'_>) -> Result<Command, Refusal> {
    Ok(match verb {
        "dial" => Command::Dial {
            target: words.text("TARGET")?,
            account: words.after("as")?,
        },
        "answer" => Command::Answer {
            call: words.maybe_call()?,
        },
        "reject" => Command::Reject {
            call: words.maybe_call()?,
            status: words.maybe_status()?,
        },
        "hangup" if words.rest.eq_ignore_ascii_case("all") => {
            words.rest = "";
            Command::HangUpAll
        }
        "hangup" => Command::HangUp {
            call: words.maybe_call()?,
        },
        "hold" => Command::Hold {
            call: words.maybe_call()?,
        },
        "resume" => Command::Resume {
            call: words.maybe_call()?,
        },
        "swap" => Command::Swap,
        "transfer" => {
            let call = words.call()?;
            match words.after("to")? {
                Some(to) => Command::TransferTo {
                    call,
                    to: words.number(&to)?,
                },
                None => Command::Transfer {
                    call,
                    target: words.text("TARGET")?,
                },
            }
        }
        "accept-transfer" => Command::AcceptTransfer {
            call: words.call()?,
        },
        "refuse-transfer" => Command::RefuseTransfer {
            call: words.call()?,
        },
        "forward" => Command::Forward {
            call: words.call()?,
            target: words.text("TARGET")?,
        },
        "pickup" => Command::Pickup {
            target: words.text("TARGET")?,
        },
        "conference" => Command::Conference {
            calls: words.calls()?,
        },
        "join" => Command::Join {
            call: words.call()?,
        },
        "part" => Command::Part {
            call: words.call()?,
        },
        other => return read_more(other, words),
    })
}

fn read_more(verb: &str, words: &mut Words<'_>) -> Result<Command, Refusal> {
    Ok(match verb {
        "divert" => words.divert()?,
        "dnd" => Command::DoNotDisturb(words.switch()?),
        "waiting" => Command::CallWaiting(words.switch()?),
        "autoanswer" => words.auto_answer()?,
        "dtmf" => words.dtmf()?,
        "info" => Command::Info {
            call: words.call()?,
            content_type: words.text("TYPE")?,
            body: words.remainder("BODY")?,
        },
        "message" => {
            let to = words.text("TARGET")?;
            let to = match to.strip_prefix('#').map(str::parse) {
                Some(Ok(number)) => Recipient::Call(CallNumber(number)),
                _ => Recipient::Target(to),
            };
            Command::Message {
                to,
                text: words.remainder("TEXT")?,
            }
        }
        "mute" => Command::Mute(words.switch()?),
        "devices" => Command::Devices,
        "device" => Command::Device {
            role: words.role()?,
            choice: words.choice()?,
        },
        "volume" => Command::Volume {
            role: words.role()?,
            percent: words.percent()?,
        },
        "echo-cancellation" => Command::CancelEcho(words.switch()?),
        "noise-suppression" => Command::SuppressNoise(words.switch()?),
        "record" => Command::Record {
            call: words.call()?,
            file: words.file()?,
        },
        "play" => Command::Play {
            call: words.call()?,
            file: words.file()?,
        },
        "codec" => Command::Codec {
            call: words.call()?,
            names: words.names()?,
        },
        "register" => Command::Register {
            account: words.next().map(str::to_owned),
        },
        "unregister" => Command::Unregister {
            account: words.next().map(str::to_owned),
        },
        "options" => Command::Options {
            target: words.text("TARGET")?,
        },
        "subscribe" => Command::Subscribe {
            package: words.text("EVENT")?,
            target: words.text("TARGET")?,
        },
        "calls" => Command::Calls,
        "accounts" => Command::Accounts,
        "status" => Command::Status,
        "sleep" => Command::Sleep(words.seconds()?),
        "wait" => words.wait()?,
        "quit" => Command::Quit,
        _ => {
            return Err(Refusal::new(
                words.line,
                format!("there is no command '{}'", verb.escape_debug()),
                known(verb),
            ));
        }
    })
}

/// What may have been meant.
fn known(verb: &str) -> String {
    let verbs = GRAMMAR
        .iter()
        .filter_map(|(usage, _)| usage.split(' ').next());
    let near = verbs
        .clone()
        .find(|v| !verb.is_empty() && (v.starts_with(verb) || verb.starts_with(v)));
    if let Some(near) = near {
        return format!("did you mean '{near}'?");
    }
    let mut all: Vec<&str> = verbs.collect();
    all.dedup();
    format!("commands are {}", all.join(", "))
}

/// What of a line is not read yet.
struct Words<'a> {
    line: &'a str,
    verb: &'a str,
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (word, rest) = self
            .rest
            .split_once(char::is_whitespace)
            .unwrap_or((self.rest, ""));
        self.rest = rest.trim_start();
        Some(word)
    }

    fn peek(&self) -> &'a str {
        self.rest.split(char::is_whitespace).next().unwrap_or("")
    }

    fn wrong(&self, what: &str) -> Refusal {
        let verb = self.verb.to_ascii_lowercase();
        let usages = GRAMMAR
            .iter()
            .map(|(usage, _)| *usage)
            .filter(|usage| usage.split(' ').next() == Some(&verb));
        let usages: Vec<&str> = usages.collect();
        let advice = format!("write: {}", usages.join("  or: "));
        Refusal::new(self.line, what, advice)
    }

    fn text(&mut self, name: &str) -> Result<String, Refusal> {
        match self.next() {
            Some(word) => Ok(word.to_owned()),
            None => Err(self.wrong(&format!("{name} is missing"))),
        }
    }

    /// What stands after a keyword, when that comes next.
    fn after(&mut self, keyword: &str) -> Result<Option<String>, Refusal> {
        if self.peek() != keyword {
            return Ok(None);
        }
        self.next();
        match self.next() {
            Some(word) => Ok(Some(word.to_owned())),
            None => Err(self.wrong(&format!("nothing stands after '{keyword}'"))),
        }
    }

    fn number(&self, word: &str) -> Result<CallNumber, Refusal> {
        word.strip_prefix('#')
            .unwrap_or(word)
            .parse()
            .map(CallNumber)
            .map_err(|_| {
                self.wrong(&format!(
                    "'{}' is not the number of a call",
                    word.escape_debug()
                ))
            })
    }

    fn call(&mut self) -> Result<CallNumber, Refusal> {
        match self.next() {
            Some(word) => self.number(word),
            None => Err(self.wrong("CALL is missing")),
        }
    }

    fn maybe_call(&mut self) -> Result<Option<CallNumber>, Refusal> {
        self.next().map(|word| self.number(word)).transpose()
    }

    fn calls(&mut self) -> Result<Vec<CallNumber>, Refusal> {
        let mut calls = Vec::new();
        while let Some(word) = self.next() {
            let call = self.number(word)?;
            if !calls.contains(&call) {
                calls.push(call);
            }
        }
        if calls.len() < 2 {
            return Err(self.wrong("a conference joins two calls or more"));
        }
        Ok(calls)
    }

    fn maybe_status(&mut self) -> Result<Option<u16>, Refusal> {
        let Some(word) = self.next() else {
            return Ok(None);
        };
        match word.parse() {
            Ok(status @ 300..=699) => Ok(Some(status)),
            _ => Err(self.wrong("STATUS has to be from 300 to 699")),
        }
    }

    fn role(&mut self) -> Result<Role, Refusal> {
        match self.next() {
            Some("microphone") => Ok(Role::Microphone),
            Some("speaker") => Ok(Role::Speaker),
            _ => Err(self.wrong("microphone or speaker is missing")),
        }
    }

    /// The rest of the line: names of devices are of several words.
    fn choice(&mut self) -> Result<Choice, Refusal> {
        let text = self.remainder("CHOICE")?;
        match text.parse() {
            Ok(choice) => Ok(choice),
            Err(never) => match never {},
        }
    }

    fn percent(&mut self) -> Result<u16, Refusal> {
        let word = self.text("PERCENT")?;
        let number = word.strip_suffix('%').unwrap_or(&word);
        match number.parse() {
            Ok(percent @ 0..=LOUDEST) => Ok(percent),
            _ => Err(self.wrong(&format!("PERCENT has to be from 0 to {LOUDEST}"))),
        }
    }

    fn switch(&mut self) -> Result<bool, Refusal> {
        match self.next() {
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            _ => Err(self.wrong("on or off is missing")),
        }
    }

    fn duration(&self, word: &str) -> Result<Duration, Refusal> {
        let number = word.strip_suffix('s').unwrap_or(word);
        match number.parse::<f64>().ok().filter(|s| *s >= 0.0 && *s < 1e7) {
            // To whole milliseconds, so that what is printed is what was read.
            Some(seconds) => Ok(Duration::from_millis((seconds * 1000.0).round() as u64)),
            None => Err(self.wrong(&format!(
                "'{}' is not a number of seconds",
                word.escape_debug()
            ))),
        }
    }

    fn seconds(&mut self) -> Result<Duration, Refusal> {
        match self.next() {
            Some(word) => self.duration(word),
            None => Err(self.wrong("SECONDS is missing")),
        }
    }

    fn divert(&mut self) -> Result<Command, Refusal> {
        let when = match self.next() {
            Some("always") => Divert::Always,
            Some("busy") => Divert::Busy,
            Some("no-answer") => Divert::NoAnswer,
            _ => return Err(self.wrong("when is missing: always, busy or no-answer")),
        };
        let target = Some(self.text("TARGET")?).filter(|t| t != "off");
        let after = self.next().map(|word| self.duration(word)).transpose()?;
        if after.is_some() && (when != Divert::NoAnswer || target.is_none()) {
            return Err(self.wrong("SECONDS are for no-answer only"));
        }
        Ok(Command::Divert {
            when,
            target,
            after,
        })
    }

    fn auto_answer(&mut self) -> Result<Command, Refusal> {
        Ok(Command::AutoAnswer(match self.next() {
            Some("on") => Some(Duration::ZERO),
            Some("off") => None,
            Some(word) => Some(self.duration(word)?),
            None => return Err(self.wrong("on, off or SECONDS is missing")),
        }))
    }

    fn dtmf(&mut self) -> Result<Command, Refusal> {
        let call = self.call()?;
        let digits = self.text("DIGITS")?.to_ascii_uppercase();
        let is_key = |c: char| c == ',' || media::dtmf::code(c).is_some();
        if let Some(wrong) = digits.chars().find(|c| !is_key(*c)) {
            return Err(self.wrong(&format!(
                "'{}' is no telephone key: 0-9, *, #, A-D, and ',' for a pause of a second",
                wrong.escape_debug()
            )));
        }
        let by = match self.next() {
            None => None,
            Some("rfc4733") => Some(KeysBy::Rfc4733),
            Some("info") => Some(KeysBy::Info),
            Some(_) => return Err(self.wrong("keys travel by rfc4733 or info")),
        };
        Ok(Command::Dtmf { call, digits, by })
    }

    /// All that is left, with `\n`, `\r` and `\\` read as what they stand for.
    fn remainder(&mut self, name: &str) -> Result<String, Refusal> {
        if self.rest.is_empty() {
            return Err(self.wrong(&format!("{name} is missing")));
        }
        let mut text = String::with_capacity(self.rest.len());
        let mut chars = std::mem::take(&mut self.rest).chars();
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('\\') | None => text.push('\\'),
                    Some(other) => text.extend(['\\', other]),
                },
                (c, _) => text.push(c),
            }
        }
        Ok(text)
    }

    fn file(&mut self) -> Result<Option<PathBuf>, Refusal> {
        match std::mem::take(&mut self.rest) {
            "" => Err(self.wrong("FILE is missing")),
            "off" => Ok(None),
            path => Ok(Some(PathBuf::from(path))),
        }
    }

    fn names(&mut self) -> Result<Vec<String>, Refusal> {
        let names = std::mem::take(&mut self.rest).split([',', ' ']);
        let names: Vec<String> = names
            .map(str::trim)
            .filter(|n| !n.is_empty())
            .map(str::to_ascii_lowercase)
            .collect();
        if names.is_empty() {
            return Err(self.wrong("NAMES are missing"));
        }
        Ok(names)
    }

    fn wait(&mut self) -> Result<Command, Refusal> {
        let event = self.text("EVENT")?;
        let mut call = None;
        let mut patience = PATIENCE;
        // A single number is that of a call; seconds alone are written 10s.
        match self.next() {
            Some(word) if word.ends_with('s') => patience = self.duration(word)?,
            Some(word) => {
                call = Some(self.number(word)?);
                if let Some(word) = self.next() {
                    patience = self.duration(word)?;
                }
            }
            None => {}
        }
        Ok(Command::Wait {
            event,
            call,
            patience,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Refusal {
        text.parse::<Command>().expect_err(text)
    }

    #[test]
    fn every_line_is_printed_as_it_is_read() {
        for text in [
            "dial bob",
            "dial sip:bob@example.org as alice@example.org",
            "answer",
            "answer 3",
            "reject 3 603",
            "reject",
            "hangup 2",
            "hangup all",
            "hold",
            "resume 1",
            "swap",
            "transfer 1 carol",
            "transfer 1 to 2",
            "accept-transfer 1",
            "refuse-transfer 1",
            "forward 4 dave",
            "divert always dave",
            "divert no-answer dave 12.5",
            "divert busy off",
            "dnd on",
            "waiting off",
            "autoanswer on",
            "autoanswer off",
            "autoanswer 2.5",
            "pickup bob",
            "conference 1 2 3",
            "join 4",
            "part 4",
            "dtmf 1 12*#A,,9",
            "dtmf 1 5 info",
            "info 1 application/x-y a body\\nof two lines \\\\",
            "message bob hello  there",
            "message #7 hello",
            "mute on",
            "devices",
            "device microphone Built-in Audio",
            "device speaker none",
            "device microphone file:C:\\\\x.wav",
            "volume speaker 150",
            "echo-cancellation off",
            "noise-suppression on",
            "record 1 /tmp/a file.wav",
            "record 1 off",
            "play 0 x.wav",
            "codec 1 pcma,pcmu",
            "register",
            "register alice",
            "unregister",
            "options bob",
            "subscribe presence bob",
            "calls",
            "accounts",
            "status",
            "sleep 1.5",
            "wait established 3 10s",
            "wait registered 5s",
            "quit",
        ] {
            let command: Command = text.parse().unwrap();
            assert_eq!(command.to_string(), text);
            assert_eq!(command.to_string().parse::<Command>().unwrap(), command);
        }
    }

    #[test]
    fn other_spellings_are_understood() {
        let same = |a: &str, b: &str| {
            assert_eq!(a.parse::<Command>().unwrap(), b.parse().unwrap(), "{a}");
        };
        same("  DIAL   bob  ", "dial bob");
        same("hold #2", "hold 2");
        same("codec 1 PCMA, PCMU", "codec 1 pcma,pcmu");
        same("wait ended 2", "wait ended 2 30s");
        same("dtmf 1 1a rfc4733", "dtmf 1 1A rfc4733");
        same("conference 1 2 1", "conference 1 2");
    }

    #[test]
    fn what_is_wrong_is_said_with_how_to_write_it() {
        for (line, what, advice) in [
            ("", "no command ''", "commands are dial, answer"),
            ("dail bob", "no command 'dail'", "commands are"),
            ("hang", "no command 'hang'", "did you mean 'hangup'?"),
            (
                "dial",
                "TARGET is missing",
                "write: dial TARGET [as ACCOUNT]",
            ),
            ("dial bob as", "after 'as'", "write: dial"),
            ("volume bob 3", "microphone or speaker", "write: volume"),
            ("volume speaker 401", "from 0 to 400", "write: volume"),
            ("device speaker", "CHOICE is missing", "write: device"),
            ("dial bob carol", "'carol' is too much", "write: dial"),
            (
                "hold x",
                "'x' is not the number of a call",
                "write: hold [CALL]",
            ),
            (
                "transfer 1",
                "TARGET is missing",
                "or: transfer CALL to CALL",
            ),
            ("transfer 1 to", "after 'to'", "write: transfer"),
            ("reject 1 200", "300 to 699", "write: reject"),
            ("divert sometimes x", "always, busy or no-answer", "divert"),
            ("divert busy x 3", "no-answer only", "divert"),
            ("dnd maybe", "on or off", "dnd on|off"),
            ("conference 1 1", "two calls or more", "conference"),
            ("dtmf 1 12x", "'X' is no telephone key", "dtmf"),
            ("sleep long", "'long' is not a number of seconds", "sleep"),
            ("sleep -1", "'-1' is not a number", "sleep"),
            ("sleep nan", "'nan' is not a number", "sleep"),
            ("record 1", "FILE is missing", "record"),
            ("message bob", "TEXT is missing", "message"),
        ] {
            let refusal = refused(line);
            assert!(refusal.what.contains(what), "{line}: {}", refusal.what);
            assert!(
                refusal.advice.contains(advice),
                "{line}: {}",
                refusal.advice
            );
            assert_eq!(refusal.command, line.trim());
        }
        let long = "x".repeat(20_000);
        assert!(refused(&long).command.len() < 100);
    }
}

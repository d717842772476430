//! INFO inside calls (RFC 6086), keys told by it, and messages (RFC 3428).

use core::time::Duration;

use super::draft::{is_clean, is_token, readable};
use super::event::{AccountId, CallId, Event, Misuse, RequestId};
use super::inside::content_type;
use super::{UserAgent, tell};
use crate::header::{ContentType, HeaderName};
use crate::message::StatusCode;
use crate::respond::Reply;
use crate::time::Time;
use crate::transaction::{ServerId, Transactions};
use crate::wire::Packet;

/// The most Info-Packages of an owner.
const MAX_PACKAGES: usize = 32;
/// How long a key was held when the peer does not say.
const USUAL_PRESS: Duration = Duration::from_millis(160);
/// The longest press that is believed.
const LONGEST_PRESS: Duration = Duration::from_secs(60);

impl UserAgent {
    /// The Info-Packages that calls understand, for Recv-Info (RFC 6086 §5); an INFO with another one is
    /// refused with 469.
    ///
    /// # Errors
    /// [`Misuse::Header`] when one is no token, [`Misuse::Full`] above 32 of them.
    pub fn set_info_packages(&mut self, packages: Vec<String>) -> Result<(), Misuse> {
        if packages.len() > MAX_PACKAGES {
            return Err(Misuse::Full);
        }
        if !packages.iter().all(|p| is_token(p)) {
            return Err(Misuse::Header);
        }
        self.info_packages = packages;
        Ok(())
    }

    /// What Recv-Info says; `None` when no package is known.
    pub(super) fn recv_info(&self) -> Option<String> {
        (!self.info_packages.is_empty()).then(|| self.info_packages.join(", "))
    }

    /// Sends INFO in a call that stands; `body` is Content-Type and content.
    ///
    /// # Errors
    /// As [`UserAgent::request_in`]; [`Misuse::Header`] when `package` is no token.
    pub fn info(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        package: Option<&str>,
        body: Option<(&str, &[u8])>,
    ) -> Result<RequestId, Misuse> {
        let mut headers = Vec::new();
        if let Some(package) = package {
            if !is_clean(package.as_bytes()) || package.is_empty() {
                return Err(Misuse::Header);
            }
            headers.push(("Info-Package".to_owned(), package.to_owned()));
            if body.is_some() {
                // RFC 6086 §4.2.2 of a body that belongs to the package.
                let disposition = ("Content-Disposition".to_owned(), "Info-Package".to_owned());
                headers.push(disposition);
            }
        }
        self.request_in(now, tx, call, "INFO", &headers, body)
    }

    /// Presses a key by INFO, for peers that take none in RTP (`application/dtmf-relay`).
    ///
    /// # Errors
    /// As [`UserAgent::request_in`]; [`Misuse::Header`] for anything but `0`–`9`, `*`, `#`, `A`–`D`.
    pub fn press(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        digit: char,
        duration: Duration,
    ) -> Result<RequestId, Misuse> {
        let digit = key(digit).ok_or(Misuse::Header)?;
        let body = format!(
            "Signal={digit}\r\nDuration={}\r\n",
            duration.min(LONGEST_PRESS).as_millis()
        );
        let body = Some(("application/dtmf-relay", body.as_bytes()));
        self.request_in(now, tx, call, "INFO", &[], body)
    }

    /// Sends a message outside any call (RFC 3428); the answer is [`Event::Response`].
    ///
    /// # Errors
    /// As [`UserAgent::request`].
    pub fn message(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        account: AccountId,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<RequestId, Misuse> {
        let body = Some((content_type, body));
        self.request(now, tx, account, "MESSAGE", target, &[], body)
    }

    /// Sends a message inside a call that stands.
    ///
    /// # Errors
    /// As [`UserAgent::request_in`].
    pub fn message_in(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        call: CallId,
        content_type: &str,
        body: &[u8],
    ) -> Result<RequestId, Misuse> {
        let body = Some((content_type, body));
        self.request_in(now, tx, call, "MESSAGE", &[], body)
    }

    /// INFO or MESSAGE of the peer in a call.
    pub(super) fn on_info(
        &mut self,
        now: Time,
        tx: &mut Transactions,
        server: ServerId,
        call: CallId,
        packet: &Packet<'_>,
    ) {
        let package = packet.value(HeaderName::InfoPackage).map(|value| {
            let name = value.split(|b| *b == b';').next().unwrap_or_default();
            readable(name.trim_ascii())
        });
        if let Some(package) = &package
            && !self
                .info_packages
                .iter()
                .any(|p| p.eq_ignore_ascii_case(package))
        {
            let known = self.recv_info().unwrap_or_default();
            let reply = Reply::new(StatusCode(469))
                .reason("Bad Info Package")
                .header("Recv-Info", &known);
            tx.respond(now, server, &reply);
            return;
        }
        let pressed = match &package {
            None => press_of(packet),
            Some(_) => None,
        };
        tx.respond(now, server, &Reply::new(StatusCode(200)));
        let event = match pressed {
            Some((digit, duration)) => Event::Dtmf {
                call,
                digit,
                duration,
            },
            None => Event::Request {
                call,
                method: readable(packet.method_name()),
                info_package: package,
                content_type: content_type(packet),
                body: packet.body().to_vec(),
            },
        };
        tell(tx, event);
    }
}

/// The key that an INFO tells of, and how long it was held.
fn press_of(packet: &Packet<'_>) -> Option<(char, Duration)> {
    let kind = ContentType::parse(packet.value(HeaderName::ContentType)?).ok()?;
    let text = core::str::from_utf8(packet.body()).ok()?;
    if kind.is("application", "dtmf") {
        return Some((signal(text.trim())?, USUAL_PRESS));
    }
    if !kind.is("application", "dtmf-relay") {
        return None;
    }
    let (mut digit, mut held) = (None, USUAL_PRESS);
    for line in text.lines().take(16) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "signal" => digit = signal(value.trim()),
            "duration" => {
                if let Ok(millis) = value.trim().parse() {
                    held = Duration::from_millis(millis).min(LONGEST_PRESS);
                }
            }
            _ => {}
        }
    }
    Some((digit?, held))
}

/// A key by its name, or by its number as an event of RFC 4733.
fn signal(text: &str) -> Option<char> {
    let mut chars = text.chars();
    if let (Some(one), None) = (chars.next(), chars.next()) {
        return key(one);
    }
    match text.parse::<u8>().ok()? {
        10 => Some('*'),
        11 => Some('#'),
        number @ 12..=15 => Some(char::from(b'A' + number - 12)),
        _ => None,
    }
}

fn key(digit: char) -> Option<char> {
    let digit = digit.to_ascii_uppercase();
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D').then_some(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stored;

    fn pressed(kind: &str, body: &str) -> Option<(char, u128)> {
        let text = format!(
            "INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let stored = Stored::scan(bytes::Bytes::from(text.into_bytes())).unwrap();
        press_of(&stored.packet()).map(|(digit, held)| (digit, held.as_millis()))
    }

    #[test]
    fn keys_as_peers_write_them() {
        let relay = "application/dtmf-relay";
        for (kind, body, found) in [
            (relay, "Signal=5\r\nDuration=250\r\n", Some(('5', 250))),
            (relay, "Signal= #\nDuration= 100", Some(('#', 100))),
            (relay, "signal=b", Some(('B', 160))),
            (relay, "Signal=11\r\n", Some(('#', 160))),
            (relay, "Duration=5", None),
            (relay, "Signal=x", None),
            (
                relay,
                "Signal=5\r\nDuration=99999999999",
                Some(('5', 60_000)),
            ),
            (relay, "Signal=5\r\nDuration=-1", Some(('5', 160))),
            ("application/dtmf", "9\r\n", Some(('9', 160))),
            ("application/dtmf", "", None),
            ("text/plain", "9", None),
        ] {
            assert_eq!(pressed(kind, body), found, "{kind} {body:?}");
        }
    }
}

//! Taking an answer (RFC 3264 §7), and saying what is wrong with one.

use std::fmt;

use super::outcome::{Role, common, outcome};
use super::{Capabilities, Negotiated};
use crate::address::{AddressError, Destination, Host};
use crate::direction::Direction;
use crate::secure::{self, SecurityError};
use crate::session::{Media, Session};

/// An answer that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalAnswer {
    /// Every rule broken, in the order of the lines; never empty.
    pub violations: Vec<Violation>,
    /// What a tolerant offerer goes on with, where nothing worse than a slip was made: a direction that the offer excludes (no
    /// packets flow that way), another `t=`, an `rtcp-mux` that was not offered, AVPF for AVP.
    pub tolerated: Option<Vec<Negotiated>>,
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Index of the `m=` line; none when it is about the whole description.
    pub stream: Option<usize>,
    /// The rule.
    pub rule: Rule,
}

/// Rules for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As many `m=` lines as the offer (RFC 3264 §6).
    LineCount,
    /// The same `t=` as the offer (RFC 3264 §6).
    Time,
    /// The same kind of media in the same place (RFC 3264 §6).
    Kind,
    /// The same transport (RFC 3264 §6.1).
    Transport,
    /// The same transport but for feedback (AVP and AVPF, RFC 4585 §3).
    Feedback,
    /// A stream offered with port 0 stays refused (RFC 3264 §6).
    Revived,
    /// At least one format of the offer (RFC 3264 §6.1).
    NoCommonFormat,
    /// A direction that the offer allows (RFC 3264 §6.1).
    Direction {
        /// Direction of the offer.
        offered: Direction,
        /// Direction of the answer.
        answered: Direction,
    },
    /// An address to which packets may be sent (RFC 8866 §5.7).
    Address(AddressError),
    /// `rtcp-mux` only where it was offered (RFC 5761 §5.1.1).
    RtcpMux,
    /// Keys that fit the offer (RFC 4568 §5.1.3, RFC 5763 §5).
    Security(SecurityError),
}

/// Takes the answer to our offer.
///
/// # Errors
/// The rules that the answer breaks, and what to go on with when that is harmless.
pub fn complete(
    offer: &Session,
    answer: &Session,
    caps: &Capabilities,
) -> Result<Vec<Negotiated>, IllegalAnswer> {
    let violations = violations(offer, answer);
    let negotiated = outcome(offer, answer, Role::Offerer, caps);
    if violations.is_empty() {
        return Ok(negotiated);
    }
    let tolerated = violations
        .iter()
        .all(|v| v.rule.is_slip())
        .then_some(negotiated);
    Err(IllegalAnswer {
        violations,
        tolerated,
    })
}

/// Every rule that `answer` breaks as an answer to `offer`.
pub fn violations(offer: &Session, answer: &Session) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut whole =
        |broken: bool, rule| found.extend(broken.then_some(Violation { stream: None, rule }));
    whole(offer.media.len() != answer.media.len(), Rule::LineCount);
    let times = |session: &Session| {
        session
            .timings
            .iter()
            .map(|t| (t.start, t.stop))
            .collect::<Vec<_>>()
    };
    // Where one side has no t= at all there is nothing to compare: the line is missing, not different.
    let (offered, answered) = (times(offer), times(answer));
    whole(
        !offered.is_empty() && !answered.is_empty() && offered != answered,
        Rule::Time,
    );
    for (index, (ours, theirs)) in offer.media.iter().zip(&answer.media).enumerate() {
        let rules = stream((offer, ours), (answer, theirs));
        found.extend(rules.into_iter().map(|rule| Violation {
            stream: Some(index),
            rule,
        }));
    }
    found
}

fn stream(offer: (&Session, &Media), answer: (&Session, &Media)) -> Vec<Rule> {
    let (ours, theirs) = (offer.1, answer.1);
    let mut rules = Vec::new();
    if ours.kind != theirs.kind {
        rules.push(Rule::Kind);
    }
    if !ours.protocol.eq_ignore_ascii_case(&theirs.protocol) {
        rules.push(if profile(ours) == profile(theirs) {
            Rule::Feedback
        } else {
            Rule::Transport
        });
    }
    if theirs.port == 0 || ours.port == 0 {
        // An answer to a bundle-only line gives the port of its bundle (RFC 8843 §7.3.3).
        rules.extend(
            (theirs.port != 0 && ours.attribute("bundle-only").is_none()).then_some(Rule::Revived),
        );
        return rules;
    }
    let shared = match ours.is_rtp() {
        true => !common(ours, theirs, Role::Offerer).is_empty(),
        false => theirs.formats.iter().any(|f| ours.formats.contains(f)),
    };
    if !shared {
        rules.push(Rule::NoCommonFormat);
    }
    let (offered, answered) = (offer.0.direction_of(ours), answer.0.direction_of(theirs));
    if !offered.may_be_answered(answered) {
        rules.push(Rule::Direction { offered, answered });
    }
    let loopback = offer
        .0
        .connection_of(ours)
        .and_then(|c| Host::of(c).ok())
        .is_some_and(|host| host.is_loopback());
    rules.extend(
        Destination::of(answer.0.connection_of(theirs), theirs.port, loopback)
            .err()
            .map(Rule::Address),
    );
    if theirs.rtcp_mux() && !ours.rtcp_mux() && ours.is_rtp() {
        rules.push(Rule::RtcpMux);
    }
    rules.extend(secure::agreed(offer, answer).err().map(Rule::Security));
    rules
}

/// The transport without its `F` for feedback.
fn profile(media: &Media) -> String {
    let upper = media.protocol.to_ascii_uppercase();
    upper.strip_suffix('F').map(str::to_owned).unwrap_or(upper)
}

impl Rule {
    /// Whether a tolerant offerer may go on.
    fn is_slip(self) -> bool {
        matches!(
            self,
            Rule::Time | Rule::Feedback | Rule::Direction { .. } | Rule::RtcpMux
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::LineCount => {
                f.write_str("not as many m= lines as the offer (RFC 3264 section 6)")
            }
            Rule::Time => f.write_str("another t= than the offer (RFC 3264 section 6)"),
            Rule::Kind => f.write_str("another kind of media than offered (RFC 3264 section 6)"),
            Rule::Transport => f.write_str("another transport than offered (RFC 3264 section 6.1)"),
            Rule::Feedback => {
                f.write_str("another feedback profile than offered (RFC 4585 section 3)")
            }
            Rule::Revived => {
                f.write_str("a port for a stream offered with port 0 (RFC 3264 section 6)")
            }
            Rule::NoCommonFormat => f.write_str("no format of the offer (RFC 3264 section 6.1)"),
            Rule::Direction { offered, answered } => {
                write!(
                    f,
                    "{offered} answered with {answered} (RFC 3264 section 6.1)"
                )
            }
            Rule::Address(error) => error.fmt(f),
            Rule::RtcpMux => f.write_str("rtcp-mux that was not offered (RFC 5761 section 5.1.1)"),
            Rule::Security(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stream {
            Some(index) => write!(f, "stream {}: {}", index.saturating_add(1), self.rule),
            None => self.rule.fmt(f),
        }
    }
}

impl fmt::Display for IllegalAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer breaks the rules: ")?;
        for (index, violation) in self.violations.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for IllegalAnswer {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n";

    fn rules(offer: &str, answer: &str) -> (Vec<Rule>, bool) {
        let parse = |tail: &str| Session::parse(format!("{HEAD}{tail}").as_bytes()).unwrap();
        match complete(&parse(offer), &parse(answer), &Capabilities::g711()) {
            Ok(_) => (vec![], true),
            Err(illegal) => (
                illegal.violations.iter().map(|v| v.rule).collect(),
                illegal.tolerated.is_some(),
            ),
        }
    }

    #[test]
    fn every_rule_is_found() {
        let plain = "t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let fatal = |offer: &str, answer: &str, rule| {
            assert_eq!(rules(offer, answer), (vec![rule], false), "{answer}")
        };
        let slip = |offer: &str, answer: &str, rule| {
            assert_eq!(rules(offer, answer), (vec![rule], true), "{answer}")
        };
        assert_eq!(rules(plain, plain), (vec![], true));
        assert_eq!(rules(plain, "m=audio 0 RTP/AVP 0\r\n"), (vec![], true));
        fatal(plain, "t=0 0\r\n", Rule::LineCount);
        fatal(plain, "m=video 4000 RTP/AVP 0\r\n", Rule::Kind);
        fatal(plain, "m=audio 4000 UDP/RTP/AVP 0\r\n", Rule::Transport);
        fatal(plain, "m=audio 4000 RTP/AVP 8\r\n", Rule::NoCommonFormat);
        fatal("m=audio 0 RTP/AVP 0\r\n", plain, Rule::Revived);
        fatal(
            plain,
            "m=audio 4000 RTP/AVP 0\r\nc=IN IP4 224.0.0.1\r\n",
            Rule::Address(AddressError::Multicast),
        );
        slip(plain, "t=1 0\r\nm=audio 4000 RTP/AVP 0\r\n", Rule::Time);
        slip(plain, "m=audio 4000 RTP/AVPF 0\r\n", Rule::Feedback);
        slip(
            plain,
            "m=audio 4000 RTP/AVP 0\r\na=rtcp-mux\r\n",
            Rule::RtcpMux,
        );
        let held = "m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n";
        let broken = Rule::Direction {
            offered: Direction::SendOnly,
            answered: Direction::SendRecv,
        };
        slip(held, plain, broken);
        assert_eq!(
            broken.to_string(),
            "sendonly answered with sendrecv (RFC 3264 section 6.1)"
        );
    }
}

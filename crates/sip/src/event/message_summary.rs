//! simple-message-summary: how many messages wait in a voice mail box (RFC 3842).

/// The longest body that is read, in octets.
const MAX_BODY: usize = 65_535;
/// The most lines that are read.
const MAX_LINES: usize = 64;
/// The media type.
const CLASSES: [&str; 6] = [
    "voice-message",
    "fax-message",
    "pager-message",
    "multimedia-message",
    "text-message",
    "none",
];

/// What waits in a mail box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageSummary {
    /// Whether anything new waits.
    pub waiting: bool,
    /// The mail box: the address to call.
    pub account: Option<String>,
    /// The counts by class, in their order.
    pub counts: Vec<MessageCount>,
}

/// The messages of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageCount {
    /// `voice-message`, `fax-message` and their like, in lower case.
    pub class: String,
    /// How many are new.
    pub new: u32,
    /// How many have been heard.
    pub old: u32,
    /// How many of both are urgent, when the box says so.
    pub urgent: Option<(u32, u32)>,
}

impl MessageSummary {
    /// Reads a body. Lines that say nothing understandable are passed over; `None` when no line does.
    /// Without a status line, new messages are what waits.
    pub fn parse(body: &[u8]) -> Option<MessageSummary> {
        let text = String::from_utf8_lossy(body.get(..body.len().min(MAX_BODY))?).into_owned();
        let mut status = None;
        let mut summary = MessageSummary::default();
        for line in text.lines().take(MAX_LINES) {
            if line.trim().is_empty() {
                // The headers of single messages follow.
                break;
            }
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "messages-waiting" => status = Some(value.eq_ignore_ascii_case("yes")),
                "message-account" => {
                    let clean = value.chars().filter(|c| !c.is_control()).collect();
                    summary.account = Some(clean);
                }
                class if CLASSES.contains(&class) => {
                    summary.counts.extend(count(class, value));
                }
                _ => {}
            }
        }
        if status.is_none() && summary.counts.is_empty() {
            return None;
        }
        let new = summary.counts.iter().any(|c| c.new > 0);
        summary.waiting = status.unwrap_or(new);
        Some(summary)
    }

    /// The voice messages: new and old.
    pub fn voice(&self) -> Option<&MessageCount> {
        self.counts.iter().find(|c| c.class == "voice-message")
    }
}

/// `2/8 (0/2)`.
fn count(class: &str, value: &str) -> Option<MessageCount> {
    let (all, urgent) = match value.split_once('(') {
        Some((all, urgent)) => (all, Some(urgent.trim_end().strip_suffix(')')?)),
        None => (value, None),
    };
    let (new, old) = pair(all)?;
    Some(MessageCount {
        class: class.to_owned(),
        new,
        old,
        urgent: urgent.and_then(pair),
    })
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (new, old) = text.trim().split_once('/')?;
    Some((new.trim().parse().ok()?, old.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        let body = b"Messages-Waiting: yes\r\nMessage-Account: sip:alice@vmail.example.com\r\n\
            Voice-Message: 4/8 (1/2)\r\n\r\nTo: <alice@atlanta.example.com>\r\nMessages-Waiting: no\r\n";
        let summary = MessageSummary::parse(body).unwrap();
        assert!(summary.waiting);
        assert_eq!(
            summary.account.as_deref(),
            Some("sip:alice@vmail.example.com")
        );
        let voice = summary.voice().unwrap();
        assert_eq!((voice.new, voice.old, voice.urgent), (4, 8, Some((1, 2))));
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        assert_eq!(MessageSummary::parse(b""), None);
        assert_eq!(MessageSummary::parse(b"hello\r\n"), None);
        let odd = MessageSummary::parse(b"Voice-Message: 1/0\nFax-Message: x\nX-Y: 1/2").unwrap();
        assert!(odd.waiting && odd.counts.len() == 1);
        let large = b"Messages-Waiting: yes\nVoice-Message: 4294967296/0";
        assert_eq!(MessageSummary::parse(large).unwrap().counts, []);
        let broken = b"Messages-Waiting: yes\nVoice-Message: 1/2 (3/4";
        assert_eq!(MessageSummary::parse(broken).unwrap().counts, []);
    }
}

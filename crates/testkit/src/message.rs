//! Messages as scripted peers see them: a plain list of lines, read without the code under test.

use core::fmt;

/// A message of a scripted peer. Reading is naive on purpose: what the stack prints must be readable by anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The start line.
    pub start: String,
    /// Header names and values, top down; folds are kept as they stand.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

const COMPACT: [(&str, &str); 10] = [
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("k", "Supported"),
    ("e", "Content-Encoding"),
    ("s", "Subject"),
];

impl Message {
    /// Reads a message.
    ///
    /// # Panics
    /// When it has no empty line after its headers, or a line among them is no header.
    pub fn parse(bytes: &[u8]) -> Message {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no empty line in {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]);
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.starts_with([' ', '\t'])
                && let Some((_, value)) = headers.last_mut()
            {
                value.push_str("\r\n");
                value.push_str(line);
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Message {
            start,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// A request to `uri` with one Via (`via` is its sent-by, `branch` goes behind the magic cookie), Max-Forwards,
    /// From, To, Call-ID, CSeq 1, Contact and no body.
    pub fn request(method: &str, uri: &str, transport: &str, via: &str, branch: &str) -> Message {
        let mut message = Message {
            start: format!("{method} {uri} SIP/2.0"),
            headers: Vec::new(),
            body: Vec::new(),
        };
        message.push(
            "Via",
            &format!("SIP/2.0/{transport} {via};branch=z9hG4bK{branch}"),
        );
        message.push("Max-Forwards", "70");
        message.push("From", "Alice <sip:alice@a.example>;tag=from1");
        message.push("To", "<sip:bob@b.example>");
        message.push("Call-ID", &format!("call-{branch}@a.example"));
        message.push("CSeq", &format!("1 {method}"));
        message.push("Contact", &format!("<sip:alice@{via}>"));
        message.push("Content-Length", "0");
        message
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    /// The method of a request; that of the CSeq for a response.
    pub fn method(&self) -> &str {
        if self.is_request() {
            return self.start.split(' ').next().unwrap_or_default();
        }
        self.header("CSeq")
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
    }

    /// The Request-URI; empty for a response.
    pub fn uri(&self) -> &str {
        match self.is_request() {
            true => self.start.split(' ').nth(1).unwrap_or_default(),
            false => "",
        }
    }

    /// The status code; 0 for a request.
    pub fn code(&self) -> u16 {
        match self.is_request() {
            true => 0,
            false => self.start[8..11].parse().unwrap_or(0),
        }
    }

    /// All values under a name, one for each line.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| is_name(n, name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    /// The first value under a name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or("")
    }

    /// All values under a name, commas split; for headers whose values hold no commas themselves.
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.all(name)
            .into_iter()
            .flat_map(|v| v.split(','))
            .map(str::trim)
            .collect()
    }

    /// A parameter of the first value of a header.
    pub fn param(&self, name: &str, param: &str) -> Option<&str> {
        let value = self.values(name).into_iter().next()?;
        value.rsplit('>').next()?.split(';').skip(1).find_map(|p| {
            let (n, v) = p.split_once('=').unwrap_or((p, ""));
            n.trim().eq_ignore_ascii_case(param).then_some(v.trim())
        })
    }

    /// Adds a header at the end.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// With one more header, before Content-Length.
    pub fn with(mut self, name: &str, value: &str) -> Message {
        let at = self
            .headers
            .iter()
            .position(|(n, _)| is_name(n, "Content-Length"))
            .unwrap_or(self.headers.len());
        self.headers.insert(at, (name.to_owned(), value.to_owned()));
        self
    }

    /// With all headers of that name replaced by one, which stands where the first of them stood.
    pub fn set(mut self, name: &str, value: &str) -> Message {
        let at = self.headers.iter().position(|(n, _)| is_name(n, name));
        self = self.without(name);
        let at = at.unwrap_or(self.headers.len());
        self.headers.insert(at, (name.to_owned(), value.to_owned()));
        self
    }

    /// Without any header of that name.
    pub fn without(mut self, name: &str) -> Message {
        self.headers.retain(|(n, _)| !is_name(n, name));
        self
    }

    /// With a body of that type.
    pub fn with_body(self, kind: &str, body: &[u8]) -> Message {
        let mut message = self.without("Content-Length");
        message.push("Content-Type", kind);
        message.push("Content-Length", &body.len().to_string());
        message.body = body.to_vec();
        message
    }

    /// The response to this request; `tag` goes into To unless it has one already or is empty.
    pub fn reply(&self, code: u16, tag: &str) -> Message {
        let mut reply = Message {
            start: format!("SIP/2.0 {code} Scripted"),
            headers: Vec::new(),
            body: Vec::new(),
        };
        for (name, value) in &self.headers {
            let copied = ["Via", "From", "Call-ID", "CSeq", "Record-Route"];
            if copied.iter().any(|n| is_name(name, n)) {
                reply.push(name, value);
            } else if is_name(name, "To") {
                let tagged = value.contains(";tag=") || tag.is_empty();
                let value = if tagged {
                    value.clone()
                } else {
                    format!("{value};tag={tag}")
                };
                reply.push(name, &value);
            }
        }
        reply.push("Content-Length", "0");
        reply
    }

    /// The ACK of this INVITE for a final response that is not 2xx (RFC 3261 §17.1.1.3).
    pub fn ack_for(&self, response: &Message) -> Message {
        let mut ack = Message {
            start: format!("ACK {} SIP/2.0", self.uri()),
            headers: Vec::new(),
            body: Vec::new(),
        };
        ack.push("Via", self.header("Via"));
        for route in self.all("Route") {
            ack.push("Route", route);
        }
        ack.push("Max-Forwards", "70");
        ack.push("From", self.header("From"));
        ack.push("To", response.header("To"));
        ack.push("Call-ID", self.header("Call-ID"));
        let number = self.header("CSeq").split_whitespace().next().unwrap_or("1");
        ack.push("CSeq", &format!("{number} ACK"));
        ack.push("Content-Length", "0");
        ack
    }

    /// The CANCEL of this INVITE (RFC 3261 §9.1).
    pub fn cancel(&self) -> Message {
        let mut cancel = self.ack_for(self);
        cancel.start = format!("CANCEL {} SIP/2.0", self.uri());
        let number = self.header("CSeq").split_whitespace().next().unwrap_or("1");
        cancel.set("CSeq", &format!("{number} CANCEL"))
    }

    /// The octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.start.clone();
        for (name, value) in &self.headers {
            out.push_str("\r\n");
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
        }
        out.push_str("\r\n\r\n");
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn is_name(found: &str, wanted: &str) -> bool {
    found.eq_ignore_ascii_case(wanted)
        || COMPACT
            .iter()
            .any(|(c, n)| n.eq_ignore_ascii_case(wanted) && c.eq_ignore_ascii_case(found))
}

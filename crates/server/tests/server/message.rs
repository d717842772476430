//! Messages as a peer writes and reads them, without the code under test.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// A word that no other call of this process returns.
pub fn word() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{:x}x{n}", std::process::id())
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub uri: String,
    pub from: String,
    pub to: String,
    pub call: String,
    pub cseq: u32,
    pub branch: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    /// Outside of any dialog; `from` and `uri` are bare URIs, and To is `uri`.
    pub fn new(method: &str, uri: &str, from: &str) -> Request {
        Request {
            method: method.into(),
            uri: uri.into(),
            from: format!("<{from}>;tag={}", word()),
            to: format!("<{uri}>"),
            call: word(),
            cseq: 1,
            branch: format!("z9hG4bK{}", word()),
            headers: vec![("Max-Forwards".into(), "70".into())],
            body: String::new(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, kind: &str, body: &str) -> Request {
        self.body = body.into();
        self.header("Content-Type", kind)
    }

    /// The next request of the same kind: another branch and CSeq.
    pub fn next(&self) -> Request {
        let mut next = self.clone();
        next.cseq += 1;
        next.branch = format!("z9hG4bK{}", word());
        next
    }

    /// The CANCEL for this request.
    pub fn cancel(&self) -> Request {
        let mut cancel = self.clone();
        cancel.method = "CANCEL".into();
        cancel.headers = vec![("Max-Forwards".into(), "70".into())];
        cancel.body.clear();
        cancel
    }

    /// The ACK for a final response: that of the transaction for a failure, else one along the dialog's route.
    pub fn ack(&self, response: &Message) -> Request {
        if response.status() < 300 {
            return self.within("ACK", response);
        }
        let mut ack = self.cancel();
        ack.method = "ACK".into();
        ack.to = response.value("To").into();
        ack
    }

    /// A request of the caller in the dialog that a response to this one made.
    pub fn within(&self, method: &str, response: &Message) -> Request {
        let mut inside = self.clone();
        inside.method = method.into();
        inside.uri = bare(response.value("Contact")).into();
        inside.to = response.value("To").into();
        inside.branch = format!("z9hG4bK{}", word());
        inside.cseq += u32::from(method != "ACK");
        inside.headers = vec![("Max-Forwards".into(), "70".into())];
        inside.body.clear();
        for route in response.all("Record-Route").iter().rev() {
            inside = inside.header("Route", route);
        }
        inside
    }

    pub fn print(&self, transport: &str, local: SocketAddr) -> String {
        let mut text = format!(
            "{} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {local};branch={};rport\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} {}\r\n",
            self.method,
            self.uri,
            self.branch,
            self.from,
            self.to,
            self.call,
            self.cseq,
            self.method
        );
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let _ = write!(
            text,
            "Content-Length: {}\r\n\r\n{}",
            self.body.len(),
            self.body
        );
        text
    }
}

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Message {
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no end of headers: {}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]);
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("no header line: {line:?} in {head:?}"));
                (name.trim().to_owned(), value.trim().to_owned())
            })
            .collect();
        let message = Message {
            start,
            headers,
            body: bytes[end + 4..].to_vec(),
        };
        if message.has("Content-Length") {
            let length: usize = message.value("Content-Length").parse().unwrap();
            assert_eq!(length, message.body.len(), "Content-Length of {message:?}");
        }
        message
    }

    pub fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    /// The status code; 0 for a request.
    pub fn status(&self) -> u16 {
        if self.is_request() {
            return 0;
        }
        self.start[8..11].parse().unwrap()
    }

    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap()
    }

    pub fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect()
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// The first header of this name; there must be one.
    pub fn value(&self, name: &str) -> &str {
        self.all(name)
            .first()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// The URIs of all Contact headers, sorted.
    pub fn contacts(&self) -> Vec<String> {
        let mut all: Vec<String> = self.all("Contact").iter().map(|c| bare(c).into()).collect();
        all.sort();
        all
    }

    pub fn via_count(&self) -> usize {
        self.all("Via").len()
    }

    pub fn print(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// A response of the callee to this request.
    pub fn reply(&self, status: u16, tag: &str, more: &[(&str, &str)]) -> Message {
        let copied = ["Via", "From", "To", "Call-ID", "CSeq", "Record-Route"];
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(n, _)| copied.iter().any(|c| n.eq_ignore_ascii_case(c)))
            .cloned()
            .collect();
        for (name, value) in &mut headers {
            if name.eq_ignore_ascii_case("To") && !value.contains(";tag=") && status > 100 {
                value.push_str(&format!(";tag={tag}"));
            }
        }
        for (name, value) in more {
            headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        headers.push(("Content-Length".into(), "0".into()));
        Message {
            start: format!("SIP/2.0 {status} Whatever"),
            headers,
            body: Vec::new(),
        }
    }
}

/// The URI in a header value.
pub fn bare(value: &str) -> &str {
    match value.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap(),
        None => value.split(';').next().unwrap(),
    }
}

/// The Record-Routes of a message without the marks by which a server knows its own.
pub fn unmarked(message: &Message) -> Vec<String> {
    let plain = |route: &&str| match route.split_once(";m=") {
        Some((before, mark)) => {
            let behind = &mark[16..];
            let flow = behind.strip_prefix(";f=").and_then(|f| f.find(['>', ';']));
            format!("{before}{}", &behind[flow.map_or(0, |end| end + 3)..])
        }
        None => (*route).to_owned(),
    };
    message.all("Record-Route").iter().map(plain).collect()
}

//! The scanner: one pass over the bytes that notes where everything is.

use core::ops::Range;

use memchr::memchr;

use super::{MAX_HEADERS, MAX_MESSAGE};
use crate::header::HeaderName;
use crate::header::cursor::{TOKEN, all, prefix};
use crate::message::{Method, StatusCode};

/// Where the parts of one message are, as offsets into its bytes (RFC 3261 §7).
///
/// Reuse one for many messages: [`scan`] clears it and keeps its memory.
#[derive(Clone, Debug)]
pub struct Index {
    pub(super) start: Start,
    pub(super) slots: Vec<Slot>,
    pub(super) seen: u128,
    pub(super) repeated: u128,
    pub(super) headers_at: u32,
    pub(super) body: Range<u32>,
    pub(super) defect: Option<Defect>,
}

/// The start line (RFC 3261 §7.1, §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request.
    Request {
        /// The method, [`Method::Extension`] for one that we do not know.
        method: Method,
        /// Where the method's name ends; it starts at 0.
        method_end: u32,
        /// Where the Request-URI is.
        uri: Range<u32>,
    },
    /// A response.
    Status {
        /// The status code.
        code: StatusCode,
        /// Where the reason phrase is; may be empty.
        reason: Range<u32>,
    },
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub(super) name: HeaderName,
    pub(super) name_len: u16,
    pub(super) line: u32,
    pub(super) value: u32,
    pub(super) value_end: u32,
    pub(super) end: u32,
}

/// What is wrong with a message that can still be answered (with 400, or 505 for the version).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The start line has blanks where none may be.
    StartLine,
    /// The version is not SIP/2.0.
    Version,
    /// A line among the headers is not a header.
    HeaderLine,
    /// Content-Length is not a number, or two of them differ.
    ContentLength,
    /// Fewer octets arrived than Content-Length promised.
    Truncated,
    /// The empty line after the headers is missing.
    NoEmptyLine,
    /// A header that may stand once stands more often.
    Repeated(HeaderName),
}

impl Defect {
    /// What a person reads, in a reason phrase or a log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Defect::StartLine => "Malformed start line",
            Defect::Version => "SIP version is not 2.0",
            Defect::HeaderLine => "A line is not a header",
            Defect::ContentLength => "Content-Length is not right",
            Defect::Truncated => "Body is shorter than Content-Length",
            Defect::NoEmptyLine => "No empty line after the headers",
            Defect::Repeated(_) => "A header stands more than once",
        }
    }
}

/// Why bytes are no SIP message at all; nobody can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Nothing but line ends, or nothing.
    Empty,
    /// The first line is neither a request line nor a status line.
    NotSip,
    /// More octets than [`MAX_MESSAGE`].
    TooLarge,
    /// More header lines than [`MAX_HEADERS`].
    TooManyHeaders,
}

impl core::fmt::Display for ScanError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ScanError::Empty => "no message",
            ScanError::NotSip => "the first line is neither a request line nor a status line",
            ScanError::TooLarge => "the message is larger than 65535 octets",
            ScanError::TooManyHeaders => "the message has more than 512 header lines",
        })
    }
}

impl std::error::Error for ScanError {}

/// The headers that may stand only once and that everything depends on (RFC 3261 §7.3.1, §20).
const SINGLE: [HeaderName; 6] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentType,
];

impl Index {
    /// An index of nothing, ready for [`scan`].
    pub fn new() -> Index {
        Index {
            start: Start::Status {
                code: StatusCode(0),
                reason: 0..0,
            },
            slots: Vec::new(),
            seen: 0,
            repeated: 0,
            headers_at: 0,
            body: 0..0,
            defect: None,
        }
    }

    fn push(&mut self, slot: Slot) {
        if slot.name != HeaderName::Other {
            let bit = bit(slot.name);
            self.repeated |= self.seen & bit;
            self.seen |= bit;
        }
        self.slots.push(slot);
    }

    fn note(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
    }
}

impl Default for Index {
    fn default() -> Self {
        Index::new()
    }
}

pub(super) fn bit(name: HeaderName) -> u128 {
    BITS[(name as u8 & 127) as usize]
}

/// Shifting 128 bits costs more than looking the result up.
static BITS: [u128; 128] = {
    let mut bits = [0; 128];
    let mut i = 0;
    while i < 128 {
        bits[i] = 1 << i;
        i += 1;
    }
    bits
};

/// Notes where everything in one message is. The bytes are the whole datagram, or what
/// [`super::Stream`] cut out of a stream; leading line ends are skipped (RFC 3261 §7.5).
///
/// A message that is wrong but can be answered is `Ok` and carries a [`Defect`].
pub fn scan(bytes: &[u8], index: &mut Index) -> Result<(), ScanError> {
    index.slots.clear();
    index.seen = 0;
    index.repeated = 0;
    index.defect = None;
    if bytes.len() > MAX_MESSAGE {
        return Err(ScanError::TooLarge);
    }
    let first = bytes
        .iter()
        .position(|b| !matches!(b, b'\r' | b'\n'))
        .ok_or(ScanError::Empty)?;
    let (line_end, next) = line_at(bytes, first).unwrap_or((bytes.len(), bytes.len()));
    scan_start(bytes, first, line_end, index)?;
    index.headers_at = next as u32;
    let body_at = scan_headers(bytes, next, index)?;
    scan_body(bytes, body_at, index);
    if index.repeated != 0 {
        for name in SINGLE {
            if index.repeated & bit(name) != 0 {
                index.note(Defect::Repeated(name));
            }
        }
    }
    Ok(())
}

/// The end of the line that starts at `at` without its line end, and where the next line starts.
fn line_at(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(at..)?;
    let newline = at + memchr(b'\n', rest)?;
    let end = if newline > at && bytes.get(newline - 1) == Some(&b'\r') {
        newline - 1
    } else {
        newline
    };
    Some((end, newline + 1))
}

fn scan_start(bytes: &[u8], at: usize, end: usize, index: &mut Index) -> Result<(), ScanError> {
    let line = bytes.get(at..end).ok_or(ScanError::NotSip)?;
    if starts_with_ignore_case(line, b"SIP/") {
        scan_status(line, at, index)
    } else {
        scan_request(line, at, index)
    }
}

fn scan_status(line: &[u8], at: usize, index: &mut Index) -> Result<(), ScanError> {
    let space = memchr(b' ', line).ok_or(ScanError::NotSip)?;
    let (version, rest) = line.split_at(space);
    if !is_version_2(version) {
        return Err(ScanError::NotSip);
    }
    let rest = &rest[1..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits != 3 || rest.get(3).is_some_and(|b| *b != b' ') {
        return Err(ScanError::NotSip);
    }
    let code = rest[..3]
        .iter()
        .fold(0u16, |n, b| n * 10 + u16::from(b - b'0'));
    if !(100..700).contains(&code) {
        return Err(ScanError::NotSip);
    }
    let reason = (at + space + 1 + 4).min(at + line.len());
    index.start = Start::Status {
        code: StatusCode(code),
        reason: reason as u32..(at + line.len()) as u32,
    };
    Ok(())
}

fn scan_request(line: &[u8], at: usize, index: &mut Index) -> Result<(), ScanError> {
    let method_end = memchr(b' ', line).ok_or(ScanError::NotSip)?;
    let name = &line[..method_end];
    if !all(name, TOKEN) {
        return Err(ScanError::NotSip);
    }
    // The version is the last word, so that blanks inside a Request-URI stay visible as a defect.
    let trimmed = line.trim_ascii_end();
    let version_at = memchr::memrchr(b' ', trimmed).ok_or(ScanError::NotSip)? + 1;
    let version = &trimmed[version_at..];
    if version_at <= method_end + 1 || !starts_with_ignore_case(version, b"SIP/") {
        return Err(ScanError::NotSip);
    }
    let mut uri = method_end + 1..version_at - 1;
    let raw = &line[uri.clone()];
    let clean = raw.trim_ascii();
    if !is_version_2(version) {
        index.note(Defect::Version);
    } else if clean.is_empty()
        || clean.len() != raw.len()
        || trimmed.len() != line.len()
        || clean
            .iter()
            .any(|b| matches!(b, b' ' | b'\t' | b'<' | b'>'))
    {
        index.note(Defect::StartLine);
        let lead = raw.len() - raw.trim_ascii_start().len();
        uri = uri.start + lead..uri.start + lead + clean.len();
    }
    index.start = Start::Request {
        method: Method::from_bytes(name),
        method_end: (at + method_end) as u32,
        uri: (at + uri.start) as u32..(at + uri.end) as u32,
    };
    Ok(())
}

fn scan_headers(bytes: &[u8], mut at: usize, index: &mut Index) -> Result<usize, ScanError> {
    loop {
        match bytes.get(at) {
            None => {
                index.note(Defect::NoEmptyLine);
                return Ok(at);
            }
            Some(b'\r') if bytes.get(at + 1) == Some(&b'\n') => return Ok(at + 2),
            Some(b'\n') => return Ok(at + 1),
            Some(_) => {}
        }
        if index.slots.len() >= MAX_HEADERS {
            return Err(ScanError::TooManyHeaders);
        }
        let Some((mut end, mut next)) = line_at(bytes, at) else {
            index.note(Defect::NoEmptyLine);
            add_line(bytes, at, bytes.len(), bytes.len(), index);
            return Ok(bytes.len());
        };
        // A line that starts with white space continues the one before (§7.3.1).
        while matches!(bytes.get(next), Some(b' ' | b'\t')) {
            match line_at(bytes, next) {
                Some((fold_end, fold_next)) => (end, next) = (fold_end, fold_next),
                None => (end, next) = (bytes.len(), bytes.len()),
            }
        }
        add_line(bytes, at, end, next, index);
        at = next;
    }
}

fn add_line(bytes: &[u8], at: usize, end: usize, next: usize, index: &mut Index) {
    let line = &bytes[at..end];
    let (name, rest) = line.split_at(prefix(line, TOKEN));
    let (Some((b':', raw)), Ok(name_len @ 1..)) = (
        rest.trim_ascii_start().split_first(),
        u16::try_from(name.len()),
    ) else {
        index.note(Defect::HeaderLine);
        return;
    };
    let value = raw.trim_ascii_start();
    let value_at = end - value.len();
    index.push(Slot {
        name: HeaderName::from_bytes(name),
        name_len,
        line: at as u32,
        value: value_at as u32,
        value_end: (value_at + value.trim_ascii_end().len()) as u32,
        end: next as u32,
    });
}

fn scan_body(bytes: &[u8], body_at: usize, index: &mut Index) {
    let present = bytes.len() - body_at;
    let mut length = None;
    if index.seen & bit(HeaderName::ContentLength) != 0 {
        for i in 0..index.slots.len() {
            let slot = index.slots[i];
            if slot.name != HeaderName::ContentLength {
                continue;
            }
            let value = decimal(&bytes[slot.value as usize..slot.value_end as usize]);
            match (value, length) {
                (None, _) => index.note(Defect::ContentLength),
                (Some(v), Some(before)) if v != before => index.note(Defect::ContentLength),
                (Some(v), _) => length = Some(v),
            }
        }
    }
    let length = length.unwrap_or(present);
    if length > present {
        index.note(Defect::Truncated);
    }
    index.body = body_at as u32..(body_at + length.min(present)) as u32;
}

/// A decimal number without sign, within what a body may have.
pub(super) fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter().try_fold(0usize, |n, b| {
        b.is_ascii_digit().then(|| n * 10 + usize::from(b - b'0'))
    })
}

fn is_version_2(text: &[u8]) -> bool {
    text == b"SIP/2.0" || text.eq_ignore_ascii_case(b"SIP/2.0")
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|head| head == prefix || head.eq_ignore_ascii_case(prefix))
}

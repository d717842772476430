//! A message seen in place.

use core::ops::Range;

use bytes::Bytes;

use super::scan::{Defect, Index, ScanError, Slot, Start, bit, scan};
use crate::header::HeaderName;
use crate::message::{Method, StatusCode};

/// A borrowed view of one message: its original bytes and the [`Index`] over them.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    index: &'a Index,
}

/// One header line of a [`Packet`].
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    bytes: &'a [u8],
    slot: Slot,
}

impl<'a> Header<'a> {
    /// Which header it is; [`HeaderName::Other`] for one that is not known.
    pub fn name(&self) -> HeaderName {
        self.slot.name
    }

    /// The name as it stands there.
    pub fn raw_name(&self) -> &'a [u8] {
        let at = self.slot.line as usize;
        &self.bytes[at..at + usize::from(self.slot.name_len)]
    }

    /// The value without the white space around it; folds inside it are kept.
    pub fn value(&self) -> &'a [u8] {
        &self.bytes[self.value_range()]
    }

    /// Where the value is in the message.
    pub fn value_range(&self) -> Range<usize> {
        self.slot.value as usize..self.slot.value_end as usize
    }

    /// Where the whole line is, with its line end.
    pub fn line_range(&self) -> Range<usize> {
        self.slot.line as usize..self.slot.end as usize
    }

    /// The whole line with its line end.
    pub fn line(&self) -> &'a [u8] {
        &self.bytes[self.line_range()]
    }
}

impl<'a> Packet<'a> {
    /// Scans `bytes` into `index` and views them through it.
    pub fn scan(bytes: &'a [u8], index: &'a mut Index) -> Result<Packet<'a>, ScanError> {
        scan(bytes, index)?;
        Ok(Packet { bytes, index })
    }

    /// The bytes seen through an index that [`scan`] made of the very same bytes.
    pub fn new(bytes: &'a [u8], index: &'a Index) -> Packet<'a> {
        debug_assert!(index.body.end as usize <= bytes.len());
        Packet { bytes, index }
    }

    /// All bytes of the message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The offsets.
    pub fn index(&self) -> &'a Index {
        self.index
    }

    /// The start line.
    pub fn start(&self) -> &'a Start {
        &self.index.start
    }

    /// Whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.index.start, Start::Request { .. })
    }

    /// The method of a request; `None` for a response.
    pub fn method(&self) -> Option<Method> {
        match self.index.start {
            Start::Request { method, .. } => Some(method),
            Start::Status { .. } => None,
        }
    }

    /// The method's name as it stands in the start line; empty for a response.
    pub fn method_name(&self) -> &'a [u8] {
        match self.index.start {
            Start::Request {
                method_end,
                ref uri,
                ..
            } => {
                let end = method_end as usize;
                let line = &self.bytes[..end.min(uri.start as usize)];
                line.trim_ascii_start()
            }
            Start::Status { .. } => &[],
        }
    }

    /// The Request-URI; empty for a response.
    pub fn request_uri(&self) -> &'a [u8] {
        &self.bytes[self.request_uri_range()]
    }

    /// Where the Request-URI is; an empty range for a response.
    pub fn request_uri_range(&self) -> Range<usize> {
        match &self.index.start {
            Start::Request { uri, .. } => uri.start as usize..uri.end as usize,
            Start::Status { .. } => 0..0,
        }
    }

    /// The status code of a response; `None` for a request.
    pub fn status(&self) -> Option<StatusCode> {
        match self.index.start {
            Start::Status { code, .. } => Some(code),
            Start::Request { .. } => None,
        }
    }

    /// The reason phrase; empty for a request.
    pub fn reason(&self) -> &'a [u8] {
        match &self.index.start {
            Start::Status { reason, .. } => &self.bytes[reason.start as usize..reason.end as usize],
            Start::Request { .. } => &[],
        }
    }

    /// What is wrong with it, if anything that the scanner sees.
    pub fn defect(&self) -> Option<Defect> {
        self.index.defect
    }

    /// Whether the header stands at least once.
    pub fn has(&self, name: HeaderName) -> bool {
        self.index.seen & bit(name) != 0
    }

    /// Whether the header may hold more than one value: on several lines, or with a comma in it.
    pub fn has_many(&self, name: HeaderName) -> bool {
        self.index.repeated & bit(name) != 0
            || self
                .value(name)
                .is_some_and(|value| memchr::memchr(b',', value).is_some())
    }

    /// All header lines, top down.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let bytes = self.bytes;
        self.index
            .slots
            .iter()
            .map(move |slot| Header { bytes, slot: *slot })
    }

    /// The topmost line of a known header.
    pub fn header(&self, name: HeaderName) -> Option<Header<'a>> {
        if !self.has(name) {
            return None;
        }
        self.headers().find(|h| h.slot.name == name)
    }

    /// The value of the topmost line of a known header.
    pub fn value(&self, name: HeaderName) -> Option<&'a [u8]> {
        self.header(name).map(|h| h.value())
    }

    /// All lines of a known header, top down.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let many = if self.has(name) { usize::MAX } else { 0 };
        self.headers()
            .take(many)
            .filter(move |h| h.slot.name == name)
    }

    /// The topmost line of a header by its name in any case; for names that are not known.
    pub fn named(&self, name: &[u8]) -> Option<Header<'a>> {
        match HeaderName::from_bytes(name) {
            HeaderName::Other => self
                .headers()
                .find(|h| h.raw_name().eq_ignore_ascii_case(name)),
            known => self.header(known),
        }
    }

    /// The body: as long as Content-Length says, all that follows when there is none.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.index.body.start as usize..self.index.body.end as usize]
    }

    /// Where the start line starts: line ends before it are no part of the message (RFC 3261 §7.5).
    pub fn start_at(&self) -> usize {
        let is_line_end = |b: &&u8| matches!(**b, b'\r' | b'\n');
        self.bytes.iter().take_while(is_line_end).count()
    }

    /// Where the first header line starts.
    pub fn headers_at(&self) -> usize {
        self.index.headers_at as usize
    }

    /// Where the body starts.
    pub fn body_at(&self) -> usize {
        self.index.body.start as usize
    }

    /// Where the message ends; octets after that are not part of it (RFC 3261 §18.3).
    pub fn end(&self) -> usize {
        self.index.body.end as usize
    }

    /// The Call-ID; empty when there is none.
    pub fn call_id(&self) -> &'a [u8] {
        self.value(HeaderName::CallId).unwrap_or_default()
    }

    /// Keeps the message beyond the buffer that it arrived in.
    pub fn store(&self) -> Stored {
        let mut index = self.index.clone();
        index.slots.shrink_to_fit();
        Stored {
            bytes: Bytes::copy_from_slice(&self.bytes[..self.end()]),
            index,
        }
    }
}

/// A message that is kept: its bytes and its index.
#[derive(Clone, Debug)]
pub struct Stored {
    bytes: Bytes,
    index: Index,
}

impl Stored {
    /// Scans and keeps `bytes`.
    pub fn scan(bytes: Bytes) -> Result<Stored, ScanError> {
        let mut index = Index::new();
        scan(&bytes, &mut index)?;
        index.slots.shrink_to_fit();
        Ok(Stored { bytes, index })
    }

    /// The view.
    pub fn packet(&self) -> Packet<'_> {
        Packet::new(&self.bytes, &self.index)
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

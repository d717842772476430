//! Event bodies: what NOTIFY and PUBLISH carry (RFC 6665 §5).
//!
//! Readers take bytes from the network: each has a bound on what it reads, and leaves out what it does not
//! know.

mod dialog_info;
mod message_summary;
mod pidf;
mod sipfrag;
mod xml;

pub use dialog_info::{DialogEntry, DialogInfo, DialogParty, DialogState};
pub use message_summary::{MessageCount, MessageSummary};
pub use pidf::{Basic, Presence, Tuple};
pub use sipfrag::SipFrag;
pub use xml::MAX_DOCUMENT;

use core::fmt;

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than is read.
    TooLarge,
    /// It is no XML, or XML of a kind that is not read: with a document type, nested too deep, not UTF-8.
    Xml(String),
    /// It is XML about something else.
    Foreign,
    /// Something that has to be there is not.
    Missing(&'static str),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge => f.write_str("the document is too large"),
            BodyError::Xml(why) => write!(f, "the document cannot be read: {why}"),
            BodyError::Foreign => f.write_str("the document is of another kind"),
            BodyError::Missing(what) => write!(f, "the document has no {what}"),
        }
    }
}

impl std::error::Error for BodyError {}

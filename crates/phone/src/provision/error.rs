//! Why there are no settings.

use std::fmt;

use super::document::Problem;
use super::url::Url;

/// Why settings cannot be had from a URL: the text says where, what, and – for a document – in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisionError {
    /// The URL, without its query.
    pub url: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The server was not reached, or broke off.
    Unreachable(String),
    /// The server cannot prove that it is who it should be.
    Untrusted(String),
    /// It answered with a status other than 200 and 304.
    Status(u16),
    /// A redirection that is not followed.
    Redirected(String),
    /// More than [`super::MAX_OCTETS`].
    TooLarge,
    /// The document is wrong, in at least one place.
    Document(Vec<Problem>),
}

impl ProvisionError {
    pub(super) fn new(url: &Url, fault: Fault) -> ProvisionError {
        ProvisionError {
            url: url.to_string(),
            fault,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match &self.fault {
            Fault::Unreachable(_) => {
                "check the URL, that its server runs, and the network on the way there"
            }
            Fault::Untrusted(_) => {
                "check the date of this machine and the server's certificate; an organisation's own authority has to be \
                 installed on this machine"
            }
            Fault::Status(401 | 403) => {
                "the URL or the token in it is not (or no longer) good; ask whoever gave it to you"
            }
            Fault::Status(404 | 410) => {
                "check how the URL is written, or ask whoever gave it to you"
            }
            Fault::Status(300..=399) | Fault::Redirected(_) => {
                "use the URL at which the document really is"
            }
            Fault::Status(_) => {
                "the server has a problem of its own; try again later or tell whoever runs it"
            }
            Fault::TooLarge | Fault::Document(_) => {
                "the document is described in docs/provisioning.md; tell whoever wrote it"
            }
        }
    }
}

impl Fault {
    /// Whether what was fetched before may still be used: unless the server says that the settings are no more.
    pub(super) fn leaves_cache(&self) -> bool {
        match self {
            Fault::Status(status) => !(400..500).contains(status) || matches!(status, 408 | 429),
            _ => true,
        }
    }
}

impl fmt::Display for ProvisionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot take settings from {}: {}", self.url, self.fault)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Unreachable(why) | Fault::Redirected(why) => f.write_str(why),
            Fault::Untrusted(why) => write!(f, "the server cannot be trusted ({why})"),
            Fault::Status(status) => write!(f, "the server answered {status}{}", word(*status)),
            Fault::TooLarge => write!(
                f,
                "the document is larger than {} KiB",
                super::MAX_OCTETS / 1024
            ),
            Fault::Document(problems) => match problems.as_slice() {
                [only] => write!(f, "{only}"),
                many => {
                    write!(f, "the document is wrong in {} places", many.len())?;
                    many.iter()
                        .try_for_each(|problem| write!(f, "\n  {problem}"))
                }
            },
        }
    }
}

impl std::error::Error for ProvisionError {}

fn word(status: u16) -> &'static str {
    match status {
        400 => " (bad request)",
        401 => " (not authorised)",
        403 => " (forbidden)",
        404 => " (not found)",
        410 => " (gone)",
        500 => " (internal error)",
        502 => " (bad gateway)",
        503 => " (out of service)",
        _ => "",
    }
}

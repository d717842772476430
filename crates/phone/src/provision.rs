//! Settings from a server: an XML document, fetched over HTTP or HTTPS, checked, and kept for the day when the server is
//! down (docs/provisioning.md).
//!
//! ```text
//! fetch ──► http ──► bytes ──► document ──► schema (ours) or linphone ──► Profile
//!   │                                                                        │
//!   └──────────────────────────── cache ◄── what was good ◄──────────────────┘
//! ```

mod cache;
mod document;
mod error;
mod http;
mod linphone;
mod profile;
mod schema;
mod url;
mod watch;

use std::time::{Duration, SystemTime};

pub use cache::Cache;
pub use document::{Document, MAX_OCTETS, Problem};
pub use error::{Fault, ProvisionError};
pub use profile::{Account, Change, Devices, Dtmf, Profile, Timers};
pub use url::{Url, UrlError};
pub use watch::{Update, Watch};

use self::cache::Kept;
use self::http::Answer;

/// Settings, and where they are from.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The settings.
    pub profile: Profile,
    /// What was passed over, and what is unwise.
    pub warnings: Vec<String>,
    /// Where they are from.
    pub origin: Origin,
    /// When the server was last known to have this document.
    pub date: SystemTime,
}

/// Where settings are from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// The server sent the document.
    Server,
    /// The server said that the document has not changed since it was last fetched.
    Unchanged,
    /// The server gave nothing useful, and the last good document is used.
    Cache {
        /// What was wrong with the server's answer.
        because: Box<ProvisionError>,
    },
}

/// Fetches the document at `url`.
///
/// A document that is good goes to the cache; with one there the server is asked only for changes. When the server is
/// down, fails, or sends something that is no good document – the page of a hotel's network, say – the last good one
/// takes its place. A server that refuses (4xx) is believed: the settings are gone.
///
/// It blocks, for 20 seconds at most.
///
/// # Errors
/// [`ProvisionError`].
pub fn fetch(url: &Url, cache: Option<&Cache>) -> Result<Fetched, ProvisionError> {
    fetch_within(url, cache, http::PATIENCE)
}

/// [`fetch`] that gives up earlier or later.
///
/// # Errors
/// [`ProvisionError`].
pub fn fetch_within(
    url: &Url,
    cache: Option<&Cache>,
    patience: Duration,
) -> Result<Fetched, ProvisionError> {
    // What cannot be understood (any more) is as good as nothing.
    let kept = cache
        .and_then(|cache| cache.load(url))
        .and_then(|kept| Some((Document::parse(&kept.octets).ok()?, kept)));
    let validators = kept.as_ref().map(|(_, kept)| &kept.validators);
    let now = SystemTime::now();
    let fault = match http::get(url, validators, patience) {
        Ok(Answer::Document { octets, validators }) => match Document::parse(&octets) {
            Ok(document) => {
                let kept = Kept {
                    octets,
                    validators,
                    date: now,
                };
                let note = cache.and_then(|cache| cache.store(url, &kept).err());
                return Ok(fetched(url, document, Origin::Server, now, note));
            }
            Err(problems) => Fault::Document(problems),
        },
        Ok(Answer::NotModified) => match kept {
            Some((document, kept)) => {
                let note =
                    cache.and_then(|cache| cache.store(url, &Kept { date: now, ..kept }).err());
                return Ok(fetched(url, document, Origin::Unchanged, now, note));
            }
            None => Fault::Status(304),
        },
        Err(fault) => fault,
    };
    let error = ProvisionError::new(url, fault);
    match kept {
        Some((document, kept)) if error.fault.leaves_cache() => {
            let because = Box::new(error);
            let origin = Origin::Cache { because };
            Ok(fetched(url, document, origin, kept.date, None))
        }
        _ => Err(error),
    }
}

fn fetched(
    url: &Url,
    document: Document,
    origin: Origin,
    date: SystemTime,
    note: Option<String>,
) -> Fetched {
    let mut warnings: Vec<String> = document.warnings.iter().map(Problem::to_string).collect();
    warnings.extend(document.profile.unmet());
    warnings.extend(note);
    let holds_secret = document.profile.accounts.iter().any(|a| a.secret.is_some());
    if holds_secret && url.is_readable_on_the_way() {
        warnings.push(
            "the document came over http: everybody on the way can read its password; use https"
                .to_owned(),
        );
    }
    Fetched {
        profile: document.profile,
        warnings,
        origin,
        date,
    }
}

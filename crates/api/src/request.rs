//! A request as the handlers see it, and what they answer.

use std::net::IpAddr;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::AuditEntry;

use crate::administrators::now;
use crate::context::Context;
use crate::problem::Problem;
use crate::session::{Identity, Role};

/// The longest page that is answered.
const LONGEST_PAGE: u64 = 1000;
/// How far into a list a page may lie.
const DEEPEST: u64 = 100_000;

/// One request, allowed and read.
pub(crate) struct Call<'a> {
    pub(crate) context: &'a Context,
    /// Who asks; `None` only where everybody may.
    pub(crate) who: Option<&'a Identity>,
    pub(crate) token: Option<&'a str>,
    pub(crate) source: IpAddr,
    /// It came over HTTPS.
    pub(crate) secure: bool,
    /// The parts of the path that stand in braces.
    pub(crate) parts: &'a [(String, String)],
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: &'a [u8],
}

impl Call<'_> {
    /// A part of the path, without its escapes.
    pub(crate) fn part(&self, name: &str) -> &str {
        let found = self.parts.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// A parameter of the query; empty when it is missing.
    pub(crate) fn query(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value)
    }

    /// A number in the query.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        match self.query(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Problem::invalid(name, format!("{name} is a number, not \"{text}\""))),
        }
    }

    /// Which page is wanted.
    pub(crate) fn page(&self) -> Result<Wanted, Problem> {
        let offset = self.number("offset")?.unwrap_or(0);
        let limit = self.number("limit")?.unwrap_or(50).min(LONGEST_PAGE);
        if offset > DEEPEST {
            let why = format!("a list is shown up to {DEEPEST}: search, to see fewer");
            return Err(Problem::invalid("offset", why));
        }
        Ok(Wanted {
            offset,
            limit,
            search: self.query("search").trim().to_lowercase(),
        })
    }

    /// The body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        from_json(self.body)
    }

    pub(crate) fn name(&self) -> &str {
        self.who.map_or("", |who| &who.name)
    }

    pub(crate) fn is_administrator(&self) -> bool {
        self.role() == Some(Role::Administrator)
    }

    pub(crate) fn role(&self) -> Option<Role> {
        self.who.map(|who| who.role)
    }

    /// The one account that the asker may see; `None` for who may see all.
    pub(crate) fn only(&self) -> Option<&str> {
        self.who
            .filter(|who| who.role == Role::User)
            .map(|who| who.name.as_str())
    }

    /// Somebody's account is not shown to another user, nor whether it exists.
    pub(crate) fn may_see(&self, address: &str) -> Result<(), Problem> {
        match self.only() {
            Some(own) if own != address => Err(Problem::forbidden("this is not your account")),
            _ => Ok(()),
        }
    }

    /// Writes into the audit log what the asker did.
    pub(crate) fn note(&self, action: &str, what: &str) {
        self.note_for(self.name(), action, what);
    }

    /// The same for somebody who is not signed in.
    pub(crate) fn note_for(&self, who: &str, action: &str, what: &str) {
        let entry = AuditEntry {
            id: 0,
            time: now(),
            who: who.chars().take(128).collect(),
            source: self.source.to_string(),
            action: action.to_owned(),
            what: what.chars().take(512).collect(),
        };
        if let Err(error) = self.context.store.add_audit(entry) {
            tracing::error!(%error, who, action, what, "not in the audit log");
        }
    }
}

/// Reads JSON; an error names the member that is wrong.
pub(crate) fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        match path.as_str() {
            "." | "?" => Problem::malformed(message),
            _ => Problem::invalid(path, message),
        }
    })?;
    reader
        .end()
        .map_err(|_| Problem::malformed("something follows the JSON value"))?;
    Ok(value)
}

/// A part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) offset: u64,
    pub(crate) limit: u64,
    /// In lower case.
    pub(crate) search: String,
}

impl Wanted {
    /// Whether an entry with these texts is searched for.
    pub(crate) fn finds(&self, texts: &[&str]) -> bool {
        self.search.is_empty()
            || texts
                .iter()
                .any(|t| t.to_lowercase().contains(&self.search))
    }

    /// The page of a whole list.
    pub(crate) fn cut<T>(&self, all: Vec<T>) -> Page<T> {
        let total = all.len() as u64;
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Page {
            total,
            items: all.into_iter().skip(offset).take(limit).collect(),
        }
    }
}

/// A list that comes in pages.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) total: u64,
    pub(crate) items: Vec<T>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Nothing but success.
    pub(crate) fn done() -> Reply {
        Reply::status(StatusCode::NO_CONTENT)
    }

    pub(crate) fn status(status: StatusCode) -> Reply {
        Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(crate) fn json<T: Serialize>(value: &T) -> Result<Reply, Problem> {
        Reply::json_with(StatusCode::OK, value)
    }

    pub(crate) fn created<T: Serialize>(value: &T) -> Result<Reply, Problem> {
        Reply::json_with(StatusCode::CREATED, value)
    }

    pub(crate) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Result<Reply, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| {
            Problem::unavailable(format!("the answer cannot be written: {error}"))
        })?;
        Ok(Reply {
            body,
            ..Reply::text(status, "application/json", "")
        })
    }

    pub(crate) fn text(status: StatusCode, kind: &'static str, body: impl Into<Vec<u8>>) -> Reply {
        Reply {
            status,
            headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static(kind))],
            body: body.into(),
        }
    }

    /// A file to be saved.
    pub(crate) fn file(kind: &'static str, disposition: &'static str, body: Vec<u8>) -> Reply {
        Reply::text(StatusCode::OK, kind, body).with(
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static(disposition),
        )
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Reply {
        self.headers.push((name, value));
        self
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Reply {
        let status = problem.status;
        let wait = problem.retry_after.map(HeaderValue::from);
        let mut reply =
            Reply::json_with(status, &problem).unwrap_or_else(|_| Reply::status(status));
        if let Some(wait) = wait {
            reply = reply.with(header::RETRY_AFTER, wait);
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_member_is_named() {
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "only read")]
        struct Outer {
            inner: Vec<Inner>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code, reason = "only read")]
        struct Inner {
            number: u32,
        }
        let field = |text: &str| from_json::<Outer>(text.as_bytes()).unwrap_err().field;
        assert_eq!(
            field(r#"{"inner":[{"number":1},{"number":"x"}]}"#).as_deref(),
            Some("inner[1].number")
        );
        assert_eq!(field("["), None);
        assert_eq!(field(r#"{"inner":[]} {}"#), None);
        assert!(from_json::<Outer>(br#"{"inner":[{"number":1}]}"#).is_ok());
    }
}

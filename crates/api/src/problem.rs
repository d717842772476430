//! What goes wrong with a request, as the client is told it.

use axum::http::StatusCode;
use serde::Serialize;
use store::StoreError;

/// The body of every answer of class 4xx and 5xx, and its status code.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    #[serde(skip)]
    pub(crate) status: StatusCode,
    /// For programs and translations.
    pub(crate) code: &'static str,
    /// For people, in English.
    pub(crate) message: String,
    /// The member of the request that is wrong, as a dotted path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// Seconds to wait before another try.
    #[serde(skip)]
    pub(crate) retry_after: Option<u64>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Problem {
        Problem {
            status,
            code,
            message: message.into(),
            field: None,
            retry_after: None,
        }
    }

    /// A member of the request is wrong.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::malformed(message)
        }
    }

    /// The request as a whole is wrong.
    pub(crate) fn malformed(message: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(crate) fn not_found(what: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no {what}"),
        )
    }

    pub(crate) fn exists(field: &str, what: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.to_owned()),
            ..Problem::new(StatusCode::CONFLICT, "exists", what)
        }
    }

    pub(crate) fn forbidden(why: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", why)
    }

    pub(crate) fn not_signed_in() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "sign in first: POST /api/session",
        )
    }

    pub(crate) fn wrong_credentials() -> Problem {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "wrong_credentials",
            "the name or the password is wrong",
        )
    }

    /// Too many tries; the next one is looked at after `wait` seconds.
    pub(crate) fn too_many_tries(wait: u64) -> Problem {
        Problem {
            retry_after: Some(wait),
            ..Problem::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_tries",
                format!("too many wrong passwords: try again in {wait} seconds"),
            )
        }
    }

    pub(crate) fn unavailable(why: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why)
    }

    /// A limit of this server, with the status code of HTTP for it.
    pub(crate) fn refused(status: StatusCode, why: impl Into<String>) -> Problem {
        Problem::new(status, "invalid", why)
    }
}

/// What failed stands in the log; the client is told in general, because paths of the server are not its business.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::Invalid { reason } = error {
            return Problem::malformed(reason);
        }
        tracing::error!(%error, "a request of the console failed");
        Problem::unavailable("the server's data cannot be read or written now; its log says why")
    }
}

impl Problem {
    /// The same about another member.
    pub(crate) fn about(self, field: impl Into<String>) -> Problem {
        Problem {
            field: Some(field.into()),
            ..self
        }
    }
}

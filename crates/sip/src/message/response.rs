//! Responses that a user agent makes.

use super::{HeaderError, Headers, StatusCode};
use crate::header::HeaderName;

/// A response with all that it holds (RFC 3261 §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    code: StatusCode,
    reason: Option<Box<str>>,
    /// The headers, without Content-Length.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Begins a response. The builder keeps the first error until [`ResponseBuilder::build`].
    pub fn builder(code: StatusCode) -> ResponseBuilder {
        ResponseBuilder {
            error: StatusCode::new(code.0)
                .is_none()
                .then_some(HeaderError::StartLine),
            response: Response {
                code,
                reason: None,
                headers: Headers::new(),
                body: Vec::new(),
            },
        }
    }

    /// The status code.
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// The reason phrase.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or(self.code.reason())
    }

    /// Prints it at the end of `out`.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("SIP/2.0 {} {}\r\n", self.code, self.reason()).as_bytes());
        self.headers.write_into(&self.body, out);
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.body.len());
        self.write_into(&mut out);
        out
    }
}

/// A response in the making.
#[derive(Clone, Debug)]
pub struct ResponseBuilder {
    response: Response,
    error: Option<HeaderError>,
}

impl ResponseBuilder {
    /// Gives another reason phrase than the usual one.
    pub fn reason(mut self, reason: &str) -> ResponseBuilder {
        let legal = !reason.bytes().any(|b| matches!(b, b'\r' | b'\n' | 0));
        self.response.reason = Some(reason.into());
        self.note(if legal {
            Ok(())
        } else {
            Err(HeaderError::StartLine)
        })
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: impl Into<Vec<u8>>) -> ResponseBuilder {
        let result = self.response.headers.push(name, value);
        self.note(result)
    }

    /// Adds a header whose name may be one that we do not know.
    pub fn header_named(mut self, name: &str, value: impl Into<Vec<u8>>) -> ResponseBuilder {
        let result = self.response.headers.push_named(name, value);
        self.note(result)
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> ResponseBuilder {
        let result = self.response.headers.set(HeaderName::ContentType, kind);
        self.response.body = body.into();
        self.note(result)
    }

    /// The response, or the first thing that was wrong.
    pub fn build(self) -> Result<Response, HeaderError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.response),
        }
    }

    fn note(mut self, result: Result<(), HeaderError>) -> ResponseBuilder {
        self.error = self.error.or(result.err());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_with_the_length_of_its_body() {
        let response = Response::builder(StatusCode(200))
            .header(HeaderName::To, "<sip:a@b>;tag=1")
            .body("application/sdp", "v=0\r\n")
            .build()
            .unwrap();
        assert_eq!(
            String::from_utf8(response.to_bytes()).unwrap(),
            "SIP/2.0 200 OK\r\nTo: <sip:a@b>;tag=1\r\nContent-Type: application/sdp\r\n\
             Content-Length: 5\r\n\r\nv=0\r\n"
        );
        let tag = response.headers.to().unwrap().unwrap().tag();
        assert_eq!(tag, Some(&b"1"[..]));
    }

    #[test]
    fn the_start_line_cannot_be_broken() {
        let odd = |reason| Response::builder(StatusCode(486)).reason(reason).build();
        assert_eq!(odd("Am Apparat").unwrap().reason(), "Am Apparat");
        assert_eq!(odd("a\r\nVia: b"), Err(HeaderError::StartLine));
        assert!(Response::builder(StatusCode(99)).build().is_err());
        let bad = Response::builder(StatusCode(200)).header(HeaderName::To, "\n");
        assert!(bad.build().is_err());
    }
}

//! Requests that a user agent makes.

use super::{HeaderError, Headers, Method};
use crate::header::HeaderName;
use crate::header::cursor::{TOKEN, all};

/// A request with all that it holds (RFC 3261 §7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    method: Method,
    extension: Option<Box<str>>,
    uri: Vec<u8>,
    /// The headers, without Content-Length.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Begins a request. The builder keeps the first error until [`RequestBuilder::build`].
    pub fn builder(method: Method, uri: impl Into<Vec<u8>>) -> RequestBuilder {
        RequestBuilder::new(method, None, uri.into())
    }

    /// Begins a request whose method may be one that we do not know.
    pub fn builder_named(method: &str, uri: impl Into<Vec<u8>>) -> RequestBuilder {
        match Method::from_bytes(method.as_bytes()) {
            Method::Extension => {
                RequestBuilder::new(Method::Extension, Some(method.into()), uri.into())
            }
            known => RequestBuilder::new(known, None, uri.into()),
        }
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The method's name, of an extension too.
    pub fn method_name(&self) -> &str {
        self.extension.as_deref().unwrap_or(self.method.as_str())
    }

    /// The Request-URI.
    pub fn uri(&self) -> &[u8] {
        &self.uri
    }

    /// Sends it somewhere else; the URI may not be empty nor hold blanks or control octets.
    pub fn set_uri(&mut self, uri: impl Into<Vec<u8>>) -> Result<(), HeaderError> {
        let uri = uri.into();
        if !is_word(&uri) {
            return Err(HeaderError::StartLine);
        }
        self.uri = uri;
        Ok(())
    }

    /// Prints it at the end of `out`.
    pub fn write_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.method_name().as_bytes());
        out.push(b' ');
        out.extend_from_slice(&self.uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        self.headers.write_into(&self.body, out);
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.body.len());
        self.write_into(&mut out);
        out
    }
}

fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| *b > b' ' && *b != 0x7f)
}

/// A request in the making.
#[derive(Clone, Debug)]
pub struct RequestBuilder {
    request: Request,
    error: Option<HeaderError>,
}

impl RequestBuilder {
    fn new(method: Method, extension: Option<Box<str>>, uri: Vec<u8>) -> RequestBuilder {
        let name = extension.as_deref().unwrap_or(method.as_str());
        let legal = all(name.as_bytes(), TOKEN) && is_word(&uri);
        RequestBuilder {
            error: (!legal).then_some(HeaderError::StartLine),
            request: Request {
                method,
                extension,
                uri,
                headers: Headers::new(),
                body: Vec::new(),
            },
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: HeaderName, value: impl Into<Vec<u8>>) -> RequestBuilder {
        let result = self.request.headers.push(name, value);
        self.note(result)
    }

    /// Adds a header whose name may be one that we do not know.
    pub fn header_named(mut self, name: &str, value: impl Into<Vec<u8>>) -> RequestBuilder {
        let result = self.request.headers.push_named(name, value);
        self.note(result)
    }

    /// Sets the body and its Content-Type.
    pub fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let result = self.request.headers.set(HeaderName::ContentType, kind);
        self.request.body = body.into();
        self.note(result)
    }

    /// The request, or the first thing that was wrong.
    pub fn build(self) -> Result<Request, HeaderError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(self.request),
        }
    }

    fn note(mut self, result: Result<(), HeaderError>) -> RequestBuilder {
        self.error = self.error.or(result.err());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_that_of_the_body() {
        let request = Request::builder(Method::Message, "sip:bob@example.com")
            .header(HeaderName::ContentLength, "999")
            .header(HeaderName::CSeq, "1 MESSAGE")
            .body("text/plain", "안녕")
            .header_named("X-Y", "z")
            .build()
            .unwrap();
        assert_eq!(
            String::from_utf8(request.to_bytes()).unwrap(),
            "MESSAGE sip:bob@example.com SIP/2.0\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\n\
             X-Y: z\r\nContent-Length: 6\r\n\r\n안녕"
        );
        assert_eq!(request.headers.cseq().unwrap().unwrap().number, 1);
    }

    #[test]
    fn the_first_error_is_told() {
        for uri in ["", "sip:a b", "sip:a\r\nb", "sip:a\tb", "sip:a\0"] {
            let error = Request::builder(Method::Invite, uri).build().unwrap_err();
            assert_eq!(error, HeaderError::StartLine);
        }
        for method in ["", "A B", "A\r\nB"] {
            assert!(Request::builder_named(method, "sip:a").build().is_err());
        }
        assert!(
            Request::builder(Method::Extension, "sip:a")
                .build()
                .is_err()
        );
        let error = Request::builder(Method::Bye, "sip:a")
            .header(HeaderName::Subject, "a\r\nb")
            .header_named("a b", "c")
            .build();
        assert_eq!(error, Err(HeaderError::Value(HeaderName::Subject)));
    }

    #[test]
    fn unknown_methods_keep_their_name() {
        let mut request = Request::builder_named("NEW", "sip:a").build().unwrap();
        assert_eq!(
            (request.method(), request.method_name()),
            (Method::Extension, "NEW")
        );
        assert!(request.set_uri("sip:b c").is_err());
        request.set_uri("sip:b").unwrap();
        assert!(request.to_bytes().starts_with(b"NEW sip:b SIP/2.0\r\n"));
        let known = Request::builder_named("BYE", "sip:a").build().unwrap();
        assert_eq!((known.method(), known.method_name()), (Method::Bye, "BYE"));
    }
}

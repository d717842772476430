//! Status codes of responses.

/// The status code of a response, 100 to 699 (RFC 3261 §21).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode(pub u16);

impl StatusCode {
    /// The code with this number; `None` outside 100 to 699.
    pub const fn new(code: u16) -> Option<StatusCode> {
        if matches!(code, 100..=699) {
            Some(StatusCode(code))
        } else {
            None
        }
    }

    /// The first digit, 1 to 6 for a code from the wire.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }

    /// 1xx: the request is being worked on.
    pub const fn is_provisional(self) -> bool {
        self.class() == 1
    }

    /// 2xx to 6xx: ends the transaction.
    pub const fn is_final(self) -> bool {
        self.0 >= 200
    }

    /// 2xx.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// 3xx.
    pub const fn is_redirection(self) -> bool {
        self.class() == 3
    }

    /// 4xx: this request fails at this server.
    pub const fn is_client_error(self) -> bool {
        self.class() == 4
    }

    /// 5xx.
    pub const fn is_server_error(self) -> bool {
        self.class() == 5
    }

    /// 6xx: fails everywhere.
    pub const fn is_global_failure(self) -> bool {
        self.class() == 6
    }

    /// The phrase that the RFC gives to the code; for a code that we do not know, that of its class
    /// (RFC 3261 §8.1.3.2).
    pub const fn reason(self) -> &'static str {
        match self.0 {
            100 => "Trying",
            180 => "Ringing",
            181 => "Call Is Being Forwarded",
            182 => "Queued",
            183 => "Session Progress",
            199 => "Early Dialog Terminated",
            200 => "OK",
            202 => "Accepted",
            204 => "No Notification",
            300 => "Multiple Choices",
            301 => "Moved Permanently",
            302 => "Moved Temporarily",
            305 => "Use Proxy",
            380 => "Alternative Service",
            400..500 => client_error(self.0),
            500 => "Server Internal Error",
            501 => "Not Implemented",
            502 => "Bad Gateway",
            503 => "Service Unavailable",
            504 => "Server Time-out",
            505 => "Version Not Supported",
            513 => "Message Too Large",
            555 => "Push Notification Service Not Supported",
            580 => "Precondition Failure",
            600 => "Busy Everywhere",
            603 => "Decline",
            604 => "Does Not Exist Anywhere",
            606 => "Not Acceptable",
            607 => "Unwanted",
            608 => "Rejected",
            _ => match self.class() {
                1 => "Session Progress",
                2 => "OK",
                3 => "Multiple Choices",
                5 => "Server Internal Error",
                6 => "Busy Everywhere",
                _ => "",
            },
        }
    }
}

const fn client_error(code: u16) -> &'static str {
    match code {
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        417 => "Unknown Resource-Priority",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        424 => "Bad Location Information",
        425 => "Bad Alert Message",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        _ => "Bad Request",
    }
}

impl core::fmt::Display for StatusCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_phrase_and_a_class() {
        for code in 100..700 {
            let status = StatusCode::new(code).unwrap();
            assert!(!status.reason().is_empty(), "{code}");
            let classes = [
                status.is_provisional(),
                status.is_success(),
                status.is_redirection(),
                status.is_client_error(),
                status.is_server_error(),
                status.is_global_failure(),
            ];
            assert_eq!(classes.iter().filter(|c| **c).count(), 1);
            assert_eq!(status.is_final(), !status.is_provisional());
        }
        for code in [0, 99, 700, u16::MAX] {
            assert_eq!(StatusCode::new(code), None);
            assert_eq!(StatusCode(code).reason(), "");
        }
        assert_eq!(StatusCode(486).reason(), "Busy Here");
        assert_eq!(StatusCode(499).reason(), "Bad Request");
    }
}

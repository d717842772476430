//! The names of header fields.

macro_rules! names {
    ($($(#[$attr:meta])* $name:ident = $text:literal,)+) => {
        /// A header field that an RFC defines and peers use, or `Other`.
        ///
        /// Names compare without regard to case (RFC 3261 §7.3.1); the compact form of a name is
        /// the same header (§7.3.3, IANA "Session Initiation Protocol (SIP) Parameters").
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`")] $name,)+
            /// A name that is not in this list; the bytes tell which.
            Other,
        }

        /// Every known name, in the order of their numbers.
        const ALL: &[HeaderName] = &[$(HeaderName::$name,)+];
        const TEXT: &[&str] = &[$($text,)+];
        const LOWER: &[&[u8]] = &[$(&lower::<{ $text.len() }>($text.as_bytes()),)+];
    };
}

names! {
    Accept = "Accept",
    AcceptContact = "Accept-Contact",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AcceptResourcePriority = "Accept-Resource-Priority",
    AdditionalIdentity = "Additional-Identity",
    AlertInfo = "Alert-Info",
    AlertMsgError = "AlertMsg-Error",
    Allow = "Allow",
    AllowEvents = "Allow-Events",
    AnswerMode = "Answer-Mode",
    AuthenticationInfo = "Authentication-Info",
    Authorization = "Authorization",
    CallId = "Call-ID",
    CallInfo = "Call-Info",
    CellularNetworkInfo = "Cellular-Network-Info",
    Contact = "Contact",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding",
    ContentId = "Content-ID",
    ContentLanguage = "Content-Language",
    ContentLength = "Content-Length",
    ContentTransferEncoding = "Content-Transfer-Encoding",
    ContentType = "Content-Type",
    CSeq = "CSeq",
    Date = "Date",
    Diversion = "Diversion",
    ErrorInfo = "Error-Info",
    Event = "Event",
    Expires = "Expires",
    FeatureCaps = "Feature-Caps",
    FlowTimer = "Flow-Timer",
    From = "From",
    Geolocation = "Geolocation",
    GeolocationError = "Geolocation-Error",
    GeolocationRouting = "Geolocation-Routing",
    HistoryInfo = "History-Info",
    Identity = "Identity",
    IdentityInfo = "Identity-Info",
    InReplyTo = "In-Reply-To",
    InfoPackage = "Info-Package",
    Join = "Join",
    MaxBreadth = "Max-Breadth",
    MaxForwards = "Max-Forwards",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    MinSe = "Min-SE",
    Organization = "Organization",
    PAccessNetworkInfo = "P-Access-Network-Info",
    PAnswerState = "P-Answer-State",
    PAssertedIdentity = "P-Asserted-Identity",
    PAssertedService = "P-Asserted-Service",
    PAssociatedUri = "P-Associated-URI",
    PCalledPartyId = "P-Called-Party-ID",
    PChargingFunctionAddresses = "P-Charging-Function-Addresses",
    PChargingVector = "P-Charging-Vector",
    PEarlyMedia = "P-Early-Media",
    PMediaAuthorization = "P-Media-Authorization",
    PPreferredIdentity = "P-Preferred-Identity",
    PPreferredService = "P-Preferred-Service",
    PProfileKey = "P-Profile-Key",
    PRefusedUriList = "P-Refused-URI-List",
    PServedUser = "P-Served-User",
    PUserDatabase = "P-User-Database",
    PVisitedNetworkId = "P-Visited-Network-ID",
    Path = "Path",
    PermissionMissing = "Permission-Missing",
    PolicyContact = "Policy-Contact",
    PolicyId = "Policy-ID",
    Priority = "Priority",
    PriorityShare = "Priority-Share",
    PrivAnswerMode = "Priv-Answer-Mode",
    Privacy = "Privacy",
    ProxyAuthenticate = "Proxy-Authenticate",
    ProxyAuthenticationInfo = "Proxy-Authentication-Info",
    ProxyAuthorization = "Proxy-Authorization",
    ProxyRequire = "Proxy-Require",
    RAck = "RAck",
    Reason = "Reason",
    RecordRoute = "Record-Route",
    RecvInfo = "Recv-Info",
    ReferEventsAt = "Refer-Events-At",
    ReferSub = "Refer-Sub",
    ReferTo = "Refer-To",
    ReferredBy = "Referred-By",
    RejectContact = "Reject-Contact",
    RelayedCharge = "Relayed-Charge",
    RemotePartyId = "Remote-Party-ID",
    Replaces = "Replaces",
    ReplyTo = "Reply-To",
    RequestDisposition = "Request-Disposition",
    Require = "Require",
    ResourcePriority = "Resource-Priority",
    ResourceShare = "Resource-Share",
    RestorationInfo = "Restoration-Info",
    RetryAfter = "Retry-After",
    Route = "Route",
    RSeq = "RSeq",
    SecurityClient = "Security-Client",
    SecurityServer = "Security-Server",
    SecurityVerify = "Security-Verify",
    Server = "Server",
    ServiceInteractInfo = "Service-Interact-Info",
    ServiceRoute = "Service-Route",
    SessionExpires = "Session-Expires",
    SessionId = "Session-ID",
    SipETag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match",
    Subject = "Subject",
    SubscriptionState = "Subscription-State",
    Supported = "Supported",
    SuppressIfMatch = "Suppress-If-Match",
    TargetDialog = "Target-Dialog",
    Timestamp = "Timestamp",
    To = "To",
    TriggerConsent = "Trigger-Consent",
    Unsupported = "Unsupported",
    UserAgent = "User-Agent",
    UserToUser = "User-to-User",
    Via = "Via",
    Warning = "Warning",
    WwwAuthenticate = "WWW-Authenticate",
}

impl HeaderName {
    /// The header that `name` names, in its long or compact form and in any case. No allocation.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> HeaderName {
        let (Some(&first), Some(&last)) = (name.first(), name.last()) else {
            return HeaderName::Other;
        };
        if name.len() == 1 {
            return compact(first);
        }
        let middle = name.get(name.len() / 2).copied().unwrap_or(0);
        let slot = bucket(hash(name.len(), first | 0x20, middle | 0x20, last | 0x20));
        match LOWER.get(usize::from(slot)) {
            Some(candidate) if same_letters(name, candidate) => known(slot),
            _ => HeaderName::Other,
        }
    }

    /// The long form as the RFCs spell it; empty for `Other`.
    pub fn as_str(self) -> &'static str {
        TEXT.get(self as usize).copied().unwrap_or("")
    }

    /// The one-letter form, for the headers that have one.
    pub fn compact(self) -> Option<u8> {
        COMPACT
            .iter()
            .find(|(_, name)| *name == self)
            .map(|(letter, _)| *letter)
    }

    /// Whether `name` is a compact form of some header.
    pub fn is_compact(name: &[u8]) -> bool {
        matches!(name, [letter] if compact(*letter) != HeaderName::Other)
    }

    /// Every known header.
    pub fn all() -> &'static [HeaderName] {
        ALL
    }
}

impl core::fmt::Display for HeaderName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

const COMPACT: [(u8, HeaderName); 20] = [
    (b'a', HeaderName::AcceptContact),
    (b'b', HeaderName::ReferredBy),
    (b'c', HeaderName::ContentType),
    (b'd', HeaderName::RequestDisposition),
    (b'e', HeaderName::ContentEncoding),
    (b'f', HeaderName::From),
    (b'i', HeaderName::CallId),
    (b'j', HeaderName::RejectContact),
    (b'k', HeaderName::Supported),
    (b'l', HeaderName::ContentLength),
    (b'm', HeaderName::Contact),
    (b'n', HeaderName::IdentityInfo),
    (b'o', HeaderName::Event),
    (b'r', HeaderName::ReferTo),
    (b's', HeaderName::Subject),
    (b't', HeaderName::To),
    (b'u', HeaderName::AllowEvents),
    (b'v', HeaderName::Via),
    (b'x', HeaderName::SessionExpires),
    (b'y', HeaderName::Identity),
];

const LETTERS: [HeaderName; 26] = {
    let mut table = [HeaderName::Other; 26];
    let mut i = 0;
    while i < COMPACT.len() {
        table[(COMPACT[i].0 - b'a') as usize] = COMPACT[i].1;
        i += 1;
    }
    table
};

#[inline]
fn compact(letter: u8) -> HeaderName {
    let at = letter.to_ascii_lowercase().wrapping_sub(b'a');
    LETTERS
        .get(usize::from(at))
        .copied()
        .unwrap_or(HeaderName::Other)
}

#[inline]
fn known(slot: u8) -> HeaderName {
    ALL.get(usize::from(slot))
        .copied()
        .unwrap_or(HeaderName::Other)
}

// One multiplication that happens to send every known name to a place of its own; the table below
// does not compile when a new name breaks that, and then another odd number must be tried.
const MULTIPLIER: u32 = 0xb3ba_5d0f;

#[inline]
const fn hash(len: usize, first: u8, middle: u8, last: u8) -> usize {
    let key =
        (len as u32 & 0xff) | (first as u32) << 8 | (last as u32) << 16 | (middle as u32) << 24;
    (key.wrapping_mul(MULTIPLIER) >> 22) as usize
}

#[inline]
fn bucket(hash: usize) -> u8 {
    BUCKETS.get(hash).copied().unwrap_or(u8::MAX)
}

const BUCKETS: [u8; 1024] = {
    let mut table = [u8::MAX; 1024];
    let mut i = 0;
    while i < LOWER.len() {
        let name = LOWER[i];
        let middle = name[name.len() / 2];
        let at = hash(
            name.len(),
            name[0] | 0x20,
            middle | 0x20,
            name[name.len() - 1] | 0x20,
        );
        assert!(table[at] == u8::MAX, "two names share a bucket");
        table[at] = i as u8;
        i += 1;
    }
    table
};

const fn lower<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < N {
        out[i] = text[i].to_ascii_lowercase();
        i += 1;
    }
    out
}

/// Whether `name` is `lower` but for the case of its letters. Eight octets at a time, the last
/// eight overlapping those before.
#[inline]
fn same_letters(name: &[u8], lower: &[u8]) -> bool {
    if name.len() != lower.len() {
        return false;
    }
    let (Some(a), Some(b)) = (name.last_chunk::<8>(), lower.last_chunk::<8>()) else {
        return match (
            (name.first_chunk::<4>(), lower.first_chunk::<4>()),
            (name.last_chunk::<4>(), lower.last_chunk::<4>()),
        ) {
            ((Some(a), Some(b)), (Some(c), Some(d))) => same_four(a, b) && same_four(c, d),
            _ => name.eq_ignore_ascii_case(lower),
        };
    };
    if !same_eight(a, b) {
        return false;
    }
    let (words, _) = name.as_chunks::<8>();
    let (expected, _) = lower.as_chunks::<8>();
    words.iter().zip(expected).all(|(a, b)| same_eight(a, b))
}

// A lower-case letter has 0x40 set, a digit and a hyphen do not: only letters may differ in 0x20.
#[inline]
fn same_eight(name: &[u8; 8], lower: &[u8; 8]) -> bool {
    let expected = u64::from_ne_bytes(*lower);
    let case = (expected & 0x4040_4040_4040_4040) >> 1;
    u64::from_ne_bytes(*name) | case == expected
}

#[inline]
fn same_four(name: &[u8; 4], lower: &[u8; 4]) -> bool {
    let expected = u32::from_ne_bytes(*lower);
    let case = (expected & 0x4040_4040) >> 1;
    u32::from_ne_bytes(*name) | case == expected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        assert_eq!(ALL.len(), TEXT.len());
        for name in HeaderName::all() {
            let text = name.as_str();
            assert_eq!(HeaderName::from_bytes(text.as_bytes()), *name);
            assert_eq!(
                HeaderName::from_bytes(text.to_uppercase().as_bytes()),
                *name
            );
            assert_eq!(
                HeaderName::from_bytes(text.to_lowercase().as_bytes()),
                *name
            );
        }
    }

    #[test]
    fn one_changed_octet_is_another_name() {
        for name in HeaderName::all() {
            let text = name.as_str().as_bytes();
            for at in 0..text.len() {
                for octet in 0..=255u8 {
                    let mut changed = text.to_vec();
                    changed[at] = octet;
                    let expected = HeaderName::all()
                        .iter()
                        .find(|n| n.as_str().as_bytes().eq_ignore_ascii_case(&changed))
                        .copied()
                        .unwrap_or(HeaderName::Other);
                    assert_eq!(HeaderName::from_bytes(&changed), expected);
                }
            }
        }
    }

    #[test]
    fn compact_forms_are_those_of_the_registry() {
        for letter in 0..=255u8 {
            let found = HeaderName::from_bytes(&[letter]);
            let listed = b"abcdefijklmnorstuvxy".contains(&letter.to_ascii_lowercase());
            assert_eq!(found != HeaderName::Other, listed, "{letter}");
            assert_eq!(HeaderName::is_compact(&[letter]), listed);
            if listed {
                assert_eq!(found.compact(), Some(letter.to_ascii_lowercase()));
            }
        }
        assert_eq!(HeaderName::from_bytes(b"v"), HeaderName::Via);
        assert_eq!(HeaderName::from_bytes(b""), HeaderName::Other);
        assert_eq!(HeaderName::from_bytes(b"Vi"), HeaderName::Other);
        assert_eq!(HeaderName::Other.as_str(), "");
        assert!(!HeaderName::is_compact(b"Via"));
    }

    #[test]
    fn the_numbers_fit_into_seven_bits() {
        assert!((HeaderName::Other as u8) < 128);
    }
}

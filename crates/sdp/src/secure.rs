//! Protection of RTP as descriptions agree on it: keys in `a=crypto` (SDES, RFC 4568) and certificates in `a=fingerprint` (DTLS-SRTP,
//! RFC 5763, RFC 8122). Nothing is encrypted here; keys come in from the owner and go out to the media session.

use std::fmt;

use crate::attribute::{self, Attribute};
use crate::base64;
use crate::negotiate::{LocalMedia, Refusal};
use crate::session::{Media, Session};

/// Whether we protect with keys in the description, and with which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LocalSrtp {
    /// How much we insist.
    pub policy: SrtpPolicy,
    /// Our keys, best suite first, one key for each suite; fresh random octets for every description.
    pub keys: Vec<SdesKey>,
}

/// How much we insist on SRTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SrtpPolicy {
    /// No SRTP with keys in the description.
    #[default]
    Off,
    /// SRTP where the peer can; offered as `RTP/AVP` with `a=crypto` beside it.
    Optional,
    /// SRTP or no stream.
    Required,
}

/// Our end of DTLS-SRTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalDtls {
    /// Digest of our certificate.
    pub fingerprint: Fingerprint,
}

/// Crypto suites we know (RFC 4568 §6.2, RFC 6188, RFC 7714).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CryptoSuite {
    /// AES_CM_128_HMAC_SHA1_80
    AesCm128Sha1_80,
    /// AES_CM_128_HMAC_SHA1_32
    AesCm128Sha1_32,
    /// AES_256_CM_HMAC_SHA1_80
    AesCm256Sha1_80,
    /// AES_256_CM_HMAC_SHA1_32
    AesCm256Sha1_32,
    /// AEAD_AES_128_GCM
    AesGcm128,
    /// AEAD_AES_256_GCM
    AesGcm256,
}

/// A suite with its master key and salt, one behind the other.
#[derive(Clone, PartialEq, Eq)]
pub struct SdesKey {
    /// The suite.
    pub suite: CryptoSuite,
    /// Key and salt, [`CryptoSuite::key_length`] octets.
    pub key: Vec<u8>,
    /// Master key identifier that stands in every packet; mostly empty, at most [`MAX_MKI`] octets.
    pub mki: Vec<u8>,
}

/// Agreed protection of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    /// In the clear.
    None,
    /// SRTP with these keys.
    Sdes {
        /// Key of what we send.
        send: SdesKey,
        /// Key of what we receive.
        receive: SdesKey,
    },
    /// SRTP with keys from a DTLS handshake.
    Dtls {
        /// Digests of which the peer's certificate must match one.
        fingerprints: Vec<Fingerprint>,
        /// Whether we start the handshake (`setup:active`, RFC 4145).
        active: bool,
    },
}

/// Digest of a certificate (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash, lower case: `sha-256`.
    pub hash: String,
    /// The digest.
    pub digest: Vec<u8>,
}

/// What is wrong with keys or certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityError {
    /// We insist on SRTP and the offer is in the clear.
    Required,
    /// A crypto line that breaks RFC 4568: tag, tag used twice, key missing, not base64 or of the wrong length.
    MalformedKey,
    /// No crypto line with a suite and parameters that we can do.
    NoUsableKey,
    /// The answer's crypto line does not fit one of the offer.
    UnmatchedKey,
    /// No fingerprint, none with a hash that is safe, or one of the wrong length.
    NoUsableFingerprint,
    /// `setup` values that leave nobody to start the handshake.
    Setup,
}

const SUITES: [(CryptoSuite, &str, usize); 6] = [
    (CryptoSuite::AesCm128Sha1_80, "AES_CM_128_HMAC_SHA1_80", 30),
    (CryptoSuite::AesCm128Sha1_32, "AES_CM_128_HMAC_SHA1_32", 30),
    (CryptoSuite::AesCm256Sha1_80, "AES_256_CM_HMAC_SHA1_80", 46),
    (CryptoSuite::AesCm256Sha1_32, "AES_256_CM_HMAC_SHA1_32", 46),
    (CryptoSuite::AesGcm128, "AEAD_AES_128_GCM", 28),
    (CryptoSuite::AesGcm256, "AEAD_AES_256_GCM", 44),
];

/// Hashes that may vouch for a certificate, with the length of their digest. MD5 and MD2 may not (RFC 8122 §5).
const HASHES: [(&str, usize); 5] = [
    ("sha-1", 20),
    ("sha-224", 28),
    ("sha-256", 32),
    ("sha-384", 48),
    ("sha-512", 64),
];

/// Longest master key identifier that we take, in octets (RFC 4568 §6.1 allows 128).
pub const MAX_MKI: usize = 4;

/// More crypto lines than this are not read.
const MAX_CRYPTO: usize = 32;

impl CryptoSuite {
    /// Suite of that name; upper and lower case count as the same, which RFC 4568 forbids and phones do.
    pub fn from_name(name: &str) -> Option<CryptoSuite> {
        SUITES
            .iter()
            .find(|s| s.1.eq_ignore_ascii_case(name))
            .map(|s| s.0)
    }

    /// Registered name.
    pub fn name(self) -> &'static str {
        SUITES.iter().find(|s| s.0 == self).map_or("", |s| s.1)
    }

    /// Octets of master key and salt together.
    pub fn key_length(self) -> usize {
        SUITES.iter().find(|s| s.0 == self).map_or(0, |s| s.2)
    }
}

/// A crypto line that is well formed. `key` is none where the suite or a parameter is not for us.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CryptoLine {
    tag: u32,
    key: Option<SdesKey>,
}

/// `tag suite inline:key[|lifetime][|mki:length] [parameters]` (RFC 4568 §9.1).
fn read_crypto(value: &str) -> Result<CryptoLine, SecurityError> {
    let malformed = SecurityError::MalformedKey;
    let mut words = value.split_ascii_whitespace();
    let tag = words
        .next()
        .filter(|t| t.len() < 10)
        .and_then(|t| t.parse().ok())
        .ok_or(malformed)?;
    let suite = CryptoSuite::from_name(words.next().ok_or(malformed)?);
    let keys = words.next().ok_or(malformed)?;
    let (method, keys) = keys.split_once(':').ok_or(malformed)?;
    let Some(suite) = suite.filter(|_| method.eq_ignore_ascii_case("inline")) else {
        return Ok(CryptoLine { tag, key: None });
    };
    let mut parts = keys.split('|');
    let key = parts
        .next()
        .and_then(base64::decode)
        .filter(|k| k.len() == suite.key_length())
        .ok_or(malformed)?;
    // All session parameters but a window hint change the packets; several keys would need identifiers to choose by.
    let plain = words.all(|w| w.starts_with("WSH=")) && !keys.contains(';');
    // A lifetime has no colon. Phones make calls, which end long before a key is used up.
    let mki = match parts.find(|part| part.contains(':')) {
        None => Some(Vec::new()),
        Some(part) => read_mki(part),
    };
    Ok(CryptoLine {
        tag,
        key: mki.filter(|_| plain).map(|mki| SdesKey { suite, key, mki }),
    })
}

/// `number:octets`.
fn read_mki(text: &str) -> Option<Vec<u8>> {
    let (number, length) = text.split_once(':')?;
    let (number, length): (u32, usize) = (number.parse().ok()?, length.parse().ok()?);
    let octets = number.to_be_bytes();
    let skipped = octets.len().checked_sub(length)?;
    let fits = length > 0 && octets.iter().take(skipped).all(|octet| *octet == 0);
    fits.then(|| octets.iter().skip(skipped).copied().collect())
}

fn crypto_lines(media: &Media) -> Result<Vec<CryptoLine>, SecurityError> {
    let mut lines: Vec<CryptoLine> = Vec::new();
    for value in attribute::all(&media.attributes, "crypto").take(MAX_CRYPTO) {
        let line = read_crypto(value)?;
        if lines.iter().any(|l| l.tag == line.tag) {
            return Err(SecurityError::MalformedKey);
        }
        lines.push(line);
    }
    Ok(lines)
}

/// How we answer for the protection of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Protection {
    None,
    Sdes { tag: u32, own: SdesKey },
    Dtls { active: bool },
}

impl Protection {
    pub(crate) fn attributes(&self, local: &LocalMedia) -> Vec<Attribute> {
        match self {
            Protection::None => Vec::new(),
            Protection::Sdes { tag, own } => vec![crypto_attribute(*tag, own)],
            Protection::Dtls { active } => {
                let setup = Attribute::new("setup", if *active { "active" } else { "passive" });
                let own = local
                    .dtls
                    .iter()
                    .map(|dtls| Attribute::new("fingerprint", dtls.fingerprint.to_string()));
                own.chain([setup]).collect()
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    Plain,
    Sdes,
    Dtls,
}

fn profile(protocol: &str) -> Option<Profile> {
    let is = |names: [&str; 2]| names.iter().any(|name| name.eq_ignore_ascii_case(protocol));
    if is(["RTP/AVP", "RTP/AVPF"]) {
        Some(Profile::Plain)
    } else if is(["RTP/SAVP", "RTP/SAVPF"]) {
        Some(Profile::Sdes)
    } else {
        is(["UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"]).then_some(Profile::Dtls)
    }
}

pub(crate) fn is_known_transport(protocol: &str) -> bool {
    profile(protocol).is_some()
}

/// How to protect an offered stream.
pub(crate) fn protection(
    offer: &Session,
    media: &Media,
    local: &LocalMedia,
) -> Result<Protection, Refusal> {
    let secured = match profile(&media.protocol).ok_or(Refusal::Transport)? {
        Profile::Plain => return plain(media, local).map_err(Refusal::Security),
        // Browsers once wrote RTP/SAVPF for DTLS as well: the fingerprint tells.
        Profile::Sdes
            if local.dtls.is_none() || offer.attribute_of(media, "fingerprint").is_none() =>
        {
            (local.srtp.policy != SrtpPolicy::Off).then(|| offered_key(media, local))
        }
        Profile::Sdes | Profile::Dtls => local
            .dtls
            .is_some()
            .then(|| offered_certificate(offer, media)),
    };
    secured
        .ok_or(Refusal::Transport)?
        .map_err(Refusal::Security)
}

fn plain(media: &Media, local: &LocalMedia) -> Result<Protection, SecurityError> {
    match local.srtp.policy {
        SrtpPolicy::Off => Ok(Protection::None),
        SrtpPolicy::Required => Err(SecurityError::Required),
        SrtpPolicy::Optional => match offered_key(media, local) {
            Err(SecurityError::NoUsableKey) => Ok(Protection::None),
            other => other,
        },
    }
}

/// First crypto line of the offer for whose suite we have a key.
fn offered_key(media: &Media, local: &LocalMedia) -> Result<Protection, SecurityError> {
    let lines = crypto_lines(media)?;
    let own = |suite| local.srtp.keys.iter().find(|k| k.suite == suite).cloned();
    let usable = lines
        .iter()
        .find_map(|line| Some((line.tag, own(line.key.as_ref()?.suite)?)));
    let (tag, own) = usable.ok_or(SecurityError::NoUsableKey)?;
    Ok(Protection::Sdes { tag, own })
}

/// RFC 5763 §5: an offer of `actpass` is answered with `active`; without `setup` it means the same here.
fn offered_certificate(offer: &Session, media: &Media) -> Result<Protection, SecurityError> {
    fingerprints(offer, media)?;
    match offer.attribute_of(media, "setup").map(str::trim) {
        None | Some("actpass" | "passive") => Ok(Protection::Dtls { active: true }),
        Some("active") => Ok(Protection::Dtls { active: false }),
        Some(_) => Err(SecurityError::Setup),
    }
}

fn fingerprints(session: &Session, media: &Media) -> Result<Vec<Fingerprint>, SecurityError> {
    let found: Vec<Fingerprint> = session
        .attributes_of(media, "fingerprint")
        .take(MAX_CRYPTO)
        .filter_map(Fingerprint::parse)
        .collect();
    if found.is_empty() {
        Err(SecurityError::NoUsableFingerprint)
    } else {
        Ok(found)
    }
}

/// Transport that says how we would protect.
pub(crate) fn offered_protocol(local: &LocalMedia) -> &'static str {
    match (&local.dtls, local.srtp.policy) {
        (Some(_), _) => "UDP/TLS/RTP/SAVP",
        (None, SrtpPolicy::Required) => "RTP/SAVP",
        (None, _) => "RTP/AVP",
    }
}

/// Attributes of an offer of ours.
pub(crate) fn offered(local: &LocalMedia) -> Vec<Attribute> {
    if let Some(dtls) = &local.dtls {
        return vec![
            Attribute::new("fingerprint", dtls.fingerprint.to_string()),
            Attribute::new("setup", "actpass"),
        ];
    }
    let keys = if local.srtp.policy == SrtpPolicy::Off {
        &[][..]
    } else {
        &local.srtp.keys
    };
    (1..)
        .zip(keys)
        .map(|(tag, key)| crypto_attribute(tag, key))
        .collect()
}

fn crypto_attribute(tag: u32, key: &SdesKey) -> Attribute {
    Attribute::new(
        "crypto",
        format!(
            "{tag} {} inline:{}",
            key.suite.name(),
            base64::encode(&key.key)
        ),
    )
}

/// Protection that two descriptions agree on, seen from `local`.
pub(crate) fn agreed(
    local: (&Session, &Media),
    remote: (&Session, &Media),
) -> Result<Security, SecurityError> {
    let certificates =
        |side: (&Session, &Media)| side.0.attribute_of(side.1, "fingerprint").is_some();
    let kind = profile(&remote.1.protocol).filter(|_| local.1.port != 0 && remote.1.port != 0);
    match kind {
        None => Ok(Security::None),
        Some(Profile::Dtls) => agreed_certificates(local, remote),
        Some(Profile::Sdes) if certificates(local) && certificates(remote) => {
            agreed_certificates(local, remote)
        }
        Some(Profile::Sdes) => agreed_keys(local.1, remote.1)?.ok_or(SecurityError::NoUsableKey),
        // Best effort: SRTP when both sides have crypto lines, in the clear when one has none.
        Some(Profile::Plain) => Ok(agreed_keys(local.1, remote.1)?.unwrap_or(Security::None)),
    }
}

fn agreed_keys(local: &Media, remote: &Media) -> Result<Option<Security>, SecurityError> {
    if local.attribute("crypto").is_none() || remote.attribute("crypto").is_none() {
        return Ok(None);
    }
    let (ours, theirs) = (crypto_lines(local)?, crypto_lines(remote)?);
    let pair = ours.into_iter().find_map(|own| {
        let other = theirs.iter().find(|t| t.tag == own.tag)?;
        let (send, receive) = (own.key?, other.key.clone()?);
        (send.suite == receive.suite).then_some(Security::Sdes { send, receive })
    });
    pair.map(Some).ok_or(SecurityError::UnmatchedKey)
}

fn agreed_certificates(
    local: (&Session, &Media),
    remote: (&Session, &Media),
) -> Result<Security, SecurityError> {
    let fingerprints = fingerprints(remote.0, remote.1)?;
    let setup = |side: (&Session, &Media)| {
        side.0
            .attribute_of(side.1, "setup")
            .map_or("actpass".to_owned(), |s| s.trim().to_owned())
    };
    let active = match (setup(local).as_str(), setup(remote).as_str()) {
        ("active", "passive" | "actpass") | ("actpass", "passive") => true,
        ("passive", "active" | "actpass") | ("actpass", "active") => false,
        _ => return Err(SecurityError::Setup),
    };
    Ok(Security::Dtls {
        fingerprints,
        active,
    })
}

impl Fingerprint {
    /// Reads `hash AA:BB:…`; none when the hash is not safe or the digest has not its length.
    pub fn parse(value: &str) -> Option<Fingerprint> {
        let (hash, digest) = value.trim().split_once(' ')?;
        let (hash, length) = HASHES.iter().find(|h| h.0.eq_ignore_ascii_case(hash))?;
        let octet = |pair: &str| {
            u8::from_str_radix(pair, 16)
                .ok()
                .filter(|_| pair.len() == 2 && !pair.starts_with('+'))
        };
        let digest: Vec<u8> = digest
            .trim()
            .split(':')
            .take(length + 1)
            .map(octet)
            .collect::<Option<_>>()?;
        (digest.len() == *length).then(|| Fingerprint {
            hash: (*hash).to_owned(),
            digest,
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest: Vec<String> = self.digest.iter().map(|b| format!("{b:02X}")).collect();
        write!(f, "{} {}", self.hash, digest.join(":"))
    }
}

impl fmt::Debug for SdesKey {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SdesKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SecurityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecurityError::Required => "SRTP is required",
            SecurityError::MalformedKey => "malformed crypto line",
            SecurityError::NoUsableKey => "no usable crypto line",
            SecurityError::UnmatchedKey => "crypto line that was not offered",
            SecurityError::NoUsableFingerprint => "no usable fingerprint",
            SecurityError::Setup => "setup values that do not fit",
        })
    }
}

impl std::error::Error for SecurityError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_lines_of_rfc_4568() {
        let key = "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
        let usable = |value: &str| read_crypto(value).map(|line| line.key.is_some());
        assert_eq!(
            usable(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20")),
            Ok(true)
        );
        assert_eq!(
            usable(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20 WSH=64")),
            Ok(true)
        );
        let with_mki = read_crypto(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20|258:4"));
        let mki = with_mki.unwrap().key.map(|key| key.mki);
        assert_eq!(mki, Some(vec![0, 0, 1, 2]));
        for bad in ["1:0", "256:1", "1:5", "x:1", "1:"] {
            let line = format!("1 AES_CM_128_HMAC_SHA1_80 {key}|{bad}");
            assert_eq!(usable(&line), Ok(false), "{bad}");
        }
        assert_eq!(
            usable(&format!("1 AES_CM_128_HMAC_SHA1_80 {key}|2^20;{key}|1:1")),
            Ok(false)
        );
        assert_eq!(
            usable(&format!("1 AES_CM_128_HMAC_SHA1_80 {key} UNENCRYPTED_SRTP")),
            Ok(false)
        );
        assert_eq!(usable(&format!("1 F8_128_HMAC_SHA1_80 {key}")), Ok(false));
        for bad in [
            "1",
            "x AES_CM_128_HMAC_SHA1_80 inline:AA",
            "1 AES_CM_128_HMAC_SHA1_80 inline",
            "1 AES_CM_128_HMAC_SHA1_80 inline:",
        ] {
            assert_eq!(usable(bad), Err(SecurityError::MalformedKey), "{bad}");
        }
    }

    #[test]
    fn keys_stay_out_of_logs() {
        let key = SdesKey {
            suite: CryptoSuite::AesGcm128,
            key: vec![77; 28],
            mki: Vec::new(),
        };
        assert!(!format!("{key:?}").contains("77"));
    }

    #[test]
    fn fingerprints_need_a_safe_hash_and_its_length() {
        let sha1 = "SHA-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB";
        let read = Fingerprint::parse(sha1).unwrap();
        assert_eq!(read.to_string().to_uppercase(), sha1);
        assert_eq!(Fingerprint::parse("sha-1 4A:AD"), None);
        assert_eq!(Fingerprint::parse(&format!("{sha1}:00")), None);
        assert_eq!(Fingerprint::parse(&sha1.replace("4A", "+A")), None);
        assert_eq!(
            Fingerprint::parse("md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"),
            None
        );
    }
}

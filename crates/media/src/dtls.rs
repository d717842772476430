//! The handshake of DTLS-SRTP (RFC 5763, RFC 5764): two phones with self-signed certificates agree on keys for SRTP on the
//! path of the media itself. Who may speak is decided by the certificates' digests in the descriptions.
//!
//! Randomness is the exception here to what comes in from outside: keys of a handshake must never repeat, and so the
//! cryptographic library draws them itself.

use core::fmt;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::crypto_provider::{RTCCryptoProvider, default_provider};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use sha1::Sha1;
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};

use crate::Time;
use crate::session::Protection;
use crate::srtp::{MasterKey, Suite};

/// A handshake that takes longer has failed.
const PATIENCE: Time = Time::from_secs(20);
/// Octets of a handshake message in one datagram; room for the headers of every usual network.
const LARGEST: usize = 1200;
/// A flight that is not answered for so long is sent again, seven times at most.
const REPEAT: Time = Time::from_millis(250);
/// Pieces of handshake messages remembered.
const SEEN: usize = 64;
/// The library tells its peers apart by address; ours is always the other side of one stream, wherever that may move.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5004);

/// Profiles in our order of preference (RFC 5764 §4.1.2, RFC 7714 §14.2).
const PROFILES: [(SrtpProtectionProfile, Suite); 4] = [
    (
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Suite::AesGcm128,
    ),
    (
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        Suite::AesGcm256,
    ),
    (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Suite::AesCm128Sha1_80,
    ),
    (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_32,
        Suite::AesCm128Sha1_32,
    ),
];

/// A certificate of our own with its key.
#[derive(Clone)]
pub struct Identity {
    provider: Arc<dyn RTCCryptoProvider>,
    certificate: Certificate,
}

impl Identity {
    /// A fresh self-signed certificate (ECDSA on P-256) that names nobody.
    ///
    /// # Errors
    /// [`Failure::Library`].
    pub fn generate() -> Result<Self, Failure> {
        let provider = default_provider().map_err(|error| Failure::Library(error.to_string()))?;
        let names = vec!["anonymous.invalid".to_owned()];
        let certificate = Certificate::generate_self_signed(names, provider.crypto())
            .map_err(|error| Failure::Library(error.to_string()))?;
        Ok(Self {
            provider,
            certificate,
        })
    }

    /// SHA-256 of the certificate, for `a=fingerprint`.
    pub fn fingerprint(&self) -> [u8; 32] {
        let certificate = self.certificate.certificate.first();
        Sha256::digest(certificate.map(|der| &**der).unwrap_or_default()).into()
    }

    fn config(
        &self,
        active: bool,
        expected: Vec<Digest>,
        stranger: &Arc<AtomicBool>,
    ) -> Result<Arc<HandshakeConfig>, Failure> {
        let stranger = stranger.clone();
        let verify = move |chain: &[Vec<u8>], _: &[_]| {
            let known = chain
                .first()
                .is_some_and(|leaf| expected.iter().any(|digest| digest.is_of(leaf)));
            if known {
                return Ok(());
            }
            stranger.store(true, Ordering::Relaxed);
            Err(std::io::Error::other("unexpected certificate").into())
        };
        ConfigBuilder::default()
            .with_crypto_provider(self.provider.clone())
            .with_certificates(vec![self.certificate.clone()])
            .with_srtp_protection_profiles(PROFILES.iter().map(|(profile, _)| *profile).collect())
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // No authority has signed it; the digest is what counts.
            .with_insecure_skip_verify(true)
            .with_verify_peer_certificate(Some(Arc::new(verify)))
            .with_mtu(LARGEST)
            .with_flight_interval(REPEAT)
            .build(active, None)
            .map(Arc::new)
            .map_err(|error| Failure::Library(error.to_string()))
    }
}

impl fmt::Debug for Identity {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What a description says of the certificate that is to come (RFC 8122 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// `sha-256` and its kin.
    pub hash: String,
    /// The digest.
    pub octets: Vec<u8>,
}

impl Digest {
    fn is_of(&self, certificate: &[u8]) -> bool {
        match self.hash.as_str() {
            "sha-1" => Sha1::digest(certificate)[..] == self.octets,
            "sha-224" => Sha224::digest(certificate)[..] == self.octets,
            "sha-256" => Sha256::digest(certificate)[..] == self.octets,
            "sha-384" => Sha384::digest(certificate)[..] == self.octets,
            "sha-512" => Sha512::digest(certificate)[..] == self.octets,
            _ => false,
        }
    }
}

/// Why there are no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The other side's certificate is not the one that its description announced.
    Stranger,
    /// The handshake did not come to its end in time.
    TimedOut,
    /// The other side knows no SRTP profile of ours.
    NoProfile,
    /// The library gave up.
    Library(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str(
                "the other side's certificate is not the one that its description announced: somebody may be in between",
            ),
            Self::TimedOut => f.write_str("the DTLS handshake did not come to its end"),
            Self::NoProfile => f.write_str("no SRTP profile in common"),
            Self::Library(why) => write!(f, "the DTLS handshake failed: {why}"),
        }
    }
}

impl core::error::Error for Failure {}

/// One handshake and what follows from it. The owner moves datagrams and tells the time; the outcome comes once from
/// [`Handshake::poll_outcome`].
pub struct Handshake {
    endpoint: Endpoint,
    /// As the client: what is needed to begin.
    client: Option<Arc<HandshakeConfig>>,
    begun_by_us: bool,
    epoch: Instant,
    begun: Time,
    stranger: Arc<AtomicBool>,
    /// Pieces of handshake messages that came: number, offset, length.
    seen: VecDeque<[u8; 8]>,
    outcome: Option<Result<Protection, Failure>>,
    finished: bool,
}

impl Handshake {
    /// `active` sends the first message (`setup:active`, RFC 5763 §5), with the first [`Handshake::run`]. `epoch` is the
    /// moment that time 0 stands for.
    ///
    /// # Errors
    /// [`Failure::Library`].
    pub fn new(
        identity: &Identity,
        active: bool,
        expected: Vec<Digest>,
        epoch: Instant,
        now: Time,
    ) -> Result<Self, Failure> {
        let stranger = Arc::new(AtomicBool::new(false));
        let config = identity.config(active, expected, &stranger)?;
        let server = (!active).then(|| config.clone());
        Ok(Self {
            endpoint: Endpoint::new(PEER, Default::default(), server),
            client: active.then_some(config),
            begun_by_us: false,
            epoch,
            begun: now,
            stranger,
            seen: VecDeque::new(),
            outcome: None,
            finished: false,
        })
    }

    /// When [`Handshake::run`] has something to do.
    pub fn due(&self) -> Option<Time> {
        if self.finished {
            return None;
        }
        if self.is_still_to_begin() {
            return Some(self.begun);
        }
        let repeat = self
            .endpoint
            .poll_timeout(&PEER)
            .map(|at| at.saturating_duration_since(self.epoch));
        let end = self.begun + PATIENCE;
        Some(repeat.map_or(end, |at| at.min(end)))
    }

    /// Begins, repeats what was lost, or gives up.
    pub fn run(&mut self, now: Time) {
        if self.finished {
            return;
        }
        let instant = self.epoch + now;
        if self.is_still_to_begin() {
            // Time counts from when the path was there.
            self.begun = now;
            self.begun_by_us = true;
            return self.connect(instant);
        }
        if now >= self.begun + PATIENCE {
            return self.finish(Err(Failure::TimedOut));
        }
        // Before anything came there is nobody to repeat anything to.
        if self.endpoint.get_connection_state(PEER).is_none() {
            return;
        }
        if let Err(error) = self.endpoint.handle_timeout(PEER, instant) {
            // The library gives up long before a person does, who may not even have our description yet.
            if self.client.is_some() && self.seen.is_empty() {
                self.endpoint = Endpoint::new(PEER, Default::default(), None);
                self.connect(instant);
            } else {
                self.finish(Err(Failure::Library(error.to_string())));
            }
        }
    }

    fn is_still_to_begin(&self) -> bool {
        self.client.is_some() && !self.begun_by_us
    }

    fn connect(&mut self, instant: Instant) {
        let Some(config) = self.client.clone() else {
            return;
        };
        if let Err(error) = self.endpoint.connect(instant, PEER, config, None) {
            self.finish(Err(Failure::Library(error.to_string())));
        }
    }

    /// Takes a datagram. One that makes no sense is somebody else's and does no harm.
    pub fn handle(&mut self, now: Time, bytes: &[u8]) {
        // As the client nothing is expected before something was said.
        if self.is_still_to_begin() || (!self.finished && self.is_repeated(bytes)) {
            return;
        }
        let events = self
            .endpoint
            .read(self.epoch + now, PEER, None, bytes.into())
            .unwrap_or_default();
        if self.finished {
            return;
        }
        if self.stranger.load(Ordering::Relaxed) {
            return self.finish(Err(Failure::Stranger));
        }
        let complete = |event: &EndpointEvent| matches!(event, EndpointEvent::HandshakeComplete);
        if events.iter().any(complete) {
            let keys = self.keys();
            self.finish(keys);
        }
    }

    /// The next datagram to send, on the path of RTP.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        Some(self.endpoint.poll_transmit()?.message.to_vec())
    }

    /// The keys, or why there are none.
    pub fn poll_outcome(&mut self) -> Option<Result<Protection, Failure>> {
        self.outcome.take()
    }

    /// Whether a datagram has nothing but messages that came before. In the library even those stop the timer that repeats
    /// our own flight, which the other side then waits for in vain. The first message of all is stateless and passes.
    fn is_repeated(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let mut repeated = !bytes.is_empty();
        // Type, version, epoch, sequence number, length; then type, length, number, offset and length of the message.
        while let Some((record, after)) = rest.split_at_checked(13) {
            let length = record.get(11..).map_or(0, |length| {
                length
                    .iter()
                    .fold(0, |sum, octet| sum << 8 | usize::from(*octet))
            });
            let Some((message, after)) = after.split_at_checked(length) else {
                return false;
            };
            rest = after;
            let in_clear = record.first() == Some(&22) && record.get(3..5) == Some(&[0, 0]);
            let piece = message.get(4..12).and_then(|piece| piece.try_into().ok());
            let Some(piece) = piece.filter(|_| in_clear) else {
                repeated = false;
                continue;
            };
            if self.seen.contains(&piece) {
                repeated &= !piece.starts_with(&[0, 0]);
            } else {
                repeated = false;
                if self.seen.len() >= SEEN {
                    self.seen.pop_front();
                }
                self.seen.push_back(piece);
            }
        }
        repeated && rest.is_empty()
    }

    fn finish(&mut self, outcome: Result<Protection, Failure>) {
        self.finished = true;
        self.outcome = Some(outcome);
    }

    /// Client's key, server's key, client's salt, server's salt (RFC 5764 §4.2).
    fn keys(&self) -> Result<Protection, Failure> {
        let state = self
            .endpoint
            .get_connection_state(PEER)
            .ok_or(Failure::TimedOut)?;
        let agreed = state.srtp_protection_profile();
        let (_, suite) = PROFILES
            .into_iter()
            .find(|(profile, _)| *profile == agreed)
            .ok_or(Failure::NoProfile)?;
        let (key, salt) = (suite.key_length(), suite.salt_length());
        let material = state
            .export_keying_material("EXTRACTOR-dtls_srtp", &[], 2 * (key + salt))
            .map_err(|error| Failure::Library(error.to_string()))?
            .into_bytes();
        let master = |side: usize| {
            let key_at = side * key;
            let salt_at = 2 * key + side * salt;
            let key = material.get(key_at..key_at + key).unwrap_or_default();
            let salt = material.get(salt_at..salt_at + salt).unwrap_or_default();
            MasterKey::new(suite, &[key, salt].concat(), &[]).ok_or(Failure::NoProfile)
        };
        let (client, server) = (master(0)?, master(1)?);
        let (send, receive) = if self.client.is_some() {
            (client, server)
        } else {
            (server, client)
        };
        Ok(Protection::Srtp { send, receive })
    }
}

impl fmt::Debug for Handshake {
    /// Keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("active", &self.client.is_some())
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

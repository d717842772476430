//! Who sends a request: Digest challenges and verdicts (RFC 3261 §22).

use sip::Endpoint;
use sip::auth::{Algorithm, Credentials, NonceCheck, ProtectionSpace, Subject, UriRule, Verdict};
use sip::flow::Flow;
use sip::header::HeaderName;
use sip::message::StatusCode;
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::uri::Host;
use sip::wire::Packet;

use crate::core::Shared;
use crate::guard::{Reason, Source};

/// Who asks for credentials: a registrar (401) or a proxy (407).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Registrar,
    Proxy,
}

impl Asker {
    const fn status(self) -> StatusCode {
        match self {
            Asker::Registrar => StatusCode(401),
            Asker::Proxy => StatusCode(407),
        }
    }

    const fn challenge_name(self) -> &'static str {
        match self {
            Asker::Registrar => "WWW-Authenticate",
            Asker::Proxy => "Proxy-Authenticate",
        }
    }

    const fn credentials_name(self) -> HeaderName {
        match self {
            Asker::Registrar => HeaderName::Authorization,
            Asker::Proxy => HeaderName::ProxyAuthorization,
        }
    }
}

/// What became of the question who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Challenged { stale: bool },
    Refused(StatusCode, &'static str),
}

/// Checks that the sender of a request is the user `aor` (`user@domain`). When it is not, answers the request and
/// says false.
pub(crate) fn authenticate(
    now: Time,
    endpoint: &mut Endpoint,
    id: ServerId,
    asker: Asker,
    aor: &str,
    shared: &Shared,
) -> bool {
    let domain = aor.rsplit_once('@').map_or(aor, |(_, domain)| domain);
    let (Some(packet), Some(flow)) = (endpoint.request(id), endpoint.request_flow(id)) else {
        return false;
    };
    let mut space = ProtectionSpace::new(domain);
    space.algorithms = offered(&packet, &shared.config.algorithms);
    space.auth_int = shared.config.auth_int;
    // Many clients name another URI than that of the request (sipp the server's, gateways the registrar's). What the
    // comparison would prevent, using credentials again for another request, the nonce count prevents already.
    space.uri_rule = UriRule::Any;
    let question = Question {
        now,
        flow,
        packet: &packet,
        space: &space,
        aor,
        shared,
    };
    let outcome = question.judge(endpoint, asker);
    match outcome {
        Outcome::Accepted => {
            endpoint.sender_is_known(id);
            return true;
        }
        Outcome::Refused(code, reason) => {
            endpoint.respond(id, &Reply::new(code).reason(reason));
        }
        Outcome::Challenged { stale } => {
            let receiver = Source::of(flow.remote.ip()).octets();
            let nonce = shared.nonces.issue_to(now, domain, &receiver);
            let challenges: Vec<String> = space.challenges(&nonce, stale).collect();
            let mut reply = Reply::new(asker.status());
            for challenge in &challenges {
                reply.headers.push((asker.challenge_name(), challenge));
            }
            endpoint.respond(id, &reply);
        }
    }
    false
}

/// Who sends this request?
struct Question<'a> {
    now: Time,
    flow: Flow,
    packet: &'a Packet<'a>,
    space: &'a ProtectionSpace,
    aor: &'a str,
    shared: &'a Shared,
}

impl Question<'_> {
    fn judge(&self, endpoint: &Endpoint, asker: Asker) -> Outcome {
        let shared = self.shared;
        let values = self.packet.all(asker.credentials_name());
        let credentials = match self.space.find(values.map(|h| h.value())) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Outcome::Challenged { stale: false },
            Err(_) => return Outcome::Refused(StatusCode(400), "Malformed Credentials"),
        };
        let (user, domain) = self.aor.rsplit_once('@').unwrap_or((self.aor, ""));
        let named = credentials.speaks_for(user, domain);
        // Somebody else's name is judged with that account, so that a wrong password tells nothing about names.
        let name = if named {
            self.aor.to_owned()
        } else {
            credentials_aor(&credentials, domain)
        };
        let address = self.flow.remote.ip();
        if shared.guard.is_shut_out(self.now, address, &name) {
            return Outcome::Refused(StatusCode(403), "Too Many Wrong Passwords");
        }
        let entry = shared.accounts.find(&name);
        let exists = entry.is_some();
        let ha1 = entry.filter(|e| e.enabled).and_then(|e| e.ha1);
        let subject = Subject {
            method: self.packet.method_name(),
            uri: self.packet.request_uri(),
            body: self.packet.body(),
        };
        let ours =
            |host: &[u8]| Host::parse(host).is_ok_and(|host| endpoint.own_names().is_domain(&host));
        let (nonces, space) = (&shared.nonces, self.space);
        match space.judge(nonces, self.now, &credentials, ha1.as_ref(), &subject, ours) {
            Verdict::Accept(_) => {
                shared.guard.succeeded(self.now, address, &name);
                if named {
                    Outcome::Accepted
                } else {
                    Outcome::Refused(StatusCode(403), "Not Your Address")
                }
            }
            Verdict::Challenge { stale: false } => {
                let reason = if exists {
                    Reason::WrongPasswords
                } else {
                    Reason::UnknownUsers
                };
                let proven = self.is_proven(&credentials);
                shared
                    .guard
                    .failed(self.now, address, Some(&name), reason, proven);
                Outcome::Challenged { stale: false }
            }
            Verdict::Challenge { stale: true } => Outcome::Challenged { stale: true },
            Verdict::Refuse(_) => Outcome::Refused(StatusCode(400), "Unusable Credentials"),
        }
    }

    /// Whether whoever sent these credentials reads what is sent to the address that they came from: it is a connection,
    /// or the nonce was issued to that address.
    fn is_proven(&self, credentials: &Credentials<'_>) -> bool {
        if self.flow.transport.is_reliable() {
            return true;
        }
        let nonce = credentials.nonce.raw();
        let receiver = Source::of(self.flow.remote.ip()).octets();
        let check = self.shared.nonces.check(self.now, &self.space.realm, nonce);
        check != NonceCheck::Forged && self.shared.nonces.was_sent_to(nonce, &receiver)
    }
}

/// What is offered to this client. Some give up when any challenge names an algorithm that they do not know, or
/// look at the last one only: they get MD5 alone, if MD5 is offered at all.
fn offered(packet: &Packet<'_>, algorithms: &[Algorithm]) -> Vec<Algorithm> {
    const MD5_ALONE: [&[u8]; 4] = [b"baresip v0.", b"baresip v1.", b"JsSIP", b"Twinkle/"];
    let agent = packet.value(HeaderName::UserAgent).unwrap_or_default();
    if MD5_ALONE.iter().any(|name| agent.starts_with(name)) && algorithms.contains(&Algorithm::Md5)
    {
        return vec![Algorithm::Md5];
    }
    algorithms.to_vec()
}

/// The address of record that credentials name: their user name alone, or with the domain.
fn credentials_aor(credentials: &Credentials<'_>, domain: &str) -> String {
    let username = credentials.username.unescaped();
    if username.contains('@') {
        username.into_owned()
    } else {
        format!("{username}@{domain}")
    }
}

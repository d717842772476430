//! Who sends a request: Digest challenges and verdicts (RFC 3261 §22).

use sip::Endpoint;
use sip::auth::{Algorithm, Nonces, ProtectionSpace, Subject, UriRule, Verdict};
use sip::header::HeaderName;
use sip::message::StatusCode;
use sip::respond::Reply;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::uri::Host;
use sip::wire::Packet;

use crate::accounts::Accounts;
use crate::config::Config;

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
#[allow(
    clippy::too_many_arguments,
    reason = "a question about all of these at once"
)]
pub(crate) fn authenticate(
    now: Time,
    endpoint: &mut Endpoint,
    id: ServerId,
    asker: Asker,
    aor: &str,
    nonces: &Nonces,
    accounts: &Accounts,
    config: &Config,
) -> bool {
    let domain = aor.rsplit_once('@').map_or(aor, |(_, domain)| domain);
    let Some(packet) = endpoint.request(id) else {
        return false;
    };
    let mut space = ProtectionSpace::new(domain);
    space.algorithms = offered(&packet, &config.algorithms);
    space.auth_int = config.auth_int;
    // Many clients name another URI than that of the request (sipp the server's, gateways the registrar's). What the
    // comparison would prevent, using credentials again for another request, the nonce count prevents already.
    space.uri_rule = UriRule::Any;
    let outcome = judge(now, endpoint, &packet, asker, &space, aor, nonces, accounts);
    match outcome {
        Outcome::Accepted => return true,
        Outcome::Refused(code, reason) => {
            endpoint.respond(id, &Reply::new(code).reason(reason));
        }
        Outcome::Challenged { stale } => {
            let nonce = nonces.issue(now, domain);
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

#[allow(
    clippy::too_many_arguments,
    reason = "a question about all of these at once"
)]
fn judge(
    now: Time,
    endpoint: &Endpoint,
    packet: &Packet<'_>,
    asker: Asker,
    space: &ProtectionSpace,
    aor: &str,
    nonces: &Nonces,
    accounts: &Accounts,
) -> Outcome {
    let values = packet.all(asker.credentials_name()).map(|h| h.value());
    let credentials = match space.find(values) {
        Ok(Some(credentials)) => credentials,
        Ok(None) => return Outcome::Challenged { stale: false },
        Err(_) => return Outcome::Refused(StatusCode(400), "Malformed Credentials"),
    };
    let (user, domain) = aor.rsplit_once('@').unwrap_or((aor, ""));
    let entry = accounts.find(aor);
    let ha1 = entry.filter(|e| e.enabled).and_then(|e| e.ha1);
    let named = credentials.speaks_for(user, domain);
    let subject = Subject {
        method: packet.method_name(),
        uri: packet.request_uri(),
        body: packet.body(),
    };
    let ours =
        |host: &[u8]| Host::parse(host).is_ok_and(|host| endpoint.own_names().is_domain(&host));
    // Somebody else's name is judged with that account, so that a wrong password tells nothing about names.
    let ha1 = if named {
        ha1
    } else {
        let name = credentials_aor(&credentials, domain);
        accounts
            .find(&name)
            .filter(|e| e.enabled)
            .and_then(|e| e.ha1)
    };
    match space.judge(nonces, now, &credentials, ha1.as_ref(), &subject, ours) {
        Verdict::Accept(_) if named => Outcome::Accepted,
        Verdict::Accept(_) => Outcome::Refused(StatusCode(403), "Not Your Address"),
        Verdict::Challenge { stale } => Outcome::Challenged { stale },
        Verdict::Refuse(_) => Outcome::Refused(StatusCode(400), "Unusable Credentials"),
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
fn credentials_aor(credentials: &sip::auth::Credentials<'_>, domain: &str) -> String {
    let username = credentials.username.unescaped();
    if username.contains('@') {
        username.into_owned()
    } else {
        format!("{username}@{domain}")
    }
}

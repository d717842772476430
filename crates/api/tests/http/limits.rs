//! What the HTTP server bears, and what every answer says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use crate::support::World;

#[test]
fn every_answer_is_guarded() {
    let world = World::new();
    let stranger = world.stranger();
    for path in [
        "/",
        "/accounts",
        "/api/session",
        "/api/nothing",
        "/missing.js",
        "/healthz",
    ] {
        let answer = stranger.get(path);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header("cache-control").starts_with("no-"), "{path}");
        assert!(answer.headers.get("server").is_none());
    }
    assert!(
        stranger
            .get("/accounts")
            .header("content-type")
            .starts_with("text/html")
    );
    assert_eq!(stranger.get("/accounts").body, stranger.get("/").body);
    assert_eq!(stranger.get("/missing.js").status, 404);
    assert_eq!(stranger.get("/api/nothing").problem().1, "not_found");
    assert_eq!(
        stranger.get("/../../etc/passwd").status,
        200,
        "a page of the app, and no file"
    );
    assert_eq!(stranger.send("PUT", "/healthz", &[], None).status, 405);
    assert_eq!(stranger.send("DELETE", "/", &[], None).status, 405);
    assert_eq!(stranger.get("/readyz").text(), "ok\n");
}

#[test]
fn bodies_and_heads_are_bounded() {
    let world = World::new();
    let stranger = world.stranger();
    let json = [("Content-Type", "application/json")];
    let large = vec![b' '; 70_000];
    let refused = stranger.send("POST", "/api/session", &json, Some(&large));
    assert_eq!(refused.status, 413);
    // Who is not signed in has not even the body read.
    let refused = stranger.send("PUT", "/api/settings", &json, Some(&large[..60_000]));
    assert_eq!(refused.status, 401);
    let mut raw = world.raw();
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n", "y".repeat(60_000));
    let _ = raw.write_all(head.as_bytes());
    let mut answer = String::new();
    let _ = raw.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

/// Reads until the other side closes.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).is_ok()
}

#[test]
fn slow_clients_are_closed_and_one_host_has_so_many_connections() {
    let world = World::new();
    let mut slow = world.raw();
    slow.write_all(b"GET / HTTP/1.1\r\nHost:").unwrap();
    let mut idle: Vec<_> = (0..63).map(|_| world.raw()).collect();
    let mut one_more = world.raw();
    assert!(is_closed(&mut one_more), "the 65th is closed at once");
    // Those that say nothing, or not all, are closed after a while: others get their places.
    assert!(is_closed(&mut slow));
    assert!(idle.iter_mut().all(is_closed));
    assert_eq!(world.stranger().get("/healthz").status, 200);
}

#[test]
fn https_is_spoken_with_a_certificate() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let world = World::with(|config| config.tls = Some(Arc::new(server)));
    assert!(world.console().url().starts_with("https://127.0.0.1:"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
    let mut socket = world.raw();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let (name, password) = world.console().first_password().unwrap();
    let body = format!("{{\"name\":\"{name}\",\"password\":\"{password}\"}}");
    let request = format!(
        "POST /api/session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("; Secure"), "{answer}");
    assert!(answer.contains("strict-transport-security"), "{answer}");
}

/// With `SORI_WEB=skip` there is only the page that says so.
#[test]
fn the_app_is_there_and_its_files_are_kept_by_browsers() {
    let world = World::new();
    let stranger = world.stranger();
    let page = stranger.get("/").text();
    if !api::has_web_app() {
        assert!(page.contains("SORI_WEB=skip"), "{page}");
        return;
    }
    assert!(
        !page.contains("<script>") && !page.contains("style="),
        "{page}"
    );
    let (_, rest) = page.split_once("src=\"/assets/").unwrap();
    let script = format!("/assets/{}", rest.split('"').next().unwrap());
    let plain = stranger.get(&script);
    assert!(plain.header("content-type").starts_with("text/javascript"));
    assert!(plain.header("cache-control").contains("immutable"));
    assert!(plain.headers.get("content-encoding").is_none());
    let zipped = stranger.send("GET", &script, &[("Accept-Encoding", "gzip, br")], None);
    assert_eq!(zipped.header("content-encoding"), "gzip");
    assert!(zipped.body.len() * 2 < plain.body.len());
    let other = ["http://", "https://"];
    let hosts = other.iter().flat_map(|s| page.match_indices(s)).count();
    assert_eq!(hosts, 0, "{page}");
}

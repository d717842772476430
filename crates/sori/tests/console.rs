//! `sori serve --http` and `sori admin`: the first password, a restart in place, the ways to end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Running, run, sori};

struct Data(PathBuf);

impl Data {
    fn new(name: &str) -> Data {
        let dir = std::env::temp_dir().join(format!("sori-console-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Data(dir)
    }

    fn serve(&self, http: &[&str]) -> Running {
        let data = self.0.display().to_string();
        let mut args = vec![
            "serve",
            "--data",
            &data,
            "--domain",
            "sori.test",
            "--sip",
            "udp:127.0.0.1:0",
        ];
        args.extend(["--workers", "1"]);
        args.extend(http);
        Running::start(sori(&args))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const HTTP: [&str; 2] = ["--http", "127.0.0.1:0"];

fn url(server: &mut Running) -> String {
    server.wait_line("the address of the console", |line| {
        let url = line.trim().strip_prefix("console ")?.trim();
        Some(url.trim_end_matches('/').to_owned())
    })
}

fn password(server: &mut Running) -> String {
    server.wait_line("the first password", |line| {
        let (_, rest) = line.split_once("as admin with the password ")?;
        rest.split(' ').next().map(str::to_owned)
    })
}

/// Sends JSON; status, cookie and body of the answer.
fn send(method: &str, url: &str, cookie: &str, body: &Value) -> (u16, String, String) {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(url)
        .header("Cookie", cookie)
        .header("Content-Type", "application/json");
    let mut answer = match method {
        "GET" => agent.run(request.body(()).unwrap()),
        _ => agent.run(request.body(body.to_string()).unwrap()),
    }
    .unwrap();
    let cookie = answer
        .headers()
        .get("set-cookie")
        .map(|c| c.to_str().unwrap());
    let cookie = cookie
        .and_then(|c| c.split(';').next())
        .unwrap_or_default()
        .to_owned();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), cookie, text)
}

fn sign_in(url: &str, password: &str) -> (u16, String) {
    let login = json!({"name": "admin", "password": password});
    let (status, cookie, _) = send("POST", &format!("{url}/api/session"), "", &login);
    (status, cookie)
}

fn set_password(data: &Path, name: &str, password: &str) -> (i32, String) {
    let data = data.display().to_string();
    let mut child = sori(&["admin", "passwd", name, "--data", &data, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.code().unwrap(), text)
}

#[test]
fn the_server_starts_again_and_ends_as_an_administrator_asks() {
    let data = Data::new("restart");
    let mut server = data.serve(&HTTP);
    let at = url(&mut server);
    let first = password(&mut server);
    let (status, cookie) = sign_in(&at, &first);
    assert_eq!(status, 200);
    let change = json!({"old": first, "new": "a new password"});
    let (status, ..) = send(
        "PUT",
        &format!("{at}/api/session/password"),
        &cookie,
        &change,
    );
    assert_eq!(status, 204);
    let (_, _, before) = send("GET", &format!("{at}/api/status"), &cookie, &Value::Null);
    let (status, ..) = send(
        "POST",
        &format!("{at}/api/server/restart"),
        &cookie,
        &json!({}),
    );
    assert_eq!(status, 202);

    // The same process speaks on, with a new console: no password is shown again.
    let at = url(&mut server);
    assert_eq!(sign_in(&at, &first).0, 401);
    let (status, cookie) = sign_in(&at, "a new password");
    assert_eq!(status, 200);
    let (_, _, after) = send("GET", &format!("{at}/api/status"), &cookie, &Value::Null);
    let started = |text: &str| {
        serde_json::from_str::<Value>(text).unwrap()["started"]
            .as_u64()
            .unwrap()
    };
    assert!(started(&after) > started(&before));

    // A password from the terminal counts at once.
    assert_eq!(set_password(&data.0, "admin", "from the terminal").0, 0);
    let (status, ..) = send("GET", &format!("{at}/api/status"), &cookie, &Value::Null);
    assert_eq!(status, 401);
    let (status, cookie) = sign_in(&at, "from the terminal");
    assert_eq!(status, 200);
    let (status, ..) = send(
        "POST",
        &format!("{at}/api/server/stop"),
        &cookie,
        &json!({}),
    );
    assert_eq!(status, 202);
    let (code, lines, errors) = server.end();
    assert_eq!(code, 0, "{errors}");
    let shown = lines
        .iter()
        .filter(|l| l.contains("with the password"))
        .count();
    assert_eq!(shown, 1, "{lines:#?}");
    assert!(!errors.contains(&first), "{errors}");
}

#[test]
fn administrators_from_the_terminal() {
    let data = Data::new("terminal");
    let text = data.0.display().to_string();
    let (code, _, errors) = run(&["admin", "list", "--data", &text]);
    assert_eq!(code, 1);
    assert!(errors.contains("--data"), "{errors}");
    let mut server = data.serve(&HTTP);
    url(&mut server);
    let (code, list, _) = run(&["admin", "list", "--data", &text]);
    assert_eq!(
        (code, list.as_str()),
        (0, "admin  administrator  (has to change the password)\n")
    );
    let (code, told) = set_password(&data.0, "nobody", "long enough");
    assert_eq!(code, 1);
    assert!(told.contains("sori admin list"), "{told}");
    assert_eq!(set_password(&data.0, "admin", "short").0, 1);
    assert_eq!(set_password(&data.0, "admin", "long enough").0, 0);
    let (_, list, _) = run(&["admin", "list", "--data", &text]);
    assert_eq!(list, "admin  administrator\n");
    server.interrupt();
    assert_eq!(server.end().0, 0);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let data = Data::new("taken");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, _, errors) = data.serve(&["--http", &address]).end();
    assert_eq!(code, 1);
    assert!(
        errors.contains(&format!("cannot listen on {address}")),
        "{errors}"
    );
    // The usual one, that nobody asked for, is done without. Whoever has it already helps as well.
    let usual = std::net::TcpListener::bind("127.0.0.1:8080");
    let mut server = data.serve(&[]);
    server.wait_line("the end of the announcement", |line| {
        line.contains("Ctrl-C").then_some(())
    });
    server.interrupt();
    let (code, lines, errors) = server.end();
    assert_eq!(code, 0);
    assert!(errors.contains("no console: 127.0.0.1:8080"), "{errors}");
    assert!(!lines.iter().any(|l| l.contains("console ")), "{lines:#?}");
    drop(usual);
    // None at all.
    let mut server = data.serve(&["--http", "none"]);
    server.wait_line("the end of the announcement", |line| {
        line.contains("Ctrl-C").then_some(())
    });
    server.interrupt();
    let (_, lines, errors) = server.end();
    assert!(!errors.contains("console") && !lines.iter().any(|l| l.contains("console ")));
}

#[test]
fn a_configured_certificate_makes_it_https() {
    let data = Data::new("https");
    std::fs::create_dir_all(&data.0).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (data.0.join("chain.pem"), data.0.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (chain, key) = (chain.display().to_string(), key.display().to_string());
    let files = ["--certificate", &chain, "--key", &key];
    let mut server = data.serve(&[&["--http", "0.0.0.0:0"][..], &files[..]].concat());
    let at = url(&mut server);
    let address = at.strip_prefix("https://").unwrap().trim_end_matches('/');
    let (_, port) = address.rsplit_once(':').unwrap();
    let address = format!("127.0.0.1:{port}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut session = rustls::ClientConnection::new(std::sync::Arc::new(client), name).unwrap();
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
    server.interrupt();
    assert_eq!(server.end().0, 0);
}

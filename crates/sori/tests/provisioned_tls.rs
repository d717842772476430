//! Settings over HTTPS: who cannot prove who it is gets no request, and nothing leads out of TLS.

#![cfg(target_os = "linux")] // SSL_CERT_FILE is how a test gives its own authority, there alone
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::sori;

const TOKEN: &str = "t0ken-8842";

/// An HTTPS server with a certificate of its own for `localhost`; it says the same to everybody.
struct Server {
    address: SocketAddr,
    requests: Receiver<String>,
    authority: PathBuf,
}

impl Server {
    fn start(name: &str, answer: String) -> Server {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = format!("sori-tls-{}-{name}.pem", std::process::id());
        let authority = std::env::temp_dir().join(file);
        std::fs::write(&authority, made.cert.pem()).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let (mut head, mut octet) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|n| n > 0) {
                    head.extend(octet);
                }
                if head.ends_with(b"\r\n\r\n") {
                    let _ = tell.send(String::from_utf8(head).unwrap());
                    let _ = stream.write_all(answer.as_bytes());
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        });
        Server {
            address,
            requests,
            authority,
        }
    }

    /// What `sori call` says about a document of this server: exit code and standard error.
    fn call(&self, host: &str, trusted: bool) -> (i32, String) {
        let url = format!("https://{host}:{}/x.xml?{TOKEN}", self.address.port());
        let mut command = sori(&["call", "--provision", &url]);
        command.env("SORI_DATA", self.authority.with_extension("data"));
        // An empty list: the test stands on no authority of this machine.
        let nobody = self.authority.with_extension("none");
        std::fs::write(&nobody, "").unwrap();
        let file = if trusted { &self.authority } else { &nobody };
        command
            .env("SSL_CERT_FILE", file)
            .env("SSL_CERT_DIR", "/nonexistent");
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!errors.contains(TOKEN), "{errors}");
        (output.status.code().unwrap(), errors)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.authority);
        let _ = std::fs::remove_file(self.authority.with_extension("none"));
        let _ = std::fs::remove_dir_all(self.authority.with_extension("data"));
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn only_a_server_that_proves_who_it_is_gets_the_request() {
    let server = Server::start("proof", answer("200 OK", "", "<sori version='1'/>"));
    for (host, trusted) in [("localhost", false), ("127.0.0.1", true)] {
        let (code, errors) = server.call(host, trusted);
        assert_eq!(code, 8, "{errors}");
        assert!(
            errors.contains("the server cannot be trusted"),
            "{host}: {errors}"
        );
        let got = server.requests.recv_timeout(Duration::from_millis(1));
        assert!(got.is_err(), "the token went to a stranger: {got:?}");
    }
    let (code, errors) = server.call("localhost", true);
    assert_eq!(code, 8, "{errors}");
    assert!(
        errors.contains("names no account"),
        "it was fetched: {errors}"
    );
    assert!(server.requests.recv().unwrap().contains(TOKEN));
}

#[test]
fn nothing_leads_out_of_tls() {
    let plain = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("location: http://{}/x.xml\r\n", plain.local_addr().unwrap());
    let server = Server::start("away", answer("302 Found", &to, ""));
    let (code, errors) = server.call("localhost", true);
    assert_eq!(code, 8, "{errors}");
    assert!(
        errors.contains("a redirection leads from https to http"),
        "{errors}"
    );
    plain.set_nonblocking(true).unwrap();
    assert!(plain.accept().is_err(), "nobody came");
}

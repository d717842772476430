//! Settings over HTTP: a server in the test that answers as it is told, and what the phone makes of it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime};

use phone::provision::{
    self, Cache, Fault, Fetched, MAX_OCTETS, Origin, ProvisionError, Update, Url, Watch,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server; each request's head comes out of `requests`.
struct Server {
    address: std::net::SocketAddr,
    requests: Receiver<String>,
}

impl Server {
    /// Answers the requests, in their order, with what `answer` writes; the connection closes behind it.
    fn start(mut answer: impl FnMut(usize, &str, &mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
                if tell.send(head.clone()).is_err() {
                    return;
                }
                answer(number, &head, &mut stream);
            }
        });
        Server { address, requests }
    }

    /// Always the same answer.
    fn saying(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::start(move |_, _, stream| {
            let _ = stream.write_all(&answer);
        })
    }

    fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

fn document(gateway: &str) -> String {
    format!("<sori version='1'><gateway>{gateway}</gateway></sori>")
}

fn good(gateway: &str) -> String {
    response("200 OK", "etag: \"v1\"\r\n", &document(gateway))
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let name = format!("sori-provision-{}-{name}", std::process::id());
        Directory(std::env::temp_dir().join(name))
    }

    fn cache(&self) -> Cache {
        Cache::new(&self.0)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fetch(url: &Url) -> Result<Fetched, ProvisionError> {
    provision::fetch_within(url, None, PATIENCE)
}

fn gateway(fetched: &Fetched) -> &str {
    fetched.profile.gateway.as_deref().unwrap()
}

#[test]
fn a_document_is_fetched_and_the_request_is_plain() {
    let server = Server::saying(good("4711"));
    let fetched = fetch(&server.url("/phone.xml?token=s3cret")).unwrap();
    assert_eq!(gateway(&fetched), "4711");
    assert!(matches!(fetched.origin, Origin::Server));
    assert_eq!(fetched.warnings, Vec::<String>::new());
    let request = server.request().to_ascii_lowercase();
    assert!(
        request.starts_with("get /phone.xml?token=s3cret http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nuser-agent: sori/"), "{request}");
    for absent in [
        "if-none-match",
        "accept-encoding",
        "cookie",
        "authorization",
    ] {
        assert!(!request.contains(absent), "{request}");
    }
}

#[test]
fn redirections_are_followed_but_not_for_ever() {
    let server = Server::start(|_, head, stream| {
        let answer = if head.starts_with("GET /good ") {
            good("1")
        } else {
            let steps: u32 = head.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
            let next = match steps {
                0 => "/good".to_owned(),
                _ => format!("/{}", steps - 1),
            };
            response("302 Found", &format!("location: {next}\r\n"), "")
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    assert_eq!(gateway(&fetch(&server.url("/4")).unwrap()), "1");
    let error = fetch(&server.url("/5")).unwrap_err();
    assert!(matches!(error.fault, Fault::Redirected(_)), "{error}");
    assert!(
        error.to_string().contains("more than 5 redirections"),
        "{error}"
    );
}

#[test]
fn answers_that_are_no_settings() {
    let cases: [(String, &str); 9] = [
        (
            response("404 Not Found", "", "no"),
            "the server answered 404 (not found)",
        ),
        (response("403 Forbidden", "", ""), "403 (forbidden)"),
        (response("500 Oops", "", ""), "500 (internal error)"),
        (response("204 No Content", "", ""), "204"),
        (response("304 Not Modified", "", ""), "304"),
        (
            response("200 OK", "", "<html>sign in</html>"),
            "line 1: <html> is no document for a phone",
        ),
        (response("200 OK", "", ""), "there is nothing in it"),
        (
            "220 smtp.example.org ESMTP\r\n".to_owned(),
            "no proper HTTP comes from there",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n<sori".to_owned(),
            "the connection broke",
        ),
    ];
    for (answer, says) in cases {
        let server = Server::saying(answer.clone());
        let url = server.url("/x?s3cret");
        let error = fetch(&url).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(says), "{answer}: {text}");
        assert!(text.contains(&server.address.to_string()), "{text}");
        assert!(!text.contains("s3cret") && !format!("{error:?}").contains("s3cret"));
        assert!(!error.advice().is_empty());
    }
}

#[test]
fn what_is_too_large_is_not_read_to_the_end() {
    let fits = format!(
        "{}{}",
        document("1"),
        " ".repeat(MAX_OCTETS - document("1").len())
    );
    assert!(fetch(&Server::saying(response("200 OK", "", &fits)).url("/")).is_ok());
    let told = Server::saying(response("200 OK", "", &format!("{fits} ")));
    assert_eq!(fetch(&told.url("/")).unwrap_err().fault, Fault::TooLarge);
    // One that never ends: it writes until we go away.
    let (tell, ended) = channel();
    let endless = Server::start(move |_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<sori>");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
        let _ = tell.send(());
    });
    assert_eq!(fetch(&endless.url("/")).unwrap_err().fault, Fault::TooLarge);
    ended.recv_timeout(PATIENCE).unwrap();
    let headers = Server::saying(format!(
        "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
        "y".repeat(60_000)
    ));
    assert!(matches!(
        fetch(&headers.url("/")).unwrap_err().fault,
        Fault::Unreachable(_)
    ));
}

#[test]
fn nobody_is_waited_for_without_end() {
    // Says a little all the time, so that no single read is late.
    let server = Server::start(|_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begin = Instant::now();
    let error = provision::fetch_within(&server.url("/"), None, Duration::from_millis(300));
    let error = error.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    let refused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url: Url = format!("http://{refused}/").parse().unwrap();
    let error = fetch(&url).unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[test]
fn the_server_is_asked_for_changes_only() {
    let directory = Directory::new("changes");
    let server = Server::start(|number, _, stream| {
        let answer = match number {
            0 => response(
                "200 OK",
                "etag: W/\"a\"\r\nlast-modified: Sat, 21 Nov 2026 07:31:09 GMT\r\n",
                &document("1"),
            ),
            1 => response("304 Not Modified", "", ""),
            _ => response("200 OK", "", &document("2")),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let url = server.url("/");
    let cache = directory.cache();
    let fetch = || provision::fetch(&url, Some(&cache)).unwrap();
    let first = fetch();
    assert!(!server.request().contains("if-"));
    let second = fetch();
    assert!(matches!(second.origin, Origin::Unchanged));
    assert_eq!(gateway(&second), "1");
    assert!(second.date >= first.date);
    let request = server.request();
    assert!(request.contains("if-none-match: W/\"a\"\r\n"), "{request}");
    assert!(
        request.contains("if-modified-since: Sat, 21 Nov 2026 07:31:09 GMT\r\n"),
        "{request}"
    );
    let third = fetch();
    assert!(matches!(third.origin, Origin::Server));
    assert_eq!(gateway(&third), "2");
    server.request();
    fetch();
    assert!(
        !server.request().contains("if-"),
        "the new answer had nothing to compare"
    );
}

#[test]
fn the_last_good_settings_stand_in_for_a_server_that_fails() {
    let directory = Directory::new("down");
    let cache = directory.cache();
    let bad = [
        response("500 Oops", "", ""),
        response("503 Later", "", ""),
        response("429 Slowly", "", ""),
        response("200 OK", "", "<html>Welcome to the hotel</html>"),
        response("200 OK", "", "<sori version='1'><ice>cold</ice></sori>"),
        "nonsense\r\n\r\n".to_owned(),
    ];
    let count = bad.len();
    let server = Server::start(move |number, _, stream| {
        let answer = match number.checked_sub(1) {
            None => good("1"),
            Some(n) if n < bad.len() => bad[n].clone(),
            Some(n) if n == bad.len() => response("404 Not Found", "", ""),
            Some(_) => response("403 Forbidden", "", ""),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let url = server.url("/phone.xml?s3cret");
    let fetch = || provision::fetch(&url, Some(&cache));
    let before = SystemTime::now();
    let first = fetch().unwrap();
    assert!(first.date >= before);
    for number in 0..count {
        let fetched = fetch().unwrap();
        let Origin::Cache { because } = &fetched.origin else {
            panic!("{number}: {fetched:?}");
        };
        assert!(!because.to_string().contains("s3cret"), "{because}");
        assert_eq!(gateway(&fetched), "1");
        let age = first.date.duration_since(fetched.date).unwrap();
        assert!(
            age < Duration::from_secs(1),
            "the day of the document, in whole seconds"
        );
    }
    // A server that refuses is believed.
    for status in [404, 403] {
        assert_eq!(fetch().unwrap_err().fault, Fault::Status(status));
    }
    // Another URL has nothing to fall back on.
    let refused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let other: Url = format!("http://{refused}/").parse().unwrap();
    assert!(provision::fetch(&other, Some(&cache)).is_err());
}

#[test]
fn a_cache_that_cannot_be_written_is_a_warning() {
    let directory = Directory::new("full");
    std::fs::write(&directory.0, "a file in the way").unwrap();
    let server = Server::saying(good("1"));
    let fetched = provision::fetch(&server.url("/"), Some(&directory.cache())).unwrap();
    std::fs::remove_file(&directory.0).unwrap();
    let [warning] = fetched.warnings.as_slice() else {
        panic!("{:?}", fetched.warnings);
    };
    assert!(warning.contains("sori-provision-"), "{warning}");
}

#[test]
fn changes_are_picked_up_and_failures_told_once() {
    let server = Server::start(|number, _, stream| {
        let answer = match number {
            0 | 1 => good("1"),
            2 | 3 => response("500 Oops", "", ""),
            4 => good("1"),
            _ => good("2"),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    let url = server.url("/");
    let first = fetch(&url).unwrap();
    let (tell, updates) = channel();
    let watch = Watch::start(
        url,
        None,
        &first,
        Duration::from_millis(20),
        move |update| {
            let _ = tell.send(update);
        },
    );
    let next = || updates.recv_timeout(PATIENCE).unwrap();
    let Update::Failed(error) = next() else {
        panic!("a failure comes first");
    };
    assert_eq!(error.fault, Fault::Status(500));
    assert!(matches!(next(), Update::Recovered));
    let Update::Changed { fetched, changes } = next() else {
        panic!("then the change");
    };
    assert_eq!(gateway(&fetched), "2");
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["gateway has changed"]);
    // The end of the watch is the end of its thread, and with it of the channel.
    drop(watch.unwrap());
    assert!(updates.recv_timeout(PATIENCE).is_err());
}

//! Server-sent events.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Person, World};

struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(world: &World, who: &Person) -> Stream {
        let mut stream = world.raw();
        let cookie = who.cookie.as_deref().unwrap();
        let request = format!(
            "GET /api/live HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: sori_session={cookie}\r\n\r\n",
            world.address()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = Stream(BufReader::new(stream));
        assert!(stream.line().unwrap().starts_with("HTTP/1.1 200"));
        stream
    }

    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self.0.read_line(&mut line).unwrap();
        (length > 0).then(|| line.trim_end().to_owned())
    }

    /// The data of the next event of this name.
    fn event(&mut self, name: &str) -> Value {
        let wanted = format!("event: {name}");
        while self.line().expect("the stream goes on") != wanted {}
        let data = self.line().unwrap();
        serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()
    }

    fn is_closed(&mut self) -> bool {
        while self.line().is_some() {}
        true
    }
}

#[test]
fn status_calls_and_log_lines_arrive() {
    let world = World::new();
    let admin = world.admin();
    let mut stream = Stream::open(&world, &admin);
    let status = stream.event("status");
    assert_eq!(status["domains"], json!(["sori.test"]));
    assert_eq!(stream.event("calls"), json!({"count": 0}));
    let subscriber = tracing_subscriber::registry().with(world.logs.layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(call_id = "c@host", "a line\nwith an end");
    });
    let line = stream.event("log");
    assert_eq!(line["message"], "a line\nwith an end");
    assert_eq!(line["call_id"], "c@host");
    let kept = admin.get("/api/logs?level=warn&search=C@HOST").json();
    assert_eq!(kept, json!([line]));
    assert_eq!(admin.get("/api/logs?level=error").json(), json!([]));
    let after = format!("/api/logs?after={}", line["id"]);
    assert_eq!(admin.get(&after).json(), json!([]));
}

#[test]
fn what_is_counted_is_true() {
    let world = World::new();
    let admin = world.admin();
    let mut stream = Stream::open(&world, &admin);
    let before = stream.event("status");
    let codes = |status: &Value| -> Vec<String> {
        let all = status["notices"].as_array().unwrap().iter();
        all.map(|n| n["code"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(codes(&before), ["no_accounts", "loopback_only"]);
    assert_eq!(before["requests"], 0);
    assert!(before["memory"].as_u64().unwrap() > 1 << 20);
    let to = world.server().listeners()[0].local;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let from = socket.local_addr().unwrap();
    for n in 0..7 {
        let request = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\nFrom: <sip:x@{from}>;tag=1\r\n\
             To: <sip:{to}>\r\nCall-ID: {n}@test\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        socket.send_to(request.as_bytes(), to).unwrap();
    }
    admin.post("/api/accounts", &json!({"user": "alice"}));
    admin.post(
        "/api/administrators",
        &json!({"name": "kim", "role": "operator"}),
    );
    loop {
        let status = stream.event("status");
        if status["requests"] == 7 && status["accounts"] == 1 {
            assert!(
                status["requests_per_second"].as_f64().unwrap() > 0.0,
                "{status}"
            );
            assert_eq!(codes(&status), ["first_password", "loopback_only"]);
            break;
        }
    }
}

#[test]
fn a_stream_ends_with_its_session_and_with_the_server() {
    let mut world = World::new();
    let (one, two) = (world.admin(), world.admin());
    let (mut first, mut second) = (Stream::open(&world, &one), Stream::open(&world, &two));
    first.event("status");
    assert_eq!(one.delete("/api/session").status, 204);
    assert!(first.is_closed());
    second.event("status");
    let begun = Instant::now();
    world.console.take().unwrap().stop();
    assert!(second.is_closed());
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

//! Messages in TLS, opened by peers and by us.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod probe;
mod secure;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use net::{Certificates, Driver, Limits, NetConfig, NetError};
use probe::{Ask, Heard, PATIENCE, Probe, answer, config, next, raise_file_limit, request, start};
use rustls::version::{TLS12, TLS13};
use secure::{Authority, Folder, accepted, client, secure};
use sip::flow::{ConnectionId, Flow, Transport};

fn expect(stream: &mut impl Read, want: &str) {
    let mut buffer = vec![0; want.len()];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(String::from_utf8_lossy(&buffer), want);
}

fn packet_flow(heard: &Receiver<Heard>) -> Flow {
    match next(heard) {
        Heard::Packet { flow, .. } => flow,
        other => panic!("a packet should be heard: {other:?}"),
    }
}

fn expect_undeliverable(heard: &Receiver<Heard>, flow: Flow) {
    match next(heard) {
        Heard::Undeliverable(0, lost) => assert_eq!(lost, flow),
        other => panic!("it should be undeliverable: {other:?}"),
    }
}

/// The name of a connection to a peer, told to the network.
fn named(driver: &Driver<Probe>, n: u64, name: &'static str) -> ConnectionId {
    let connection = ConnectionId::named(n);
    assert!(driver.post(0, Ask::Peer(connection, name)).is_ok());
    connection
}

fn tls_flow(local: SocketAddr, remote: SocketAddr, connection: ConnectionId) -> Flow {
    Flow {
        transport: Transport::Tls,
        local,
        remote,
        connection,
    }
}

fn send(driver: &Driver<Probe>, flow: Flow, text: String) {
    assert!(driver.post(0, Ask::Send(flow, text)).is_ok());
}

#[test]
fn messages_arrive_in_tls_however_the_octets_are_cut() {
    for version in [&TLS12, &TLS13] {
        let authority = Authority::new();
        let (config, _) = secure(Transport::Tls, &authority);
        let (driver, local, heard) = start(config, 2);
        let mut peer = client(local, &authority.root(), &[version]);
        let all: String = (1..=50).map(|n| request("merged", n)).collect();
        peer.write_all(all.as_bytes()).unwrap();
        for octet in request("split", 1).as_bytes() {
            peer.write_all(&[*octet]).unwrap();
        }
        for n in 1..=50 {
            expect(&mut peer, &answer("merged", n));
        }
        expect(&mut peer, &answer("split", 1));
        let flow = packet_flow(&heard);
        assert_eq!(flow.transport, Transport::Tls);
        assert_eq!(flow.local, local);
        assert!(flow.connection.is_one());
        // And the other way, along the connection that the peer has opened.
        send(&driver, flow, request("back", 1));
        expect(&mut peer, &request("back", 1));
        let statistics = driver.statistics();
        assert_eq!(statistics.tls_handshakes.value(), 1);
        assert_eq!(statistics.tls_failed.value(), 0);
        assert_eq!(statistics.connections_started.value(), 0);
    }
}

#[test]
fn one_connection_to_a_peer_that_shows_its_name_serves_both_directions() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let (driver, local, heard) = start(config, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 5, "peer.example"));
    for n in 1..=3 {
        send(&driver, flow, request("out", n));
    }
    let settings = authority.peer("peer.example");
    let mut peer = accepted(&listener, &settings);
    for n in 1..=3 {
        expect(&mut peer, &request("out", n));
    }
    peer.write_all(request("back", 1).as_bytes()).unwrap();
    expect(&mut peer, &answer("back", 1));
    let arrived = packet_flow(&heard);
    assert_eq!((arrived.local, arrived.remote), (local, remote));
    send(&driver, arrived, request("out", 4));
    expect(&mut peer, &request("out", 4));
    // Another name in another shard's words for the same peer.
    let flow = tls_flow(local, remote, named(&driver, 6, "peer.example"));
    send(&driver, flow, request("out", 5));
    expect(&mut peer, &request("out", 5));
    let statistics = driver.statistics();
    assert_eq!(statistics.connections_started.value(), 1);
    assert_eq!(statistics.tls_handshakes.value(), 1);
}

#[test]
fn a_connection_to_one_name_is_not_used_for_another() {
    let authority = Authority::new();
    let (config, failures) = secure(Transport::Tls, &authority);
    let (driver, local, heard) = start(config, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let settings = authority.peer("peer.example");
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    send(&driver, flow, request("a", 1));
    let mut first = accepted(&listener, &settings);
    expect(&mut first, &request("a", 1));
    let other = tls_flow(local, remote, named(&driver, 2, "other.example"));
    send(&driver, other, request("b", 1));
    let mut second = accepted(&listener, &settings);
    assert!(second.read(&mut [0; 10]).is_err(), "it hangs up");
    expect_undeliverable(&heard, other);
    let told = failures.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        told,
        format!("no TLS with other.example at {remote}: its certificate is for another name")
    );
    assert_eq!(driver.statistics().tls_failed.value(), 1);
}

#[test]
fn a_peer_for_whom_nobody_vouches_gets_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (config, failures) = secure(Transport::Tls, &authority);
    let (driver, local, heard) = start(config, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    send(&driver, flow, request("a", 1));
    let mut peer = accepted(&listener, &stranger.peer("peer.example"));
    assert!(peer.read(&mut [0; 10]).is_err());
    expect_undeliverable(&heard, flow);
    let told = failures.recv_timeout(PATIENCE).unwrap();
    assert!(told.contains("--tls-root FILE"), "{told}");
    // An address can be shown too.
    let flow = tls_flow(local, remote, named(&driver, 2, "127.0.0.1"));
    send(&driver, flow, request("a", 2));
    let mut peer = accepted(&listener, &authority.peer("127.0.0.1"));
    expect(&mut peer, &request("a", 2));
}

#[test]
fn what_only_the_peer_can_open_again_is_undeliverable() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let (driver, local, heard) = start(config, 1);
    let mut peer = client(local, &authority.root(), &[&TLS13]);
    peer.write_all(request("a", 1).as_bytes()).unwrap();
    expect(&mut peer, &answer("a", 1));
    let flow = packet_flow(&heard);
    peer.conn.send_close_notify();
    peer.flush().unwrap();
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0, "and says goodbye too");
    // Somebody listens there, but it is not known who.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for gone in [
        flow,
        tls_flow(local, listener.local_addr().unwrap(), ConnectionId::ANY),
        tls_flow(
            local,
            listener.local_addr().unwrap(),
            ConnectionId::named(99),
        ),
    ] {
        send(&driver, gone, request("b", 1));
        expect_undeliverable(&heard, gone);
    }
    let statistics = driver.statistics();
    assert_eq!(statistics.flows_gone.value(), 3);
    assert_eq!(statistics.connections_started.value(), 0);
}

/// The connection is closed, with or without an alert of TLS before.
fn expect_end(stream: &mut TcpStream) {
    loop {
        match stream.read(&mut [0; 1_000]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return,
            other => panic!("the connection should be closed: {other:?}"),
        }
    }
}

fn plain(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn a_handshake_that_stalls_is_cut_off() {
    let authority = Authority::new();
    let (config, failures) = secure(Transport::Tls, &authority);
    let limits = Limits {
        handshake: Duration::from_millis(60),
        ..Limits::default()
    };
    let (driver, local, heard) = start(NetConfig { limits, ..config }, 1);
    // One says nothing; the other begins a record of TLS and does not end it.
    for begin in [&b""[..], &[0x16, 3, 1, 2, 0, 1]] {
        let mut peer = plain(local);
        peer.write_all(begin).unwrap();
        expect_end(&mut peer);
        let told = failures.recv_timeout(PATIENCE).unwrap();
        assert!(
            told.ends_with("the handshake was not done in time"),
            "{told}"
        );
    }
    // The same where we open it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    send(&driver, flow, request("a", 1));
    expect_undeliverable(&heard, flow);
    let statistics = driver.statistics();
    assert_eq!(statistics.tls_failed.value(), 3);
    assert_eq!(statistics.connections_idle.value(), 0);
}

#[test]
fn who_waits_for_answers_hears_that_the_connection_is_gone() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let (driver, local, heard) = start(config, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    let settings = authority.peer("peer.example");
    for n in 1..=2 {
        send(&driver, flow, request("a", n));
        let mut peer = accepted(&listener, &settings);
        expect(&mut peer, &request("a", n));
        // All has been sent: only the answer is missing.
        drop(peer);
        expect_undeliverable(&heard, flow);
    }
}

#[test]
fn what_is_no_tls_is_cut_off_and_who_goes_away_is_noticed() {
    let authority = Authority::new();
    let (config, failures) = secure(Transport::Tls, &authority);
    let (driver, local, _heard) = start(config, 1);
    let mut peer = plain(local);
    peer.write_all(request("a", 1).as_bytes()).unwrap();
    expect_end(&mut peer);
    let told = failures.recv_timeout(PATIENCE).unwrap();
    assert!(told.contains("is no TLS"), "{told}");
    drop(plain(local));
    let told = failures.recv_timeout(PATIENCE).unwrap();
    assert!(told.contains("was closed during the handshake"), "{told}");
    let statistics = driver.statistics();
    driver.shutdown(Duration::ZERO);
    assert_eq!(statistics.tls_failed.value(), 2);
    assert_eq!(statistics.connections_open.value(), 0);
}

#[test]
fn who_says_nothing_in_tls_is_cut_off() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let limits = Limits {
        first_message: Duration::from_millis(50),
        ..Limits::default()
    };
    let (driver, local, _heard) = start(NetConfig { limits, ..config }, 1);
    let mut peer = client(local, &authority.root(), &[&TLS13]);
    peer.flush().unwrap();
    // What ends the silence is a goodbye of TLS.
    assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(driver.statistics().connections_idle.value(), 1);
}

#[test]
fn answers_to_many_reach_a_peer_that_reads_late() {
    const MANY: usize = 5_000;
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let workers = 2;
    let (_driver, local, _heard) = start(NetConfig { workers, ..config }, 4);
    let mut peer = client(local, &authority.root(), &[&TLS13]);
    for n in 0..MANY {
        peer.write_all(request("m", n).as_bytes()).unwrap();
    }
    for n in 0..MANY {
        expect(&mut peer, &answer("m", n));
    }
}

#[test]
fn what_was_not_written_when_tls_is_lost_is_undeliverable() {
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let limits = Limits {
        connection_pending: 256 << 20,
        ..Limits::default()
    };
    let (driver, local, heard) = start(NetConfig { limits, ..config }, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    // More than the kernel's buffers take.
    send(&driver, flow, "x".repeat(32 << 20));
    let settings = authority.peer("peer.example");
    let mut peer = accepted(&listener, &settings);
    peer.read_exact(&mut [0; 100_000]).unwrap();
    drop(peer);
    expect_undeliverable(&heard, flow);
    assert_eq!(driver.statistics().connections_open.value(), 0);
}

#[test]
fn many_idle_connections_disturb_nobody() {
    const MANY: usize = 1_000;
    raise_file_limit();
    let authority = Authority::new();
    let (config, _) = secure(Transport::Tls, &authority);
    let limits = Limits {
        connections_per_source: 2 * MANY,
        ..Limits::default()
    };
    let (driver, local, _heard) = start(NetConfig { limits, ..config }, 1);
    let mut idle = Vec::new();
    for n in 0..MANY {
        let mut peer = client(local, &authority.root(), &[&TLS13]);
        peer.write_all(request("i", n).as_bytes()).unwrap();
        expect(&mut peer, &answer("i", n));
        idle.push(peer);
    }
    assert_eq!(driver.statistics().connections_open.value(), MANY as u64);
    for (n, peer) in idle.iter_mut().enumerate() {
        peer.write_all(request("again", n).as_bytes()).unwrap();
        expect(peer, &answer("again", n));
    }
}

#[test]
fn a_new_certificate_is_shown_without_a_restart() {
    let folder = Folder::new();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificates = Certificates::self_signed(&folder.0, &names).unwrap();
    let first = certificates.fingerprint();
    assert_eq!(first.len(), 32 * 3 - 1);
    let mut config = config(Transport::Tls, "127.0.0.1:0");
    config.tls.server = Some(certificates.server_config(&[]));
    let (_driver, local, _heard) = start(config, 1);
    // One that signed itself is trusted by itself.
    let file = certificates.file().to_owned();
    let mut peer = client(local, &file, &[&TLS13]);
    peer.write_all(request("a", 1).as_bytes()).unwrap();
    expect(&mut peer, &answer("a", 1));
    assert!(!certificates.refresh().unwrap(), "nothing has changed");
    // Half of a new one changes nothing, and is told once.
    let key = folder.0.join("self-signed.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = certificates.refresh().unwrap_err().to_string();
    assert!(error.contains("is not the key of"), "{error}");
    assert!(!certificates.refresh().unwrap());
    std::fs::write(&key, kept).unwrap();
    let kept = Certificates::self_signed(&folder.0, &names).unwrap();
    assert_eq!(kept.fingerprint(), first, "it is kept");
    let more = [&names[..], &["example.org".to_owned()]].concat();
    let other = Certificates::self_signed(&folder.0, &more).unwrap();
    assert_ne!(other.fingerprint(), first, "a domain was missing");
    assert!(other.is_for("example.org") && !other.is_for("example.com"));
    assert!(certificates.refresh().unwrap());
    assert_eq!(certificates.fingerprint(), other.fingerprint());
    let mut again = client(local, &file, &[&TLS13]);
    again.write_all(request("a", 2).as_bytes()).unwrap();
    expect(&mut again, &answer("a", 2));
    // Who was connected before stays.
    peer.write_all(request("a", 3).as_bytes()).unwrap();
    expect(&mut peer, &answer("a", 3));
}

#[test]
#[cfg(unix)]
fn nobody_else_reads_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    Certificates::self_signed(&folder.0, &["localhost".to_owned()]).unwrap();
    let about = std::fs::metadata(folder.0.join("self-signed.key")).unwrap();
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
}

#[test]
fn certificates_that_cannot_be_used_say_why() {
    let authority = Authority::new();
    let (certificate, _) = authority.sign("a.example");
    let (_, key) = authority.sign("b.example");
    let says = |certificate, key, what: &str| {
        let error = Certificates::from_files(certificate, key).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    };
    says(&certificate, &key, "b.example.key: it is not the key of");
    says(&key, &key, "b.example.key: there is none in it");
    says(&certificate, &certificate, "a PRIVATE KEY");
    says(&certificate.with_extension("x"), &key, "a.example.x: ");
}

#[test]
fn without_a_certificate_tls_is_only_opened() {
    let authority = Authority::new();
    let (mut config, _) = secure(Transport::Tls, &authority);
    config.tls.server = None;
    let (driver, local, heard) = start(config, 1);
    let refused = TcpStream::connect(local).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = listener.local_addr().unwrap();
    let flow = tls_flow(local, remote, named(&driver, 1, "peer.example"));
    send(&driver, flow, request("a", 1));
    let mut peer = accepted(&listener, &authority.peer("peer.example"));
    expect(&mut peer, &request("a", 1));
    peer.write_all(request("b", 1).as_bytes()).unwrap();
    expect(&mut peer, &answer("b", 1));
    assert_eq!(packet_flow(&heard).local, local);
}

#[test]
fn what_cannot_be_listened_on_says_why() {
    for (transport, says) in [
        (
            Transport::Tls,
            "cannot listen on tls: it needs a certificate and its key",
        ),
        (
            Transport::Wss,
            "cannot listen on wss: it needs a certificate and its key",
        ),
        (
            Transport::Sctp,
            "cannot listen on sctp: this build does not have this transport; use udp, tcp, tls, ws or wss",
        ),
    ] {
        let nobody = |_: &[_]| Vec::<Probe>::new();
        let error = Driver::start(config(transport, "127.0.0.1:0"), nobody)
            .err()
            .unwrap();
        assert!(!matches!(error, NetError::Nothing { .. }));
        assert_eq!(error.to_string(), says);
    }
}

//! Calls to the server's own services, with their sound.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use crate::message::{Message, Request};
use crate::peer::{PATIENCE, Peer};
use crate::scene::{DOMAIN, Scene, password};

/// PCMU from `port`.
fn offer(port: u16, version: u32, direction: &str) -> String {
    format!(
        "v=0\r\no=- 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
    )
}

fn line<'b>(body: &'b str, start: &str) -> &'b str {
    body.lines()
        .find_map(|l| l.strip_prefix(start))
        .unwrap_or_else(|| panic!("no {start} in {body}"))
}

/// Where the answer wants its media.
fn media_of(response: &Message) -> SocketAddr {
    assert_eq!(response.value("Content-Type"), "application/sdp");
    let body = std::str::from_utf8(&response.body).unwrap();
    let port = line(body, "m=audio ").split(' ').next().unwrap();
    let ip = line(body, "c=IN IP4 ");
    format!("{ip}:{port}").parse().unwrap()
}

fn rtp(sequence: u16, sound: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    packet.extend_from_slice(&0x0102_0304_u32.to_be_bytes());
    packet.resize(12 + 160, sound);
    packet
}

fn is_sound(packet: &[u8]) -> bool {
    packet.len() == 172 && packet[0] == 0x80 && packet[1] & 0x7f == 0
}

/// Starts a call; yields the INVITE and its 200, acknowledged.
fn call(peer: &mut Peer, service: &str, body: &str) -> (Request, Message) {
    let request = Request::new(
        "INVITE",
        &format!("sip:{service}@{DOMAIN}"),
        &format!("sip:alice@{DOMAIN}"),
    )
    .header("Contact", &peer.contact("alice"))
    .body("application/sdp", body);
    let (sent, response) = peer.exchange_as(&request, "alice", &password("alice"));
    if response.status() == 200 {
        peer.send(&sent.ack(&response));
    }
    (sent, response)
}

fn media_socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn the_tone_sounds_pauses_and_ends() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let socket = media_socket();
    let port = socket.local_addr().unwrap().port();
    let (invite, response) = call(&mut peer, "tone", &offer(port, 1, "sendrecv"));
    assert_eq!(response.status(), 200, "{response:?}");
    let theirs = media_of(&response);
    assert_eq!(scene.server().snapshot().service_calls, 1);
    let mut sequences = Vec::new();
    let mut loud = false;
    let mut buffer = [0; 2000];
    while sequences.len() < 10 {
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        if from == theirs && is_sound(&buffer[..n]) {
            sequences.push(u16::from_be_bytes([buffer[2], buffer[3]]));
            // Silence is 0xff or 0x7f in PCMU; a tone is not.
            loud |= buffer[12..n].iter().filter(|b| (**b & 0x7f) < 0x70).count() > 80;
        }
    }
    assert!(loud, "a tone is to be heard");
    assert!(
        sequences.windows(2).all(|w| w[1] == w[0].wrapping_add(1)),
        "{sequences:?}"
    );

    let mut hold = invite
        .within("INVITE", &response)
        .header("Contact", &peer.contact("alice"));
    hold = hold.body("application/sdp", &offer(port, 2, "sendonly"));
    let held = peer.exchange(&hold);
    assert_eq!(held.status(), 200, "{held:?}");
    peer.send(&hold.ack(&held));
    let body = String::from_utf8(held.body.clone()).unwrap();
    assert!(
        body.contains("a=recvonly") || body.contains("a=inactive"),
        "{body}"
    );
    assert_eq!(media_of(&held), theirs, "the ports stay");

    let mut bye = hold.within("BYE", &held);
    bye.headers.retain(|(n, _)| n != "Route");
    assert_eq!(peer.exchange(&bye).status(), 200);
    assert_eq!(scene.server().snapshot().service_calls, 0);
    assert_eq!(peer.exchange(&bye.next()).status(), 481, "it is over");
}

#[test]
fn the_echo_plays_back_what_it_hears() {
    let scene = Scene::new();
    let mut peer = Peer::tcp(scene.tcp());
    let socket = media_socket();
    let (invite, response) = call(
        &mut peer,
        "echo",
        &offer(socket.local_addr().unwrap().port(), 1, "sendrecv"),
    );
    assert_eq!(response.status(), 200, "{response:?}");
    let theirs = media_of(&response);
    socket
        .set_read_timeout(Some(std::time::Duration::from_millis(20)))
        .unwrap();
    let start = Instant::now();
    let mut buffer = [0; 2000];
    let mut sequence = 0;
    // One packet for each time that passes without or with an answer, as a phone would send them.
    loop {
        assert!(start.elapsed() < PATIENCE, "no echo came");
        socket.send_to(&rtp(sequence, 0x2a), theirs).unwrap();
        sequence += 1;
        if let Ok((n, _)) = socket.recv_from(&mut buffer)
            && is_sound(&buffer[..n])
            && buffer[12..n].iter().filter(|b| **b == 0x2a).count() > 100
        {
            break;
        }
    }
    assert_eq!(
        peer.exchange(&invite.within("BYE", &response)).status(),
        200
    );
    assert_eq!(scene.server().snapshot().service_calls, 0);
}

#[test]
fn an_invite_without_an_offer_gets_one() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let socket = media_socket();
    let request = Request::new(
        "INVITE",
        &format!("sip:tone@{DOMAIN}"),
        &format!("sip:alice@{DOMAIN}"),
    )
    .header("Contact", &peer.contact("alice"));
    let (sent, response) = peer.exchange_as(&request, "alice", &password("alice"));
    assert_eq!(response.status(), 200, "{response:?}");
    let theirs = media_of(&response);
    let answer = offer(socket.local_addr().unwrap().port(), 1, "sendrecv");
    peer.send(&sent.ack(&response).body("application/sdp", &answer));
    let mut buffer = [0; 2000];
    loop {
        let (n, from) = socket.recv_from(&mut buffer).unwrap();
        if from == theirs && is_sound(&buffer[..n]) {
            break;
        }
    }
    assert_eq!(peer.exchange(&sent.within("BYE", &response)).status(), 200);
}

#[test]
fn what_a_service_does_not_take() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let video = "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 9 RTP/AVP 99\r\n";
    for (body, status) in [(video, 488), ("v=0\r\nnonsense", 400)] {
        let (_, response) = call(&mut peer, "echo", body);
        assert_eq!(response.status(), status, "{body} {response:?}");
    }
    assert_eq!(scene.server().snapshot().service_calls, 0);
    // A stranger is not put through to a service without saying who calls, if it claims to be one of ours.
    let request = Request::new(
        "INVITE",
        &format!("sip:echo@{DOMAIN}"),
        &format!("sip:alice@{DOMAIN}"),
    );
    assert_eq!(peer.exchange(&request).status(), 407);
    let without = Scene::with(|c| c.services = false);
    let mut peer = Peer::udp(without.udp());
    let (_, response) = call(&mut peer, "echo", &offer(9, 1, "sendrecv"));
    assert_eq!(response.status(), 404);
}

#[test]
fn a_user_called_echo_comes_before_the_service() {
    let scene = Scene::with(|c| c.authentication = server::Authentication::NONE);
    let mut phone = Peer::udp(scene.udp());
    phone.register("echo", DOMAIN);
    let mut peer = Peer::udp(scene.udp());
    peer.send(&Request::new(
        "MESSAGE",
        &format!("sip:echo@{DOMAIN}"),
        "sip:x@elsewhere.test",
    ));
    let got = phone.expect_request("MESSAGE");
    phone.respond(&got.reply(200, "b", &[]));
    peer.expect(200);
}

#[test]
fn a_server_that_stops_says_goodbye() {
    let mut scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let socket = media_socket();
    let (_, response) = call(
        &mut peer,
        "tone",
        &offer(socket.local_addr().unwrap().port(), 1, "sendrecv"),
    );
    assert_eq!(response.status(), 200, "{response:?}");
    let server = scene.server.take().unwrap();
    let stopping = std::thread::spawn(move || server.stop(PATIENCE));
    let bye = peer.expect_request("BYE");
    peer.respond(&bye.reply(200, "", &[]));
    stopping.join().unwrap();
}

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::rtcp::{Compound, RtcpPacket};

use super::super::mailbox::Job;
use super::super::{CallKey, Service, Services};
use super::peer::{Heard, Peer, destination, samples, spectrum, version};
use super::{LOCAL, PATIENCE, call, services};

fn open(services: &Services, key: CallKey, service: Service, offer: &[u8]) -> SocketAddr {
    let answer = services.open(key, service, LOCAL, Some(offer)).unwrap();
    destination(&answer)
}

/// Waits for an RTCP BYE.
fn goodbye(peer: &Peer) -> SocketAddr {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = peer.rtcp.recv_from(&mut buffer).expect("a goodbye in time");
        let compound = Compound::parse(&buffer[..length]).unwrap();
        let mut packets = compound.packets();
        if packets.any(|packet| matches!(packet, RtcpPacket::Goodbye { .. })) {
            return from;
        }
    }
}

/// Repeats until it succeeds.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

/// Packets sent per second, from the first to the last of these.
fn rate(heard: &[Heard]) -> f64 {
    let (first, last) = (heard.first().unwrap(), heard.last().unwrap());
    let sent = last.sequence.wrapping_sub(first.sequence);
    f64::from(sent) / (last.at - first.at).as_secs_f64()
}

#[test]
fn a_tone_is_heard_at_its_pitch_level_and_pace() {
    let services = services(20_000, 20, 10);
    for (key, formats, payload_type) in [(1, "0 8", 0), (2, "8 0", 8)] {
        let peer = Peer::new();
        let from = open(&services, call(key), Service::Tone, &peer.sdp(formats, ""));
        let heard: Vec<Heard> = (0..101).map(|_| peer.hear()).collect();
        for pair in heard.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            assert_eq!(pair[1].ssrc, pair[0].ssrc);
            let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
            assert!(step >= 160 && step.is_multiple_of(160), "{step}");
        }
        assert!(
            heard.iter().all(|h| h.from == from
                && h.payload_type == payload_type
                && h.payload.len() == 160)
        );
        let pace = rate(&heard);
        assert!((48.0..=52.0).contains(&pace), "{pace} packets a second");
        let (level, pure) = spectrum(&samples(&heard), 440.0);
        let expected = 0.3 * 32_767.0 / core::f64::consts::SQRT_2;
        assert!(
            (level / expected - 1.0).abs() < 0.01,
            "{level}, not {expected}"
        );
        assert!(pure > 0.995, "{pure} of the power is at 440 Hz");
    }
    assert_eq!(services.calls(), 2);
}

#[test]
fn the_advertised_address_is_told_but_never_to_ourselves() {
    let told = |advertised: &str, bound: &str| {
        let services = services(20_900, 1, 1).advertised(Some(advertised));
        services.told(bound.parse().unwrap()).to_string()
    };
    assert_eq!(told("203.0.113.5", "10.0.0.2"), "203.0.113.5");
    assert_eq!(told("203.0.113.5", "127.0.0.1"), "127.0.0.1");
    assert_eq!(told("203.0.113.5", "2001:db8::1"), "2001:db8::1");
    assert_eq!(told("[2001:db8::5]", "2001:db8::1"), "2001:db8::5");
    assert_eq!(told("sip.example.org", "10.0.0.2"), "10.0.0.2");
}

/// Noise that never repeats, without the second zero of µ-law, which decodes to the same sample as the first.
fn noise(state: &mut u32, frame: &mut [u8; 160]) {
    for octet in frame {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = (*state >> 24) as u8;
        *octet = if drawn == 0x7f { 0xff } else { drawn };
    }
}

/// Talks to an echo until a second of it came back unchanged, and fails when none does.
fn hear_oneself(peer: &mut Peer, to: SocketAddr, payload_type: u8) {
    let (mut said, mut echoed) = (Vec::new(), Vec::new());
    let mut state = 1;
    let mut frame = [0; 160];
    for n in 0..1000 {
        noise(&mut state, &mut frame);
        peer.speak(to, payload_type, &frame);
        said.extend_from_slice(&frame);
        let heard = peer.hear();
        assert_eq!(heard.payload_type, payload_type);
        echoed.extend_from_slice(&heard.payload);
        if n > 100 && n % 10 == 0 {
            let second = &echoed[echoed.len() - 8000..];
            if said.windows(8000).any(|window| window == second) {
                return;
            }
        }
    }
    panic!("no second of the echo is what was said");
}

/// Presses a key for 140 ms and lets go of it, in packets of type 101, and listens for a while.
fn press_a_key(peer: &mut Peer, to: SocketAddr) -> Vec<Heard> {
    let press = |n: u16| {
        let end = if n < 7 { 0 } else { 0x80 };
        let [high, low] = (160 * (n.min(7) + 1)).to_be_bytes();
        [5, end | 10, high, low]
    };
    let heard = (0..50).map(|n| {
        if n < 10 {
            peer.say(to, 101, &press(n));
        }
        peer.hear()
    });
    let heard = heard.collect();
    peer.skip(50 * 160);
    heard
}

#[test]
fn an_echo_is_what_was_said() {
    let services = services(20_100, 20, 10);
    for (key, formats, payload_type) in [(1, "0", 0), (2, "8", 8)] {
        let mut peer = Peer::new();
        let to = open(&services, call(key), Service::Echo, &peer.sdp(formats, ""));
        hear_oneself(&mut peer, to, payload_type);
    }
}

#[test]
fn keys_do_not_disturb_an_echo() {
    let services = services(20_200, 20, 10);
    let mut peer = Peer::new();
    let offer = peer.sdp("0 101", "a=rtpmap:101 telephone-event/8000\r\n");
    let to = open(&services, call(1), Service::Echo, &offer);
    for heard in press_a_key(&mut peer, to) {
        assert_eq!(heard.payload_type, 0, "no key comes back");
        assert_eq!(heard.payload, [0xff; 160], "a key makes no sound");
    }
    hear_oneself(&mut peer, to, 0);
    press_a_key(&mut peer, to);
    hear_oneself(&mut peer, to, 0);
}

#[test]
fn hold_stops_the_sound_and_its_end_brings_it_back() {
    let services = services(20_300, 20, 10);
    let peer = Peer::new();
    let answer = services
        .open(call(1), Service::Tone, LOCAL, Some(&peer.sdp("0", "")))
        .unwrap();
    let from = destination(&answer);
    let before = peer.hear();
    let held = services
        .reoffer(call(1), Some(&peer.sdp("0", "a=sendonly\r\n")))
        .unwrap();
    assert!(String::from_utf8_lossy(&held).contains("a=recvonly"));
    // What was under way arrives; then it is quiet.
    peer.rtp
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut buffer = [0; 2048];
    let quiet = (0..100).any(|_| peer.rtp.recv_from(&mut buffer).is_err());
    assert!(quiet, "packets go on during the hold");
    peer.rtp.set_read_timeout(Some(PATIENCE)).unwrap();
    let resumed = services.reoffer(call(1), Some(&peer.sdp("0", ""))).unwrap();
    assert_eq!(destination(&resumed), from, "the port stays");
    let versions = [&answer, &held, &resumed].map(|body| version(body));
    assert_eq!(versions, [0, 1, 2].map(|n| versions[0] + n));
    let after: Vec<Heard> = (0..10).map(|_| peer.hear()).collect();
    assert!(
        after
            .iter()
            .all(|h| h.from == from && h.ssrc == before.ssrc)
    );
    assert!(
        after[0].timestamp.wrapping_sub(before.timestamp) >= 20 * 160,
        "the clock went on during the hold"
    );
    assert_eq!(services.poll_dead(), []);
}

#[test]
fn a_reoffer_moves_the_stream_and_changes_its_codec() {
    let services = services(20_400, 20, 10);
    let (old, new) = (Peer::new(), Peer::new());
    let from = open(&services, call(1), Service::Tone, &old.sdp("0", ""));
    let before = old.hear();
    let moved = services.reoffer(call(1), Some(&new.sdp("8", ""))).unwrap();
    assert_eq!(destination(&moved), from);
    let after: Vec<Heard> = (0..50).map(|_| new.hear()).collect();
    assert!(
        after
            .iter()
            .all(|h| h.payload_type == 8 && h.ssrc == before.ssrc && h.from == from)
    );
    let (_, pure) = spectrum(&samples(&after), 440.0);
    assert!(pure > 0.995, "{pure}");
    old.rtp.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    while old.rtp.recv_from(&mut buffer).is_ok() {}
    (0..10).for_each(|_| drop(new.hear()));
    assert!(
        old.rtp.recv_from(&mut buffer).is_err(),
        "the old place still gets packets"
    );
}

#[test]
fn our_offer_and_its_answer() {
    let services = services(20_500, 20, 10);
    let peer = Peer::new();
    let offer = services.open(call(1), Service::Tone, LOCAL, None).unwrap();
    let from = destination(&offer);
    assert!(
        String::from_utf8(offer)
            .unwrap()
            .contains("RTP/AVP 0 8 101")
    );
    let missing = services.answered(call(1), None).unwrap_err();
    assert_eq!(missing.status, 400);
    services
        .answered(call(1), Some(&peer.sdp("8", "")))
        .unwrap();
    let heard = peer.hear();
    assert_eq!((heard.from, heard.payload_type), (from, 8));
    services
        .answered(call(1), Some(b"of nobody's asking"))
        .unwrap();

    let again = services.reoffer(call(1), None).unwrap();
    assert_eq!(destination(&again), from);
    let elsewhere = Peer::new();
    services
        .answered(call(1), Some(&elsewhere.sdp("0", "")))
        .unwrap();
    assert_eq!(elsewhere.hear().payload_type, 0);
}

#[test]
fn an_offer_without_a_stream_waits_for_the_next_one() {
    let services = services(20_600, 20, 10);
    let peer = Peer::new();
    let empty = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    services
        .open(call(1), Service::Tone, LOCAL, Some(empty))
        .unwrap();
    services.reoffer(call(1), Some(&peer.sdp("0", ""))).unwrap();
    peer.hear();
    let ended = String::from_utf8(peer.sdp("0", "")).unwrap();
    let port = peer.rtp.local_addr().unwrap().port();
    let ended = ended.replace(&format!("m=audio {port}"), "m=audio 0");
    services.reoffer(call(1), Some(ended.as_bytes())).unwrap();
    peer.rtp
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut buffer = [0; 2048];
    assert!((0..100).any(|_| peer.rtp.recv_from(&mut buffer).is_err()));
}

#[test]
fn a_close_says_goodbye_and_frees_the_ports() {
    let services = services(20_700, 1, 10);
    let peer = Peer::new();
    for n in 0..20 {
        let from = eventually("the only pair is free again", || {
            services
                .open(call(n), Service::Tone, LOCAL, Some(&peer.sdp("0", "")))
                .ok()
        });
        peer.hear();
        assert_eq!(services.calls(), 1);
        services.close(call(n));
        services.close(call(n));
        assert_eq!(goodbye(&peer).port(), destination(&from).port() + 1);
        assert_eq!(services.calls(), 0);
    }
}

#[test]
fn the_end_of_the_services_is_the_end_of_their_calls() {
    let services = services(20_800, 20, 10);
    let peers: Vec<Peer> = (0..5).map(|_| Peer::new()).collect();
    for (n, peer) in (0..).zip(&peers) {
        open(&services, call(n), Service::Echo, &peer.sdp("0", ""));
    }
    drop(services);
    for peer in &peers {
        goodbye(peer);
    }
}

#[test]
fn reports_go_both_ways() {
    let services = services(20_900, 20, 10);
    let mut peer = Peer::new();
    let to = open(&services, call(1), Service::Echo, &peer.sdp("0", ""));
    peer.rtcp.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    // The first report is due after 1.0 to 3.1 seconds (RFC 3550 A.7).
    for _ in 0..400 {
        peer.speak(to, 0, &[0xd5; 160]);
        let ssrc = peer.hear().ssrc;
        let Ok((length, from)) = peer.rtcp.recv_from(&mut buffer) else {
            continue;
        };
        assert_eq!(from, SocketAddr::new(to.ip(), to.port() + 1));
        let compound = Compound::parse(&buffer[..length]).unwrap();
        let sender = compound.packets().find_map(|packet| match packet {
            RtcpPacket::SenderReport {
                ssrc, mut blocks, ..
            } => Some((ssrc, blocks.next())),
            _ => None,
        });
        let (by, block) = sender.expect("a sender report");
        assert_eq!(by, ssrc);
        let block = block.expect("a block about us");
        assert_eq!((block.ssrc, block.lost), (0x5eed, 0));
        return;
    }
    panic!("no report came");
}

#[test]
fn a_silent_peer_is_lost_and_a_held_one_is_not() {
    let ports = net::RtpPorts::new(21_000..=21_039);
    let services = Services::start_with(ports, 10, Duration::from_secs(1)).unwrap();
    let (mute, mut alive, held) = (Peer::new(), Peer::new(), Peer::new());
    open(&services, call(1), Service::Tone, &mute.sdp("0", ""));
    let to = open(&services, call(2), Service::Echo, &alive.sdp("0", ""));
    open(
        &services,
        call(3),
        Service::Echo,
        &held.sdp("0", "a=sendonly\r\n"),
    );
    eventually("the silent one is noticed", || {
        alive.speak(to, 0, &[0xd5; 160]);
        alive.hear();
        (!services.poll_dead().is_empty()).then_some(())
    });
    for _ in 0..50 {
        alive.speak(to, 0, &[0xd5; 160]);
        alive.hear();
    }
    assert_eq!(services.poll_dead(), [call(1)]);
    services.close(call(1));
    assert_eq!(services.poll_dead(), []);
}

#[test]
fn two_hundred_calls_keep_their_pace() {
    const CALLS: u64 = 200;
    let services = services(22_000, 250, 200);
    let peer = Peer::new();
    let offer = peer.sdp("0", "");
    let mut streams: HashMap<SocketAddr, Vec<Heard>> = HashMap::new();
    for n in 0..CALLS {
        let service = if n % 2 == 0 {
            Service::Tone
        } else {
            Service::Echo
        };
        let from = open(&services, call(n), service, &offer);
        assert!(
            streams.insert(from, Vec::new()).is_none(),
            "two calls on one port"
        );
    }
    let mut first = None;
    loop {
        let heard = peer.hear();
        let start = *first.get_or_insert(heard.at);
        let over = heard.at - start > Duration::from_secs(3);
        streams.get_mut(&heard.from).unwrap().push(heard);
        if over {
            break;
        }
    }
    for (from, heard) in &streams {
        let pace = rate(heard);
        assert!(
            (47.0..=53.0).contains(&pace),
            "{from}: {pace} packets a second"
        );
    }
    let full = services.open(call(CALLS), Service::Tone, LOCAL, Some(&offer));
    assert_eq!(full.unwrap_err().status, 503);
}

#[test]
fn a_panic_costs_one_call() {
    let services = services(21_100, 20, 10);
    let peers: Vec<Peer> = (0..3).map(|_| Peer::new()).collect();
    for (n, peer) in (0..).zip(&peers) {
        open(&services, call(n), Service::Tone, &peer.sdp("0", ""));
        peer.hear();
    }
    services.mailbox.post(Job::Break(call(1))).unwrap();
    let dead = eventually("the broken call is told", || {
        Some(services.poll_dead()).filter(|dead| !dead.is_empty())
    });
    assert_eq!(dead, [call(1)]);
    services.close(call(1));
    for peer in [&peers[0], &peers[2]] {
        let heard: Vec<Heard> = (0..100).map(|_| peer.hear()).collect();
        assert_eq!(
            heard[99].sequence.wrapping_sub(heard[0].sequence),
            99,
            "the others go on"
        );
    }
    let late = Peer::new();
    open(&services, call(9), Service::Tone, &late.sdp("0", ""));
    late.hear();
}

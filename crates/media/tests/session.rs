//! Two sessions talk to each other in the simulated world; both ends are asked what happened.

mod world;

use std::net::SocketAddr;
use std::time::Duration;

use media::Time;
use media::rtcp::NtpTime;
use media::session::{Direction, FrameKind, MediaEvent};
use world::{Weather, World, alignment, coded, config, share};

const CALM: Weather = Weather {
    delay_us: 20_000,
    jitter_us: 0,
    loss: 0.0,
    duplication: 0.0,
};

#[test]
fn a_minute_on_a_clean_line() {
    let mut world = World::new(CALM, 1);
    world.run(60.0);
    let wav = world::speech(8000 * 20);
    for (me, party) in world.parties.iter().enumerate() {
        let statistics = party.session.statistics();
        assert_eq!(
            (party.sent, statistics.packets_sent),
            (3000, 3000),
            "50 packets a second, exactly"
        );
        assert_eq!(statistics.octets_sent, 480_000);
        // What is still on its way: 20 ms of delay.
        assert_eq!(statistics.packets_received, 2999);
        assert_eq!(
            (
                statistics.packets_lost,
                statistics.duplicates,
                statistics.frames_skipped
            ),
            (0, 0, 0)
        );
        assert_eq!(statistics.discarded, media::session::Discarded::default());
        assert!(statistics.jitter < Duration::from_millis(1));
        assert_eq!(statistics.played.late, 0);
        assert_eq!(share(&party.kinds[10..], FrameKind::Audio), 1.0);
        // After the first seconds nothing is stretched any more: what is heard is bit for bit what was coded.
        let (lag, _) = alignment(&wav, &party.heard, 50_000, 800, 1600);
        assert!(lag <= 80 * 8, "{lag} samples from mouth to ear");
        for n in 50_000..party.heard.len() {
            assert_eq!(
                party.heard[n],
                coded(wav[(n - lag) % wav.len()]),
                "sample {n} of party {me}"
            );
        }
        let remote = statistics.remote.unwrap();
        assert_eq!((remote.packets_lost, remote.fraction_lost), (0, 0.0));
        let round_trip = statistics.round_trip.unwrap().as_secs_f64();
        assert!((round_trip - 0.040).abs() < 0.003, "{round_trip}");
        assert!(
            (8..=25).contains(&statistics.reports_sent),
            "{}",
            statistics.reports_sent
        );
        let other = world.parties[1 - me].address;
        assert_eq!(party.events, [MediaEvent::FirstPacket { from: other }]);
        assert_eq!(party.session.destination(), Some(other));
    }
}

#[test]
fn loss_is_counted_and_concealed() {
    for (loss, least) in [(0.05, 0.9), (0.10, 0.85), (0.20, 0.7)] {
        let mut world = World::new(Weather { loss, ..CALM }, 7);
        world.run(40.0);
        for me in 0..2 {
            let (party, other) = (&world.parties[me], &world.parties[1 - me]);
            let statistics = party.session.statistics();
            let expected = other.lost_on_the_way;
            // Losses at the very ends, and before two packets came in sequence, show in no sequence number.
            assert!(
                statistics.packets_lost.abs_diff(expected) <= 8,
                "{} of {expected}",
                statistics.packets_lost
            );
            let concealed = share(&party.kinds, FrameKind::Concealed);
            assert!(
                (concealed - loss).abs() < loss * 0.4,
                "{concealed} at {loss}"
            );
            let seen = other.session.statistics().remote.unwrap();
            assert!(
                f64::from(seen.packets_lost) > expected as f64 * 0.7,
                "the other end is told"
            );
            let mut correlations = 0.0;
            for block in 0..30 {
                correlations += alignment(
                    &party.speech,
                    &party.heard,
                    40_000 + block * 8000,
                    4000,
                    1600,
                )
                .1;
            }
            let mean = correlations / 30.0;
            println!("loss {loss}: concealed {concealed:.3}, correlation {mean:.3}");
            assert!(mean > least, "correlation {mean} at {loss}");
        }
    }
}

#[test]
fn jitter_and_reordering() {
    let mut world = World::new(
        Weather {
            jitter_us: 60_000,
            ..CALM
        },
        3,
    );
    world.run(60.0);
    for party in &world.parties {
        let statistics = party.session.statistics();
        assert_eq!(
            statistics.packets_lost.min(3),
            statistics.packets_lost,
            "reordering is no loss"
        );
        assert_eq!(statistics.duplicates, 0);
        let audio = share(&party.kinds[50..], FrameKind::Audio);
        println!(
            "60 ms of jitter: audio {audio:.3}, late {}, target {:?}, longest {:?}, jitter {:?}, {:?}",
            statistics.played.late,
            statistics.playout_delay,
            party.longest_wait,
            statistics.jitter,
            statistics.played
        );
        assert!(audio > 0.95, "{audio}");
        assert!(statistics.played.late < 100, "{}", statistics.played.late);
        assert!(
            statistics.playout_delay < Duration::from_millis(110),
            "{:?}",
            statistics.playout_delay
        );
        assert!(
            party.longest_wait < Duration::from_millis(200),
            "{:?}",
            party.longest_wait
        );
        assert!(
            statistics.jitter > Duration::from_millis(10)
                && statistics.jitter < Duration::from_millis(40)
        );
    }
}

#[test]
fn the_delay_shrinks_when_the_line_calms() {
    let mut world = World::new(
        Weather {
            jitter_us: 80_000,
            ..CALM
        },
        5,
    );
    world.run(15.0);
    let stormy = world.parties[0].session.statistics().playout_delay;
    world.weather = CALM;
    world.run(15.0);
    let party = &world.parties[0];
    let calm = party.session.statistics().playout_delay;
    println!(
        "{stormy:?} to {calm:?}, waiting {:?}",
        party.session.waiting()
    );
    assert!(
        stormy > Duration::from_millis(70) && calm <= Duration::from_millis(45),
        "{stormy:?} to {calm:?}"
    );
    assert!(
        party.session.waiting() <= Duration::from_millis(80),
        "{:?}",
        party.session.waiting()
    );
}

#[test]
fn duplicates_change_nothing() {
    let mut world = World::new(
        Weather {
            duplication: 0.2,
            jitter_us: 5000,
            ..CALM
        },
        9,
    );
    world.run(30.0);
    for me in 0..2 {
        let (party, other) = (&world.parties[me], &world.parties[1 - me]);
        let statistics = party.session.statistics();
        assert!(other.duplicated > 200);
        assert!(statistics.duplicates.abs_diff(other.duplicated) <= 2);
        assert_eq!(statistics.packets_lost, 0);
        assert_eq!(share(&party.kinds[20..], FrameKind::Audio), 1.0);
    }
}

#[test]
fn clocks_that_drift() {
    let mut world = World::new(CALM, 11);
    world.parties[0].drift_ppm = 200.0;
    world.run(600.0);
    let packets = world.parties[0].sent;
    assert!((30_005..=30_007).contains(&packets), "{packets} at 200 ppm");
    for party in &world.parties {
        let played = party.session.statistics().played;
        println!(
            "drift: waiting at most {:?}, {played:?}",
            party.longest_wait
        );
        assert!(
            party.longest_wait < Duration::from_millis(120),
            "{:?}",
            party.longest_wait
        );
        assert!(party.session.waiting() < Duration::from_millis(80));
        assert!(share(&party.kinds[20..], FrameKind::Audio) > 0.995);
        assert!(played.stretched + played.shortened < 4000, "{played:?}");
        let at = party.heard.len() - 20_000;
        // The slow side hears ahead of its own count by what was cut out: turn the speech to keep the lag positive.
        let mut turned = party.speech.clone();
        turned.rotate_left(2000);
        let (_, correlation) = alignment(&turned, &party.heard, at, 2000, 4000);
        assert!(correlation > 0.97, "{correlation}");
    }
    assert!(
        world.parties[1].session.statistics().played.shortened > 500,
        "the slow clock hears a fast talker"
    );
    assert!(
        world.parties[0].session.statistics().played.stretched > 300,
        "the fast clock hears a slow one"
    );
}

#[test]
fn keys_are_heard_with_the_number_of_their_sender_too() {
    let mut world = World::new(CALM, 29);
    let mut config = config(SocketAddr::from(([192, 0, 2, 1], 4000)), 101);
    config.telephone_event_receive = Some(96);
    world.parties[1].session.reconfigure(config, Time::ZERO);
    world.run(1.0);
    world.parties[0].session.dtmf('7', 100).unwrap();
    world.run(1.0);
    assert!(matches!(
        world.parties[1].events[..],
        [.., MediaEvent::Dtmf { digit: '7', .. }]
    ));
    let discarded = world.parties[1].session.statistics().discarded;
    assert_eq!(discarded.payload, 0);
}

#[test]
fn keys_arrive_once_each_in_spite_of_loss() {
    for (loss, seed) in [(0.0, 1), (0.1, 2), (0.1, 3), (0.2, 4)] {
        let mut world = World::new(
            Weather {
                loss,
                duplication: 0.1,
                jitter_us: 30_000,
                ..CALM
            },
            seed,
        );
        world.run(2.0);
        for key in "0123456789*#ABCD55".chars() {
            world.parties[0].session.dtmf(key, 100).unwrap();
        }
        world.run(8.0);
        assert!(world.parties[0].session.dtmf_done());
        let keys: Vec<(char, Duration)> = world.parties[1]
            .events
            .iter()
            .filter_map(|event| match event {
                MediaEvent::Dtmf { digit, duration } => Some((*digit, *duration)),
                _ => None,
            })
            .collect();
        let digits: String = keys.iter().map(|(digit, _)| digit).collect();
        assert_eq!(digits, "0123456789*#ABCD55", "loss {loss}");
        assert!(
            keys.iter()
                .all(|(_, duration)| *duration >= Duration::from_millis(20))
        );
        if loss == 0.0 {
            assert!(
                keys.iter()
                    .all(|(_, duration)| *duration == Duration::from_millis(100)),
                "{keys:?}"
            );
        }
        assert_eq!(
            world.parties[0].session.statistics().packets_sent,
            500,
            "keys take the place of sound"
        );
    }
}

#[test]
fn echo_gives_back_what_it_hears() {
    let mut world = World::new(CALM, 13);
    world.parties[1].echo = true;
    world.run(20.0);
    let party = &world.parties[0];
    let (lag, correlation) = alignment(&party.speech, &party.heard, 80_000, 4000, 3000);
    assert!(correlation > 0.9999, "{correlation}");
    assert!(lag < 1600, "{lag} samples there and back");
    assert_eq!(world.parties[1].session.statistics().packets_sent, 1000);
}

#[test]
fn hold_and_resume() {
    let mut world = World::new(CALM, 17);
    world.run(5.0);
    let to = world.parties[1].address;
    let mut held = config(to, 999);
    held.direction = Direction {
        send: false,
        receive: false,
    };
    let now = world.clock(0);
    world.parties[0].session.reconfigure(held, now);
    world.run(10.0);
    assert_eq!(world.parties[0].sent, 250, "nothing is sent on hold");
    assert!(
        world.parties[1]
            .events
            .contains(&MediaEvent::Stalled { heard_before: true })
    );
    assert!(
        !world.parties[0]
            .events
            .iter()
            .any(|event| matches!(event, MediaEvent::Stalled { .. }))
    );
    let now = world.clock(0);
    world.parties[0].session.reconfigure(config(to, 999), now);
    world.run(5.0);
    assert_eq!(world.parties[0].sent, 500);
    let statistics = world.parties[1].session.statistics();
    assert_eq!(
        (statistics.packets_received, statistics.packets_lost),
        (499, 0),
        "sequence numbers go on"
    );
    assert!(world.parties[1].events.contains(&MediaEvent::Resumed));
    assert_eq!(share(&world.parties[1].kinds[780..], FrameKind::Audio), 1.0);
}

#[test]
fn a_party_that_moves_is_followed_and_an_intruder_is_not() {
    let mut world = World::new(CALM, 19);
    world.run(2.0);
    let intruder: SocketAddr = "203.0.113.66:9".parse().unwrap();
    let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 66];
    packet.resize(172, 0x55);
    for n in 0..20u8 {
        packet[3] = n;
        let now = world.clock(0);
        world.parties[0].session.handle_rtp(now, intruder, &packet);
        world.run(0.02);
    }
    assert_eq!(
        world.parties[0].session.destination(),
        Some(world.parties[1].address)
    );
    assert_eq!(world.parties[0].session.statistics().discarded.foreign, 20);

    // The other side's network is gone for three seconds and comes back under another address.
    let weather = world.weather;
    world.weather.loss = 1.0;
    world.run(3.0);
    world.weather = weather;
    let moved: SocketAddr = "198.51.100.2:7000".parse().unwrap();
    world.parties[1].address = moved;
    world.run(2.0);
    assert!(
        world.parties[0]
            .events
            .contains(&MediaEvent::SourceChanged { from: moved })
    );
    assert_eq!(world.parties[0].session.destination(), Some(moved));
    let kinds = &world.parties[0].kinds;
    assert_eq!(share(&kinds[kinds.len() - 50..], FrameKind::Audio), 1.0);
}

#[test]
fn another_source_on_the_same_address_is_heard() {
    let mut world = World::new(CALM, 23);
    world.run(3.0);
    let fresh = World::new(CALM, 23).parties.into_iter().nth(1).unwrap();
    let old = std::mem::replace(&mut world.parties[1], fresh);
    let to = world.parties[0].address;
    world.parties[1].session = media::session::MediaSession::new(config(to, 4711), world.clock(1));
    world.run(3.0);
    let statistics = world.parties[0].session.statistics();
    assert_eq!(
        statistics.packets_received,
        old.sent + world.parties[1].sent - 2,
        "one on its way, one to prove it"
    );
    assert_eq!(
        (statistics.packets_lost, statistics.discarded.unproven),
        (0, 1)
    );
    let kinds = &world.parties[0].kinds;
    assert_eq!(share(&kinds[kinds.len() - 100..], FrameKind::Audio), 1.0);
}

#[test]
fn goodbye_is_told_once() {
    let mut world = World::new(CALM, 29);
    world.run(1.0);
    let now = world.clock(1);
    let mut bytes = Vec::new();
    assert!(
        world.parties[1]
            .session
            .goodbye(now, NtpTime(1), &mut bytes)
    );
    let from: SocketAddr = "192.0.2.2:5001".parse().unwrap();
    for _ in 0..2 {
        world.parties[0].session.handle_rtcp(now, from, &bytes);
    }
    let stranger: SocketAddr = "203.0.113.1:5001".parse().unwrap();
    world.parties[0].session.handle_rtcp(now, stranger, &bytes);
    assert_eq!(
        world.parties[0].session.poll_event(),
        Some(MediaEvent::RemoteBye)
    );
    assert_eq!(world.parties[0].session.poll_event(), None);
    assert_eq!(world.parties[0].session.statistics().discarded.foreign, 1);
}

#[test]
fn a_stalled_process_catches_up_without_a_burst() {
    let mut world = World::new(CALM, 31);
    world.run(5.0);
    // Neither side is run for half a second.
    world.now_us += 500_000;
    let before = world.parties[0].sent;
    world.run(0.001);
    let burst = world.parties[0].sent - before;
    assert!(burst <= 4, "{burst} packets at once");
    world.run(5.0);
    let statistics = world.parties[0].session.statistics();
    assert_eq!(statistics.packets_sent + statistics.frames_skipped, 526);
    let kinds = &world.parties[1].kinds;
    assert_eq!(share(&kinds[kinds.len() - 100..], FrameKind::Audio), 1.0);
    assert!(world.parties[1].session.waiting() < Duration::from_millis(150));
}

#[test]
fn nothing_ever_heard_is_told() {
    let mut world = World::new(Weather { loss: 1.0, ..CALM }, 37);
    world.run(6.0);
    assert_eq!(
        world.parties[0].events,
        [MediaEvent::Stalled {
            heard_before: false
        }]
    );
    assert_eq!(share(&world.parties[0].kinds, FrameKind::Silence), 1.0);
    assert!(world.parties[0].session.next_frame_due() >= Time::from_secs(6));
}

#[test]
fn the_marker_opens_every_talkspurt() {
    let to: SocketAddr = SocketAddr::from(([192, 0, 2, 2], 5000));
    let mut session = media::session::MediaSession::new(config(to, 1), Time::ZERO);
    let mut bytes = Vec::new();
    let mut marks = Vec::new();
    let mut timestamps = Vec::new();
    for n in 0..9 {
        let now = session.next_frame_due();
        let silent = (3..6).contains(&n);
        let sent = session.send_frame(now, if silent { &[] } else { &[100; 160] }, &mut bytes);
        assert_eq!(sent, !silent);
        if sent {
            let packet = media::rtp::Packet::parse(&bytes).expect("our own packet");
            marks.push(packet.marker);
            timestamps.push(packet.timestamp);
        }
    }
    assert_eq!(marks, [true, false, false, true, false, false]);
    assert_eq!(
        timestamps[3].wrapping_sub(timestamps[2]),
        640,
        "silence takes its time"
    );
    assert_eq!(session.dtmf('5', 100), Ok(()));
    let mut without = config(to, 1);
    without.telephone_event_send = None;
    session.reconfigure(without, Time::ZERO);
    assert_eq!(
        session.dtmf('5', 100),
        Err(media::dtmf::Refused::NotNegotiated)
    );
}

//! Calls between two phones through a proxy over bad networks: both ends always agree in the end.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sip::message::StatusCode;
use sip::time::Time;
use sip::ua::{CallId, Event};
use testkit::{Link, Phone, World, policy};

const SEEDS: u64 = 200;

/// What became of the call of one world.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Fate {
    established: bool,
    rang: bool,
}

struct Call {
    world: World,
    alice: Phone,
    bob: Phone,
    proxy: testkit::NodeId,
    seed: u64,
    outgoing: CallId,
    incoming: Option<CallId>,
    ends: [u32; 2],
    established: [bool; 2],
}

impl Call {
    fn new(seed: u64, loss: u32) -> Call {
        let mut world = World::new(seed);
        let alice = Phone::new(&mut world, "udp:10.0.0.1:5060", "sip:alice@a.example");
        let places = ["udp:10.0.0.2:5060"];
        let proxy = world.endpoint(&places, &[], policy::fork(&[("sip:bob@10.0.0.3", 1)], true));
        let bob = Phone::new(&mut world, "udp:10.0.0.3:5060", "sip:bob@b.example");
        world.set_links(Link {
            latency: Duration::from_millis(seed % 60),
            jitter: Duration::from_millis(seed % 90),
            loss,
            duplication: (seed * 53 % 300) as u32,
            reordering: (seed * 71 % 300) as u32,
            hold: Duration::from_millis(seed * 13 % 700),
        });
        let outgoing = alice.call(&mut world, "sip:bob@10.0.0.2", b"v=0\r\n");
        Call {
            world,
            alice,
            bob,
            proxy,
            seed,
            outgoing,
            incoming: None,
            ends: [0, 0],
            established: [false, false],
        }
    }

    fn look(&mut self) {
        for (i, phone) in [&self.alice, &self.bob].into_iter().enumerate() {
            for (_, event) in phone.told() {
                match event {
                    Event::Ended { .. } => self.ends[i] += 1,
                    Event::Established { .. } => self.established[i] = true,
                    Event::Incoming { call, .. } => {
                        assert_eq!(self.incoming, None, "seed {}: it rang twice", self.seed);
                        self.incoming = Some(call);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Bob rings at once and picks up two seconds later; in some worlds Alice gives up before, or Bob declines.
    fn play(&mut self) -> Fate {
        let mut answer_at = None;
        for _ in 0..1200 {
            self.world.run_for(Duration::from_millis(100));
            let before = self.incoming;
            self.look();
            let now = self.world.now();
            if let (None, Some(call)) = (before, self.incoming) {
                let ringing = StatusCode(180);
                let _ = self.bob.with(&mut self.world, |a, now, tx| {
                    a.ring(now, tx, call, ringing, None)
                });
                answer_at = Some(now + Duration::from_secs(2));
            }
            if let (Some(at), Some(call)) = (answer_at, self.incoming)
                && now >= at
            {
                answer_at = None;
                let declines = self.seed % 7 == 3;
                let _ = self.bob.with(&mut self.world, |a, now, tx| match declines {
                    true => a.reject(now, tx, call, StatusCode(486), None),
                    false => a.accept(now, tx, call, b"v=0\r\n"),
                });
            }
            if self.seed % 5 == 4 && now == Time::from_millis(1500 + self.seed % 10 * 100) {
                let call = self.outgoing;
                let _ = self
                    .alice
                    .with(&mut self.world, |a, now, tx| a.hang_up(now, tx, call));
            }
        }
        self.look();
        let live = self.live();
        assert_eq!(
            live.0, live.1,
            "seed {}: the call is up on one side only",
            self.seed
        );
        Fate {
            established: live.0 == 1,
            rang: self.incoming.is_some(),
        }
    }

    fn live(&mut self) -> (usize, usize) {
        let alice = self.alice.with(&mut self.world, |a, _, _| a.calls());
        let bob = self.bob.with(&mut self.world, |a, _, _| a.calls());
        (alice, bob)
    }

    /// Who hangs up depends on the seed; after that nothing is left anywhere.
    fn end(&mut self, fate: Fate) {
        if fate.established {
            let (phone, call) = match self.seed.is_multiple_of(2) {
                true => (&self.alice, self.outgoing),
                false => (&self.bob, self.incoming.unwrap()),
            };
            phone
                .with(&mut self.world, |a, now, tx| a.hang_up(now, tx, call))
                .unwrap();
        }
        // Without any answer the other side cannot know: lossless from here on.
        self.world.set_links(Link::PERFECT);
        assert!(self.world.run_until_quiet(Time::from_millis(1_200_000)));
        self.look();
        let rang = u32::from(self.incoming.is_some());
        assert_eq!(
            self.ends,
            [1, rang],
            "seed {}: an end was not told exactly once",
            self.seed
        );
        assert_eq!(self.live(), (0, 0));
        for node in [self.alice.node, self.proxy, self.bob.node] {
            let left = self.world.with(node, |_, e| {
                (e.transactions().len(), e.proxied(), e.agent().0.kept())
            });
            assert_eq!(
                left,
                ((0, 0), 0, 0),
                "seed {}: something stays behind",
                self.seed
            );
        }
    }
}

#[test]
fn both_ends_agree_on_every_call() {
    let mut established = 0;
    for seed in 0..SEEDS {
        let mut call = Call::new(seed, (seed * 37 % 501) as u32);
        let fate = call.play();
        call.end(fate);
        established += u32::from(fate.established);
    }
    println!("{established} of {SEEDS} calls were established");
    assert!(established > 90, "{established}");
}

#[test]
fn without_loss_every_packet_is_counted() {
    let mut call = Call::new(0, 0);
    call.world.set_links(Link::PERFECT);
    let fate = call.play();
    assert!(fate.established && fate.rang);
    assert_eq!(call.established, [true, true]);
    call.end(fate);
    let trace = call.world.trace();
    let from = |node| trace.iter().filter(|s| s.from == node).count();
    // Alice: INVITE, ACK, BYE. Proxy: 100, INVITE, 180, 200, ACK, BYE, 200. Bob: 100 or 180, 200, 200.
    assert_eq!(
        (from(call.alice.node), from(call.proxy), from(call.bob.node)),
        (3, 7, 3)
    );
    assert_eq!(trace.len(), 13);
}

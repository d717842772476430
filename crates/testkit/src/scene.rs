//! The usual scene: Alice, one proxy, and several phones behind it.

use sip::Endpoint;
use sip::endpoint::Event;
use sip::time::Time;

use crate::message::Message;
use crate::world::{Arrival, NodeId, World};

/// Where Alice is.
pub const ALICE: &str = "10.0.0.1:5060";
/// Where the proxy is.
pub const PROXY: &str = "10.0.0.2:5060";

/// Alice at `10.0.0.1`, a proxy for `b.example` at `10.0.0.2`, phones at `10.0.1.1`, `10.0.1.2` and so on, all on UDP
/// and TCP port 5060.
pub struct Scene {
    /// Where it plays.
    pub world: World,
    /// The one who calls.
    pub alice: NodeId,
    /// The proxy.
    pub proxy: NodeId,
    /// The phones, from `10.0.1.1` on.
    pub phones: Vec<NodeId>,
}

impl Scene {
    /// A scene with that many phones.
    pub fn new(phones: usize, policy: impl FnMut(Time, &mut Endpoint, Event) + 'static) -> Scene {
        let mut world = World::new(1);
        let both = |ip: &str| [format!("udp:{ip}:5060"), format!("tcp:{ip}:5060")];
        let place = |world: &mut World, ip: &str| {
            let places = both(ip);
            world.peer(&[&places[0], &places[1]])
        };
        let alice = place(&mut world, "10.0.0.1");
        let places = both("10.0.0.2");
        let proxy = world.endpoint(&[&places[0], &places[1]], &["b.example"], policy);
        let phones = (1..=phones)
            .map(|n| place(&mut world, &format!("10.0.1.{n}")))
            .collect();
        Scene {
            world,
            alice,
            proxy,
            phones,
        }
    }

    /// A request of Alice's to `sip:bob@b.example`.
    pub fn request(method: &str, branch: &str) -> Message {
        Message::request(method, "sip:bob@b.example", "UDP", ALICE, branch)
    }

    /// Alice sends something to the proxy over UDP; it arrives at once.
    pub fn alice_sends(&mut self, message: &Message) {
        let now = self.world.now();
        let from = format!("udp:{ALICE}");
        self.world.send_from(self.alice, &from, PROXY, message);
        self.world.run_until(now);
    }

    /// What Alice got since the last call.
    pub fn alice_got(&mut self) -> Vec<Message> {
        self.world
            .received(self.alice)
            .iter()
            .map(Arrival::message)
            .collect()
    }

    /// The codes of the responses that Alice got since the last call.
    pub fn alice_codes(&mut self) -> Vec<u16> {
        self.alice_got().iter().map(Message::code).collect()
    }

    /// What a phone got since the last call.
    pub fn got(&mut self, phone: usize) -> Vec<Arrival> {
        self.world.received(self.phones[phone])
    }

    /// The methods of what a phone got since the last call.
    pub fn methods(&mut self, phone: usize) -> Vec<String> {
        let got = self.got(phone);
        got.iter()
            .map(|a| a.message().method().to_owned())
            .collect()
    }

    /// The one request that a phone got since the last call.
    ///
    /// # Panics
    /// When it got none, or more.
    #[track_caller]
    pub fn one(&mut self, phone: usize) -> Arrival {
        let mut got = self.got(phone);
        assert_eq!(got.len(), 1, "phone {phone}: {got:?}");
        got.remove(0)
    }

    /// A phone answers a request at once, back on its flow.
    pub fn answer(&mut self, phone: usize, request: &Arrival, code: u16, tag: &str) -> Message {
        let reply = request.message().reply(code, tag);
        self.phone_sends(phone, request, &reply);
        reply
    }

    /// A phone sends something on the flow of a request.
    pub fn phone_sends(&mut self, phone: usize, request: &Arrival, message: &Message) {
        let now = self.world.now();
        self.world
            .send(self.phones[phone], request.flow, message.to_bytes());
        self.world.run_until(now);
    }

    /// Alice acknowledges a final response that is not 2xx.
    pub fn alice_acks(&mut self, invite: &Message, response: &Message) {
        self.alice_sends(&invite.ack_for(response));
    }

    /// Lets everything end, and checks that the proxy keeps nothing.
    ///
    /// # Panics
    /// When something is left.
    #[track_caller]
    pub fn end(&mut self) {
        let deadline = Time::from_micros(self.world.now().as_micros() + 1_000_000_000);
        assert!(self.world.run_until_quiet(deadline), "timers run for ever");
        let (left, proxied) = self
            .world
            .with(self.proxy, |_, e| (e.transactions().len(), e.proxied()));
        assert_eq!((left, proxied), ((0, 0), 0), "something stays behind");
    }
}

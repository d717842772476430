//! Bridges that are one call: what two of them, often of two shards, tell each other.

use std::time::Duration;

use sip::Endpoint;
use sip::message::StatusCode;
use sip::time::Time;
use sip::transaction::ServerId;
use sip::ua::CallId;

use super::sound::{Says, awake};
use super::{Bridge, Party, hang_up};
use crate::core::{Command, Core};

/// The other bridge of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(super) shard: usize,
    pub(super) bridge: u64,
}

/// What one bridge tells another.
#[derive(Clone, Debug)]
pub(super) enum Told {
    /// Its side wants this session; `None`: the other side offers.
    Offer(Option<Vec<u8>>),
    /// Its side answers, or offers when it was asked to.
    Answer(Option<Vec<u8>>),
    /// Its side does not want the session that was offered.
    Refused(u16),
    /// The ACK came that was to bring the answer.
    Acknowledged(Option<Vec<u8>>),
    /// Its side pressed a key.
    Pressed(char, Duration),
    /// Its side sent an INFO or MESSAGE.
    Request(Inside),
    /// Its side is gone.
    Gone(Option<String>),
}

/// A request inside a call, for the other side.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub(super) method: String,
    pub(super) info_package: Option<String>,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// What bridges ask of other shards.
#[derive(Debug)]
pub(crate) enum LinkCommand {
    /// Whether a bridge has the dialog that an INVITE wants to replace.
    Find {
        replaces: String,
        shard: usize,
        request: ServerId,
    },
    /// It has, or has not.
    Found {
        request: ServerId,
        replaces: String,
        here: bool,
    },
    /// The peer of the one who is in this dialog is to be connected to that bridge.
    Join { replaces: String, by: Link },
    /// It is: who, and its session.
    Joined {
        bridge: u64,
        link: Link,
        session: Option<Vec<u8>>,
    },
    /// There is no such dialog.
    NotJoined { bridge: u64 },
    /// News.
    Told {
        bridge: u64,
        from: Link,
        told: Box<ToldOut>,
    },
}

/// Keeps [`Told`] to this module.
#[derive(Debug)]
pub(crate) struct ToldOut(Told);

impl Core {
    pub(super) fn own_link(&self, bridge: u64) -> Link {
        Link {
            shard: self.shard,
            bridge,
        }
    }

    fn post(&self, shard: usize, command: LinkCommand) {
        self.shared.remote(shard)(Command::Link(command));
    }

    /// Tells the other bridge of a call what happened in the bridge `id`.
    pub(super) fn tell(&self, id: u64, link: Link, told: Told) {
        let command = LinkCommand::Told {
            bridge: link.bridge,
            from: self.own_link(id),
            told: Box::new(ToldOut(told)),
        };
        self.post(link.shard, command);
    }

    /// Asks the shard of a dialog whether it is one of a bridge; it answers with `Found`.
    pub(crate) fn ask_for_dialog(&self, replaces: &str, request: ServerId) {
        let command = LinkCommand::Find {
            replaces: replaces.to_owned(),
            shard: self.shard,
            request,
        };
        self.post(self.shard_of(replaces), command);
    }

    fn shard_of(&self, replaces: &str) -> usize {
        let call_id = replaces.split(';').next().unwrap_or_default().trim();
        sip::shard::shard_of(call_id.as_bytes(), self.shards)
    }

    /// Looks for the bridge of a dialog, to be connected with its other side.
    pub(super) fn seek(&self, id: u64, replaces: String) {
        let by = self.own_link(id);
        self.post(self.shard_of(&replaces), LinkCommand::Join { replaces, by });
    }

    pub(crate) fn on_link_command(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        command: LinkCommand,
    ) {
        match command {
            LinkCommand::Find {
                replaces,
                shard,
                request,
            } => {
                let here = self.ready_dialog(endpoint, &replaces).is_some();
                let found = LinkCommand::Found {
                    request,
                    replaces,
                    here,
                };
                self.post(shard, found);
            }
            LinkCommand::Found {
                request,
                replaces,
                here,
            } => self.on_routable_knowing(now, endpoint, request, here.then_some(replaces)),
            LinkCommand::Join { replaces, by } => self.on_join(now, endpoint, &replaces, by),
            LinkCommand::Joined {
                bridge,
                link,
                session,
            } => self.on_joined(now, endpoint, bridge, link, session),
            LinkCommand::NotJoined { bridge } => self.on_not_joined(now, endpoint, bridge),
            LinkCommand::Told { bridge, from, told } => {
                self.on_told(now, endpoint, bridge, from, told.0)
            }
        }
    }

    /// The call that a Replaces value names, and its bridge, when both sides are there and nothing else goes on.
    fn ready_dialog(&self, endpoint: &mut Endpoint, replaces: &str) -> Option<(CallId, u64)> {
        let (agent, tx) = endpoint.agent();
        let call = agent.replaced_call(tx, replaces)?;
        let id = *self.bridges.of_call.get(&call)?;
        let bridge = self.bridges.all.get(&id)?;
        bridge.is_quiet(call).then_some((call, id))
    }

    fn on_join(&mut self, now: Time, endpoint: &mut Endpoint, replaces: &str, by: Link) {
        let found = self
            .ready_dialog(endpoint, replaces)
            .filter(|(_, id)| self.own_link(*id) != by);
        let joined = found.and_then(|(call, id)| {
            let bridge = self.bridges.all.get_mut(&id)?;
            let stays = bridge.peer(Party::Leg(call))?;
            // One link is enough for a bridge: a chain would need another in the middle.
            let Party::Leg(_) = stays else {
                return None;
            };
            bridge.part(call);
            bridge.sound_goes_to(Party::Leg(call), Party::Link(by));
            bridge.link = Some((by, None));
            let session = bridge.said(stays).map(awake);
            let session = bridge.carried(stays, Says::Offer, session).ok()?;
            Some((call, id, session))
        });
        let Some((call, id, session)) = joined else {
            self.post(by.shard, LinkCommand::NotJoined { bridge: by.bridge });
            return;
        };
        self.bridges.of_call.remove(&call);
        hang_up(now, endpoint, call, None);
        let link = self.own_link(id);
        let joined = LinkCommand::Joined {
            bridge: by.bridge,
            link,
            session,
        };
        self.post(by.shard, joined);
    }

    fn on_joined(
        &mut self,
        now: Time,
        endpoint: &mut Endpoint,
        id: u64,
        link: Link,
        session: Option<Vec<u8>>,
    ) {
        let Some(bridge) = self.bridges.all.get_mut(&id) else {
            self.tell(id, link, Told::Gone(None));
            return;
        };
        bridge.talked = true;
        bridge.link = Some((link, session.clone()));
        if let Some((transfer, by, _)) = bridge.seeking.take() {
            bridge.part(by);
            bridge.sound_goes_to(Party::Leg(by), Party::Link(link));
            bridge.joining = true;
            self.bridges.of_call.remove(&by);
            let (agent, tx) = endpoint.agent();
            agent.report_transfer(now, tx, transfer, StatusCode(200), "OK");
            hang_up(now, endpoint, by, None);
            let stays = self
                .bridges
                .all
                .get(&id)
                .and_then(|b| b.sides().next().map(|l| l.call));
            match stays {
                Some(call) => self.introduce(now, endpoint, id, Party::Leg(call), session),
                None => self.end_bridge(now, endpoint, id, None),
            }
            return;
        }
        // An INVITE takes the place of another call: its offer goes to the other side.
        let Some(near) = bridge.near.as_ref() else {
            return;
        };
        let offer = near.said.clone();
        bridge.asking = Some(Party::Leg(near.call));
        self.tell(id, link, Told::Offer(offer));
    }

    fn on_told(&mut self, now: Time, endpoint: &mut Endpoint, id: u64, from: Link, told: Told) {
        let known = self
            .bridges
            .all
            .get(&id)
            .and_then(|b| b.link.as_ref())
            .map(|(link, _)| *link);
        let Some(link) = known.filter(|link| *link == from) else {
            return;
        };
        let party = Party::Link(link);
        match told {
            Told::Offer(offer) => self.on_reoffered(now, endpoint, id, party, offer),
            Told::Answer(body) => self.on_reanswered(now, endpoint, id, party, body),
            Told::Refused(status) => {
                self.on_reoffer_refused(now, endpoint, id, party, StatusCode(status))
            }
            Told::Acknowledged(body) => self.on_acknowledged(now, endpoint, id, party, body),
            Told::Pressed(digit, duration) => {
                self.press_peer(now, endpoint, id, party, digit, duration)
            }
            Told::Request(inside) => self.tell_peer(now, endpoint, id, party, inside),
            Told::Gone(reason) => {
                if let Some(bridge) = self.bridges.all.get_mut(&id) {
                    bridge.link = None;
                }
                self.end_bridge(now, endpoint, id, reason.as_deref());
            }
        }
    }
}

impl Bridge {
    /// Whether `call` talks to somebody and neither side waits for anything.
    pub(super) fn is_quiet(&self, call: CallId) -> bool {
        let waits =
            self.hunt.is_some() || self.asking.is_some() || self.joining || self.seeking.is_some();
        !waits && self.peer(Party::Leg(call)).is_some()
    }
}

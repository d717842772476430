//! The services of the user agent in random sequences: transfers, subscriptions, publications.

use bytes::Bytes;
use sip::flow::Flow;
use sip::message::StatusCode;
use sip::ua::{CallId, Diverted, PublicationId, SubscriptionId, TransferId};

use super::{OWN, Run, URIS, readable};
use crate::message::Message;

/// What the user agent was asked to do, or asks for, beside calls.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) transfers: Vec<TransferId>,
    pub(super) subscriptions: Vec<SubscriptionId>,
    pub(super) publications: Vec<PublicationId>,
}

impl Services {
    pub(super) fn told(&mut self, event: &sip::ua::Event) {
        use sip::ua::Event;
        match event {
            Event::TransferRequested { transfer, .. } => self.transfers.push(*transfer),
            Event::SubscriptionEnded {
                subscription,
                retry_in: None,
                ..
            } => self.subscriptions.retain(|s| s != subscription),
            Event::PublicationFailed {
                publication,
                retry_in: None,
                ..
            }
            | Event::Unpublished { publication } => {
                self.publications.retain(|p| p != publication);
            }
            _ => {}
        }
    }
}

impl Run<'_> {
    /// The user wants a service; some of it is misuse, and refused.
    pub(super) fn serve(&mut self) {
        let (what, once) = (self.byte() % 14, self.byte() & 1 == 0);
        let uri = self.pick(&URIS).unwrap_or(URIS[0]);
        let calls = self.calls.clone();
        let (call, other) = (self.pick(&calls), self.pick(&calls));
        let transfers = self.services.transfers.clone();
        let transfer = self.pick(&transfers);
        let (now, account) = (self.now, self.account);
        let (agent, layer) = self.endpoint.agent();
        let offer = || Some(b"v=0\r\n".to_vec());
        match (what, call, transfer) {
            (0, Some(call), _) => {
                let _ = agent.transfer(now, layer, call, uri);
            }
            (1, Some(call), _) => {
                let other = other.unwrap_or(call);
                let _ = agent.transfer_to(now, layer, call, other);
            }
            (2, Some(call), _) => {
                let _ = agent.hand_over(now, layer, call, uri);
            }
            (3, ..) => {
                let _ = agent.refer(now, layer, account, uri, uri);
            }
            (4 | 5, _, Some(transfer)) => {
                let placed = agent.accept_transfer(now, layer, transfer, offer(), &[]);
                self.calls.extend(placed);
            }
            (6, _, Some(transfer)) => {
                let _ = agent.refuse_transfer(now, layer, transfer, StatusCode(603));
            }
            (7, ..) => {
                let expires = if once { 0 } else { 600 };
                let made = agent.subscribe(now, layer, account, uri, "presence", &[], expires);
                self.services.subscriptions.extend(made);
            }
            (8, ..) => {
                let made = agent.pick_up(now, layer, account, uri, offer());
                self.services.subscriptions.extend(made);
            }
            (9, ..) => {
                let body = b"<x/>".to_vec();
                let kind = "application/pidf+xml";
                let made = agent.publish(now, layer, account, "presence", kind, body, 300);
                self.services.publications.extend(made);
            }
            (10, Some(call), _) => {
                let _ = agent.forward(now, layer, call, &[uri], Diverted::Busy);
            }
            (11, Some(call), _) => {
                let _ = agent.info(now, layer, call, Some("x"), None);
            }
            (12, ..) => self.give_up(1),
            _ => {}
        }
        self.drain();
    }

    /// Ends so many subscriptions and publications.
    pub(super) fn give_up(&mut self, most: usize) {
        for _ in 0..most {
            let now = self.now;
            let (agent, layer) = self.endpoint.agent();
            let subscription = self.services.subscriptions.pop();
            if let Some(subscription) = subscription {
                let _ = agent.unsubscribe(now, layer, subscription);
            }
            let publication = self.services.publications.pop();
            if let Some(publication) = publication {
                let _ = agent.unpublish(now, layer, publication);
            }
            if subscription.is_none() && publication.is_none() {
                return;
            }
            self.drain();
        }
    }

    /// NOTIFY, REFER, SUBSCRIBE or an INVITE with Replaces from the peer of a request or response that left.
    pub(super) fn peer_service(&mut self) {
        let at = self.below(self.sent.len());
        let Some((flow, bytes)) = self.sent.get(at).cloned() else {
            return;
        };
        let Some(known) = readable(&bytes) else {
            return;
        };
        // In a response To is ours, in a request From.
        let (ours, theirs) = if bytes.starts_with(b"SIP/2.0 ") {
            (known.header("To"), known.header("From"))
        } else {
            (known.header("From"), known.header("To"))
        };
        let call_id = known.header("Call-ID").to_owned();
        let tag = [";tag=a", ";tag=b", ""][self.below(3)];
        let theirs = if theirs.contains(";tag=") {
            theirs.to_owned()
        } else {
            format!("{theirs}{tag}")
        };
        let (ours, number) = (ours.to_owned(), self.byte());
        let method = ["NOTIFY", "NOTIFY", "REFER", "SUBSCRIBE", "INVITE"][self.below(5)];
        let uri = format!("sip:{OWN}");
        let branch = format!("s{number}{}", self.byte());
        let message = Message::request(method, &uri, "UDP", "10.0.0.1", &branch)
            .with("Contact", "<sip:alice@10.0.0.1>");
        if method == "INVITE" {
            self.replace(flow, message, (&ours, &theirs, &call_id));
            return;
        }
        let message = message
            .set("From", &theirs)
            .set("To", &ours)
            .set("Call-ID", &call_id)
            .set("CSeq", &format!("{} {method}", 20 + u32::from(number)));
        let message = self.dressed(message, method);
        self.packet(flow, &message.to_bytes());
    }

    fn dressed(&mut self, message: Message, method: &str) -> Message {
        let cseq = 1 + self.byte() % 6;
        match method {
            "REFER" => {
                let to = [
                    "<sip:carol@10.0.1.1>",
                    "<sip:carol@10.0.1.1?Replaces=x%3Bto-tag%3Da%3Bfrom-tag%3Db&Require=replaces>",
                    "<mailto:x@y>",
                    "<sip:carol@far.example;method=INVITE>;x=y",
                ][self.below(4)];
                let message = message.with("Refer-To", to);
                match self.byte() % 3 {
                    0 => message.with("Refer-Sub", "false"),
                    1 => message.with("Referred-By", "<sip:me@there>"),
                    _ => message,
                }
            }
            "SUBSCRIBE" => message
                .with("Event", "refer")
                .with("Expires", ["0", "60", "x"][self.below(3)]),
            _ => {
                let package = ["refer", "presence", "dialog", "message-summary"][self.below(4)];
                let event = match cseq {
                    1 | 2 => package.to_owned(),
                    id => format!("{package};id={id}"),
                };
                let state = [
                    "active;expires=60",
                    "pending",
                    "terminated;reason=noresource",
                    "terminated;reason=deactivated",
                    "terminated;retry-after=5;reason=probation",
                ][self.below(5)];
                let message = message
                    .with("Event", &event)
                    .with("Subscription-State", state);
                match (package, self.byte() % 4) {
                    ("dialog", _) => {
                        message.with_body("application/dialog-info+xml", RINGING.as_bytes())
                    }
                    (_, 0) => message.with_body("message/sipfrag", b"SIP/2.0 200 OK"),
                    (_, 1) => message.with_body("message/sipfrag", b"SIP/2.0 180 Ringing"),
                    (_, 2) => message.with_body("message/sipfrag", b"SIP/2.0 603 Decline"),
                    _ => message,
                }
            }
        }
    }

    /// Somebody wants to take a place in a call.
    fn replace(&mut self, flow: Flow, message: Message, (ours, theirs, id): (&str, &str, &str)) {
        let tag = |value: &str| value.split(";tag=").nth(1).unwrap_or("0").to_owned();
        let early = ["", ";early-only"][self.below(2)];
        let replaces = format!("{id};to-tag={};from-tag={}{early}", tag(ours), tag(theirs));
        let message = message
            .with("Require", "replaces")
            .with("Replaces", &replaces)
            .with_body("application/sdp", b"v=0\r\n");
        let bytes = Bytes::from(message.to_bytes());
        self.packet(flow, &bytes);
        self.take_last();
    }

    /// The user agent takes the request that came last.
    pub(super) fn take_last(&mut self) {
        if let Some(id) = self.undecided.pop() {
            let (now, account) = (self.now, self.account);
            let (agent, layer) = self.endpoint.agent();
            agent.accept_request(now, layer, id, Some(account));
            self.drain();
        }
    }

    /// The calls of the user agent that the run knows.
    pub(super) fn known_calls(&mut self, call: CallId) {
        if !self.calls.contains(&call) {
            self.calls.push(call);
        }
    }
}

const RINGING: &str = "<dialog-info xmlns='urn:ietf:params:xml:ns:dialog-info' version='0' state='full' entity='sip:x@y'>\
    <dialog id='1' call-id='x' local-tag='l' remote-tag='r' direction='recipient'>\
    <remote><target uri='sip:carol@10.0.1.1'/></remote><state>early</state></dialog></dialog-info>";

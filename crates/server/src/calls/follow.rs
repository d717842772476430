//! Calls that are proxied, as the endpoint tells of them.

use sip::Endpoint;
use sip::header::{HeaderName, NameAddr};
use sip::proxy::{CallEvent, Party};
use sip::time::Time;
use sip::uri::Uri;
use sip::wire::Packet;

use super::{CallRef, Carrier, EndedBy, MediaPath, NewCall};
use crate::core::Core;

impl Core {
    pub(crate) fn on_proxied(&mut self, event: CallEvent) {
        let id = event.call();
        match event {
            CallEvent::Calling { call, invite, flow } => {
                let packet = invite.packet();
                let new = NewCall {
                    call_id: String::from_utf8_lossy(packet.call_id()).into_owned(),
                    caller: self.party(&packet, HeaderName::From),
                    callee: self.party(&packet, HeaderName::To),
                    caller_address: Some(flow.remote),
                    media: MediaPath::Direct,
                    trunk: None,
                    shard: self.shard,
                    carrier: Carrier::Proxied(call),
                };
                self.proxied.insert(id, self.shared.calls.begin(new));
            }
            CallEvent::Ringing { .. } => {
                if let Some(call) = self.proxied.get(&id) {
                    call.ringing();
                }
            }
            CallEvent::Answered { flow, body, .. } => {
                if let Some(call) = self.proxied.get(&id) {
                    call.answered(Some(flow.remote), Some(&body));
                }
            }
            CallEvent::Described { body, .. } => {
                if let Some(call) = self.proxied.get(&id) {
                    call.described(&body);
                }
            }
            CallEvent::Refused {
                status, reason, by, ..
            } => {
                let call = self.proxied.remove(&id);
                if matches!(status.0, 401 | 407) {
                    call.into_iter().for_each(CallRef::forgotten);
                } else if let Some(call) = call {
                    call.ended(status.0, &reason, ended_by(by));
                }
            }
            CallEvent::Left { by, .. } => {
                if let Some(call) = self.proxied.remove(&id) {
                    let talked = call.ended(200, "", by.map_or(EndedBy::Nobody, ended_by));
                    for party in talked.into_iter().flat_map(<[String; 2]>::from) {
                        if self.shared.accounts.find(&party).is_some() {
                            self.shared.idle.ended(&party);
                        }
                    }
                }
            }
        }
    }

    /// Who stands in a header, `user@domain`; our domains by their names.
    pub(crate) fn party(&self, packet: &Packet<'_>, header: HeaderName) -> String {
        let address = packet.value(header).and_then(|v| NameAddr::parse(v).ok());
        address.map_or_else(String::new, |address| self.address_of(&address.uri))
    }

    /// The same of a URI.
    pub(crate) fn address_of(&self, uri: &Uri<'_>) -> String {
        match self.named(uri) {
            Some((user, domain)) => format!("{user}@{domain}"),
            None => uri.host.to_string(),
        }
    }

    /// An administrator ends a call.
    pub(crate) fn end_call(&mut self, now: Time, endpoint: &mut Endpoint, carrier: Carrier) {
        match carrier {
            Carrier::Proxied(call) => {
                endpoint.end_call(call);
            }
            Carrier::Bridge(id) => self.end_bridge(now, endpoint, id, None),
            Carrier::Service(key) => self.hang_up(now, endpoint, key),
        }
    }
}

fn ended_by(party: Party) -> EndedBy {
    match party {
        Party::Caller => EndedBy::Caller,
        Party::Callee => EndedBy::Callee,
        Party::Server => EndedBy::Server,
    }
}

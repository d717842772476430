//! Datagrams on their way out, gathered so that one system call sends many.

use std::sync::Mutex;

use sip::flow::Transmit;

use crate::shard::lock;

/// How often an emptied outbox is looked at again before it is closed while others wait.
const ROUNDS: usize = 8;

/// The datagrams that one worker will send at the end of its batch.
///
/// Datagrams of one shard must leave in the order in which they were made, also when two workers
/// run the shard one after the other. A shard therefore remembers which outbox took its last
/// datagrams and which *filling* of it; until that filling is sent, later datagrams of the shard
/// follow into the same outbox, whoever made them.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    filling: u64,
    transmits: Vec<Transmit>,
}

impl Outbox {
    /// Takes the transmits; yields the number of the filling.
    pub(crate) fn put(&self, transmits: &mut Vec<Transmit>) -> u64 {
        let mut content = lock(&self.content);
        content.transmits.append(transmits);
        content.filling
    }

    /// Takes the transmits if this filling is not sent yet; yields whether it did.
    pub(crate) fn put_into(&self, filling: u64, transmits: &mut Vec<Transmit>) -> bool {
        let mut content = lock(&self.content);
        if content.filling != filling {
            return false;
        }
        content.transmits.append(transmits);
        true
    }

    /// Hands everything to `send` and ends the filling. Only the worker that owns the outbox calls it.
    ///
    /// What others add while `send` runs belongs to the same filling and is sent too; they are not
    /// made to wait, unless they never stop.
    pub(crate) fn empty(
        &self,
        spare: &mut Vec<Transmit>,
        mut send: impl FnMut(&mut Vec<Transmit>),
    ) {
        for _ in 0..ROUNDS {
            let mut content = lock(&self.content);
            if content.transmits.is_empty() {
                content.filling += 1;
                return;
            }
            std::mem::swap(&mut content.transmits, spare);
            drop(content);
            send(spare);
            spare.clear();
        }
        let mut content = lock(&self.content);
        send(&mut content.transmits);
        content.transmits.clear();
        content.filling += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::flow::Flow;

    fn transmit(text: &'static str) -> Transmit {
        let address = "127.0.0.1:5060".parse().unwrap();
        Transmit {
            flow: Flow::udp(address, address),
            bytes: text.into(),
        }
    }

    #[test]
    fn later_datagrams_follow_until_the_filling_is_sent() {
        let outbox = Outbox::default();
        let filling = outbox.put(&mut vec![transmit("1")]);
        assert!(outbox.put_into(filling, &mut vec![transmit("2")]));
        let mut sent = Vec::new();
        let mut late = vec![transmit("3")];
        outbox.empty(&mut Vec::new(), |all| {
            sent.extend(all.drain(..).map(|t| t.bytes));
            if !late.is_empty() {
                assert!(outbox.put_into(filling, &mut late));
            }
        });
        assert_eq!(sent, ["1", "2", "3"]);
        let mut after = vec![transmit("4")];
        assert!(!outbox.put_into(filling, &mut after));
        assert_eq!(after.len(), 1);
    }

    #[test]
    fn who_never_stops_adding_is_cut_off() {
        let outbox = Outbox::default();
        let filling = outbox.put(&mut vec![transmit("0")]);
        let mut rounds = 0;
        outbox.empty(&mut Vec::new(), |all| {
            all.clear();
            rounds += 1;
            if rounds <= ROUNDS {
                assert!(outbox.put_into(filling, &mut vec![transmit("more")]));
            }
        });
        assert_eq!(rounds, ROUNDS + 1);
    }
}

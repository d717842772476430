//! A user agent in a world, with its events written down.

use std::cell::RefCell;
use std::rc::Rc;

use sip::endpoint::Event;
use sip::time::Time;
use sip::transaction::Transactions;
use sip::ua::{self, Account, AccountId, CallId, UserAgent};

use crate::world::{NodeId, World};

/// A user agent that takes every request, and what it was told when, in milliseconds.
pub struct Phone {
    /// Its node.
    pub node: NodeId,
    /// Its account.
    pub account: AccountId,
    told: Rc<RefCell<Vec<(u64, ua::Event)>>>,
}

impl Phone {
    /// A phone at `place` (`udp:10.0.0.1:5060`) for an address of record.
    pub fn new(world: &mut World, place: &str, address_of_record: &str) -> Phone {
        let told = Rc::new(RefCell::new(Vec::new()));
        let list = told.clone();
        let node = world.endpoint(&[place], &[], move |now, endpoint, event| match event {
            Event::Request(id) => {
                let (agent, layer) = endpoint.agent();
                agent.accept_request(now, layer, id, None);
            }
            Event::Agent(event) => list.borrow_mut().push((now.as_millis(), *event)),
            Event::Proxied(_) => {}
        });
        let account = world.with(node, |_, endpoint| {
            let (agent, _) = endpoint.agent();
            agent.add_account(Account::new(address_of_record))
        });
        Phone {
            node,
            account: account.expect("a plain account"),
            told,
        }
    }

    /// What it was told since the last call.
    pub fn told(&self) -> Vec<(u64, ua::Event)> {
        self.told.take()
    }

    /// Uses its user agent now.
    pub fn with<R>(
        &self,
        world: &mut World,
        f: impl FnOnce(&mut UserAgent, Time, &mut Transactions) -> R,
    ) -> R {
        world.with(self.node, |now, endpoint| {
            let (agent, layer) = endpoint.agent();
            f(agent, now, layer)
        })
    }

    /// Calls somebody.
    ///
    /// # Panics
    /// When the target is no address.
    pub fn call(&self, world: &mut World, target: &str, offer: &[u8]) -> CallId {
        let account = self.account;
        self.with(world, |agent, now, layer| {
            agent.call(now, layer, account, target, Some(offer.to_vec()), &[])
        })
        .expect("a call")
    }
}

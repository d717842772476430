//! A phone that registered along a connection which only it can open comes back when that is lost (RFC 5626 §4.4).

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sip::Endpoint;
use sip::endpoint::{Config, Input, Listener, Output};
use sip::flow::{Flow, Transmit, Transport};
use sip::time::Time;
use sip::ua::Account;
use sip::wire::{Index, Packet};

fn phone() -> Endpoint {
    let config = Config {
        shard: 0,
        shards: 1,
        seed: [3; 32],
        product: String::new(),
    };
    let mut endpoint = Endpoint::new(config, Time::ZERO);
    for (transport, local) in [
        (Transport::Tcp, "192.0.2.7:5060"),
        (Transport::Tls, "192.0.2.7:5061"),
    ] {
        endpoint.add_listener(Listener::new(transport, local.parse().unwrap()));
    }
    endpoint
}

/// What leaves at `now` because of this input.
fn sent(endpoint: &mut Endpoint, now: Time, input: Input<'_>) -> Vec<Transmit> {
    endpoint.handle_input(now, input);
    let mut all = Vec::new();
    loop {
        match endpoint.poll_output() {
            Output::Transmit(transmit) => all.push(transmit),
            Output::Timeout(_) => return all,
            _ => {}
        }
    }
}

fn accept(endpoint: &mut Endpoint, now: Time, register: &Transmit) {
    let text = String::from_utf8(register.bytes.to_vec()).unwrap();
    let kept: String = text
        .lines()
        .filter(|l| {
            ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Contact:"]
                .iter()
                .any(|n| l.starts_with(n))
        })
        .map(|l| format!("{l}\r\n"))
        .collect();
    let text = format!("SIP/2.0 200 OK\r\n{kept}Expires: 600\r\nContent-Length: 0\r\n\r\n");
    let mut index = Index::new();
    let packet = Packet::scan(text.as_bytes(), &mut index).unwrap();
    let flow = register.flow;
    assert!(sent(endpoint, now, Input::Packet { flow, packet }).is_empty());
}

/// A phone that registered with this proxy, and the flow that it did so along.
fn registered(proxy: &str, now: Time) -> (Endpoint, Flow) {
    let mut endpoint = phone();
    let mut account = Account::new("sip:alice@example.org");
    account.proxy = Some(proxy.to_owned());
    let (agent, tx) = endpoint.agent();
    let account = agent.add_account(account).unwrap();
    agent.register(now, tx, account, 600).unwrap();
    let first = sent(&mut endpoint, now, Input::Timeout);
    assert_eq!(first.len(), 1);
    assert!(first[0].bytes.starts_with(b"REGISTER "));
    accept(&mut endpoint, now, &first[0]);
    (endpoint, first[0].flow)
}

#[test]
fn it_registers_again_when_the_connection_is_lost() {
    let now = Time::ZERO;
    let (mut endpoint, flow) = registered("sip:192.0.2.1;transport=tls", now);
    assert!(flow.connection.is_named());
    let elsewhere = Flow {
        remote: "192.0.2.9:5061".parse().unwrap(),
        ..flow
    };
    sent(&mut endpoint, now, Input::Undeliverable { flow: elsewhere });
    let later = now + Duration::from_secs(3);
    assert!(sent(&mut endpoint, later, Input::Timeout).is_empty());
    let lost = sent(&mut endpoint, later, Input::Undeliverable { flow });
    assert!(lost.is_empty(), "not at once: others lost theirs too");
    let again = sent(
        &mut endpoint,
        later + Duration::from_secs(2),
        Input::Timeout,
    );
    assert_eq!(again.len(), 1);
    assert!(again[0].bytes.starts_with(b"REGISTER "));
    assert_eq!(again[0].flow, flow, "the same peer, who has to show itself");
    // Held again: the timer of the first registration is overtaken.
    accept(&mut endpoint, later + Duration::from_secs(2), &again[0]);
    let quiet = later + Duration::from_secs(200);
    assert!(sent(&mut endpoint, quiet, Input::Timeout).is_empty());
}

#[test]
fn one_that_can_be_called_elsewhere_waits() {
    let (mut endpoint, flow) = registered("sip:192.0.2.1;transport=tcp", Time::ZERO);
    sent(&mut endpoint, Time::ZERO, Input::Undeliverable { flow });
    let later = Time::ZERO + Duration::from_secs(60);
    assert!(sent(&mut endpoint, later, Input::Timeout).is_empty());
}

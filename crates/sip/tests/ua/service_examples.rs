//! The service examples of RFC 5359, message by message: in each dialog the same messages in the same order.
//!
//! Between the dialogs the order is free, and proxies are left out: what a message does on its way through one
//! is the proxy's matter. Where the examples of the RFC are at hand (`SORI_CONFORMANCE`), what is expected here
//! is compared with them.

use sip::ua::{Account, AccountId, CallId, Event};
use testkit::conformance;

use crate::calls::{ALICE, BOB, hang_up};
use crate::transfer::{CAROL, ring, three, transfer};
use crate::world::{World, header, reply};

/// What the messages of each dialog were, `INVITE > 180 INVITE > …`, in the order in which the dialogs began.
fn dialogs(world: &World) -> Vec<String> {
    sequences(
        world
            .log
            .iter()
            .map(|sent| (header(&sent.text, "Call-ID"), sent.kind())),
    )
}

fn sequences(messages: impl Iterator<Item = (String, String)>) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (call_id, kind) in messages {
        if kind == "100 INVITE" {
            continue;
        }
        let place = found.iter().position(|(known, _)| *known == call_id);
        let place = place.unwrap_or_else(|| {
            found.push((call_id, Vec::new()));
            found.len() - 1
        });
        let kinds = &mut found[place].1;
        // One hop after the other.
        if kinds.last() != Some(&kind) {
            kinds.push(kind);
        }
    }
    found
        .into_iter()
        .map(|(_, kinds)| kinds.join(" > "))
        .collect()
}

/// The dialogs of a section of RFC 5359, where they are at hand.
fn printed(section: &str) -> Option<Vec<String>> {
    let cases = conformance::cases("flows/manifest.toml", "message", "file")?;
    let messages = cases
        .iter()
        .filter(|c| c.name.starts_with("rfc5359") && c.text("section") == section)
        .map(|c| {
            let text = String::from_utf8_lossy(&c.bytes).into_owned();
            let mut words = text.split(' ');
            let first = words.next().unwrap_or_default().to_owned();
            let kind = if first == "SIP/2.0" {
                let cseq = header(&text, "CSeq");
                let method = cseq.split(' ').next_back().unwrap_or_default();
                format!("{} {method}", words.next().unwrap_or_default())
            } else {
                first
            };
            (header(&text, "Call-ID"), kind)
        });
    Some(sequences(messages))
}

/// Compares; a line that begins with `~` is not printed like that in the RFC, for the reason given there.
fn check(world: &World, section: &str, wanted: &[&str]) {
    let plain: Vec<&str> = wanted.iter().map(|w| w.trim_start_matches('~')).collect();
    assert_eq!(dialogs(world), plain, "section {section}");
    let Some(printed) = printed(section) else {
        println!("no conformance material: not compared with the RFC");
        return;
    };
    for line in wanted.iter().filter(|w| !w.starts_with('~')) {
        assert!(
            printed.iter().any(|p| p == line),
            "section {section} has no dialog like {line}: {printed:#?}"
        );
    }
}

fn dial(world: &mut World, node: usize, account: AccountId, target: &str) -> CallId {
    world
        .with(node, |now, agent, tx| {
            agent.call(now, tx, account, target, Some(b"offer".to_vec()), &[])
        })
        .unwrap()
}

/// The next incoming call; what else is told is passed over.
fn incoming(world: &mut World, node: usize) -> CallId {
    loop {
        if let Event::Incoming { call, .. } = world.event(node) {
            return call;
        }
    }
}

fn answer(world: &mut World, node: usize, call: CallId) {
    world
        .with(node, |now, agent, tx| {
            agent.accept(now, tx, call, b"answer")
        })
        .unwrap();
    world.run(100);
}

/// Alice, Bob, and Carol who does what she is asked outside calls.
fn three_with_server(seed: u64) -> (World, AccountId) {
    let mut world = World::new(seed);
    let mut account = Account::new("sip:alice@10.0.0.1");
    let (_, alice) = world.agent("10.0.0.1:5060", account.clone());
    account.address_of_record = "sip:bob@10.0.0.2".to_owned();
    world.agent("10.0.0.2:5060", account.clone());
    account.address_of_record = "sip:carol@10.0.0.3".to_owned();
    account.refer_outside_calls = true;
    world.agent("10.0.0.3:5060", account);
    (world, alice)
}

/// A call that rang and was answered.
fn talk(world: &mut World, node: usize, account: AccountId, callee: usize) -> (CallId, CallId) {
    let target = format!("sip:x@10.0.0.{}", callee + 1);
    let ours = dial(world, node, account, &target);
    let theirs = incoming(world, callee);
    ring(world, callee, theirs);
    world.run(50);
    answer(world, callee, theirs);
    (ours, theirs)
}

/// A re-INVITE that is accepted: hold, or its end.
fn change(world: &mut World, (node, call): (usize, CallId), (peer, theirs): (usize, CallId)) {
    world
        .with(node, |now, agent, tx| {
            agent.reoffer(now, tx, call, Some(b"other".to_vec()))
        })
        .unwrap();
    while !matches!(world.event(peer), Event::Reoffered { .. }) {}
    world
        .with(peer, |now, agent, tx| {
            agent.accept(now, tx, theirs, b"answer")
        })
        .unwrap();
    world.run(100);
}

/// The peer takes a transfer up.
fn take_up(world: &mut World, node: usize) -> CallId {
    loop {
        if let Event::TransferRequested { transfer, .. } = world.event(node) {
            let call = world.with(node, |now, agent, tx| {
                agent.accept_transfer(now, tx, transfer, Some(b"offer".to_vec()), &[])
            });
            return call.unwrap();
        }
    }
}

fn rest(world: &mut World, nodes: &[usize]) {
    world.run(1000);
    for node in nodes {
        world.unread(*node);
    }
    crate::calls::nothing_is_kept(world, nodes);
}

#[test]
fn call_hold() {
    let (mut world, [alice, ..]) = three(1);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    change(&mut world, (BOB, b), (ALICE, a));
    change(&mut world, (BOB, b), (ALICE, a));
    hang_up(&mut world, ALICE, a);
    world.run(100);
    check(
        &world,
        "2.1",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > BYE > 200 BYE",
        ],
    );
    rest(&mut world, &[ALICE, BOB]);
}

#[test]
fn consultation_hold() {
    let (mut world, [alice, bob, _]) = three(2);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    change(&mut world, (BOB, b), (ALICE, a));
    let (b2, _) = talk(&mut world, BOB, bob, CAROL);
    hang_up(&mut world, BOB, b2);
    world.run(100);
    change(&mut world, (BOB, b), (ALICE, a));
    hang_up(&mut world, ALICE, a);
    world.run(100);
    check(
        &world,
        "2.2",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            // One of its messages is printed with another Call-ID; the sequence is that of the RFC all the same.
            "INVITE > 180 INVITE > 200 INVITE > ACK > BYE > 200 BYE",
        ],
    );
    rest(&mut world, &[ALICE, BOB, CAROL]);
}

/// The music server is Carol. How Bob comes back is as in call park.
#[test]
fn music_on_hold() {
    let (mut world, alice) = three_with_server(3);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    change(&mut world, (BOB, b), (ALICE, a));
    hand_over(&mut world, b);
    world.run(100);
    check(
        &world,
        "2.3",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            "REFER > 202 REFER > NOTIFY > 200 NOTIFY > NOTIFY > 200 NOTIFY",
            // Printed with the 200 to a NOTIFY that says INVITE, and on until Bob comes back.
            "~INVITE > 200 INVITE > ACK",
        ],
    );
}

/// Bob asks Carol, who does what she is asked, to take his place in a call with Alice.
fn hand_over(world: &mut World, call: CallId) -> (CallId, CallId) {
    world
        .with(BOB, |now, agent, tx| {
            agent.hand_over(now, tx, call, "sip:carol@10.0.0.3")
        })
        .unwrap();
    let c = loop {
        if let Event::TransferRequested {
            transfer, replaces, ..
        } = world.event(CAROL)
        {
            assert!(replaces);
            break world
                .with(CAROL, |now, agent, tx| {
                    agent.accept_transfer(now, tx, transfer, Some(b"offer".to_vec()), &[])
                })
                .unwrap();
        }
    };
    let a2 = loop {
        if let Event::Incoming { call, replaces, .. } = world.event(ALICE) {
            assert!(replaces.is_some());
            break call;
        }
    };
    answer(world, ALICE, a2);
    (a2, c)
}

#[test]
fn unattended_transfer_with_an_early_goodbye() {
    let (mut world, [alice, ..]) = three(4);
    // As in the RFC, Bob called Alice; and he does not wait for the end.
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    transfer(&mut world, ALICE, a, "sip:carol@10.0.0.3");
    take_up(&mut world, BOB);
    while !matches!(world.event(ALICE), Event::TransferProgress { .. }) {}
    hang_up(&mut world, ALICE, a);
    let c = incoming(&mut world, CAROL);
    world.run(50);
    answer(&mut world, CAROL, c);
    let told = world.unread(ALICE);
    assert!(told.iter().any(|e| matches!(e, Event::TransferDone { .. })));
    let _ = b;
    check(
        &world,
        "2.4",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > REFER > 202 REFER > NOTIFY > 200 NOTIFY > BYE > 200 BYE > NOTIFY > 200 NOTIFY",
            // Printed with a 180, and the 200 to a NOTIFY that says INVITE.
            "~INVITE > 200 INVITE > ACK",
        ],
    );
}

#[test]
fn attended_transfer() {
    let (mut world, [alice, bob, _]) = three(5);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    change(&mut world, (BOB, b), (ALICE, a));
    let (b2, c) = talk(&mut world, BOB, bob, CAROL);
    change(&mut world, (BOB, b2), (CAROL, c));
    world
        .with(BOB, |now, agent, tx| agent.transfer_to(now, tx, b, b2))
        .unwrap();
    take_up(&mut world, ALICE);
    let c2 = incoming(&mut world, CAROL);
    answer(&mut world, CAROL, c2);
    check(
        &world,
        "2.5",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > REFER > 202 REFER > NOTIFY > 200 NOTIFY > NOTIFY > 200 NOTIFY > BYE > 200 BYE",
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            // Printed with the 200 to a NOTIFY that says INVITE.
            "~INVITE > 200 INVITE > ACK",
        ],
    );
}

/// The tags of the last dialog that a response of this kind made, as `call-id, To tag, From tag`.
fn dialog_of(world: &World, kind: &str) -> [String; 3] {
    let text = world.last(kind);
    let tag = |name: &str| {
        let value = header(text, name);
        value.split(";tag=").nth(1).unwrap().to_owned()
    };
    [header(text, "Call-ID"), tag("To"), tag("From")]
}

#[test]
fn transfer_by_instant_message() {
    let (mut world, [alice, bob, carol]) = three(6);
    let _ = talk(&mut world, ALICE, alice, BOB);
    let [call_id, bobs, alices] = dialog_of(&world, "200 INVITE");
    world
        .with(BOB, |now, agent, tx| {
            let text = b"take Alice, please";
            agent.message(now, tx, bob, "sip:carol@10.0.0.3", "text/plain", text)
        })
        .unwrap();
    while !matches!(world.event(CAROL), Event::Message { .. }) {}
    let replaces = format!("{call_id};to-tag={alices};from-tag={bobs}");
    let headers = [("Replaces".to_owned(), replaces)];
    world
        .with(CAROL, |now, agent, tx| {
            let offer = Some(b"offer".to_vec());
            agent.call(now, tx, carol, "sip:alice@10.0.0.1", offer, &headers)
        })
        .unwrap();
    let a2 = incoming(&mut world, ALICE);
    answer(&mut world, ALICE, a2);
    check(
        &world,
        "2.6",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            "MESSAGE > 200 MESSAGE",
            "INVITE > 200 INVITE > ACK",
        ],
    );
}

/// Bob mixes; Carol is added, or joins by herself.
#[test]
fn three_way_conferences() {
    let (mut world, [alice, bob, _]) = three(7);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    change(&mut world, (BOB, b), (ALICE, a));
    dial(&mut world, BOB, bob, "sip:carol@10.0.0.3");
    let c = incoming(&mut world, CAROL);
    answer(&mut world, CAROL, c);
    check(
        &world,
        "2.10",
        &[
            // Printed without the 200 to either INVITE.
            "~INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK",
            "INVITE > 200 INVITE > ACK",
        ],
    );

    let (mut world, [alice, _, carol]) = three(8);
    let (a, b) = talk(&mut world, ALICE, alice, BOB);
    dial(&mut world, CAROL, carol, "sip:bob@10.0.0.2");
    let b2 = incoming(&mut world, BOB);
    ring(&mut world, BOB, b2);
    change(&mut world, (BOB, b), (ALICE, a));
    answer(&mut world, BOB, b2);
    check(
        &world,
        "2.11",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > INVITE > 200 INVITE > ACK",
            "INVITE > 180 INVITE > 200 INVITE > ACK",
        ],
    );
}

/// A NOTIFY of a dialog package that the test writes.
fn notify(subscribe: &str, to: (usize, &str), cseq: u32, state: &str, body: &str) -> String {
    let them = header(subscribe, "To");
    let them = them.split(";tag=").next().unwrap();
    let (node, user) = to;
    format!(
        "NOTIFY sip:{user}@10.0.0.{}:5060 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKn{cseq}\n\
         From: {them};tag=n\nTo: {}\nCall-ID: {}\nCSeq: {cseq} NOTIFY\nMax-Forwards: 70\n\
         Contact: <sip:n@10.0.0.5>\nEvent: dialog\nSubscription-State: {state}\n\
         Content-Type: application/dialog-info+xml\nContent-Length: {}\n\n{body}",
        node + 1,
        header(subscribe, "From"),
        header(subscribe, "Call-ID"),
        body.len()
    )
}

fn dialog_info(inside: &str) -> String {
    format!(
        "<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"0\" state=\"full\" \
         entity=\"sip:n@10.0.0.5\">{inside}</dialog-info>"
    )
}

/// Carol is the park server, Dave takes Alice back from there. What the server's dialogs are the test says.
#[test]
fn call_park() {
    let (mut world, alice) = three_with_server(9);
    let (_, dave) = world.agent("10.0.0.4:5060", Account::new("sip:dave@10.0.0.4"));
    const DAVE: usize = 3;
    let state = world.raw("10.0.0.5:5060");
    let (_, b) = talk(&mut world, ALICE, alice, BOB);
    hand_over(&mut world, b);
    world.run(100);
    let [call_id, alices, carols] = dialog_of(&world, "200 INVITE");
    world
        .with(DAVE, |now, agent, tx| {
            let offer = Some(b"offer".to_vec());
            agent.retrieve(now, tx, dave, "sip:park@10.0.0.5", offer)
        })
        .unwrap();
    let subscribe = world.receive(state);
    let contact = "Contact: <sip:n@10.0.0.5>\nExpires: 0\n";
    world.write(state, DAVE, &reply(&subscribe, "200 OK", "n", contact, ""));
    let body = dialog_info(&format!(
        "<dialog id=\"1\" call-id=\"{call_id}\" local-tag=\"{carols}\" remote-tag=\"{alices}\" \
         direction=\"initiator\"><remote><target>sip:alice@10.0.0.1:5060</target></remote>\
         <state>confirmed</state></dialog>"
    ));
    let over = "terminated;reason=timeout";
    world.write(
        state,
        DAVE,
        &notify(&subscribe, (DAVE, "dave"), 1, over, &body),
    );
    let a3 = incoming(&mut world, ALICE);
    answer(&mut world, ALICE, a3);
    check(
        &world,
        "2.15",
        &[
            "INVITE > 180 INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            "REFER > 202 REFER > NOTIFY > 200 NOTIFY > NOTIFY > 200 NOTIFY",
            // Printed with the 200 to a NOTIFY that says INVITE.
            "~INVITE > 200 INVITE > ACK > BYE > 200 BYE",
            "SUBSCRIBE > 200 SUBSCRIBE > NOTIFY > 200 NOTIFY",
            "INVITE > 200 INVITE > ACK",
        ],
    );
}

#[test]
fn automatic_redial() {
    let (mut world, [alice, ..]) = three(10);
    let bob = world.raw("10.0.0.5:5060");
    let target = "sip:bob@10.0.0.5";
    dial(&mut world, ALICE, alice, target);
    let invite = world.receive(bob);
    world.write(bob, ALICE, &reply(&invite, "486 Busy Here", "b", "", ""));
    while !matches!(world.event(ALICE), Event::Ended { .. }) {}
    assert!(world.receive(bob).starts_with("ACK "));
    let id = world
        .with(ALICE, |now, agent, tx| {
            let accept = ["application/dialog-info+xml"];
            agent.subscribe(now, tx, alice, target, "dialog", &accept, 60)
        })
        .unwrap();
    let subscribe = world.receive(bob);
    let contact = "Contact: <sip:n@10.0.0.5>\n";
    let granted = format!("{contact}Expires: 60\n");
    world.write(bob, ALICE, &reply(&subscribe, "200 OK", "n", &granted, ""));
    let mut number = 0;
    let mut tell = |world: &mut World, subscription: &str, word: &str| {
        number += 1;
        let body = dialog_info(&format!("<dialog id=\"5\"><state>{word}</state></dialog>"));
        let text = notify(
            subscribe.as_str(),
            (ALICE, "alice"),
            number,
            subscription,
            &body,
        );
        world.write(bob, ALICE, &text);
        loop {
            if let Event::Notified { body, .. } = world.event(ALICE) {
                let info = sip::event::DialogInfo::parse(&body).unwrap();
                assert!(world.receive(bob).starts_with("SIP/2.0 200 "));
                return info.dialogs[0].state;
            }
        }
    };
    use sip::event::DialogState;
    assert_eq!(
        tell(&mut world, "active;expires=59", "confirmed"),
        DialogState::Confirmed
    );
    assert_eq!(
        tell(&mut world, "active;expires=27", "terminated"),
        DialogState::Terminated
    );
    // Bob is free.
    dial(&mut world, ALICE, alice, target);
    let invite = world.receive(bob);
    world.write(
        bob,
        ALICE,
        &reply(&invite, "180 Ringing", "b2", contact, ""),
    );
    world.write(
        bob,
        ALICE,
        &reply(&invite, "200 OK", "b2", contact, "answer"),
    );
    assert!(world.receive(bob).starts_with("ACK "));
    tell(&mut world, "active;expires=20", "confirmed");
    world
        .with(ALICE, |now, agent, tx| agent.unsubscribe(now, tx, id))
        .unwrap();
    let last = world.receive(bob);
    let none = format!("{contact}Expires: 0\n");
    world.write(bob, ALICE, &reply(&last, "200 OK", "", &none, ""));
    world.run(50);
    tell(&mut world, "terminated;reason=timeout", "confirmed");
    while !matches!(world.event(ALICE), Event::SubscriptionEnded { .. }) {}
    check(
        &world,
        "2.17",
        &[
            "INVITE > 486 INVITE > ACK",
            "SUBSCRIBE > 200 SUBSCRIBE > NOTIFY > 200 NOTIFY > NOTIFY > 200 NOTIFY > NOTIFY > 200 NOTIFY > SUBSCRIBE > 200 SUBSCRIBE > NOTIFY > 200 NOTIFY",
            "INVITE > 180 INVITE > 200 INVITE > ACK",
        ],
    );
}

#[test]
fn outgoing_calls_that_are_screened() {
    let mut world = World::new(11);
    let mut account = Account::new("sip:alice@10.0.0.5");
    account.secret = Some(sip::auth::Secret::Password("x".to_owned()));
    let (_, alice) = world.agent("10.0.0.1:5060", account);
    let proxy = world.raw("10.0.0.5:5060");
    dial(&mut world, ALICE, alice, "sip:bob@10.0.0.5");
    let invite = world.receive(proxy);
    let ask = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\n";
    world.write(
        proxy,
        ALICE,
        &reply(&invite, "407 Proxy Authentication Required", "p", ask, ""),
    );
    assert!(world.receive(proxy).starts_with("ACK "));
    let invite = world.receive(proxy);
    assert!(invite.contains("Proxy-Authorization: Digest "));
    let text = "403 Screening Failure (Originating)";
    world.write(proxy, ALICE, &reply(&invite, text, "p", "", ""));
    assert!(world.receive(proxy).starts_with("ACK "));
    match world.event(ALICE) {
        Event::Ended { cause, .. } => {
            let text = cause.to_string();
            assert_eq!(text, "403 Screening Failure (Originating)");
        }
        other => panic!("{other:?}"),
    }
    check(
        &world,
        "2.14",
        &["INVITE > 407 INVITE > ACK > INVITE > 403 INVITE > ACK"],
    );
}

//! Publications, against a server that the test writes by hand (RFC 3903).

use sip::ua::{Account, Event};

use crate::calls::{ALICE, nothing_is_kept, two};
use crate::world::{World, header, reply};

/// RFC 3903 §4, §5: initial, refresh, modify, lost, remove.
#[test]
fn publish_message_by_message() {
    let (mut world, alice) = {
        let mut world = World::new(6);
        let mut account = Account::new("sip:alice@10.0.0.5");
        account.proxy = Some("sip:10.0.0.5".to_owned());
        let (_, alice) = world.agent("10.0.0.1:5060", account);
        (world, alice)
    };
    let peer = world.raw("10.0.0.5:5060");
    let id = world
        .with(ALICE, |now, agent, tx| {
            let kind = "application/pidf+xml";
            agent.publish(now, tx, alice, "presence", kind, b"open".to_vec(), 3600)
        })
        .unwrap();
    let first = world.receive(peer);
    assert!(first.starts_with("PUBLISH sip:alice@10.0.0.5 SIP/2.0\r\n"));
    assert_eq!(header(&first, "Event"), "presence");
    assert_eq!(header(&first, "Content-Type"), "application/pidf+xml");
    assert!(first.ends_with("\r\n\r\nopen") && !first.contains("SIP-If-Match"));
    world.write(
        peer,
        ALICE,
        &reply(&first, "200 OK", "p", "SIP-ETag: e1\nExpires: 100\n", ""),
    );
    match world.event(ALICE) {
        Event::Published {
            publication,
            expires,
        } => assert_eq!((publication, expires), (id, 100)),
        other => panic!("{other:?}"),
    }
    let refresh = world.receive(peer);
    assert_eq!(header(&refresh, "SIP-If-Match"), "e1");
    assert_eq!(header(&refresh, "Content-Length"), "0");
    world.write(
        peer,
        ALICE,
        &reply(&refresh, "200 OK", "p", "SIP-ETag: e2\nExpires: 100\n", ""),
    );
    assert!(matches!(world.event(ALICE), Event::Published { .. }));
    world
        .with(ALICE, |now, agent, tx| {
            agent.republish(now, tx, id, b"closed".to_vec())
        })
        .unwrap();
    let modify = world.receive(peer);
    assert_eq!(header(&modify, "SIP-If-Match"), "e2");
    assert!(modify.ends_with("\r\n\r\nclosed"));
    // The server was restarted and knows nothing.
    world.write(
        peer,
        ALICE,
        &reply(&modify, "412 Conditional Request Failed", "p", "", ""),
    );
    let anew = world.receive(peer);
    assert!(anew.ends_with("\r\n\r\nclosed") && !anew.contains("SIP-If-Match"));
    world.write(
        peer,
        ALICE,
        &reply(
            &anew,
            "423 Interval Too Brief",
            "p",
            "Min-Expires: 5000\n",
            "",
        ),
    );
    let longer = world.receive(peer);
    assert_eq!(header(&longer, "Expires"), "5000");
    assert!(longer.ends_with("\r\n\r\nclosed"));
    world.write(
        peer,
        ALICE,
        &reply(&longer, "200 OK", "p", "SIP-ETag: e3\nExpires: 5000\n", ""),
    );
    assert!(matches!(world.event(ALICE), Event::Published { .. }));
    world
        .with(ALICE, |now, agent, tx| agent.unpublish(now, tx, id))
        .unwrap();
    let remove = world.receive(peer);
    assert_eq!(
        (header(&remove, "Expires"), header(&remove, "SIP-If-Match")),
        ("0".to_owned(), "e3".to_owned())
    );
    assert_eq!(header(&remove, "Content-Length"), "0");
    world.write(
        peer,
        ALICE,
        &reply(&remove, "200 OK", "p", "SIP-ETag: e4\nExpires: 0\n", ""),
    );
    assert!(matches!(world.event(ALICE), Event::Unpublished { publication } if publication == id));
    nothing_is_kept(&mut world, &[ALICE]);
}

#[test]
fn a_publication_is_tried_again_unless_it_is_forbidden() {
    let (mut world, alice) = two(7);
    let peer = world.raw("10.0.0.5:5060");
    let publish = |world: &mut World| {
        world
            .with(ALICE, |now, agent, tx| {
                agent.publish(now, tx, alice, "presence", "text/plain", vec![b'x'], 60)
            })
            .unwrap()
    };
    // Alice's own address is where she is: nobody serves PUBLISH there.
    publish(&mut world);
    match world.event(ALICE) {
        Event::PublicationFailed { retry_in: None, .. } => {}
        other => panic!("{other:?}"),
    }
    let _ = peer;
    nothing_is_kept(&mut world, &[ALICE]);
}

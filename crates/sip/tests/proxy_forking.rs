//! Forking and the choice of the best response (RFC 3261 §16.6, §16.7).

#![allow(clippy::unwrap_used)]

use testkit::{Arrival, Message, Scene, policy};

const ONE: &str = "sip:bob@10.0.1.1";
const TWO: &str = "sip:bob@10.0.1.2";
const THREE: &str = "sip:bob@10.0.1.3";

/// An INVITE of Alice's that rings at these targets.
fn ringing(targets: &[(&str, u16)]) -> (Scene, Message) {
    let mut scene = Scene::new(3, policy::fork(targets, false));
    let invite = Scene::request("INVITE", "1");
    scene.alice_sends(&invite);
    assert_eq!(scene.alice_codes(), [100]);
    (scene, invite)
}

fn parallel(count: usize) -> (Scene, Message, Vec<Arrival>) {
    let targets = [(ONE, 1000), (TWO, 1000), (THREE, 1000)];
    let (mut scene, invite) = ringing(&targets[..count]);
    let got = (0..count).map(|n| scene.one(n)).collect();
    (scene, invite, got)
}

/// Ends the transactions of `phone` after it was cancelled: 200 to CANCEL, 487 to INVITE.
fn obey_cancel(scene: &mut Scene, phone: usize, invite: &Arrival) {
    let cancel = scene.one(phone);
    assert_eq!(cancel.message().method(), "CANCEL");
    scene.answer(phone, &cancel, 200, "");
    scene.answer(phone, invite, 487, "c");
    assert_eq!(scene.methods(phone), ["ACK"]);
}

#[test]
fn each_branch_has_its_own_request() {
    let (mut scene, _, got) = parallel(3);
    let mut branches: Vec<String> = Vec::new();
    for (n, arrival) in got.iter().enumerate() {
        let request = arrival.message();
        assert_eq!(request.uri(), [ONE, TWO, THREE][n]);
        branches.push(request.param("Via", "branch").unwrap().to_owned());
        assert_eq!(request.header("Max-Forwards"), "69");
        assert_eq!(request.values("Max-Breadth"), ["20"]);
    }
    branches.sort();
    branches.dedup();
    assert_eq!(branches.len(), 3);
    for (n, arrival) in got.iter().enumerate() {
        scene.answer(n, arrival, 180, &format!("t{n}"));
    }
    let ringing = scene.alice_got();
    assert_eq!(
        ringing.iter().map(Message::code).collect::<Vec<_>>(),
        [180; 3]
    );
    assert!(ringing.iter().all(|r| r.all("Via").len() == 1));
    for (n, arrival) in got.iter().enumerate() {
        scene.answer(n, arrival, 486, &format!("t{n}"));
    }
    assert_eq!(scene.alice_codes(), [486]);
    scene.end();
}

#[test]
fn the_first_2xx_goes_up_at_once_and_ends_the_others() {
    let (mut scene, _, got) = parallel(3);
    for (n, arrival) in got.iter().enumerate() {
        scene.answer(n, arrival, 180, &format!("t{n}"));
    }
    scene.alice_got();
    scene.answer(1, &got[1], 200, "t1");
    assert_eq!(scene.alice_codes(), [200]);
    obey_cancel(&mut scene, 0, &got[0]);
    obey_cancel(&mut scene, 2, &got[2]);
    assert_eq!(scene.alice_codes(), [], "a 487 after the 200 stays here");
    assert!(scene.got(1).is_empty());
    scene.end();
}

#[test]
fn each_2xx_of_an_invite_goes_up() {
    let (mut scene, _, got) = parallel(2);
    scene.answer(0, &got[0], 180, "a");
    scene.answer(1, &got[1], 180, "b");
    scene.answer(0, &got[0], 200, "a");
    // The second phone was picked up before the CANCEL reached it.
    scene.answer(1, &got[1], 200, "b");
    scene.world.run_to(500);
    scene.answer(0, &got[0], 200, "a");
    let finals: Vec<Message> = scene
        .alice_got()
        .into_iter()
        .filter(|m| m.code() == 200)
        .collect();
    let tags: Vec<&str> = finals
        .iter()
        .map(|m| m.param("To", "tag").unwrap())
        .collect();
    assert_eq!(tags, ["a", "b", "a"]);
    scene.end();
}

#[test]
fn one_final_response_goes_up_for_other_methods() {
    let targets = [(ONE, 1000), (TWO, 1000)];
    let mut scene = Scene::new(2, policy::fork(&targets, false));
    scene.alice_sends(&Scene::request("MESSAGE", "1"));
    let got = [scene.one(0), scene.one(1)];
    scene.answer(0, &got[0], 200, "a");
    scene.answer(1, &got[1], 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    assert!(scene.got(1).is_empty(), "no CANCEL for what is not INVITE");
    scene.end();
}

/// What the phones answer, and what Alice gets (§16.7 step 6).
const CHOICES: &[(&[u16], u16)] = &[
    (&[404, 486], 404),
    (&[486, 404], 486),
    (&[500, 404], 404),
    (&[404, 500], 404),
    (&[302, 404], 302),
    (&[404, 302], 302),
    (&[486, 603], 603),
    (&[603, 302], 603),
    (&[302, 600], 600),
    (&[404, 401], 401),
    (&[486, 407], 407),
    (&[480, 415], 415),
    (&[480, 420], 420),
    (&[480, 484], 484),
    (&[503, 404], 404),
    (&[503, 503], 500),
    (&[503, 500], 500),
    (&[408, 486], 486),
    (&[408, 503], 408),
    (&[500, 501, 404], 404),
    (&[600, 404, 302], 600),
    (&[404, 302, 503], 302),
];

#[test]
fn the_best_response_is_chosen() {
    for (answers, best) in CHOICES {
        let (mut scene, invite, got) = parallel(answers.len());
        for (n, code) in answers.iter().enumerate() {
            assert_eq!(scene.alice_codes(), [], "{answers:?}: too early");
            scene.answer(n, &got[n], *code, &format!("t{n}"));
        }
        let finals = scene.alice_got();
        let codes: Vec<u16> = finals.iter().map(Message::code).collect();
        assert_eq!(codes, [*best], "{answers:?}");
        assert_eq!(finals[0].all("Via"), [invite.header("Via")], "{answers:?}");
        scene.alice_acks(&invite, &finals[0]);
        for n in 0..answers.len() {
            assert_eq!(
                scene.methods(n),
                ["ACK"],
                "{answers:?}: the ACK is from hop to hop"
            );
        }
        scene.end();
    }
    assert_eq!(CHOICES.len(), 22);
}

#[test]
fn a_6xx_ends_the_search() {
    let (mut scene, _, got) = parallel(2);
    scene.answer(0, &got[0], 180, "a");
    scene.answer(1, &got[1], 603, "b");
    assert_eq!(scene.methods(1), ["ACK"]);
    assert_eq!(scene.alice_codes(), [180], "the other branch is waited for");
    obey_cancel(&mut scene, 0, &got[0]);
    assert_eq!(scene.alice_codes(), [603]);
    scene.end();
    let (mut scene, _) = ringing(&[(ONE, 1000), (TWO, 500)]);
    let first = scene.one(0);
    scene.answer(0, &first, 603, "a");
    assert_eq!(scene.alice_codes(), [603]);
    scene.end();
    assert!(scene.got(1).is_empty(), "no further target is tried");
}

#[test]
fn a_2xx_after_a_6xx_still_goes_up() {
    let (mut scene, _, got) = parallel(2);
    scene.answer(0, &got[0], 180, "a");
    scene.answer(1, &got[1], 603, "b");
    scene.answer(0, &got[0], 200, "a");
    assert_eq!(scene.alice_codes(), [180, 200]);
    scene.end();
}

#[test]
fn targets_are_tried_by_q() {
    let (mut scene, _) = ringing(&[(THREE, 300), (ONE, 1000), (TWO, 700)]);
    for (n, code) in [(0, 486), (1, 404), (2, 480)] {
        for later in n + 1..3 {
            assert!(scene.got(later).is_empty());
        }
        let invite = scene.one(n);
        scene.answer(n, &invite, code, "t");
    }
    assert_eq!(scene.alice_codes(), [486]);
    scene.end();
}

#[test]
fn the_next_q_waits_for_all_of_this_one() {
    let (mut scene, _) = ringing(&[(ONE, 1000), (TWO, 1000), (THREE, 1)]);
    let got = [scene.one(0), scene.one(1)];
    scene.answer(0, &got[0], 486, "a");
    assert!(scene.got(2).is_empty());
    scene.answer(1, &got[1], 486, "b");
    let third = scene.one(2);
    scene.answer(2, &third, 200, "c");
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
}

#[test]
fn silence_moves_on_to_the_next_target() {
    let (mut scene, _) = ringing(&[(ONE, 1000), (TWO, 500)]);
    scene.world.run_to(31_999);
    assert!(scene.got(1).is_empty());
    scene.world.run_to(32_000);
    let second = scene.one(1);
    scene.answer(1, &second, 404, "b");
    assert_eq!(scene.alice_codes(), [404], "better than no answer");
    scene.end();
}

#[test]
fn a_busy_server_moves_on_to_the_next_target() {
    let (mut scene, _) = ringing(&[(ONE, 1000), (TWO, 500)]);
    let first = scene.one(0);
    scene.answer(0, &first, 503, "a");
    let second = scene.one(1);
    scene.answer(1, &second, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
}

#[test]
fn an_unreachable_target_moves_on_to_the_next() {
    let (mut scene, _) = ringing(&[("sip:bob@10.0.1.99", 1000), (TWO, 500)]);
    let second = scene.one(1);
    scene.answer(1, &second, 200, "b");
    assert_eq!(scene.alice_codes(), [200]);
    scene.end();
    let mut scene = Scene::new(0, policy::fork(&[("sip:bob@10.0.1.99", 1000)], false));
    scene.alice_sends(&Scene::request("INVITE", "1"));
    assert_eq!(scene.alice_codes(), [100, 480]);
    scene.end();
}

#[test]
fn all_challenges_go_up_in_one_response() {
    let (mut scene, _, got) = parallel(3);
    let challenge = |n: usize| format!("Digest realm=\"r{n}\", nonce=\"n{n}\"");
    for (n, code, name) in [
        (0, 407, "Proxy-Authenticate"),
        (1, 401, "WWW-Authenticate"),
        (2, 407, "Proxy-Authenticate"),
    ] {
        let reply = got[n].message().reply(code, "t").with(name, &challenge(n));
        scene.phone_sends(n, &got[n], &reply);
    }
    let finals = scene.alice_got();
    assert_eq!(finals.len(), 1);
    assert!(matches!(finals[0].code(), 401 | 407));
    let mut both = finals[0].all("Proxy-Authenticate");
    both.sort_unstable();
    assert_eq!(both, [challenge(0), challenge(2)]);
    assert_eq!(finals[0].all("WWW-Authenticate"), [challenge(1)]);
    scene.end();
}

#[test]
fn a_response_without_a_via_for_anybody_else_ends_its_branch() {
    for method in ["INVITE", "OPTIONS"] {
        let mut scene = Scene::new(1, policy::fork(&[(ONE, 1000)], false));
        scene.alice_sends(&Scene::request(method, "1"));
        let request = scene.one(0);
        let whole = request.message().reply(200, "t");
        let own = whole.all("Via")[0].to_owned();
        scene.phone_sends(0, &request, &whole.clone().set("Via", &own));
        assert_eq!(scene.alice_codes().last(), Some(&502), "{method}");
        scene.end();
    }
}

#[test]
fn a_repeated_invite_gets_the_last_response_again() {
    let (mut scene, invite, got) = parallel(1);
    scene.alice_sends(&invite);
    scene.answer(0, &got[0], 180, "a");
    scene.alice_sends(&invite);
    scene.answer(0, &got[0], 486, "a");
    scene.alice_sends(&invite);
    assert_eq!(scene.alice_codes(), [100, 180, 180, 486, 486]);
    assert_eq!(scene.methods(0), ["ACK"], "the phone rings once");
    scene.end();
    let (mut scene, invite, got) = parallel(1);
    scene.answer(0, &got[0], 200, "a");
    scene.alice_sends(&invite);
    assert_eq!(
        scene.alice_codes(),
        [200],
        "the phone repeats the 200, not the proxy"
    );
    scene.end();
}

#[test]
fn breadth_is_shared_out_and_ends() {
    let targets = [(ONE, 1000), (TWO, 1000), (THREE, 1000)];
    let breadth = |n: &str| {
        let mut scene = Scene::new(3, policy::fork(&targets, false));
        scene.alice_sends(&Scene::request("INVITE", "1").with("Max-Breadth", n));
        scene
    };
    let mut scene = breadth("7");
    for phone in 0..3 {
        assert_eq!(scene.one(phone).message().values("Max-Breadth"), ["2"]);
    }
    for n in ["0", "2"] {
        let mut scene = breadth(n);
        assert_eq!(scene.alice_codes(), [440], "RFC 5393 §5.3.3");
        scene.end();
    }
}

#[test]
fn no_target_is_480() {
    let mut scene = Scene::new(0, policy::fork(&[], false));
    scene.alice_sends(&Scene::request("INVITE", "1"));
    assert_eq!(scene.alice_codes(), [480]);
    scene.end();
}

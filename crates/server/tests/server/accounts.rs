//! Who may register and call: Digest as the server asks for it, and accounts that change while it runs.

use server::account_for;
use sip::auth::Algorithm;

use crate::message::{Message, Request};
use crate::peer::Peer;
use crate::scene::{DOMAIN, Scene, password};

fn register(user: &str) -> Request {
    let mut request = Request::new(
        "REGISTER",
        &format!("sip:{DOMAIN}"),
        &format!("sip:{user}@{DOMAIN}"),
    );
    request.to = format!("<sip:{user}@{DOMAIN}>");
    request.header("Contact", &format!("<sip:{user}@127.0.0.1:7001>"))
}

/// What is left of a response without what is different in each: tags, nonces, times.
fn shape(response: &Message) -> Vec<String> {
    let mut all = vec![response.start.clone()];
    for (name, value) in &response.headers {
        all.push(match name.as_str() {
            "WWW-Authenticate" => value
                .split(", ")
                .filter(|p| !p.starts_with("nonce="))
                .collect::<Vec<_>>()
                .join(", "),
            _ => name.clone(),
        });
    }
    all
}

#[test]
fn a_challenge_for_each_algorithm_in_the_order_set() {
    let scene = Scene::with(|c| {
        c.domains.push("second.test".into());
        c.algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
    });
    let mut peer = Peer::udp(scene.udp());
    for domain in [DOMAIN, "second.test"] {
        let mut request = Request::new(
            "REGISTER",
            &format!("sip:{domain}"),
            &format!("sip:alice@{domain}"),
        );
        request.to = format!("<sip:alice@{domain}>");
        let response = peer.exchange(&request);
        assert_eq!(response.status(), 401);
        let challenges = response.all("WWW-Authenticate");
        assert_eq!(challenges.len(), 2, "{response:?}");
        for (challenge, algorithm) in challenges.iter().zip(["SHA-256", "MD5"]) {
            assert!(
                challenge.starts_with(&format!("Digest realm=\"{domain}\", ")),
                "{challenge}"
            );
            assert!(
                challenge.contains(&format!("algorithm={algorithm},")),
                "{challenge}"
            );
            assert!(
                challenge.contains("qop=\"auth\"") && !challenge.contains("stale"),
                "{challenge}"
            );
        }
    }
    // The same name in another domain is another account.
    let store = scene.store();
    assert_ne!(
        store.account("alice", DOMAIN).unwrap().unwrap().credentials,
        store
            .account("alice", "second.test")
            .unwrap()
            .unwrap()
            .credentials
    );
    // Who would give up at the sight of SHA-256 does not see it.
    for agent in ["baresip v1.0.0 (x86_64/linux)", "Twinkle/1.10.3"] {
        let old = peer.exchange(&register("alice").header("User-Agent", agent));
        assert_eq!(old.all("WWW-Authenticate").len(), 1, "{old:?}");
        assert!(old.value("WWW-Authenticate").contains("algorithm=MD5,"));
    }

    let strict = Scene::with(|c| c.algorithms = vec![Algorithm::Sha256]);
    let mut peer = Peer::udp(strict.udp());
    let only = peer.exchange(&register("alice").header("User-Agent", "baresip v1.0.0"));
    assert_eq!(only.all("WWW-Authenticate").len(), 1, "{only:?}");
    assert!(
        only.value("WWW-Authenticate")
            .contains("algorithm=SHA-256,")
    );
    // The weaker one is not taken when it was not offered.
    let mut request = register("alice");
    let mut weak = only.clone();
    for (_, value) in &mut weak.headers {
        *value = value.replace("SHA-256", "MD5");
    }
    request = peer.answered(&request, &weak, "alice", &password("alice"));
    assert_eq!(peer.exchange(&request).status(), 400);
}

#[test]
fn right_and_wrong_passwords() {
    let scene = Scene::new();
    for algorithm in ["SHA-256", "MD5"] {
        let mut peer = Peer::udp(scene.udp());
        peer.algorithm = Some(algorithm);
        let (sent, response) = peer.exchange_as(&register("alice"), "alice", &password("alice"));
        assert_eq!(response.status(), 200, "{response:?}");
        let credentials = sent
            .headers
            .iter()
            .find(|(n, _)| n == "Authorization")
            .unwrap();
        assert!(
            credentials.1.contains(&format!("algorithm={algorithm},")),
            "{credentials:?}"
        );
        let (_, wrong) = peer.exchange_as(&register("alice"), "alice", "guessed");
        assert_eq!(wrong.status(), 401);
        assert!(
            !wrong.value("WWW-Authenticate").contains("stale"),
            "{wrong:?}"
        );
    }
    assert_eq!(scene.server().snapshot().bindings, 1);
}

#[test]
fn an_unknown_user_is_answered_like_a_wrong_password() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let (_, wrong) = peer.exchange_as(&register("alice"), "alice", "guessed");
    let (_, unknown) = peer.exchange_as(&register("nobody"), "nobody", "guessed");
    assert_eq!(shape(&wrong), shape(&unknown));
    // Neither does somebody else's address tell who exists, to one who cannot prove anything.
    let (_, foreign) = peer.exchange_as(&register("alice"), "nobody", "guessed");
    assert_eq!(shape(&wrong), shape(&foreign));
    let first = peer.exchange(&register("alice"));
    assert_eq!(shape(&first), shape(&peer.exchange(&register("nobody"))));
}

#[test]
fn credentials_serve_once_and_one_request_only() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let (sent, response) = peer.exchange_as(&register("alice"), "alice", &password("alice"));
    assert_eq!(response.status(), 200);
    // Heard on the way and sent again: the key is right, so it is told that only the nonce was not.
    let replay = peer.exchange(&sent.next());
    assert_eq!(replay.status(), 401);
    for challenge in replay.all("WWW-Authenticate") {
        assert!(challenge.contains("stale=true"), "{challenge}");
    }
    // Another method, and another user's URI.
    let mut other = sent.next();
    other.method = "INVITE".into();
    other.uri = format!("sip:bob@{DOMAIN}");
    let credentials = other
        .headers
        .iter_mut()
        .find(|(n, _)| n == "Authorization")
        .unwrap();
    credentials.0 = "Proxy-Authorization".into();
    let refused = peer.exchange(&other);
    assert_eq!(refused.status(), 407, "{refused:?}");
    let nonsense = register("alice").header(
        "Authorization",
        &format!("Digest realm=\"{DOMAIN}\", nonce"),
    );
    assert_eq!(peer.exchange(&nonsense).status(), 400);
    // Credentials for another realm or of another scheme are not ours to judge.
    for stranger in [
        "Basic YTpi",
        "Digest username=\"a\", realm=\"x\", nonce=\"n\", uri=\"sip:x\", response=\"0\"",
    ] {
        let response = peer.exchange(&register("alice").header("Authorization", stranger));
        assert_eq!(response.status(), 401, "{stranger}");
    }
}

#[test]
fn one_user_does_not_act_for_another() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let (_, response) = peer.exchange_as(&register("alice"), "bob", &password("bob"));
    assert_eq!(response.status(), 403, "{response:?}");
    assert_eq!(scene.server().snapshot().bindings, 0);
    let call = Request::new(
        "INVITE",
        &format!("sip:carol@{DOMAIN}"),
        &format!("sip:alice@{DOMAIN}"),
    );
    let (_, response) = peer.exchange_as(&call, "bob", &password("bob"));
    assert_eq!(response.status(), 403, "{response:?}");
}

#[test]
fn accounts_change_while_the_server_runs() {
    let scene = Scene::new();
    let mut peer = Peer::udp(scene.udp());
    let outcome = |peer: &mut Peer, user: &str, password: &str| {
        let request = register(user);
        peer.exchange_as(&request, user, password).1.status()
    };
    assert_eq!(outcome(&mut peer, "dora", "one"), 401);
    scene.changed(|store| {
        assert!(
            store
                .add_account(account_for("dora", DOMAIN, "one"))
                .unwrap()
        )
    });
    assert_eq!(outcome(&mut peer, "dora", "one"), 200);
    scene.changed(|store| {
        store
            .put_account(account_for("dora", DOMAIN, "two"))
            .unwrap()
    });
    assert_eq!(outcome(&mut peer, "dora", "one"), 401);
    assert_eq!(outcome(&mut peer, "dora", "two"), 200);
    let mut off = account_for("dora", DOMAIN, "two");
    off.enabled = false;
    scene.changed(|store| store.put_account(off).unwrap());
    assert_eq!(outcome(&mut peer, "dora", "two"), 401, "switched off");
}

#[test]
fn a_removed_account_takes_its_bindings_along() {
    let mut scene = Scene::new();
    let mut phone = Peer::udp(scene.udp());
    let mut caller = Peer::udp(scene.udp());
    phone.register("bob", DOMAIN);
    phone.register("carol", DOMAIN);
    assert_eq!(scene.server().snapshot().bindings, 2);
    scene.changed(|store| assert!(store.remove_account("bob", DOMAIN).unwrap()));
    assert_eq!(scene.server().snapshot().bindings, 1);
    assert_eq!(scene.server().snapshot().accounts, 2);
    let call = Request::new(
        "INVITE",
        &format!("sip:bob@{DOMAIN}"),
        "sip:x@elsewhere.test",
    );
    assert_eq!(caller.exchange(&call).status(), 404);
    phone.heard_nothing();
    // Nor do they come back with the next start.
    scene.stop();
    scene.start();
    assert_eq!(scene.server().snapshot().bindings, 1);
}

#[test]
fn a_password_that_changes_leaves_the_phone_where_it_is() {
    let scene = Scene::new();
    let mut phone = Peer::udp(scene.udp());
    phone.register("bob", DOMAIN);
    scene.changed(|store| {
        store
            .put_account(account_for("bob", DOMAIN, "new"))
            .unwrap()
    });
    assert_eq!(scene.server().snapshot().bindings, 1);
}

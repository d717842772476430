//! Signing in, staying signed in, and what ends it.

use api::Role;
use serde_json::json;

use crate::support::{PASSWORD, World};

#[test]
fn the_first_password_opens_only_the_way_to_change_it() {
    let world = World::new();
    let (name, first) = world.console().first_password().unwrap();
    let (name, first) = (name.to_owned(), first.to_owned());
    let mut admin = world.stranger();
    assert_eq!(admin.get("/api/session").problem().1, "not_signed_in");
    let session = admin.sign_in(&name, &first);
    assert_eq!(
        session.json(),
        json!({"name": "admin", "role": "administrator", "must_change_password": true})
    );
    let cookie = session.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    assert_eq!(admin.get("/api/session").status, 200);
    assert_eq!(admin.get("/api/accounts").problem().1, "forbidden");
    assert_eq!(admin.get("/api/live").problem().1, "forbidden");

    let change = |old: &str, new: &str| json!({"old": old, "new": new});
    let path = "/api/session/password";
    let short = admin.put(path, &change(&first, "short"));
    assert_eq!(short.problem(), (400, "invalid".into(), "new".into()));
    let wrong = admin.put(path, &change("wrong", PASSWORD));
    assert_eq!(
        wrong.problem(),
        (401, "wrong_credentials".into(), "old".into())
    );
    let mut other = world.stranger();
    other.sign_in(&name, &first);
    assert_eq!(admin.put(path, &change(&first, PASSWORD)).status, 204);
    // This session goes on; those of the old password end.
    assert_eq!(admin.get("/api/accounts").status, 200);
    assert_eq!(other.get("/api/session").status, 401);
    assert_eq!(other.sign_in(&name, &first).status, 401);

    assert_eq!(admin.delete("/api/session").status, 204);
    assert_eq!(admin.get("/api/session").status, 401);
    let mut again = world.stranger();
    again.sign_in(&name, PASSWORD);
    let audit = again.get("/api/audit").json();
    let actions: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "signed_in",
            "signed_out",
            "sign_in_failed",
            "changed",
            "signed_in",
            "password_change_failed",
            "signed_in"
        ]
    );
    assert_eq!(audit["items"][0]["from"], "127.0.0.1");
    assert_eq!(audit["items"][0]["who"], "admin");
}

#[test]
fn a_password_changed_from_the_terminal_ends_sessions_at_once() {
    let world = World::new();
    let admin = world.admin();
    let store = store::Store::open(world.server().admin().store().dir()).unwrap();
    let offline = api::Administrators::new(store);
    offline
        .set_password("admin", "from the terminal", true)
        .unwrap();
    assert_eq!(admin.get("/api/session").status, 401);
    assert_eq!(world.stranger().sign_in("admin", PASSWORD).status, 401);
    assert_eq!(
        world
            .stranger()
            .sign_in("admin", "from the terminal")
            .status,
        200
    );
}

#[test]
fn wrong_passwords_are_slowed_down() {
    let world = World::new();
    for _ in 0..5 {
        let wrong = world.stranger().sign_in("admin", "wrong password");
        assert_eq!(wrong.problem().1, "wrong_credentials");
    }
    let (_, first) = world.console().first_password().unwrap();
    let first = first.to_owned();
    let refused = world.stranger().sign_in("admin", &first);
    assert_eq!(
        refused.problem(),
        (429, "too_many_tries".into(), String::new())
    );
    assert_eq!(refused.header("retry-after"), "1");
    // Another name is no way around.
    assert_eq!(world.stranger().sign_in("kim", "x").status, 429);
}

#[test]
fn a_user_signs_in_with_the_password_of_his_telephone() {
    let world = World::new();
    let mut alice = world.person(Role::User);
    let session = alice.get("/api/session").json();
    assert_eq!(
        session,
        json!({"name": "alice@sori.test", "role": "user", "must_change_password": false})
    );
    // He changes it; his telephone has to know the new one.
    let change = json!({"old": "first secret", "new": "second secret"});
    assert_eq!(alice.put("/api/session/password", &change).status, 204);
    assert_eq!(alice.get("/api/session").status, 200);
    let account = world.server().admin().store().account("alice", "sori.test");
    let expected = server::account_for("alice", "sori.test", "second secret");
    assert_eq!(account.unwrap().unwrap().credentials, expected.credentials);
    assert_eq!(
        world.stranger().sign_in("alice", "first secret").status,
        401
    );
    assert_eq!(
        alice.sign_in("sip:alice@sori.test", "second secret").status,
        200
    );
    // A disabled account is signed out and cannot come back.
    let off = json!({"enabled": false});
    assert_eq!(
        world
            .admin()
            .put("/api/accounts/alice%40sori.test", &off)
            .status,
        200
    );
    assert_eq!(alice.get("/api/session").status, 401);
    assert_eq!(alice.sign_in("alice", "second secret").status, 401);
}

#[test]
fn other_sites_cannot_use_the_cookie() {
    let world = World::new();
    let admin = world.admin();
    let group = json!({"name": "Sales", "number": "200", "members": ["alice"]}).to_string();
    let json = ("Content-Type", "application/json");
    let send = |headers: &[(&str, &str)]| {
        let body = Some(group.as_bytes());
        admin.send("POST", "/api/groups", headers, body).status
    };
    assert_eq!(send(&[json, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(send(&[json, ("Origin", "http://evil.test")]), 403);
    assert_eq!(send(&[("Content-Type", "text/plain")]), 403);
    assert_eq!(
        admin
            .send("POST", "/api/server/stop", &[("Origin", "null")], None)
            .status,
        403
    );
    let own = format!("http://{}", world.address());
    assert_eq!(
        send(&[json, ("Origin", &own), ("Sec-Fetch-Site", "same-origin")]),
        201
    );
    assert!(world.console().wish().is_none());
}

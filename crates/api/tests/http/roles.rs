//! Every route with every role: the table says who may, and the server does what it says.

use api::{Access, ROUTES, Role};
use serde_json::json;

use crate::support::{Person, World};

/// A path of a route with something in its variable parts that is not there.
fn path(route: &str) -> String {
    route
        .replace("{address}", "nobody%40sori.test")
        .replace("{id}", "0")
        .replace("{name}", "nobody")
        .replace("{token}", "0")
}

fn ask(person: &Person, method: &str, path: &str) -> u16 {
    let kind = if path.ends_with("/import") {
        "text/csv"
    } else {
        "application/json"
    };
    let (kind, body) = ([("Content-Type", kind)], Some(&b"!"[..]));
    match method {
        "GET" | "DELETE" => person.send(method, path, &[], None).status,
        _ => person.send(method, path, &kind, body).status,
    }
}

#[test]
fn every_route_is_for_those_it_names() {
    let world = World::new();
    let people = [
        (None, world.stranger()),
        (Some(Role::User), world.person(Role::User)),
        (Some(Role::Operator), world.person(Role::Operator)),
        (Some(Role::Administrator), world.admin()),
    ];
    for route in ROUTES {
        let (method, path) = (route.method.as_str(), path(route.path));
        // These end sessions or the server, or do not end themselves; they have their own tests.
        let special = [
            ("DELETE", "/api/session"),
            ("GET", "/api/live"),
            ("POST", "/api/server/restart"),
            ("POST", "/api/server/stop"),
        ];
        for (role, person) in &people {
            let may = match role {
                None => route.access == Access::Anybody,
                Some(role) => route.access.is_for(*role),
            };
            if may && special.contains(&(method, route.path)) {
                continue;
            }
            let status = ask(person, method, &path);
            let refused = match role {
                None => status == 401 && !(method == "POST" && path == "/api/session"),
                Some(_) => status == 403,
            };
            // A user is refused what is not his own, too.
            let own = route.access == Access::Owner && *role == Some(Role::User);
            assert!(
                refused != may || (own && status == 403),
                "{method} {path} as {role:?}: {status}"
            );
        }
    }
}

#[test]
fn users_see_their_own_and_change_a_part_of_it() {
    let world = World::new();
    let admin = world.admin();
    let alice = world.person(Role::User);
    admin.post(
        "/api/accounts",
        &json!({"user": "bob", "password": "bob's secret"}),
    );
    let own = "/api/accounts/alice%40sori.test";
    assert_eq!(alice.get(own).status, 200);
    for other in ["bob", "nobody"] {
        let path = format!("/api/accounts/{other}%40sori.test");
        assert_eq!(alice.get(&path).problem().1, "forbidden");
        assert_eq!(alice.put(&path, &json!({"display_name": "x"})).status, 403);
    }
    let forwards = json!({"always": "", "busy": "bob", "no_answer": "", "no_answer_after": 15, "unregistered": ""});
    let changed = alice.put(own, &json!({"display_name": "Alice", "forwards": forwards}));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["forwards"], forwards);
    for (member, value) in [
        ("enabled", json!(false)),
        ("aliases", json!(["1"])),
        ("trunks", json!(null)),
        ("password", json!("another secret")),
        ("user", json!("alice")),
    ] {
        let refused = alice.put(own, &json!({ member: value }));
        assert_eq!(refused.problem(), (403, "forbidden".into(), member.into()));
    }
}

#[test]
fn a_role_that_changes_counts_at_once() {
    let world = World::new();
    let admin = world.admin();
    let kim = world.person(Role::Operator);
    assert_eq!(kim.put("/api/settings", &json!({})).status, 403);
    let path = "/api/administrators/kim";
    assert_eq!(
        admin.put(path, &json!({"role": "administrator"})).status,
        200
    );
    assert_eq!(kim.put("/api/settings", &json!({})).status, 200);
    assert_eq!(admin.delete(path).status, 204);
    assert_eq!(kim.get("/api/session").status, 401);
    let last = admin.delete("/api/administrators/admin");
    assert_eq!(last.problem().0, 400);
}

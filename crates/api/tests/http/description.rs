//! `openapi.yaml` and the server say the same.

use std::collections::BTreeSet;

use api::{Access, ROUTES, Role};
use serde_json::{Value, json};

use crate::schema::differences;
use crate::support::{Answer, World};

fn document(world: &World) -> Value {
    let answer = world.stranger().get("/api/openapi.yaml");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/yaml")
    );
    serde_yaml_ng::from_slice(&answer.body).unwrap()
}

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

#[test]
fn every_route_is_described_and_nothing_else() {
    let world = World::new();
    let document = document(&world);
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let item = item.as_object().unwrap();
        for (method, operation) in item.iter().filter(|(m, _)| METHODS.contains(&m.as_str())) {
            let access = operation["x-access"].as_str().unwrap();
            let open = operation.get("security") == Some(&json!([]));
            assert_eq!(open, access == "anybody", "{method} {path}");
            described.insert((method.to_uppercase(), path.clone(), access.to_owned()));
            // Each variable part is described.
            let common = item.get("parameters").and_then(Value::as_array);
            let names: Vec<&str> = common
                .into_iter()
                .flatten()
                .map(|p| p["name"].as_str().unwrap())
                .collect();
            for part in path.split('/').filter_map(|p| p.strip_prefix('{')) {
                assert!(
                    names.contains(&part.trim_end_matches('}')),
                    "{method} {path}: {part}"
                );
            }
        }
    }
    let access = |access| match access {
        Access::Anybody => "anybody",
        Access::SignedIn => "signed-in",
        Access::Owner => "owner",
        Access::Operator => "operator",
        Access::Administrator => "administrator",
    };
    let served: BTreeSet<_> = ROUTES
        .iter()
        .map(|r| {
            (
                r.method.to_string(),
                r.path.to_owned(),
                access(r.access).to_owned(),
            )
        })
        .collect();
    let missing: Vec<_> = served.difference(&described).collect();
    let invented: Vec<_> = described.difference(&served).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing {missing:?}, invented {invented:?}"
    );
}

/// Holds an answer against what is said of it.
fn hold(document: &Value, method: &str, route: &str, answer: &Answer) {
    let responses = &document["paths"][route][method]["responses"];
    let status = answer.status.to_string();
    let mut response = responses.get(&status).or(responses.get("default"));
    if let Some(reference) = response.and_then(|r| r.get("$ref")) {
        response = document.pointer(reference.as_str().unwrap().trim_start_matches('#'));
    }
    let response =
        response.unwrap_or_else(|| panic!("{method} {route}: {status} is not described"));
    if answer.status < 400 {
        assert!(
            responses.get(&status).is_some(),
            "{method} {route}: {status} is not described"
        );
    }
    let Some(content) = response.get("content") else {
        assert!(
            answer.body.is_empty(),
            "{method} {route}: {}",
            answer.text()
        );
        return;
    };
    let kind = answer.header("content-type").split(';').next().unwrap();
    let described = content.get(kind);
    let described =
        described.unwrap_or_else(|| panic!("{method} {route}: {kind} is not described"));
    if kind == "application/json" {
        let wrong = differences(document, &described["schema"], &answer.json());
        assert!(wrong.is_empty(), "{method} {route} {status}: {wrong:#?}");
    }
}

#[test]
fn answers_are_as_described() {
    let world = World::new();
    let document = document(&world);
    let admin = world.admin();
    let hold = |method: &str, route: &str, answer: &Answer| hold(&document, method, route, answer);
    // Something of everything, through the API itself.
    let account = json!({"user": "alice", "aliases": ["100"], "trunks": []});
    hold(
        "post",
        "/api/accounts",
        &admin.post("/api/accounts", &account),
    );
    let alice = "/api/accounts/alice%40sori.test";
    let changed = admin.put(alice, &json!({"trunks": null, "password": "a new secret"}));
    hold("put", "/api/accounts/{address}", &changed);
    let password = admin.post(&format!("{alice}/password"), &json!({}));
    assert_eq!(password.status, 200, "{}", password.text());
    hold("post", "/api/accounts/{address}/password", &password);
    let table = "user,enabled\nbob,\ncarol,x\n";
    hold(
        "post",
        "/api/accounts/import",
        &admin.upload("/api/accounts/import", table),
    );
    let trunk = json!({"name": "Gateway", "host": "gw.example.net"});
    let trunk = admin.post("/api/trunks", &trunk);
    hold("post", "/api/trunks", &trunk);
    let trunk = trunk.json()["id"].as_str().unwrap().to_owned();
    for action in [
        json!({"kind": "accounts"}),
        json!({"kind": "trunks", "trunks": [trunk], "mode": "shared"}),
        json!({"kind": "domain", "domain": "example.org"}),
        json!({"kind": "reject", "status": 486}),
        json!({"kind": "continue"}),
    ] {
        let rule =
            json!({"name": "r", "enabled": true, "match": {"number": "9."}, "action": action});
        hold("post", "/api/rules", &admin.post("/api/rules", &rule));
    }
    let group = json!({"name": "Sales", "number": "200", "members": ["alice"]});
    hold("post", "/api/groups", &admin.post("/api/groups", &group));
    for number in ["200", "91", "100", "echo", "nobody", "x@example.org"] {
        let tried = admin.post(
            "/api/rules/try",
            &json!({"caller": "alice", "number": number}),
        );
        assert_eq!(tried.status, 200, "{}", tried.text());
        hold("post", "/api/rules/try", &tried);
    }
    let operator = json!({"name": "kim", "role": "operator"});
    hold(
        "post",
        "/api/administrators",
        &admin.post("/api/administrators", &operator),
    );
    let role = json!({"role": "operator"});
    hold(
        "put",
        "/api/administrators/{name}",
        &admin.put("/api/administrators/kim", &role),
    );
    hold(
        "put",
        "/api/settings",
        &admin.put("/api/settings", &json!({"country": "KR"})),
    );

    let mut own = world.stranger();
    hold("post", "/api/session", &own.sign_in("admin", "wrong"));
    hold(
        "post",
        "/api/session",
        &own.sign_in("admin", crate::support::PASSWORD),
    );
    for route in ROUTES
        .iter()
        .filter(|r| r.method == "GET" && r.path != "/api/live")
    {
        let path = route
            .path
            .replace("{address}", "alice%40sori.test")
            .replace("{id}", &trunk);
        let answer = admin.get(&path);
        assert_eq!(answer.status, 200, "{path}");
        hold("get", route.path, &answer);
    }
    // Problems too, from those who may not and about what is not there.
    for route in ROUTES
        .iter()
        .filter(|r| r.path != "/api/live" && r.access != Access::Anybody)
    {
        let path = route.path.replace(['{', '}'], "");
        let method = route.method.as_str();
        let kind = if path.ends_with("/import") {
            "text/csv"
        } else {
            "application/json"
        };
        let body = matches!(method, "POST" | "PUT").then_some(&b"{}"[..]);
        let answer = world
            .stranger()
            .send(method, &path, &[("Content-Type", kind)], body);
        assert_eq!(answer.problem().1, "not_signed_in", "{method} {path}");
        hold(&method.to_lowercase(), route.path, &answer);
    }
    hold(
        "get",
        "/api/accounts/{address}",
        &admin.get("/api/accounts/nobody"),
    );
    hold("delete", "/api/accounts/{address}", &admin.delete(alice));
    hold("delete", "/api/session", &own.delete("/api/session"));
    let user = world.person(Role::User);
    hold(
        "put",
        "/api/settings",
        &user.put("/api/settings", &json!({})),
    );
}

//! Rules, trunks, groups and settings.

use api::Role;
use serde_json::{Value, json};

use crate::support::World;

fn rule(name: &str, number: &str, action: Value) -> Value {
    json!({
        "name": name, "enabled": true,
        "match": {"number": number, "caller": "", "domain": "", "methods": [], "trunk": "", "internal": false},
        "rewrite": {"strip": 0, "prefix": "", "suffix": "", "replace": "", "country": ""},
        "action": action,
    })
}

fn names(list: &Value) -> Vec<String> {
    let all = list.as_array().unwrap().iter();
    all.map(|r| r["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn rules_are_ordered_exported_and_imported() {
    let world = World::new();
    let admin = world.admin();
    let reject = json!({"kind": "reject", "status": 403, "reason": ""});
    for name in ["one", "two", "three"] {
        let made = admin.post("/api/rules", &rule(name, "9X.", reject.clone()));
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let all = admin.get("/api/rules").json();
    assert_eq!(names(&all), ["one", "two", "three"]);
    let ids: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["id"].as_str().unwrap())
        .collect();
    let order = json!([ids[2], ids[0], ids[1]]);
    assert_eq!(
        names(&admin.put("/api/rules/order", &order).json()),
        ["three", "one", "two"]
    );
    assert_eq!(
        admin.put("/api/rules/order", &json!([ids[0]])).problem().1,
        "invalid"
    );
    let path = format!("/api/rules/{}", ids[0]);
    let mut changed = rule("first", "8X.", reject.clone());
    changed["enabled"] = json!(false);
    assert_eq!(admin.put(&path, &changed).json()["name"], "first");
    let document = admin.get("/api/rules/document").json();
    assert_eq!(admin.delete(&path).status, 204);
    assert_eq!(admin.put(&path, &changed).problem().1, "not_found");
    assert_eq!(admin.put("/api/rules/document", &document).json(), document);
    assert_eq!(
        names(&admin.get("/api/rules").json()),
        ["three", "first", "two"]
    );
    // One that is wrong leaves all as they were.
    let bad = json!([rule("bad", "/(/", reject)]);
    let (status, _, field) = admin.put("/api/rules/document", &bad).problem();
    assert_eq!(status, 400);
    assert!(field.contains("number"), "{field}");
    assert_eq!(admin.get("/api/rules").json(), document);
}

#[test]
fn passwords_of_trunks_are_written_only_and_by_administrators() {
    let world = World::new();
    let (admin, kim) = (world.admin(), world.person(Role::Operator));
    let trunk = json!({"name": "Seoul", "host": "gw.example.net", "register": true, "username": "u", "password": "secret word"});
    assert_eq!(
        kim.post("/api/trunks", &trunk).problem(),
        (403, "forbidden".into(), "password".into())
    );
    let made = admin.post("/api/trunks", &trunk);
    assert_eq!(made.status, 201, "{}", made.text());
    let json = made.json();
    assert_eq!(json["has_password"], true);
    let path = format!("/api/trunks/{}", json["id"].as_str().unwrap());
    for person in [&admin, &kim] {
        for path in ["/api/trunks", &path, "/api/audit", "/api/logs"] {
            assert!(!person.get(path).text().contains("secret word"), "{path}");
        }
    }
    // What is left out stays; what is only shown may be sent back.
    let mut back = json.clone();
    back["max_calls"] = json!(4);
    assert_eq!(kim.put(&path, &back).json()["max_calls"], 4);
    let stored = world.server().directory().snapshot();
    assert_eq!(stored.trunks[0].password, "secret word");
    back["host"] = json!("evil.example.net");
    assert_eq!(kim.put(&path, &back).problem().2, "host");
    assert_eq!(
        kim.put(&path, &json!({"password": ""})).problem().2,
        "password"
    );
    assert_eq!(admin.put(&path, &back).status, 200);
    assert_eq!(admin.put(&path, &json!({"port": "x"})).problem().2, "port");
    assert_eq!(kim.delete(&path).status, 204);
    assert_eq!(kim.get(&path).status, 404);
}

#[test]
fn groups_and_settings() {
    let world = World::new();
    let admin = world.admin();
    let group = json!({"name": "Sales", "number": "200", "members": ["alice", "bob"], "strategy": "in_turn",
        "ring_for": 15, "fallback": ""});
    let made = admin.post("/api/groups", &group).json();
    let path = format!("/api/groups/{}", made["id"].as_str().unwrap());
    assert_eq!(
        admin
            .put(
                &path,
                &json!({"name": "Sales", "number": "201", "members": ["alice"]})
            )
            .json()["number"],
        "201"
    );
    assert_eq!(
        admin
            .put(&path, &json!({"name": "Sales", "number": ""}))
            .problem()
            .2,
        "number"
    );
    assert_eq!(admin.delete(&path).status, 204);
    assert_eq!(admin.get("/api/groups").json(), json!([]));

    let before = admin.get("/api/settings").json();
    assert_eq!(before["fixed"]["domains"], json!(["sori.test"]));
    assert_eq!(before["fixed"]["http"], world.address().to_string());
    let changed = admin
        .put(
            "/api/settings",
            &json!({"redirect": true, "limits": {"block_for": 60}, "fixed": {}}),
        )
        .json();
    assert_eq!(changed["redirect"], true);
    assert_eq!(changed["limits"]["block_for"], 60);
    assert_eq!(
        changed["limits"]["wrong_passwords"],
        before["limits"]["wrong_passwords"]
    );
    assert!(world.server().directory().snapshot().settings.redirect);
    let wrong = admin.put("/api/settings", &json!({"registration": {"minimum": "x"}}));
    assert_eq!(
        wrong.problem(),
        (400, "invalid".into(), "registration.minimum".into())
    );
    assert_eq!(
        admin
            .put("/api/settings", &json!({"colour": 1}))
            .problem()
            .0,
        400
    );
    assert_eq!(admin.get("/api/settings").json(), changed);
}

#[test]
fn a_number_can_be_tried() {
    let world = World::new();
    let admin = world.admin();
    let tried = |number: &str, caller: &str| {
        admin
            .post(
                "/api/rules/try",
                &json!({"number": number, "caller": caller}),
            )
            .json()
    };
    assert_eq!(tried("alice", "")["kind"], "nobody");
    admin.post(
        "/api/accounts",
        &json!({"user": "alice", "aliases": ["100"]}),
    );
    admin.post("/api/accounts", &json!({"user": "bob"}));
    let alice = tried("100", "bob");
    assert_eq!(
        (&alice["kind"], &alice["targets"]),
        (&json!("account"), &json!(["alice@sori.test"]))
    );
    assert_eq!(alice["outcome"], "finds no phone of alice@sori.test");
    let trunk = admin
        .post(
            "/api/trunks",
            &json!({"name": "Seoul", "host": "127.0.0.1", "check_every": 0}),
        )
        .json();
    let action = json!({"kind": "trunks", "trunks": [trunk["id"]], "mode": "in_order"});
    let mut out = rule("out", "9.", action);
    out["rewrite"]["strip"] = json!(1);
    assert_eq!(admin.post("/api/rules", &out).status, 201);
    let called = tried("9021234", "bob");
    assert_eq!(
        (&called["kind"], &called["number"]),
        (&json!("trunks"), &json!("021234")),
        "{called}"
    );
    assert_eq!(called["outcome"], "goes to 021234 through trunk Seoul");
    assert_eq!(called["steps"][0]["name"], "out");
    // Strangers do not get out.
    let stranger = tried("9021234", "eve@example.net");
    assert_eq!(stranger["kind"], "reject", "{stranger}");
    assert_eq!(tried("echo", "bob")["kind"], "service");
    assert_eq!(tried("x@example.net", "bob")["kind"], "domain");
    let unknown = admin.post("/api/rules/try", &json!({"number": "1", "trunk": "x"}));
    assert_eq!(unknown.problem().2, "trunk");
    assert_eq!(
        admin.post("/api/rules/try", &json!({})).problem().2,
        "number"
    );
}

#[test]
fn settings_count_at_once() {
    let world = World::new();
    let admin = world.admin();
    let server = world.server().listeners()[0].local;
    let phone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let limit = std::time::Duration::from_secs(10);
    phone.set_read_timeout(Some(limit)).unwrap();
    let from = phone.local_addr().unwrap();
    let register = |n: u32| {
        let request = format!(
            "REGISTER sip:sori.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n}\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@sori.test>;tag=1\r\nTo: <sip:alice@sori.test>\r\nCall-ID: {n}@test\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:alice@{from}>;expires=70\r\nContent-Length: 0\r\n\r\n"
        );
        phone.send_to(request.as_bytes(), server).unwrap();
        let mut answer = [0; 2000];
        let length = phone.recv(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..length])[8..11].to_owned()
    };
    admin.post("/api/accounts", &json!({"user": "alice"}));
    assert_eq!(register(1), "401");
    let open = json!({"authentication": {"register": false}});
    assert_eq!(admin.put("/api/settings", &open).status, 200);
    assert_eq!(register(2), "200");
    let longer = json!({"registration": {"minimum": 100}});
    assert_eq!(admin.put("/api/settings", &longer).status, 200);
    assert_eq!(register(3), "423");
}

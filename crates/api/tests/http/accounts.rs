//! Accounts, one by one and as a table.

use serde_json::json;

use crate::support::World;

#[test]
fn an_account_from_its_beginning_to_its_end() {
    let world = World::new();
    let admin = world.admin();
    let new =
        json!({"user": "alice", "display_name": "Alice Kim", "aliases": ["100", "+8225550100"]});
    let made = admin.post("/api/accounts", &new);
    assert_eq!(made.status, 201, "{}", made.text());
    let json = made.json();
    let password = json["password"].as_str().unwrap();
    assert_eq!(password.len(), 16);
    assert_eq!(json["account"]["address"], "alice@sori.test");
    assert_eq!(json["account"]["registered"], 0);
    // The server honours it when the answer is there.
    assert_eq!(world.server().snapshot().accounts, 1);
    assert_eq!(world.stranger().sign_in("alice", password).status, 200);

    let again = admin.post("/api/accounts", &new);
    assert_eq!(again.problem(), (409, "exists".into(), "user".into()));
    for (value, field) in [
        (json!({}), "user"),
        (json!({"user": "a b"}), "user"),
        (json!({"user": "bob", "domain": "example.org"}), "domain"),
        (json!({"user": "bob", "password": "short"}), "password"),
        (json!({"user": "bob", "aliases": ["100"]}), "aliases"),
        (json!({"user": "bob", "enabled": "yes"}), "enabled"),
        (
            json!({"user": "bob", "forwards": {"no_answer_after": -1}}),
            "forwards.no_answer_after",
        ),
        (
            json!({"user": "bob", "display_name": "a\nb"}),
            "display_name",
        ),
    ] {
        let refused = admin.post("/api/accounts", &value);
        let (status, code, told) = refused.problem();
        assert_eq!((status, code.as_str()), (400, "invalid"), "{value}");
        assert!(told.starts_with(field), "{value}: {told}");
    }
    assert_eq!(world.server().snapshot().accounts, 1);

    let path = "/api/accounts/alice%40sori.test";
    let changed = admin
        .put(path, &json!({"trunks": [], "display_name": ""}))
        .json();
    assert_eq!(changed["trunks"], json!([]));
    assert_eq!(changed["aliases"], json!(["100", "+8225550100"]));
    assert_eq!(
        admin.put(path, &json!({"trunks": null})).json()["trunks"],
        json!(null)
    );
    assert_eq!(admin.put(path, &json!({"user": "al"})).problem().2, "user");

    let fresh = admin.post(&format!("{path}/password"), &json!({}));
    assert_eq!(fresh.status, 200, "{}", fresh.text());
    let fresh = fresh.json()["password"].as_str().unwrap().to_owned();
    assert_eq!(world.stranger().sign_in("alice", password).status, 401);
    assert_eq!(world.stranger().sign_in("alice", &fresh).status, 200);

    let found = admin.get("/api/accounts?search=KIM").json();
    assert_eq!(found["total"], 0, "the name was taken away");
    let found = admin.get("/api/accounts?search=5550100&limit=1").json();
    assert_eq!(
        (&found["total"], &found["items"][0]["user"]),
        (&json!(1), &json!("alice"))
    );
    assert_eq!(admin.delete(path).status, 204);
    assert_eq!(admin.get(path).problem().1, "not_found");
    assert_eq!(admin.delete(path).status, 404);
    assert_eq!(world.server().snapshot().accounts, 0);
    // Its alias is free again.
    let bob = json!({"user": "bob", "aliases": ["100"]});
    assert_eq!(admin.post("/api/accounts", &bob).status, 201);
}

#[test]
fn fifty_people_from_a_table() {
    let world = World::new();
    let admin = world.admin();
    let mut table = String::from("user,display_name,password,aliases,enabled\r\n");
    for n in 0..50 {
        table.push_str(&format!(
            "user{n},\"Nr. {n}, Seoul\",,{} 5{n:03},true\r\n",
            100 + n
        ));
    }
    let trial = admin
        .upload("/api/accounts/import?dry_run=true", &table)
        .json();
    assert_eq!(
        (&trial["created"], &trial["errors"]),
        (&json!(50), &json!([]))
    );
    assert_eq!(world.server().snapshot().accounts, 0);
    let done = admin
        .upload("/api/accounts/import?dry_run=false", &table)
        .json();
    assert_eq!(done["created"], 50);
    assert_eq!(done["passwords"].as_array().unwrap().len(), 50);
    assert_eq!(world.server().snapshot().accounts, 50);
    let page = admin.get("/api/accounts?offset=48&limit=10").json();
    assert_eq!(page["total"], 50);
    assert_eq!(page["items"].as_array().unwrap().len(), 2);

    // What was exported comes back without a change to passwords.
    let password = done["passwords"][7]["password"].as_str().unwrap();
    let export = admin.get("/api/accounts/export");
    assert!(export.header("content-type").starts_with("text/csv"));
    assert!(
        export
            .header("content-disposition")
            .contains("accounts.csv")
    );
    let again = admin.upload("/api/accounts/import", &export.text()).json();
    assert_eq!(
        (&again["created"], &again["changed"]),
        (&json!(0), &json!(50))
    );
    assert_eq!(again["errors"], json!([]));
    assert_eq!(world.stranger().sign_in("user7", password).status, 200);
}

#[test]
fn what_is_wrong_in_a_table_is_told_by_line_and_column() {
    let world = World::new();
    let admin = world.admin();
    let table = "\u{feff}user;domain;enabled\nalice;;\na b;;\nbob;example.org;\ncarol;;perhaps\nalice;;\ndave;;no\n";
    let done = admin.upload("/api/accounts/import", table).json();
    let errors: Vec<_> = done["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            (
                e["line"].as_u64().unwrap(),
                e["column"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let expected = [(3, "user"), (4, "domain"), (5, "enabled"), (6, "user")];
    assert_eq!(errors, expected.map(|(l, c)| (l, c.to_owned())));
    assert_eq!(done["created"], 2);
    let dave = admin.get("/api/accounts/dave%40sori.test").json();
    assert_eq!(dave["enabled"], false);
    for bad in ["", "name\nalice", "user,color\nalice,red"] {
        assert_eq!(
            admin.upload("/api/accounts/import", bad).problem().0,
            400,
            "{bad:?}"
        );
    }
    let formula = json!({"user": "eve", "display_name": "=HYPERLINK(\"http://evil.test\")"});
    assert_eq!(admin.post("/api/accounts", &formula).status, 201);
    let export = admin.get("/api/accounts/export").text();
    assert!(export.contains(",\"'=HYPERLINK("), "{export}");
}

#[test]
fn call_records_are_searched_and_exported() {
    let world = World::new();
    let admin = world.admin();
    let alice = world.person(api::Role::User);
    let handle = world.server().admin();
    let record = |caller: &str, callee: &str, started: u64, answered: Option<u64>, status: u16| {
        store::CallRecord {
            call_id: format!("{started}@host"),
            caller: caller.into(),
            callee: callee.into(),
            started,
            answered,
            ended: started + 61_500,
            status,
            codecs: "PCMA telephone-event".into(),
            ..store::CallRecord::default()
        }
    };
    for one in [
        record("alice@sori.test", "bob@sori.test", 1_000, Some(1_500), 200),
        record("bob@sori.test", "carol@sori.test", 2_000, None, 486),
        record("bob@sori.test", "=1+1", 3_000, None, 404),
    ] {
        let (told, heard) = std::sync::mpsc::channel();
        handle
            .store()
            .add_call_record(one, move |r| told.send(r).unwrap())
            .unwrap();
        heard.recv().unwrap().unwrap();
    }
    let total = |query: &str| admin.get(&format!("/api/records?{query}")).json()["total"].as_u64();
    assert_eq!(total(""), Some(3));
    assert_eq!(total("outcome=answered"), Some(1));
    assert_eq!(total("outcome=missed"), Some(1));
    assert_eq!(total("outcome=failed"), Some(1));
    assert_eq!(total("search=CAROL"), Some(1));
    assert_eq!(total("from=2000&to=3000"), Some(1));
    assert_eq!(total("limit=0"), Some(3));
    assert_eq!(admin.get("/api/records?outcome=x").problem().2, "outcome");
    assert_eq!(admin.get("/api/records?from=x").problem().2, "from");
    let first = &admin.get("/api/records?outcome=answered").json()["items"][0];
    assert_eq!(first["duration"], 61);
    assert_eq!(first["codecs"], json!(["PCMA", "telephone-event"]));
    let own = alice.get("/api/records").json();
    assert_eq!(own["total"], 1);
    assert_eq!(own["items"][0]["caller"], "alice@sori.test");
    let lines = |text: String| text.lines().count();
    assert_eq!(lines(alice.get("/api/records/export").text()), 2);
    let export = admin.get("/api/records/export").text();
    assert!(
        export.contains("'=1+1") && export.contains("1970-01-01 00:00:01Z"),
        "{export}"
    );
}

#[test]
fn registered_phones_are_shown_and_removed() {
    let open = |config: &mut server::Config| config.authentication = server::Authentication::NONE;
    let world = World::made(open, |_| {});
    let admin = world.admin();
    let alice = world.person(api::Role::User);
    let server = world.server().listeners()[0].local;
    let phone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    phone
        .set_read_timeout(Some(std::time::Duration::from_secs(10)))
        .unwrap();
    let from = phone.local_addr().unwrap();
    for (n, (user, contact)) in [("alice", "10.0.0.7:5062"), ("bob", &from.to_string())]
        .into_iter()
        .enumerate()
    {
        let register = format!(
            "REGISTER sip:sori.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@sori.test>;tag=1\r\nTo: <sip:{user}@sori.test>\r\nCall-ID: {n}@test\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:{user}@{contact}>;expires=600\r\nUser-Agent: Telephone {n}\r\nContent-Length: 0\r\n\r\n"
        );
        phone.send_to(register.as_bytes(), server).unwrap();
        let mut answer = [0; 2000];
        let length = phone.recv(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"SIP/2.0 200"));
    }
    let all = admin.get("/api/registrations").json();
    assert_eq!(all["total"], 2);
    let (first, second) = (&all["items"][0], &all["items"][1]);
    assert_eq!(first["address"], "alice@sori.test");
    assert_eq!(first["source"], from.to_string());
    assert_eq!(first["user_agent"], "Telephone 0");
    assert_eq!(
        (&first["behind_nat"], &second["behind_nat"]),
        (&json!(true), &json!(false))
    );
    let lasts = first["expires"].as_u64().unwrap() - first["registered"].as_u64().unwrap();
    assert!((599_000..=601_000).contains(&lasts), "{first}");
    assert_eq!(
        admin.get("/api/registrations?search=telephone%201").json()["total"],
        1
    );
    assert_eq!(
        admin.get("/api/registrations?offset=1&limit=5").json()["items"][0],
        *second
    );
    assert_eq!(
        admin.get("/api/accounts/alice%40sori.test").json()["registered"],
        1
    );
    // Alice sees and removes her own.
    let own = alice.get("/api/registrations").json();
    assert_eq!((&own["total"], &own["items"][0]), (&json!(1), first));
    let path =
        |one: &serde_json::Value| format!("/api/registrations/{}", one["id"].as_str().unwrap());
    assert_eq!(alice.delete(&path(second)).status, 404);
    assert_eq!(alice.delete(&path(first)).status, 204);
    assert_eq!(alice.delete(&path(first)).status, 404);
    assert_eq!(admin.delete(&path(second)).status, 204);
    assert_eq!(world.server().snapshot().bindings, 0);
    let stored = world.server().admin().store().load_bindings(0).unwrap();
    assert!(stored.is_empty(), "{stored:?}");
}

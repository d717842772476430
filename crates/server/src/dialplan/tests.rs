use std::collections::HashSet;

use super::*;
use crate::directory::*;

/// A server with these accounts; those in `registered` have a phone.
#[derive(Default)]
struct World {
    accounts: HashSet<&'static str>,
    registered: HashSet<&'static str>,
    unusable: HashSet<&'static str>,
    drawn: u32,
}

impl Surroundings for World {
    fn is_account(&self, address: &str) -> bool {
        self.accounts.contains(address)
    }
    fn is_registered(&self, address: &str) -> bool {
        self.registered.contains(address)
    }
    fn is_service(&self, user: &str) -> bool {
        user == "echo"
    }
    fn idle_since(&self, address: &str) -> u64 {
        // Who comes later in the alphabet has been idle longer.
        u64::from(u8::MAX - address.as_bytes()[0])
    }
    fn is_usable(&self, trunk: &Trunk) -> bool {
        !self.unusable.contains(trunk.name.as_str())
    }
    fn draw(&self, below: u32) -> u32 {
        self.drawn % below
    }
    fn default_domain(&self) -> &'static str {
        "a.example"
    }
    fn is_ours(&self, domain: &str) -> bool {
        domain == "a.example"
    }
}

fn world() -> World {
    World {
        accounts: ["alice@a.example", "bob@a.example", "carol@a.example"].into(),
        registered: ["alice@a.example", "bob@a.example", "carol@a.example"].into(),
        ..World::default()
    }
}

/// A directory on a store of its own.
fn directory(name: &str) -> (Directory, std::path::PathBuf) {
    let path = std::env::temp_dir().join(format!("sori-dialplan-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    let store = store::Store::open(&path).unwrap();
    (Directory::load(store, &Settings::default()).unwrap(), path)
}

fn trunk(directory: &Directory, name: &str, weight: u32) -> Trunk {
    let new = Trunk {
        name: name.into(),
        host: format!("{name}.example"),
        weight,
        ..Trunk::default()
    };
    directory.put_trunk(new).unwrap()
}

fn rule(directory: &Directory, number: &str, action: Action) -> Rule {
    let new = Rule {
        name: number.to_owned() + " ",
        enabled: true,
        matches: Match {
            number: number.into(),
            ..Match::default()
        },
        action,
        ..Rule::default()
    };
    directory.put_rule(new).unwrap()
}

fn call(number: &str) -> Query {
    Query {
        method: "INVITE".into(),
        caller: "alice@a.example".into(),
        is_ours: true,
        trunk: None,
        number: number.into(),
        domain: "a.example".into(),
    }
}

fn plan(directory: &Directory, world: &World, query: &Query) -> Plan {
    resolve(&directory.snapshot(), world, query, false).plan
}

/// The plan as text: who rings together is joined by `+`, what follows by `busy>`, `late>` or `fail>`.
fn told(plan: &Plan) -> String {
    match plan {
        Plan::Ring(attempt) => attempt_told(attempt),
        Plan::Service(user) => format!("service {user}"),
        Plan::Reject { status, .. } => status.to_string(),
        Plan::Nobody => "nobody".into(),
    }
}

fn attempt_told(attempt: &Attempt) -> String {
    let names: Vec<String> = attempt
        .to
        .iter()
        .map(|to| match to {
            Destination::Account(address) => address.split('@').next().unwrap().to_owned(),
            Destination::Trunk { trunk, number } => format!("{}:{number}", trunk.name),
            Destination::Elsewhere(address) => address.clone(),
        })
        .collect();
    let mut text = names.join("+");
    if let Some(seconds) = attempt.ring_for {
        text += &format!(" {seconds}s");
    }
    for (word, next) in [
        ("busy", &attempt.on_busy),
        ("late", &attempt.on_no_answer),
        ("fail", &attempt.on_failure),
    ] {
        if let Some(next) = next {
            text += &format!(" {word}>({})", attempt_told(next));
        }
    }
    text
}

#[test]
fn names_of_this_server_come_before_rules() {
    let (directory, _dir) = directory("own");
    let seoul = trunk(&directory, "seoul", 1);
    rule(
        &directory,
        "!",
        Action::Trunks {
            trunks: vec![seoul.id.clone()],
            mode: TrunkMode::InOrder,
        },
    );
    let world = world();
    assert_eq!(told(&plan(&directory, &world, &call("bob"))), "bob");
    assert_eq!(
        told(&plan(&directory, &world, &call("echo"))),
        "service echo"
    );
    assert_eq!(
        told(&plan(&directory, &world, &call("0255501"))),
        "seoul:0255501"
    );
    let mut internal = rule(
        &directory,
        "bob",
        Action::Reject {
            status: 403,
            reason: String::new(),
        },
    );
    assert_eq!(told(&plan(&directory, &world, &call("bob"))), "bob");
    internal.matches.internal = true;
    directory
        .order_rules(&[
            internal.id.clone(),
            directory.snapshot().rules[0].rule.id.clone(),
        ])
        .unwrap();
    directory.put_rule(internal).unwrap();
    assert_eq!(told(&plan(&directory, &world, &call("bob"))), "403");
}

#[test]
fn numbers_are_rewritten_and_rules_go_on() {
    let (directory, _dir) = directory("rewrite");
    let seoul = trunk(&directory, "seoul", 1);
    let mut outside = rule(&directory, "9.", Action::Continue);
    outside.rewrite.strip = 1;
    directory.put_rule(outside).unwrap();
    let mut national = rule(
        &directory,
        "0.",
        Action::Trunks {
            trunks: vec![seoul.id],
            mode: TrunkMode::InOrder,
        },
    );
    national.rewrite.country = "KR".into();
    directory.put_rule(national).unwrap();
    let resolved = resolve(&directory.snapshot(), &world(), &call("9025550100"), true);
    assert_eq!(told(&resolved.plan), "seoul:+8225550100");
    assert_eq!(resolved.number, "+8225550100");
    assert_eq!(resolved.steps.len(), 2);
    assert!(
        resolved.steps[0].why.contains("becomes 025550100"),
        "{:?}",
        resolved.steps
    );
}

#[test]
fn an_alias_is_found_however_its_number_is_written() {
    let (directory, _dir) = directory("alias");
    let profile = Profile {
        aliases: vec!["100".into(), "02-555-0100".into()],
        ..Profile::default()
    };
    directory.put_profile("bob@a.example", profile).unwrap();
    for number in ["100", "+8225550100", "025550100"] {
        assert_eq!(
            told(&plan(&directory, &world(), &call(number))),
            "bob",
            "{number}"
        );
    }
    let taken = Profile {
        aliases: vec!["100".into()],
        ..Profile::default()
    };
    assert!(directory.put_profile("alice@a.example", taken).is_err());
}

#[test]
fn trunks_take_over_from_each_other_and_share() {
    let (directory, _dir) = directory("trunks");
    let (a, b, c) = (
        trunk(&directory, "a", 1),
        trunk(&directory, "b", 3),
        trunk(&directory, "c", 0),
    );
    let ids = vec![a.id, b.id, c.id];
    let mut out = rule(
        &directory,
        "0.",
        Action::Trunks {
            trunks: ids.clone(),
            mode: TrunkMode::InOrder,
        },
    );
    let mut world = world();
    assert_eq!(
        told(&plan(&directory, &world, &call("01"))),
        "a:01 fail>(b:01 fail>(c:01))"
    );
    world.unusable = ["a"].into();
    assert_eq!(
        told(&plan(&directory, &world, &call("01"))),
        "b:01 fail>(c:01)"
    );
    world.unusable = ["a", "b", "c"].into();
    assert_eq!(told(&plan(&directory, &world, &call("01"))), "503");
    world.unusable.clear();
    out.action = Action::Trunks {
        trunks: ids,
        mode: TrunkMode::Shared,
    };
    directory.put_rule(out).unwrap();
    let firsts: Vec<String> = (0..4)
        .map(|drawn| {
            world.drawn = drawn;
            told(&plan(&directory, &world, &call("01")))
                .chars()
                .take(1)
                .collect()
        })
        .collect();
    assert_eq!(firsts, ["a", "b", "b", "b"]);
}

#[test]
fn only_users_leave_and_only_where_they_may() {
    let (directory, _dir) = directory("leave");
    let (a, b) = (trunk(&directory, "a", 1), trunk(&directory, "b", 1));
    let mut out = rule(
        &directory,
        "0.",
        Action::Trunks {
            trunks: vec![a.id.clone()],
            mode: TrunkMode::InOrder,
        },
    );
    let world = world();
    let stranger = Query {
        is_ours: false,
        caller: "eve@b.example".into(),
        ..call("01")
    };
    assert_eq!(told(&plan(&directory, &world, &stranger)), "403");
    let profile = Profile {
        trunks: Some(vec![b.id.clone()]),
        ..Profile::default()
    };
    directory.put_profile("alice@a.example", profile).unwrap();
    assert_eq!(told(&plan(&directory, &world, &call("01"))), "403");
    let inward = Query {
        is_ours: false,
        caller: "0101".into(),
        trunk: Some(b.id.clone()),
        ..call("01")
    };
    assert_eq!(
        told(&plan(&directory, &world, &inward)),
        "nobody",
        "no toll fraud through two trunks"
    );
    out.matches.trunk = b.id;
    directory.put_rule(out).unwrap();
    assert_eq!(told(&plan(&directory, &world, &inward)), "a:01");
}

#[test]
fn calls_from_a_trunk_that_nobody_takes_go_where_it_says() {
    let (directory, _dir) = directory("incoming");
    let mut seoul = trunk(&directory, "seoul", 1);
    seoul.incoming = "carol".into();
    let seoul = directory.put_trunk(seoul).unwrap();
    let inward = |number: &str| Query {
        is_ours: false,
        caller: "0101".into(),
        trunk: Some(seoul.id.clone()),
        ..call(number)
    };
    assert_eq!(
        told(&plan(&directory, &world(), &inward("025550100"))),
        "carol"
    );
    assert_eq!(told(&plan(&directory, &world(), &inward("bob"))), "bob");
}

#[test]
fn forwards() {
    let (directory, _dir) = directory("forwards");
    let forwards = |change: fn(&mut Forwards)| {
        let mut profile = Profile::default();
        change(&mut profile.forwards);
        directory.put_profile("bob@a.example", profile).unwrap();
    };
    let mut world = world();
    forwards(|f| f.always = "carol".into());
    assert_eq!(told(&plan(&directory, &world, &call("bob"))), "carol");
    let message = Query {
        method: "MESSAGE".into(),
        ..call("bob")
    };
    assert_eq!(
        told(&plan(&directory, &world, &message)),
        "bob",
        "messages are not forwarded"
    );
    forwards(|f| {
        f.busy = "carol".into();
        f.no_answer = "eve@b.example".into();
        f.no_answer_after = 15;
    });
    assert_eq!(
        told(&plan(&directory, &world, &call("bob"))),
        "bob 15s busy>(carol) late>(eve@b.example)"
    );
    forwards(|f| f.unregistered = "echo".into());
    assert_eq!(told(&plan(&directory, &world, &call("bob"))), "bob");
    world.registered.remove("bob@a.example");
    assert_eq!(
        told(&plan(&directory, &world, &call("bob"))),
        "service echo"
    );
}

#[test]
fn forwards_in_a_circle_end() {
    let (directory, _dir) = directory("circle");
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        let mut profile = Profile::default();
        profile.forwards.always = to.into();
        directory
            .put_profile(&format!("{from}@a.example"), profile)
            .unwrap();
    }
    assert_eq!(told(&plan(&directory, &world(), &call("bob"))), "482");
    for (from, to) in [("alice", "bob"), ("bob", "alice")] {
        let mut profile = Profile::default();
        profile.forwards.busy = to.into();
        profile.forwards.no_answer = to.into();
        directory
            .put_profile(&format!("{from}@a.example"), profile)
            .unwrap();
    }
    assert_eq!(
        told(&plan(&directory, &world(), &call("bob"))),
        "bob 20s busy>(alice) late>(alice)"
    );
}

#[test]
fn hunting_groups() {
    let (directory, _dir) = directory("groups");
    let mut group = Group {
        name: "Sales".into(),
        number: "600".into(),
        members: vec!["alice".into(), "bob".into(), "carol".into()],
        fallback: "eve@b.example".into(),
        ..Group::default()
    };
    group = directory.put_group(group).unwrap();
    let mut world = world();
    let ends = "busy>(eve@b.example) late>(eve@b.example) fail>(eve@b.example)";
    assert_eq!(
        told(&plan(&directory, &world, &call("600"))),
        format!("alice+bob+carol 20s {ends}")
    );
    world.registered.remove("carol@a.example");
    group.strategy = Strategy::LongestIdle;
    group = directory.put_group(group).unwrap();
    let text = told(&plan(&directory, &world, &call("600")));
    assert!(
        text.starts_with("bob 20s busy>(alice 20s busy>(eve@b.example)"),
        "{text}"
    );
    world.registered.clear();
    assert_eq!(
        told(&plan(&directory, &world, &call("600"))),
        "eve@b.example"
    );
    group.fallback = String::new();
    directory.put_group(group).unwrap();
    assert_eq!(told(&plan(&directory, &world, &call("600"))), "480");
}

#[test]
fn what_is_in_use_is_not_removed_and_orders_are_whole() {
    let (directory, _dir) = directory("use");
    let seoul = trunk(&directory, "seoul", 1);
    let first = rule(
        &directory,
        "0.",
        Action::Trunks {
            trunks: vec![seoul.id.clone()],
            mode: TrunkMode::InOrder,
        },
    );
    let second = rule(&directory, "1.", Action::Accounts);
    assert!(matches!(
        directory.remove_trunk(&seoul.id),
        Err(ChangeError::Invalid(_))
    ));
    assert!(
        directory
            .order_rules(std::slice::from_ref(&first.id))
            .is_err()
    );
    assert!(
        directory
            .order_rules(&[first.id.clone(), first.id.clone()])
            .is_err()
    );
    directory
        .order_rules(&[second.id.clone(), first.id.clone()])
        .unwrap();
    let order: Vec<String> = directory
        .snapshot()
        .rules
        .iter()
        .map(|r| r.rule.id.clone())
        .collect();
    assert_eq!(order, [second.id.clone(), first.id.clone()]);
    directory.remove_rule(&first.id).unwrap();
    directory.remove_trunk(&seoul.id).unwrap();
    assert!(matches!(
        directory.remove_trunk(&seoul.id),
        Err(ChangeError::Unknown)
    ));
}

#[test]
fn what_is_set_up_is_there_after_a_restart() {
    let (directory, path) = directory("restart");
    let seoul = trunk(&directory, "seoul", 1);
    rule(
        &directory,
        "0.",
        Action::Trunks {
            trunks: vec![seoul.id],
            mode: TrunkMode::InOrder,
        },
    );
    rule(&directory, "1.", Action::Accounts);
    let settings = Settings {
        keep_records: 7,
        ..Settings::default()
    };
    directory.put_settings(settings).unwrap();
    let before = directory.snapshot();
    drop(directory);
    let store = store::Store::open(&path).unwrap();
    let after = Directory::load(store, &Settings::default())
        .unwrap()
        .snapshot();
    assert_eq!(after.settings, before.settings);
    assert_eq!(after.trunks, before.trunks);
    let rules = |s: &Snapshot| s.rules.iter().map(|r| r.rule.clone()).collect::<Vec<_>>();
    assert_eq!(rules(&after), rules(&before));
}

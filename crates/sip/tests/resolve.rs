//! The branches of RFC 3263 §4.1 to §4.3 against a made-up zone.

#![allow(clippy::unwrap_used)]

#[path = "resolve/zone.rs"]
mod zone;

use sip::flow::Transport::{self, Sctp, Tcp, Tls, Udp, Ws, Wss};
use sip::resolve::{
    Answer, Destination, Failure, Families, Means, Naptr, Query, QueryKind, Records, Resolution,
    ResolveError, Srv, Step,
};
use zone::Zone;

struct Run {
    targets: Vec<String>,
    questions: Vec<String>,
    failure: Option<Failure>,
}

/// Polls to the end, answering the newest question first to show that the order of answers does not matter.
fn run(zone: &Zone, resolution: &mut Resolution) -> Run {
    let mut run = Run {
        targets: Vec::new(),
        questions: Vec::new(),
        failure: None,
    };
    let mut open: Vec<Query> = Vec::new();
    for _ in 0..10_000 {
        match resolution.poll() {
            Step::Ask(query) => {
                run.questions
                    .push(format!("{:?} {}", query.kind, query.name));
                open.push(query);
            }
            Step::Wait => {
                let query = open.pop().expect("it waits only for what it asked");
                resolution.answer(&query, zone.answer(&query));
            }
            Step::Target(target) => {
                run.targets
                    .push(format!("{} {}", target.transport.param(), target.address))
            }
            Step::End => {
                run.failure = resolution.failure();
                return run;
            }
        }
    }
    panic!("no end");
}

const ALL: [Transport; 6] = [Udp, Tcp, Tls, Sctp, Ws, Wss];

fn means(supported: &[Transport]) -> Means<'_> {
    Means {
        supported,
        families: Families::V4First,
        large: false,
        seed: 1,
    }
}

fn to(host: &str) -> Destination<'_> {
    Destination {
        host,
        port: None,
        transport: None,
        secure: false,
    }
}

fn targets(zone: &str, to: &Destination<'_>, means: &Means<'_>) -> Vec<String> {
    run(&Zone::new(zone), &mut Resolution::new(to, means).unwrap()).targets
}

const FULL: &str = "
    example.com NAPTR 20 10 s SIP+D2U _sip._udp.example.com
    example.com NAPTR 10 50 s SIP+D2T _sip._tcp.example.com.
    example.com NAPTR 10 20 S sips+d2t _sips._tcp.example.com
    example.com NAPTR 5 5 u E2U+sip ignored
    example.com NAPTR 30 5 s SIP+D2W web.example.com
    _sip._udp.example.com SRV 1 1 5070 u.example.com
    _sip._tcp.example.com SRV 2 1 5080 t2.example.com.
    _sip._tcp.example.com SRV 1 1 5081 t1.example.com
    _sips._tcp.example.com SRV 1 1 5061 s.example.com
    web.example.com SRV 1 1 8080 w.example.com
    u.example.com A 192.0.2.1
    t1.example.com A 192.0.2.2
    t2.example.com A 192.0.2.3 192.0.2.4
    s.example.com A 192.0.2.5
    w.example.com A 192.0.2.6
    example.com A 192.0.2.9";

const SRV_ONLY: &str = "
    example.com NAPTR !nodata
    _sip._udp.example.com SRV 1 1 5070 u.example.com
    _sip._tcp.example.com SRV 1 1 5080 t.example.com
    _sips._tcp.example.com SRV 1 1 5061 s.example.com
    u.example.com A 192.0.2.1
    t.example.com A 192.0.2.2
    s.example.com A 192.0.2.5
    example.com A 192.0.2.9";

const HOST_ONLY: &str = "example.com A 192.0.2.9";

#[test]
fn numeric_hosts_ask_nothing() {
    let udp_tcp = [Udp, Tcp, Tls];
    for (host, port, transport, secure, want) in [
        ("192.0.2.1", None, None, false, "udp 192.0.2.1:5060"),
        ("192.0.2.1", Some(5070), None, false, "udp 192.0.2.1:5070"),
        ("192.0.2.1", None, None, true, "tls 192.0.2.1:5061"),
        ("192.0.2.1", Some(99), None, true, "tls 192.0.2.1:99"),
        ("192.0.2.1", None, Some(Tcp), false, "tcp 192.0.2.1:5060"),
        ("192.0.2.1", None, Some(Tcp), true, "tls 192.0.2.1:5061"),
        ("192.0.2.1", None, Some(Tls), false, "tls 192.0.2.1:5061"),
        ("[2001:db8::1]", None, None, false, "udp [2001:db8::1]:5060"),
        (
            "2001:db8::1",
            None,
            Some(Tcp),
            false,
            "tcp [2001:db8::1]:5060",
        ),
    ] {
        let to = Destination {
            host,
            port,
            transport,
            secure,
        };
        let mut resolution = Resolution::new(&to, &means(&udp_tcp)).unwrap();
        let run = run(&Zone::default(), &mut resolution);
        assert_eq!(run.targets, [want]);
        assert_eq!(run.questions.len(), 0);
        assert_eq!(resolution.ttl(), None);
    }
}

/// A name for the case, the zone, where to, what we can do, and the targets in their order.
type Branch<'a> = (
    &'a str,
    &'a str,
    Destination<'a>,
    &'a [Transport],
    Vec<&'a str>,
);

#[test]
fn every_branch_of_selection() {
    let sips = Destination {
        secure: true,
        ..to("example.com")
    };
    let over = |transport| Destination {
        transport: Some(transport),
        ..to("example.com")
    };
    let port = Destination {
        port: Some(7000),
        ..to("example.com")
    };
    let tls = "tls 192.0.2.5:5061";
    let tcp = [
        "tcp 192.0.2.2:5081",
        "tcp 192.0.2.3:5080",
        "tcp 192.0.2.4:5080",
    ];
    let udp = "udp 192.0.2.1:5070";
    let table: Vec<Branch<'_>> = vec![
        // NAPTR in the domain's order, without what we cannot do.
        (
            "naptr",
            FULL,
            to("example.com"),
            &ALL,
            vec![tls, tcp[0], tcp[1], tcp[2], udp, "ws 192.0.2.6:8080"],
        ),
        (
            "naptr, no tls",
            FULL,
            to("example.com"),
            &[Udp, Tcp],
            vec![tcp[0], tcp[1], tcp[2], udp],
        ),
        (
            "naptr, udp only",
            FULL,
            to("example.com."),
            &[Udp],
            vec![udp],
        ),
        ("naptr, sips", FULL, sips, &ALL, vec![tls]),
        // An explicit port needs addresses only; a transport leads to its service at once.
        ("port", FULL, port, &ALL, vec!["udp 192.0.2.9:7000"]),
        (
            "port, no udp",
            FULL,
            port,
            &[Tcp],
            vec!["tcp 192.0.2.9:7000"],
        ),
        (
            "port, sips",
            FULL,
            Destination {
                secure: true,
                ..port
            },
            &ALL,
            vec!["tls 192.0.2.9:7000"],
        ),
        (
            "port, tcp",
            FULL,
            Destination {
                transport: Some(Tcp),
                ..port
            },
            &ALL,
            vec!["tcp 192.0.2.9:7000"],
        ),
        ("tcp", FULL, over(Tcp), &ALL, tcp.to_vec()),
        ("udp", FULL, over(Udp), &ALL, vec![udp]),
        ("tls", FULL, over(Tls), &ALL, vec![tls]),
        (
            "sips tcp",
            FULL,
            Destination {
                secure: true,
                ..over(Tcp)
            },
            &ALL,
            vec![tls],
        ),
        ("ws", FULL, over(Ws), &ALL, vec!["ws 192.0.2.9:80"]),
        (
            "sips ws",
            FULL,
            Destination {
                secure: true,
                ..over(Ws)
            },
            &ALL,
            vec!["ws 192.0.2.9:443"],
        ),
        // No NAPTR: each service that exists, in our order.
        (
            "srv",
            SRV_ONLY,
            to("example.com"),
            &[Udp, Tcp],
            vec![udp, "tcp 192.0.2.2:5080"],
        ),
        (
            "srv, tcp first",
            SRV_ONLY,
            to("example.com"),
            &[Tcp, Udp],
            vec!["tcp 192.0.2.2:5080", udp],
        ),
        ("srv, sips", SRV_ONLY, sips, &ALL, vec![tls]),
        // No SRV for what we want: the host itself, at the default port.
        (
            "srv, sctp",
            SRV_ONLY,
            over(Sctp),
            &ALL,
            vec!["sctp 192.0.2.9:5060"],
        ),
        (
            "host",
            HOST_ONLY,
            to("example.com"),
            &ALL,
            vec!["udp 192.0.2.9:5060"],
        ),
        (
            "host, tcp only",
            HOST_ONLY,
            to("example.com"),
            &[Tcp],
            vec!["tcp 192.0.2.9:5060"],
        ),
        (
            "host, sips",
            HOST_ONLY,
            sips,
            &ALL,
            vec!["tls 192.0.2.9:5061"],
        ),
        (
            "host, tcp",
            HOST_ONLY,
            over(Tcp),
            &ALL,
            vec!["tcp 192.0.2.9:5060"],
        ),
        ("nothing", "", to("example.com"), &ALL, vec![]),
    ];
    for (name, zone, to, supported, want) in &table {
        assert_eq!(targets(zone, to, &means(supported)), *want, "{name}");
    }
    println!("{} branches", table.len());
}

#[test]
fn what_is_asked_and_when() {
    let zone = Zone::new(FULL);
    let mut first = Resolution::new(&to("example.com"), &means(&[Udp, Tcp])).unwrap();
    let asked = run(&zone, &mut first).questions;
    assert_eq!(asked[0], "Naptr example.com");
    assert_eq!(asked[1], "Srv _sip._tcp.example.com");
    assert_eq!(asked[2..4], ["Aaaa t1.example.com", "A t1.example.com"]);
    assert_eq!(asked.len(), 9);
    assert_eq!(first.ttl(), Some(300));

    // The first target that works costs nothing of what comes after it.
    let mut lazy = Resolution::new(&to("example.com"), &means(&[Udp, Tcp])).unwrap();
    let mut asked = 0;
    let mut open = Vec::new();
    let found = loop {
        match lazy.poll() {
            Step::Ask(query) => {
                asked += 1;
                open.push(query);
            }
            Step::Wait => {
                let query: Query = open.remove(0);
                lazy.answer(&query, zone.answer(&query));
            }
            Step::Target(target) => break target,
            Step::End => panic!("nothing found"),
        }
    };
    assert_eq!(asked, 4);
    assert_eq!(found.name, "example.com", "the certificate is the domain's");

    // Without NAPTR all services are asked for at once.
    let mut guess = Resolution::new(&to("example.com"), &means(&[Udp, Tcp, Tls])).unwrap();
    let Step::Ask(naptr) = guess.poll() else {
        panic!()
    };
    assert_eq!(guess.poll(), Step::Wait);
    guess.answer(&naptr, Zone::new(SRV_ONLY).answer(&naptr));
    let asks = (0..3).filter(|_| matches!(guess.poll(), Step::Ask(q) if q.kind == QueryKind::Srv));
    assert_eq!(asks.count(), 3);
    assert_eq!(guess.poll(), Step::Wait);
}

#[test]
fn families_take_turns() {
    let zone = "
        h.example.com A 192.0.2.1 192.0.2.2 192.0.2.3
        h.example.com AAAA 2001:db8::1 2001:db8::2";
    let to = Destination {
        port: Some(1),
        ..to("h.example.com")
    };
    let [a1, a2, a3] = ["udp 192.0.2.1:1", "udp 192.0.2.2:1", "udp 192.0.2.3:1"];
    let [b1, b2] = ["udp [2001:db8::1]:1", "udp [2001:db8::2]:1"];
    for (families, want) in [
        (Families::V4, vec![a1, a2, a3]),
        (Families::V6, vec![b1, b2]),
        (Families::V4First, vec![a1, b1, a2, b2, a3]),
        (Families::V6First, vec![b1, a1, b2, a2, a3]),
    ] {
        let means = Means {
            families,
            ..means(&[Udp])
        };
        assert_eq!(targets(zone, &to, &means), want, "{families:?}");
        let mut resolution = Resolution::new(&to, &means).unwrap();
        let asked = run(&Zone::new(zone), &mut resolution).questions.len();
        assert_eq!(asked, if want.len() == 5 { 2 } else { 1 });
    }
}

#[test]
fn a_large_request_takes_tcp_before_udp() {
    let large = |supported| Means {
        large: true,
        ..means(supported)
    };
    let at = Destination {
        transport: Some(Udp),
        ..to("192.0.2.1")
    };
    let both = ["tcp 192.0.2.1:5060", "udp 192.0.2.1:5060"];
    assert_eq!(targets("", &at, &large(&[Udp, Tcp])), both);
    assert_eq!(targets("", &at, &large(&[Udp])), ["udp 192.0.2.1:5060"]);
    assert_eq!(
        targets(SRV_ONLY, &to("example.com"), &large(&[Udp, Tcp])),
        [
            "tcp 192.0.2.2:5080",
            "tcp 192.0.2.1:5070",
            "udp 192.0.2.1:5070"
        ]
    );
    // The domain prefers UDP, but this request does not fit.
    let zone = FULL.replace("NAPTR 20 10", "NAPTR 1 1");
    let order = targets(&zone, &to("example.com"), &large(&[Udp, Tcp]));
    assert_eq!(order.first().unwrap(), "tcp 192.0.2.2:5081");
    assert_eq!(order.last().unwrap(), "udp 192.0.2.1:5070");
}

#[test]
fn failures_of_each_kind() {
    let go = |zone: &str, supported: &[Transport]| {
        let mut resolution = Resolution::new(&to("example.com"), &means(supported)).unwrap();
        run(&Zone::new(zone), &mut resolution)
    };
    // A server that does not know NAPTR does not keep us from the rest.
    for broken in ["!timeout", "!server"] {
        let zone = SRV_ONLY.replace("!nodata", broken);
        assert_eq!(
            go(&zone, &[Udp]).targets,
            ["udp 192.0.2.1:5070"],
            "{broken}"
        );
    }
    for (failure, word) in [(Failure::Timeout, "!timeout"), (Failure::Server, "!server")] {
        let zone = format!("example.com A {word}");
        let run = go(&zone, &[Udp]);
        assert_eq!((run.targets.len(), run.failure), (0, Some(failure)));
        assert!(failure.is_temporary());
    }
    let none = go("", &[Udp]);
    assert_eq!(
        (none.targets.len(), none.failure),
        (0, Some(Failure::NoName))
    );
    assert!(!Failure::NoName.is_temporary() && !Failure::NoData.is_temporary());

    // A server whose host does not resolve is passed over.
    let zone = SRV_ONLY.replace("u.example.com A 192.0.2.1", "u.example.com A !timeout");
    assert_eq!(go(&zone, &[Udp, Tcp]).targets, ["tcp 192.0.2.2:5080"]);
    // The only service does not resolve: the bare host is not what the domain named.
    let run = go(&zone, &[Udp]);
    assert_eq!(
        (run.targets.len(), run.failure),
        (0, Some(Failure::Timeout))
    );
    // The domain says that there is no such service.
    let zone = SRV_ONLY.replace("SRV 1 1 5070 u.example.com", "SRV 0 0 0 .");
    let run = go(&zone, &[Udp]);
    assert_eq!(run.targets.len(), 0, "{:?}", run.targets);
    assert!(run.failure >= Some(Failure::NoData));
    // NAPTR that leads nowhere: the host itself.
    let zone = "example.com NAPTR 1 1 s SIP+D2U _gone.example.com\n example.com A 192.0.2.9";
    assert_eq!(go(zone, &[Udp]).targets, ["udp 192.0.2.9:5060"]);
    // A record without names is the same as none.
    let mut resolution = Resolution::new(&to("example.com"), &means(&[Udp])).unwrap();
    let Step::Ask(naptr) = resolution.poll() else {
        panic!()
    };
    let empty = Answer {
        records: Ok(Records::A(Vec::new())),
        ttl: 0,
    };
    resolution.answer(&naptr, empty);
    assert!(matches!(resolution.poll(), Step::Ask(q) if q.kind == QueryKind::Srv));
}

#[test]
fn destinations_that_cannot_be_reached_are_refused_at_once() {
    let refused = |to: Destination<'_>, supported: &[Transport]| {
        Resolution::new(&to, &means(supported)).err()
    };
    let secure = |transport| Destination {
        secure: true,
        transport,
        ..to("example.com")
    };
    assert_eq!(
        refused(secure(Some(Udp)), &ALL),
        Some(ResolveError::Insecure)
    );
    assert_eq!(
        refused(secure(Some(Sctp)), &ALL),
        Some(ResolveError::Insecure)
    );
    assert_eq!(
        refused(secure(None), &[Udp, Tcp]),
        Some(ResolveError::Unsupported)
    );
    let tls = Destination {
        transport: Some(Tls),
        ..to("example.com")
    };
    assert_eq!(refused(tls, &[Udp]), Some(ResolveError::Unsupported));
    let long = "a".repeat(64);
    let many = "a.".repeat(200);
    for host in [
        "",
        ".",
        "a..b",
        "a b",
        "a:b",
        "[::1",
        "é.example",
        &long,
        &many,
    ] {
        assert_eq!(refused(to(host), &ALL), Some(ResolveError::Host), "{host}");
    }
}

#[test]
fn a_hostile_zone_is_bounded() {
    let mut zone = Zone::default();
    let naptr = (0..500u16).map(|i| Naptr {
        order: i,
        preference: 0,
        flags: "s".to_owned(),
        service: "SIP+D2U".to_owned(),
        replacement: format!("s{i}"),
    });
    let question = |name: &str, kind| Query {
        name: name.to_owned(),
        kind,
    };
    zone.0.insert(
        question("evil", QueryKind::Naptr),
        Ok(Records::Naptr(naptr.collect())),
    );
    for i in 0..500 {
        let records = (0..500u16).map(|n| Srv {
            priority: n,
            weight: u16::MAX,
            port: 1,
            target: format!("h{i}x{n}"),
        });
        zone.0.insert(
            question(&format!("s{i}"), QueryKind::Srv),
            Ok(Records::Srv(records.collect())),
        );
    }
    let mut resolution = Resolution::new(&to("evil"), &means(&[Udp])).unwrap();
    let none = run(&zone, &mut resolution);
    assert_eq!((none.targets.len(), none.questions.len()), (0, 64));

    let addresses: Vec<String> = (0..200).map(|i| format!("192.0.2.{i}")).collect();
    let zone = Zone::new(&format!("h A {}", addresses.join(" ")));
    let one = Destination {
        port: Some(1),
        ..to("h")
    };
    let mut resolution = Resolution::new(&one, &means(&[Udp])).unwrap();
    assert_eq!(run(&zone, &mut resolution).targets.len(), 16);

    // The same place under many names is tried once.
    let zone = "
        example.com NAPTR !nodata
        _sip._udp.example.com SRV 1 1 5060 a.example.com
        _sip._udp.example.com SRV 2 1 5060 192.0.2.1
        _sip._udp.example.com SRV 3 1 5060 a.example.com
        a.example.com A 192.0.2.1 192.0.2.1";
    let found = targets(zone, &to("example.com"), &means(&[Udp]));
    assert_eq!(found, ["udp 192.0.2.1:5060"]);
}

#[test]
fn answers_that_were_not_asked_for_change_nothing() {
    let mut resolution = Resolution::new(&to("example.com"), &means(&[Udp])).unwrap();
    let Step::Ask(naptr) = resolution.poll() else {
        panic!()
    };
    let forged = Query {
        name: "example.com".to_owned(),
        kind: QueryKind::A,
    };
    let answer = Zone::new("example.com A 203.0.113.66").answer(&forged);
    resolution.answer(&forged, answer);
    assert_eq!(resolution.poll(), Step::Wait);
    let zone = Zone::new(SRV_ONLY);
    resolution.answer(&naptr, zone.answer(&naptr));
    resolution.answer(&naptr, Zone::new(FULL).answer(&naptr));
    assert_eq!(
        run_from_here(&zone, &mut resolution),
        ["udp 192.0.2.1:5070"]
    );
}

fn run_from_here(zone: &Zone, resolution: &mut Resolution) -> Vec<String> {
    run(zone, resolution).targets
}

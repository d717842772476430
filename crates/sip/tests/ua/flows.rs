//! The call flows of RFC 3665 §3 and RFC 4028 §13, message by message, as the user agent of one side sees them; the
//! test plays everybody else.
//!
//! `>` is what the user agent has to send: kind, `+` for a body, the Request-URI and the routes. `>>` is the same
//! after its owner has asked for it. `<` is what comes, with the headers that matter.

use sip::auth::Secret;
use sip::message::StatusCode;
use sip::ua::{Account, AccountId, CallId, Event};
use testkit::conformance;

use crate::script::{Script, body};
use crate::world::{World, header, reply};

struct Flow {
    rfc: i64,
    section: &'static str,
    who: &'static str,
    /// The proxy that the RFC has the user agent use.
    proxy: &'static str,
    steps: &'static str,
}

/// The host that plays all others.
const OTHERS: &str = "10.0.0.5:5060";
const HOSTS: [&str; 8] = [
    "biloxi.example.com",
    "chicago.example.com",
    "client.biloxi.example.com",
    "client.chicago.example.com",
    "client.atlanta.example.com",
    "ss1.atlanta.example.com",
    "ss2.biloxi.example.com",
    "ss3.chicago.example.com",
];

const ATLANTA: &str = "sip:ss1.atlanta.example.com";

const FLOWS: &[Flow] = &[
    Flow {
        rfc: 3665,
        section: "3.1",
        who: "Alice",
        proxy: "",
        steps: ">> INVITE+ | sip:bob@biloxi.example.com
            < 180 INVITE | Contact: <sip:bob@client.biloxi.example.com>
            < 200 INVITE+ | Contact: <sip:bob@client.biloxi.example.com>
            > ACK | sip:bob@client.biloxi.example.com
            < BYE
            > 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.1",
        who: "Bob",
        proxy: "",
        steps: "< INVITE+ | Contact: <sip:alice@client.atlanta.example.com>
            >> 180 INVITE
            >> 200 INVITE+
            < ACK
            >> BYE | sip:alice@client.atlanta.example.com
            < 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.2",
        who: "Alice",
        proxy: ATLANTA,
        steps: ">> INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 407 INVITE | Proxy-Authenticate: Digest realm=\"atlanta.example.com\", qop=\"auth\", nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5
            > ACK | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            > INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 100 INVITE
            < 180 INVITE | Contact: <sip:bob@client.biloxi.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            < 200 INVITE+ | Contact: <sip:bob@client.biloxi.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            > ACK | sip:bob@client.biloxi.example.com | <sip:ss1.atlanta.example.com;lr>, <sip:ss2.biloxi.example.com;lr>
            < BYE
            > 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.2",
        who: "Bob",
        proxy: "",
        steps: "< INVITE+ | Contact: <sip:alice@client.atlanta.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            >> 180 INVITE
            >> 200 INVITE+
            < ACK
            >> BYE | sip:alice@client.atlanta.example.com | <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            < 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.3",
        who: "Alice",
        proxy: ATLANTA,
        steps: ">> INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 407 INVITE | Proxy-Authenticate: Digest realm=\"atlanta.example.com\", qop=\"auth\", nonce=\"wf84f1cczx41ae6cbeaea9ce88d359\", opaque=\"\", stale=FALSE, algorithm=MD5
            > ACK | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            > INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 100 INVITE
            < 407 INVITE | Proxy-Authenticate: Digest realm=\"biloxi.example.com\", qop=\"auth\", nonce=\"c1e22c41ae6cbe5ae983a9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5
            > ACK | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            > INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 100 INVITE
            < 200 INVITE+ | Contact: <sip:bob@client.biloxi.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            > ACK | sip:bob@client.biloxi.example.com | <sip:ss1.atlanta.example.com;lr>, <sip:ss2.biloxi.example.com;lr>",
    },
    Flow {
        rfc: 3665,
        section: "3.6",
        who: "Alice",
        proxy: "",
        steps: ">> INVITE | sip:bob@biloxi.example.com
            < 302 INVITE | Contact: <sip:bob@chicago.example.com>
            > ACK | sip:bob@biloxi.example.com
            > INVITE | sip:bob@chicago.example.com
            < 100 INVITE
            < 180 INVITE | Contact: <sip:bob@client.chicago.example.com> | Record-Route: <sip:ss3.chicago.example.com;lr>
            < 200 INVITE+ | Contact: <sip:bob@client.chicago.example.com> | Record-Route: <sip:ss3.chicago.example.com;lr>
            >> ACK+ | sip:bob@client.chicago.example.com | <sip:ss3.chicago.example.com;lr>
            < BYE
            > 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.6",
        who: "Bob",
        proxy: "",
        steps: "< INVITE | Contact: <sip:alice@client.atlanta.example.com> | Record-Route: <sip:ss3.chicago.example.com;lr>
            >> 180 INVITE
            >> 200 INVITE+
            < ACK+
            >> BYE | sip:alice@client.atlanta.example.com | <sip:ss3.chicago.example.com;lr>
            < 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.7",
        who: "Alice",
        proxy: "",
        steps: ">> INVITE+ | sip:bob@biloxi.example.com
            < 100 INVITE
            < 180 INVITE | Contact: <sip:bob@client.biloxi.example.com>
            < 200 INVITE+ | Contact: <sip:bob@client.biloxi.example.com>
            > ACK | sip:bob@client.biloxi.example.com
            < INVITE+ | Contact: <sip:bob@client.chicago.example.com>
            >> 200 INVITE+
            < ACK
            >> BYE | sip:bob@client.chicago.example.com
            < 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.7",
        who: "Bob",
        proxy: "",
        steps: "< INVITE+ | Contact: <sip:alice@client.atlanta.example.com>
            >> 180 INVITE
            >> 200 INVITE+
            < ACK
            >> INVITE+ | sip:alice@client.atlanta.example.com
            < 200 INVITE+ | Contact: <sip:alice@client.atlanta.example.com>
            > ACK | sip:alice@client.atlanta.example.com
            < BYE
            > 200 BYE",
    },
    Flow {
        rfc: 3665,
        section: "3.8",
        who: "Alice",
        proxy: ATLANTA,
        steps: ">> INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 100 INVITE
            < 180 INVITE | Contact: <sip:bob@client.biloxi.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            >> CANCEL | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 200 CANCEL
            < 487 INVITE
            > ACK | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>",
    },
    Flow {
        rfc: 3665,
        section: "3.8",
        who: "Bob",
        proxy: "",
        steps: "< INVITE+ | Contact: <sip:alice@client.atlanta.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            >> 180 INVITE
            < CANCEL
            > 200 CANCEL
            > 487 INVITE
            < ACK",
    },
    Flow {
        rfc: 3665,
        section: "3.11",
        who: "Alice",
        proxy: ATLANTA,
        steps: ">> INVITE+ | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>
            < 100 INVITE
            < 180 INVITE | Contact: <sip:bob@client.biloxi.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            < 480 INVITE
            > ACK | sip:bob@biloxi.example.com | <sip:ss1.atlanta.example.com;lr>",
    },
    Flow {
        rfc: 3665,
        section: "3.11",
        who: "Bob",
        proxy: "",
        steps: "< INVITE+ | Contact: <sip:alice@client.atlanta.example.com> | Record-Route: <sip:ss2.biloxi.example.com;lr>, <sip:ss1.atlanta.example.com;lr>
            >> 180 INVITE
            >> 480 INVITE
            < ACK",
    },
];

/// One line of a flow.
struct Step {
    ours: bool,
    asked: bool,
    kind: String,
    body: bool,
    rest: Vec<String>,
}

impl Flow {
    fn steps(&self) -> Vec<Step> {
        let read = |line: &str| {
            let (sign, line) = line.trim().split_once(' ').expect("a sign");
            let mut parts = line.split(" | ").map(str::to_owned);
            let kind = parts.next().expect("a kind");
            Step {
                ours: sign != "<",
                asked: sign == ">>",
                body: kind.ends_with('+'),
                kind: kind.trim_end_matches('+').to_owned(),
                rest: parts.collect(),
            }
        };
        self.steps.lines().map(read).collect()
    }
}

/// The user agent and everybody else while a flow is played.
struct Play {
    world: World,
    agent: usize,
    account: AccountId,
    call: Option<CallId>,
    script: Script,
    /// The last request of ours of each method, and the peer's INVITE.
    requests: Vec<(String, String)>,
    invite: String,
}

impl Play {
    fn new(flow: &Flow) -> Play {
        let mut world = World::new(1);
        let others = vec!["10.0.0.5".parse().unwrap()];
        world.names = HOSTS.iter().map(|h| (*h, others.clone())).collect();
        let user = flow.who.to_lowercase();
        let mut account = Account::new(&format!("sip:{user}@example.com"));
        account.secret = Some(Secret::Password("secret".to_owned()));
        account.proxy = (!flow.proxy.is_empty()).then(|| flow.proxy.to_owned());
        let (agent, account) = world.agent("10.0.0.2:5060", account);
        let node = world.raw(OTHERS);
        Play {
            script: Script::caller(node, agent),
            world,
            agent,
            account,
            call: None,
            requests: Vec::new(),
            invite: String::new(),
        }
    }

    /// The owner asks for what the user agent is to send.
    fn ask(&mut self, step: &Step) {
        let (call, account, offer) = (self.call, self.account, step.body);
        let offer = offer.then(|| b"mine".to_vec());
        let status = step.kind.split(' ').next().and_then(|s| s.parse().ok());
        let made = self
            .world
            .with(self.agent, |now, agent, tx| match (call, status) {
                (None, _) => {
                    let target = step.rest.first().expect("a target");
                    Some(agent.call(now, tx, account, target, offer, &[]).unwrap())
                }
                (Some(call), Some(status @ 101..=199)) => {
                    agent.ring(now, tx, call, StatusCode(status), None).unwrap();
                    None
                }
                (Some(call), Some(200)) => {
                    agent.accept(now, tx, call, b"mine").unwrap();
                    None
                }
                (Some(call), Some(status)) => {
                    agent
                        .reject(now, tx, call, StatusCode(status), None)
                        .unwrap();
                    None
                }
                (Some(call), None) => {
                    match step.kind.as_str() {
                        "INVITE" => agent.reoffer(now, tx, call, offer).unwrap(),
                        "ACK" => agent.acknowledge(now, tx, call, b"mine".to_vec()).unwrap(),
                        _ => agent.hang_up(now, tx, call).unwrap(),
                    }
                    None
                }
            });
        self.call = made.or(self.call);
    }

    /// What the user agent sends is what the flow says.
    fn check(&mut self, step: &Step, place: &str) {
        let message = self.script.receive(&mut self.world);
        let first = message.lines().next().unwrap_or_default().to_owned();
        let method = header(&message, "CSeq");
        let method = method.split(' ').next_back().unwrap_or_default();
        let kind = match first.strip_prefix("SIP/2.0 ") {
            Some(status) => format!("{} {method}", status.get(..3).unwrap_or_default()),
            None => method.to_owned(),
        };
        assert_eq!(kind, step.kind, "{place}\n{message}");
        assert_eq!(!body(&message).is_empty(), step.body, "{place}\n{message}");
        if kind == method {
            let uri = first.split(' ').nth(1).unwrap_or_default();
            assert_eq!(
                Some(uri),
                step.rest.first().map(String::as_str),
                "{place}\n{message}"
            );
            let routes: Vec<String> = message
                .lines()
                .filter_map(|l| l.strip_prefix("Route: "))
                .map(str::to_owned)
                .collect();
            let expected = step.rest.get(1).map_or("", String::as_str);
            assert_eq!(routes.join(", "), expected, "{place}\n{message}");
            if kind == "INVITE" && self.invite.is_empty() {
                self.script = Script::callee(self.script.node, self.agent, &message, "others");
            }
            self.requests.push((kind, message));
        } else if !self.invite.is_empty() && !header(&message, "To").is_empty() {
            self.script.join(&message);
        }
    }

    /// Everybody else sends what the flow says.
    fn send(&mut self, step: &Step) {
        let more: String = step.rest.iter().map(|h| format!("{h}\n")).collect();
        let text = if step.body { "theirs" } else { "" };
        if let Some((status, method)) = step.kind.split_once(' ') {
            let asked = self.requests.iter().rfind(|(m, _)| m == method);
            let request = &asked.expect("a request to answer").1;
            let tag = if status == "100" { "" } else { "others" };
            let reply = reply(request, &format!("{status} So"), tag, &more, text);
            self.world.write(self.script.node, self.agent, &reply);
            return;
        }
        match step.kind.as_str() {
            "CANCEL" => self.repeat_invite("CANCEL"),
            "ACK" if self.refused() => self.repeat_invite("ACK"),
            "ACK" => {
                let cseq = header(&self.invite, "CSeq");
                let cseq = cseq.split(' ').next().unwrap().parse().unwrap();
                self.script
                    .send_as(&mut self.world, "ACK", cseq, &more, text);
            }
            method => {
                let sent = self.script.send(&mut self.world, method, &more, text);
                if method == "INVITE" {
                    self.invite = sent.replace('\n', "\r\n");
                    self.call = self.call.or_else(|| self.incoming());
                }
            }
        }
    }

    fn refused(&self) -> bool {
        let answers = self.world.log.iter().filter(|s| s.from == self.agent);
        let mut last = answers.map(crate::world::Sent::kind);
        let last = last.rfind(|k| k.ends_with(" INVITE"));
        last.is_some_and(|k| !k.starts_with('1') && !k.starts_with('2'))
    }

    /// CANCEL, or the ACK to a refusal: of the same transaction as the INVITE.
    fn repeat_invite(&mut self, method: &str) {
        let head = self.invite.split("Max-Forwards").next().unwrap_or_default();
        let text = head.replace("INVITE", method) + "Content-Length: 0\n\n";
        self.world.write(self.script.node, self.agent, &text);
    }

    fn incoming(&mut self) -> Option<CallId> {
        match self.world.event(self.agent) {
            Event::Incoming { call, .. } => Some(call),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_flows_of_rfc_3665() {
    for flow in FLOWS {
        let mut play = Play::new(flow);
        for (n, step) in flow.steps().iter().enumerate() {
            let place = format!(
                "RFC {} §{} {}, step {}",
                flow.rfc,
                flow.section,
                flow.who,
                n + 1
            );
            if step.asked {
                play.world.run(50);
                play.ask(step);
            }
            if step.ours {
                play.check(step, &place);
            } else {
                play.send(step);
                play.world.run(15);
            }
        }
        // Nothing more is said.
        let said = play.world.log.iter().filter(|s| s.from == play.agent);
        let ours = flow.steps().iter().filter(|s| s.ours).count();
        let said = said.filter(|s| s.kind() != "100 INVITE").count();
        assert_eq!(
            said, ours,
            "RFC {} §{} {}",
            flow.rfc, flow.section, flow.who
        );
    }
    assert_eq!(FLOWS.len(), 13);
}

/// The flows above say what the RFC says: the same messages in the same order.
#[test]
fn the_flows_are_those_of_the_rfc() {
    let Some(cases) = conformance::cases("flows/manifest.toml", "message", "file") else {
        return;
    };
    for flow in FLOWS {
        let (to, from) = (format!("-> {}", flow.who), format!("{} ->", flow.who));
        let mut printed = Vec::new();
        for case in &cases {
            let step = case.text("step");
            let here = case.entry.get("rfc").and_then(toml::Value::as_integer) == Some(flow.rfc)
                && case.text("section") == flow.section
                && (step.contains(&to) || step.contains(&from));
            if !here {
                continue;
            }
            let text = String::from_utf8_lossy(&case.bytes).into_owned();
            let start = text.lines().next().unwrap_or_default();
            let method = header(&text, "CSeq");
            let method = method.split(' ').next_back().unwrap_or_default();
            let kind = match start.strip_prefix("SIP/2.0 ") {
                Some(status) => format!("{} {method}", status.get(..3).unwrap_or_default()),
                None => method.to_owned(),
            };
            let plus = if body(&text).is_empty() { "" } else { "+" };
            printed.push(format!("{} {kind}{plus}", step.contains(&from)));
        }
        let said: Vec<String> = flow
            .steps()
            .iter()
            .map(|s| format!("{} {}{}", s.ours, s.kind, if s.body { "+" } else { "" }))
            .collect();
        assert_eq!(
            printed, said,
            "RFC {} §{} {}",
            flow.rfc, flow.section, flow.who
        );
    }
}

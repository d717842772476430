//! From a number or name to a plan. Names of this server come first, then the rules in order, then where the trunk that
//! the call came from sends what nobody takes.

use std::sync::Arc;

use super::number::{bare, e164};
use super::plan::{Attempt, Destination, Plan};
use crate::directory::{
    Action, Forwards, Group, PlanRule, Rewrite, Snapshot, Strategy, Trunk, TrunkMode,
};

/// Forwards, groups and rules lead on from each other at most this often.
const MAX_DEPTH: usize = 8;
/// All attempts of one call together.
const MAX_ATTEMPTS: usize = 64;

/// What the plan has to know of this server beside what is set up.
pub trait Surroundings {
    /// Whether `user@domain` is an account, or has phones registered.
    fn is_account(&self, address: &str) -> bool;
    /// Whether a phone of it is registered now.
    fn is_registered(&self, address: &str) -> bool;
    /// Whether this user part is a service.
    fn is_service(&self, user: &str) -> bool;
    /// When its last call ended, in milliseconds since 1970; 0 for never.
    fn idle_since(&self, address: &str) -> u64;
    /// Whether calls can go through a trunk now.
    fn is_usable(&self, trunk: &Trunk) -> bool;
    /// A number below `below`, for sharing.
    fn draw(&self, below: u32) -> u32;
    /// The domain of names without one.
    fn default_domain(&self) -> &str;
    /// Whether a domain is one of this server's.
    fn is_ours(&self, domain: &str) -> bool;
}

/// A request that wants to go somewhere.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The method.
    pub method: String,
    /// Who calls: `user@domain`, or a number.
    pub caller: String,
    /// Whether the caller has proved to be this account of ours.
    pub is_ours: bool,
    /// The trunk that it came from.
    pub trunk: Option<String>,
    /// The number or user that is called.
    pub number: String,
    /// The domain that is called.
    pub domain: String,
}

/// One step of the way to a plan, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule's identifier; empty for what is no rule.
    pub rule: String,
    /// Its name, or what else was looked at.
    pub name: String,
    /// Whether it applied.
    pub matched: bool,
    /// Why, in English.
    pub why: String,
}

/// Finds what becomes of a request.
pub struct Resolver<'a, S> {
    all: &'a Snapshot,
    around: &'a S,
    query: &'a Query,
    steps: Option<Vec<Step>>,
    attempts: usize,
    /// Who sent the call on to here: accounts that forward, groups, the trunk it came from. Nobody is rung twice in a
    /// row of forwards, and who sends a call on answers for where it goes.
    path: Vec<String>,
}

/// What is found, and how.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What becomes of it.
    pub plan: Plan,
    /// The number after all rewriting.
    pub number: String,
    /// How it was found, when that was asked for.
    pub steps: Vec<Step>,
}

/// Finds what becomes of `query`; with `explain` it says why.
pub fn resolve<S: Surroundings>(
    all: &Snapshot,
    around: &S,
    query: &Query,
    explain: bool,
) -> Resolved {
    let mut resolver = Resolver {
        all,
        around,
        query,
        steps: explain.then(Vec::new),
        attempts: 0,
        path: Vec::new(),
    };
    let (plan, number) = resolver.find(query.number.clone(), query.domain.clone(), 0);
    Resolved {
        plan,
        number,
        steps: resolver.steps.unwrap_or_default(),
    }
}

/// What has a name on this server.
enum Own {
    Account(String),
    Group(Arc<Group>),
    Service(String),
}

impl<S: Surroundings> Resolver<'_, S> {
    fn note(&mut self, rule: &str, name: &str, matched: bool, why: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step {
                rule: rule.to_owned(),
                name: name.to_owned(),
                matched,
                why: why(),
            });
        }
    }

    /// What a number in a domain leads to.
    fn find(&mut self, mut number: String, domain: String, depth: usize) -> (Plan, String) {
        if depth > MAX_DEPTH {
            self.note("", "loop", true, || {
                format!("{number} leads on more than {MAX_DEPTH} times")
            });
            return (rejected(482, "Forwarding Loop"), number);
        }
        let ours = self.around.is_ours(&domain);
        let own = if ours {
            self.own(&number, &domain)
        } else {
            None
        };
        let all = self.all;
        for rule in &all.rules {
            let name = &rule.rule.name;
            let id = &rule.rule.id;
            if let Err(why) = self.fits(rule, &number, &domain, own.is_some()) {
                self.note(id, name, false, || why);
                continue;
            }
            let rewritten = rewrite(rule, &number);
            let change = if rewritten == number {
                String::new()
            } else {
                format!("; the number becomes {rewritten}")
            };
            self.note(id, name, true, || format!("{number} fits{change}"));
            number = rewritten;
            if rule.rule.action == Action::Continue {
                continue;
            }
            let plan = self.act(&rule.rule.action, &number, &domain, depth);
            return (plan, number);
        }
        if let Some(own) = own {
            return (self.ring(own, depth), number);
        }
        let incoming = self
            .query
            .trunk
            .as_deref()
            .and_then(|id| all.trunk(id))
            .map(|t| t.incoming.clone());
        if let Some(incoming) = incoming.filter(|i| depth == 0 && !i.is_empty()) {
            self.note("", "incoming", true, || {
                format!("calls from this trunk that nobody takes go to {incoming}")
            });
            self.path.push("incoming".into());
            let found = self.lead_on(&incoming, depth);
            self.path.pop();
            return found;
        }
        if !ours {
            self.note("", "domain", true, || {
                format!("{domain} is not served here")
            });
            return (
                Plan::Ring(Arc::new(Attempt::only(vec![Destination::Elsewhere(
                    format!("{number}@{domain}"),
                )]))),
                number,
            );
        }
        self.note("", "nobody", true, || {
            format!("no account, alias, group, service or rule for {number}")
        });
        (Plan::Nobody, number)
    }

    /// What an address or number that somebody wrote down leads to.
    fn lead_on(&mut self, text: &str, depth: usize) -> (Plan, String) {
        let (user, domain) = match text.rsplit_once('@') {
            Some((user, domain)) => (user, domain.to_owned()),
            None => (text, self.around.default_domain().to_owned()),
        };
        self.find(bare_number(user), domain, depth + 1)
    }

    fn own(&mut self, number: &str, domain: &str) -> Option<Own> {
        let address = format!("{number}@{domain}");
        if self.around.is_account(&address) {
            self.note("", "account", true, || format!("{address} is an account"));
            return Some(Own::Account(address));
        }
        if let Some(owner) = self.all.aliases.get(&address) {
            let owner = owner.clone();
            self.note("", "alias", true, || {
                format!("{number} is an alias of {owner}")
            });
            return Some(Own::Account(owner));
        }
        if let Some(group) = self.all.group(number) {
            let group = group.clone();
            self.note("", "group", true, || {
                format!("{number} is the group {}", group.name)
            });
            return Some(Own::Group(group));
        }
        if self.around.is_service(number) {
            self.note("", "service", true, || {
                format!("{number} is a service of this server")
            });
            return Some(Own::Service(number.to_owned()));
        }
        // One number has several ways to be written.
        let full = e164(number, &self.all.settings.country)?;
        let owner = self.all.numbers.get(&full)?.clone();
        self.note("", "alias", true, || {
            format!("{number} is {full}, an alias of {owner}")
        });
        Some(Own::Account(owner))
    }

    /// Whether a rule is for this request; else why not.
    fn fits(
        &self,
        rule: &PlanRule,
        number: &str,
        domain: &str,
        is_own: bool,
    ) -> Result<(), String> {
        let wanted = &rule.rule.matches;
        let query = self.query;
        if !rule.rule.enabled {
            return Err("is switched off".into());
        }
        if is_own && !wanted.internal {
            return Err("is not for numbers of this server".into());
        }
        if !rule.number.matches(number) {
            return Err(format!("{number} does not fit {}", wanted.number));
        }
        let (user, _) = query.caller.split_once('@').unwrap_or((&query.caller, ""));
        let caller = if wanted.caller.contains('@') {
            query.caller.as_str()
        } else {
            user
        };
        if !rule.caller.matches(caller) {
            return Err(format!(
                "the caller {caller} does not fit {}",
                wanted.caller
            ));
        }
        if !wanted.domain.is_empty() && !wanted.domain.eq_ignore_ascii_case(domain) {
            return Err(format!("is for the domain {}", wanted.domain));
        }
        if !wanted.methods.is_empty() && !wanted.methods.contains(&query.method) {
            return Err(format!("is for {}", wanted.methods.join(", ")));
        }
        match (wanted.trunk.as_str(), self.origin()) {
            // Who calls in must not call out at our cost unless that is meant.
            ("", Some(_)) if matches!(rule.rule.action, Action::Trunks { .. } | Action::Domain { .. }) => {
                Err("leads out, and the call came in through a trunk: name the trunk in the rule to allow that".into())
            }
            ("", _) | ("*", Some(_)) => Ok(()),
            (id, Some(from)) if id == from => Ok(()),
            _ => Err("is for calls from a trunk".into()),
        }
    }

    fn act(&mut self, action: &Action, number: &str, domain: &str, depth: usize) -> Plan {
        match action {
            Action::Continue => Plan::Nobody,
            Action::Reject { status, reason } => rejected(*status, reason),
            Action::Accounts => match self.own(number, domain) {
                Some(own) => self.ring(own, depth),
                None => {
                    self.note("", "nobody", true, || {
                        format!("no account, alias, group or service for {number}")
                    });
                    Plan::Nobody
                }
            },
            Action::Domain { domain } if self.around.is_ours(domain) => {
                self.find(number.to_owned(), domain.clone(), depth + 1).0
            }
            Action::Domain { domain } if !self.may_leave() => {
                self.note("", "stranger", true, || {
                    format!("only users of this server are put through to {domain}")
                });
                rejected(403, "Relaying Denied")
            }
            Action::Domain { domain } => {
                Plan::Ring(Arc::new(Attempt::only(vec![Destination::Elsewhere(
                    format!("{number}@{domain}"),
                )])))
            }
            Action::Trunks { trunks, mode } => self.leave(trunks, *mode, number),
        }
    }

    /// Only users of this server, and trunks where a rule names them, reach the world outside.
    fn may_leave(&self) -> bool {
        self.query.is_ours || self.query.trunk.is_some() || !self.path.is_empty()
    }

    /// The account that the call is made for.
    fn payer(&self) -> &str {
        self.path.last().unwrap_or(&self.query.caller)
    }

    /// The trunk that the call came from, unless somebody here sends it on.
    fn origin(&self) -> Option<&str> {
        self.query.trunk.as_deref().filter(|_| self.path.is_empty())
    }

    fn leave(&mut self, ids: &[String], mode: TrunkMode, number: &str) -> Plan {
        if !self.may_leave() {
            self.note("", "stranger", true, || {
                "only users of this server may call through a trunk".into()
            });
            return rejected(403, "Relaying Denied");
        }
        let allowed = self
            .all
            .profile(self.payer())
            .and_then(|p| p.trunks.as_ref());
        let mut usable: Vec<Arc<Trunk>> = Vec::new();
        for id in ids {
            let Some(trunk) = self.all.trunk(id).cloned() else {
                continue;
            };
            let why = if !trunk.enabled {
                "is switched off"
            } else if self.origin() == Some(id) {
                "is where the call comes from"
            } else if allowed.is_some_and(|list| !list.contains(id)) {
                "is not allowed for this account"
            } else if !self.around.is_usable(&trunk) {
                "is not reachable or has no line free"
            } else {
                usable.push(trunk);
                continue;
            };
            self.note("", &trunk.name, false, || format!("the trunk {why}"));
        }
        if mode == TrunkMode::Shared {
            self.share(&mut usable);
        }
        let chain = usable
            .iter()
            .rev()
            .fold(None, |next: Option<Arc<Attempt>>, trunk| {
                Some(Arc::new(Attempt {
                    to: vec![Destination::Trunk {
                        trunk: trunk.clone(),
                        number: number.to_owned(),
                    }],
                    on_failure: next,
                    ..Attempt::default()
                }))
            });
        match chain {
            Some(first) => Plan::Ring(first),
            None if allowed.is_some_and(|list| ids.iter().all(|id| !list.contains(id))) => {
                rejected(403, "Not Allowed Through This Trunk")
            }
            None => rejected(503, "No Trunk Available"),
        }
    }

    /// Puts one in front, as often as its weight says.
    fn share(&self, trunks: &mut [Arc<Trunk>]) {
        let total: u32 = trunks.iter().map(|t| t.weight).sum();
        if total == 0 {
            return;
        }
        let mut drawn = self.around.draw(total);
        for place in 0..trunks.len() {
            if drawn < trunks[place].weight {
                trunks[..=place].rotate_right(1);
                return;
            }
            drawn -= trunks[place].weight;
        }
    }

    fn ring(&mut self, own: Own, depth: usize) -> Plan {
        match own {
            Own::Service(user) => Plan::Service(user),
            Own::Account(address) => self.account(&address, depth),
            Own::Group(group) => {
                self.path.push(format!("group {}", group.number));
                let plan = self.group(&group, depth);
                self.path.pop();
                plan
            }
        }
    }

    /// An account, with what it forwards.
    fn account(&mut self, address: &str, depth: usize) -> Plan {
        let is_call = self.query.method == "INVITE";
        let Some(profile) = self.all.profile(address).cloned().filter(|_| is_call) else {
            let plain = Attempt::only(vec![Destination::Account(address.to_owned())]);
            return Plan::Ring(Arc::new(plain));
        };
        if self.path.iter().any(|seen| seen == address) {
            self.note("", address, true, || {
                "forwards lead back here: they end".into()
            });
            return rejected(482, "Forwarding Loop");
        }
        self.path.push(address.to_owned());
        let plan = self.forwarding(address, &profile.forwards, depth);
        self.path.pop();
        plan
    }

    fn forwarding(&mut self, address: &str, forwards: &Forwards, depth: usize) -> Plan {
        if !forwards.always.is_empty() {
            self.note("", address, true, || {
                format!("forwards every call to {}", forwards.always)
            });
            return self.lead_on(&forwards.always, depth).0;
        }
        if !forwards.unregistered.is_empty() && !self.around.is_registered(address) {
            self.note("", address, true, || {
                format!(
                    "has no phone registered and forwards to {}",
                    forwards.unregistered
                )
            });
            return self.lead_on(&forwards.unregistered, depth).0;
        }
        let mut attempt = Attempt::only(vec![Destination::Account(address.to_owned())]);
        attempt.on_busy = self.forward(address, "when it is busy", &forwards.busy, depth);
        attempt.on_no_answer =
            self.forward(address, "when nobody answers", &forwards.no_answer, depth);
        if attempt.on_no_answer.is_some() {
            attempt.ring_for = Some(forwards.no_answer_after);
        }
        Plan::Ring(Arc::new(attempt))
    }

    fn forward(
        &mut self,
        address: &str,
        when: &str,
        to: &str,
        depth: usize,
    ) -> Option<Arc<Attempt>> {
        if to.is_empty() || !self.takes_one_more() {
            return None;
        }
        self.note("", address, true, || format!("{when} forwards to {to}"));
        match self.lead_on(to, depth).0 {
            Plan::Ring(attempt) => Some(attempt),
            Plan::Service(_) | Plan::Reject { .. } | Plan::Nobody => None,
        }
    }

    fn takes_one_more(&mut self) -> bool {
        self.attempts += 1;
        self.attempts <= MAX_ATTEMPTS
    }

    /// A hunting group. The forwards of its members do not count: the group says what comes next.
    fn group(&mut self, group: &Group, depth: usize) -> Plan {
        let mut members = Vec::new();
        for member in &group.members {
            if !self.takes_one_more() {
                break;
            }
            members.extend(self.member(member, depth));
        }
        if group.strategy == Strategy::LongestIdle {
            members.sort_by_key(|to| match to {
                Destination::Account(address) => self.around.idle_since(address),
                Destination::Trunk { .. } | Destination::Elsewhere(_) => u64::MAX,
            });
        }
        // Who is not there keeps nobody waiting.
        members.retain(|to| !matches!(to, Destination::Account(address) if !self.around.is_registered(address)));
        let fallback = self.forward(
            &group.name,
            "when nobody takes the call",
            &group.fallback,
            depth,
        );
        let rounds: Vec<Vec<Destination>> = match group.strategy {
            Strategy::All if members.is_empty() => Vec::new(),
            Strategy::All => vec![members],
            Strategy::InTurn | Strategy::LongestIdle => {
                members.into_iter().map(|m| vec![m]).collect()
            }
        };
        let chain = rounds.into_iter().rev().fold(fallback, |next, to| {
            Some(Arc::new(Attempt {
                to,
                ring_for: Some(group.ring_for),
                on_busy: next.clone(),
                on_no_answer: next.clone(),
                on_failure: next,
            }))
        });
        match chain {
            Some(first) => Plan::Ring(first),
            None => {
                self.note("", &group.name, true, || {
                    "no member of the group is registered".into()
                });
                rejected(480, "No Member Of The Group Is Registered")
            }
        }
    }

    fn member(&mut self, text: &str, depth: usize) -> Vec<Destination> {
        let (user, domain) = match text.rsplit_once('@') {
            Some((user, domain)) => (bare_number(user), domain.to_owned()),
            None => (bare_number(text), self.around.default_domain().to_owned()),
        };
        if self.around.is_ours(&domain) {
            match self.own(&user, &domain) {
                Some(Own::Account(address)) => return vec![Destination::Account(address)],
                // A group within a group would need its own order.
                Some(Own::Group(_) | Own::Service(_)) => return Vec::new(),
                None => {}
            }
        }
        match self.find(user, domain, depth + 1).0 {
            Plan::Ring(attempt) => attempt.to.clone(),
            Plan::Service(_) | Plan::Reject { .. } | Plan::Nobody => Vec::new(),
        }
    }
}

fn rejected(status: u16, reason: &str) -> Plan {
    Plan::Reject {
        status,
        reason: reason.to_owned(),
    }
}

/// A number without what is there for the eye; a name stays.
fn bare_number(user: &str) -> String {
    let is_number = user
        .chars()
        .all(|c| c.is_ascii_digit() || "+*#-.()".contains(c));
    if is_number {
        bare(user)
    } else {
        user.to_owned()
    }
}

fn rewrite(rule: &PlanRule, number: &str) -> String {
    let Rewrite {
        strip,
        prefix,
        suffix,
        replace,
        country,
    } = &rule.rule.rewrite;
    let mut text = if replace.is_empty() {
        number.to_owned()
    } else {
        rule.number
            .replace(number, replace)
            .unwrap_or_else(|| number.to_owned())
    };
    let strip = usize::try_from(*strip).unwrap_or(usize::MAX);
    text = format!(
        "{prefix}{}{suffix}",
        text.chars().skip(strip).collect::<String>()
    );
    if country.is_empty() {
        return text;
    }
    e164(&text, country).unwrap_or(text)
}

//! Whether what an administrator writes can be used, and if not, why.

use super::model::{Action, CallerIdMode, Forwards, Group, Profile, Rule, Settings, Trunk};
use super::network::Network;
use super::pattern::Pattern;
use super::snapshot::{PlanRule, Snapshot};

/// Something that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The member that is wrong, as a dotted path.
    pub field: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

impl Invalid {
    /// `field` is wrong because of `message`.
    pub fn new(field: &str, message: String) -> Invalid {
        Invalid {
            field: field.to_owned(),
            message,
        }
    }
}

impl core::fmt::Display for Invalid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

impl std::error::Error for Invalid {}

/// The longest text that a member may have, in octets.
const LONGEST: usize = 255;
/// The most members of a list.
const MOST: usize = 200;

/// A name for people.
pub(super) fn name(field: &str, text: &str) -> Result<(), Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::new(field, "a name is needed".into()));
    }
    short(field, text)
}

/// Neither too long nor with signs that cannot stand in a message.
fn short(field: &str, text: &str) -> Result<(), Invalid> {
    if text.len() > LONGEST {
        return Err(Invalid::new(field, format!("at most {LONGEST} octets")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(
            field,
            "a line break or control character cannot stand here".into(),
        ));
    }
    Ok(())
}

/// A user part, number or address that calls can go to; empty when `optional`.
pub fn destination(field: &str, text: &str, optional: bool) -> Result<(), Invalid> {
    if text.is_empty() {
        return if optional {
            Ok(())
        } else {
            Err(Invalid::new(
                field,
                "a number, user or address is needed".into(),
            ))
        };
    }
    short(field, text)?;
    let fits = |c: char| !c.is_whitespace() && !"<>\"@;?,\\".contains(c);
    let good = match text.split_once('@') {
        Some((user, host)) => !user.is_empty() && user.chars().all(fits) && is_host(host),
        None => text.chars().all(fits),
    };
    if good {
        Ok(())
    } else {
        Err(Invalid::new(
            field,
            format!(
                "{text:?} is neither a number, nor a user, nor an address such as bob@example.org"
            ),
        ))
    }
}

/// A host name or address, with a port or not.
pub fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(ip, port)| {
            ip.parse::<std::net::Ipv6Addr>().is_ok()
                && (port.is_empty() || is_port(port.strip_prefix(':').unwrap_or("")))
        });
    }
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(h, p)| (h, Some(p)));
    let label = |l: &str| {
        !l.is_empty()
            && l.len() < 64
            && l.bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    !host.is_empty()
        && host.len() < 254
        && host.trim_end_matches('.').split('.').all(label)
        && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|p| p > 0)
}

/// ISO 3166 code of a country; empty for none.
fn country(field: &str, text: &str) -> Result<(), Invalid> {
    if text.is_empty() || crate::dialplan::is_country(text) {
        return Ok(());
    }
    Err(Invalid::new(
        field,
        format!("{text:?} is no country code of two letters, such as KR"),
    ))
}

fn many<T>(field: &str, list: &[T]) -> Result<(), Invalid> {
    if list.len() <= MOST {
        return Ok(());
    }
    Err(Invalid::new(field, format!("at most {MOST}")))
}

pub(super) fn profile(address: &str, profile: &Profile, all: &Snapshot) -> Result<(), Invalid> {
    many("aliases", &profile.aliases)?;
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    for alias in &profile.aliases {
        destination("aliases", alias, false)?;
        if alias.contains('@') {
            return Err(Invalid::new(
                "aliases",
                format!("{alias:?}: an alias is a name or number without a domain"),
            ));
        }
        let key = format!("{alias}@{domain}");
        if all.aliases.get(&key).is_some_and(|owner| owner != address) {
            return Err(Invalid::new(
                "aliases",
                format!("{alias:?} is an alias of {} already", all.aliases[&key]),
            ));
        }
        if all.group(alias).is_some() {
            return Err(Invalid::new(
                "aliases",
                format!("{alias:?} is the number of a group"),
            ));
        }
    }
    forwards(&profile.forwards)?;
    for id in profile.trunks.iter().flatten() {
        known_trunk("trunks", id, all)?;
    }
    Ok(())
}

fn forwards(forwards: &Forwards) -> Result<(), Invalid> {
    destination("forwards.always", &forwards.always, true)?;
    destination("forwards.busy", &forwards.busy, true)?;
    destination("forwards.no_answer", &forwards.no_answer, true)?;
    destination("forwards.unregistered", &forwards.unregistered, true)?;
    seconds("forwards.no_answer_after", forwards.no_answer_after, 1, 180)
}

fn seconds(field: &str, value: u32, least: u32, most: u32) -> Result<(), Invalid> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Invalid::new(field, format!("{least} to {most} seconds")))
}

fn known_trunk(field: &str, id: &str, all: &Snapshot) -> Result<(), Invalid> {
    if all.trunk(id).is_some() {
        return Ok(());
    }
    Err(Invalid::new(field, format!("there is no trunk {id:?}")))
}

pub(super) fn rule(rule: &Rule, all: &Snapshot) -> Result<PlanRule, Invalid> {
    name("name", &rule.name)?;
    let number = Pattern::parse(&rule.matches.number, "match.number")?;
    let caller = Pattern::parse(&rule.matches.caller, "match.caller")?;
    many("match.methods", &rule.matches.methods)?;
    for method in &rule.matches.methods {
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(Invalid::new(
                "match.methods",
                format!("{method:?} is no method such as INVITE"),
            ));
        }
    }
    if !rule.matches.domain.is_empty() && !is_host(&rule.matches.domain) {
        return Err(Invalid::new(
            "match.domain",
            format!("{:?} is no domain", rule.matches.domain),
        ));
    }
    if !matches!(rule.matches.trunk.as_str(), "" | "*") {
        known_trunk("match.trunk", &rule.matches.trunk, all)?;
    }
    let rewrite = &rule.rewrite;
    for (field, text) in [
        ("rewrite.prefix", &rewrite.prefix),
        ("rewrite.suffix", &rewrite.suffix),
    ] {
        destination(field, text, true)?;
    }
    short("rewrite.replace", &rewrite.replace)?;
    if !rewrite.replace.is_empty() && !matches!(number, Pattern::Expression(_)) {
        return Err(Invalid::new(
            "rewrite.replace",
            "a replacement needs a /regular expression/ as the number's pattern".into(),
        ));
    }
    country("rewrite.country", &rewrite.country)?;
    action(&rule.action, all)?;
    Ok(PlanRule {
        rule: std::sync::Arc::new(rule.clone()),
        number,
        caller,
    })
}

fn action(action: &Action, all: &Snapshot) -> Result<(), Invalid> {
    match action {
        Action::Trunks { trunks, .. } => {
            if trunks.is_empty() {
                return Err(Invalid::new(
                    "action.trunks",
                    "name at least one trunk".into(),
                ));
            }
            many("action.trunks", trunks)?;
            trunks
                .iter()
                .try_for_each(|id| known_trunk("action.trunks", id, all))
        }
        Action::Domain { domain } if !is_host(domain) => Err(Invalid::new(
            "action.domain",
            format!("{domain:?} is no domain"),
        )),
        Action::Reject { status, reason } => {
            short("action.reason", reason)?;
            if (400..700).contains(status) {
                return Ok(());
            }
            Err(Invalid::new("action.status", "400 to 699".into()))
        }
        Action::Accounts | Action::Domain { .. } | Action::Continue => Ok(()),
    }
}

pub(super) fn trunk(trunk: &Trunk) -> Result<(), Invalid> {
    name("name", &trunk.name)?;
    let has_port = trunk
        .host
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'));
    if !is_host(&trunk.host) || has_port {
        return Err(Invalid::new(
            "host",
            format!("{:?} is neither a host name nor an address", trunk.host),
        ));
    }
    if trunk.port == Some(0) {
        return Err(Invalid::new("port", "1 to 65535, or empty".into()));
    }
    if !matches!(trunk.transport.as_str(), "udp" | "tcp" | "tls") {
        return Err(Invalid::new("transport", "udp, tcp or tls".into()));
    }
    if trunk.register && trunk.username.is_empty() {
        return Err(Invalid::new(
            "username",
            "registration needs a user name".into(),
        ));
    }
    destination("username", &trunk.username, true)?;
    short("password", &trunk.password)?;
    if !trunk.domain.is_empty() && !is_host(&trunk.domain) {
        return Err(Invalid::new(
            "domain",
            format!("{:?} is no domain", trunk.domain),
        ));
    }
    many("sources", &trunk.sources)?;
    for source in &trunk.sources {
        if Network::parse(source).is_none() {
            return Err(Invalid::new(
                "sources",
                format!("{source:?} is neither an address nor a network such as 192.0.2.0/24"),
            ));
        }
    }
    destination(
        "caller_id.number",
        &trunk.caller_id.number,
        trunk.caller_id.mode == CallerIdMode::Keep,
    )?;
    if trunk.check_every != 0 {
        seconds("check_every", trunk.check_every, 5, 3600)?;
    }
    if trunk.weight > 1000 {
        return Err(Invalid::new("weight", "0 to 1000".into()));
    }
    destination("incoming", &trunk.incoming, true)
}

pub(super) fn group(group: &Group, all: &Snapshot) -> Result<(), Invalid> {
    name("name", &group.name)?;
    destination("number", &group.number, false)?;
    if group.number.contains('@') {
        return Err(Invalid::new(
            "number",
            "a number or name without a domain".into(),
        ));
    }
    if all
        .groups
        .iter()
        .any(|g| g.number == group.number && g.id != group.id)
    {
        return Err(Invalid::new(
            "number",
            format!("{:?} is the number of another group", group.number),
        ));
    }
    if group.members.is_empty() || group.members.len() > 64 {
        return Err(Invalid::new("members", "1 to 64 members".into()));
    }
    for member in &group.members {
        destination("members", member, false)?;
    }
    seconds("ring_for", group.ring_for, 3, 180)?;
    destination("fallback", &group.fallback, true)
}

pub(super) fn settings(settings: &Settings) -> Result<(), Invalid> {
    let r = &settings.registration;
    if r.minimum < 10 || r.minimum > r.default || r.default > r.maximum {
        return Err(Invalid::new(
            "registration",
            "at least 10 seconds, and minimum ≤ default ≤ maximum".into(),
        ));
    }
    if settings.limits.wrong_passwords != 0 {
        seconds("limits.block_for", settings.limits.block_for, 10, 604_800)?;
    }
    country("country", &settings.country)
}

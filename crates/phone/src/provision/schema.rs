//! Our own document (docs/provisioning.md).

use std::time::Duration;

use media::codec::CodecKind;
use roxmltree::Node;
use sip::auth::{Ha1, Secret};
use sip::flow::Transport;

use super::document::{Reader, shown};
use super::profile::{Account, Devices, Dtmf, Profile, Timers};
use crate::address::{Name, Server, target};
use crate::gather::StunServer;

const MAX_ACCOUNTS: usize = 16;
/// Names of codecs that phones know: one of these that this program lacks is passed over, any other name is a mistake.
pub(super) const CODECS: &[&str] = &[
    "pcmu",
    "pcma",
    "g722",
    "g7221",
    "g723",
    "g726-16",
    "g726-24",
    "g726-32",
    "g726-40",
    "g728",
    "g729",
    "gsm",
    "gsm-efr",
    "ilbc",
    "speex",
    "opus",
    "amr",
    "amr-wb",
    "l16",
    "silk",
    "isac",
    "bv16",
    "bv32",
    "evs",
    "cn",
    "telephone-event",
];

/// Reads the children of `<sori>`.
pub(super) fn read<'t, 'd>(reader: &mut Reader<'t, 'd>, root: Node<'t, 'd>) -> Profile {
    match root.attribute("version") {
        Some("1") => {}
        Some(other) => reader.error(
            root,
            format!(
                "version \"{}\" is not known here: this program reads version \"1\"",
                shown(other)
            ),
        ),
        None => reader.error(root, "<sori> has to say version=\"1\""),
    }
    let mut profile = Profile::default();
    let mut gateway = None;
    reader.children(root, &["account"], |reader, name, node| {
        match name {
            "account" => {
                if let Some(account) = account(reader, node) {
                    add(reader, node, &mut profile.accounts, account);
                }
            }
            "gateway" => {
                profile.gateway = reader.text(node);
                gateway = Some(node);
            }
            "codecs" => profile.codecs = codecs(reader, node),
            "transport" => profile.transport = reader.value(node, transport),
            "dtmf" => profile.dtmf = reader.value(node, dtmf),
            "srtp" => profile.srtp = reader.value(node, str::parse),
            "ice" => profile.ice = reader.switch(node),
            "stun" => profile.stun = reader.value(node, stun),
            "timers" => profile.timers = timers(reader, node),
            "auto-close" => {
                if let Some(seconds) = reader.number(node, 0..=3600) {
                    profile.auto_close = Duration::from_secs(seconds.into());
                }
            }
            "devices" => profile.devices = devices(reader, node),
            "readiness" => profile.readiness = reader.switch(node),
            "language" => profile.language = reader.value(node, language),
            "refresh" => {
                let seconds = reader.number(node, 60..=2_592_000);
                profile.refresh = seconds.map(|s| Duration::from_secs(s.into()));
            }
            _ => return false,
        }
        true
    });
    if let (Some(node), Some(text)) = (gateway, &profile.gateway) {
        check_gateway(reader, node, text, &profile);
    }
    profile
}

/// Adds an account, unless there are too many or it is there already.
pub(super) fn add(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    accounts: &mut Vec<Account>,
    account: Account,
) {
    if accounts.iter().any(|known| known.name == account.name) {
        let message = format!("the account {} stands here a second time", account.name);
        reader.error(node, message);
    } else if accounts.len() >= MAX_ACCOUNTS {
        reader.error(node, format!("there are more than {MAX_ACCOUNTS} accounts"));
    } else {
        accounts.push(account);
    }
}

/// A number needs the domain of an account to become an address.
fn check_gateway(reader: &mut Reader<'_, '_>, node: Node<'_, '_>, text: &str, profile: &Profile) {
    let domain = profile.accounts.first().map(|a| a.name.domain.as_str());
    if let Err(error) = target(text, domain.unwrap_or("invalid")) {
        reader.error(node, format!("<gateway>: {error}"));
    }
}

fn account<'t, 'd>(reader: &mut Reader<'t, 'd>, parent: Node<'t, 'd>) -> Option<Account> {
    let (mut user, mut domain) = (None, None);
    let (mut display_name, mut auth_user, mut proxy, mut expires) = (None, None, None, None);
    let (mut password, mut hashes, mut register) = (None, None, true);
    reader.children(parent, &[], |reader, name, node| {
        match name {
            "user" => user = reader.text(node).map(|text| (node, text)),
            "domain" => domain = reader.text(node).map(|text| (node, text)),
            "display-name" => display_name = reader.text(node),
            "auth-user" => auth_user = reader.text(node),
            "password" => password = reader.text(node),
            "ha1" => hashes = ha1(reader, node).map(|secret| (node, secret)),
            "proxy" => proxy = reader.value(node, server),
            "register" => register = reader.switch(node).unwrap_or(true),
            "expires" => expires = reader.number(node, 30..=86_400),
            _ => return false,
        }
        true
    });
    if let (Some(_), Some((node, _))) = (&password, &hashes) {
        reader.error(*node, "an <account> has <password> or <ha1>, not both");
    }
    let secret = password
        .map(Secret::Password)
        .or(hashes.map(|(_, secret)| secret));
    let has = |name: &str| parent.children().any(|c| c.tag_name().name() == name);
    for name in ["user", "domain"].into_iter().filter(|name| !has(name)) {
        reader.error(parent, format!("this <account> has no <{name}>"));
    }
    let (node, user) = user?;
    let (_, domain) = domain?;
    match format!("{user}@{domain}").parse::<Name>() {
        Ok(name) => Some(Account {
            name,
            display_name,
            auth_user,
            secret,
            proxy,
            register,
            expires,
        }),
        Err(error) => {
            reader.error(node, format!("<user> and <domain>: {error}"));
            None
        }
    }
}

/// `<ha1 md5="…" sha256="…"/>`; a message never shows it.
fn ha1(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Option<Secret> {
    for attribute in node.attributes() {
        if !["md5", "sha256"].contains(&attribute.name()) {
            let message = format!(
                "{} is not known in <ha1> and passed over",
                shown(attribute.name())
            );
            reader.warn(node, message);
        }
    }
    let mut hash = |name: &str, octets: usize| match node.attribute(name) {
        None => Ok(None),
        Some(text) => hexadecimal(text)
            .filter(|hash| hash.len() == octets)
            .map(Some)
            .ok_or_else(|| {
                reader.error(
                    node,
                    format!(
                        "{name} of <ha1> has to be {} hexadecimal digits",
                        2 * octets
                    ),
                );
            }),
    };
    let (md5, sha256) = (hash("md5", 16), hash("sha256", 32));
    let (Ok(md5), Ok(sha256)) = (md5, sha256) else {
        return None;
    };
    let md5 = md5.and_then(|hash| hash.try_into().ok());
    let sha256 = sha256.and_then(|hash| hash.try_into().ok());
    match (md5, sha256) {
        (Some(md5), Some(sha256)) => Some(Secret::Ha1(Ha1 { md5, sha256 })),
        (Some(md5), None) => Some(Secret::Md5(md5)),
        (None, Some(sha256)) => Some(Secret::Sha256(sha256)),
        (None, None) => {
            reader.error(node, "<ha1> needs md5=\"…\", sha256=\"…\", or both");
            None
        }
    }
}

fn timers<'t, 'd>(reader: &mut Reader<'t, 'd>, parent: Node<'t, 'd>) -> Timers {
    let mut timers = Timers::default();
    reader.children(parent, &[], |reader, name, node| {
        match name {
            "register" => timers.register = reader.number(node, 30..=86_400),
            // RFC 4028 §4 allows nothing below 90.
            "session" => timers.session = reader.number(node, 90..=86_400),
            "ring" => {
                let seconds = reader.number(node, 1..=600);
                timers.ring = seconds.map(|s| Duration::from_secs(s.into()));
            }
            _ => return false,
        }
        true
    });
    timers
}

fn devices<'t, 'd>(reader: &mut Reader<'t, 'd>, parent: Node<'t, 'd>) -> Devices {
    let mut devices = Devices::default();
    reader.children(parent, &[], |reader, name, node| {
        match name {
            "microphone" => devices.microphone = reader.text(node),
            "speaker" => devices.speaker = reader.text(node),
            "ringer" => devices.ringer = reader.text(node),
            _ => return false,
        }
        true
    });
    devices
}

fn codecs(reader: &mut Reader<'_, '_>, node: Node<'_, '_>) -> Vec<CodecKind> {
    let mut codecs = Vec::new();
    let Some(text) = reader.text(node) else {
        return codecs;
    };
    let names = text.split([' ', '\t', ',']).filter(|name| !name.is_empty());
    for name in names {
        match CodecKind::of_name(name) {
            Some(codec) if codecs.contains(&codec) => {
                reader.error(node, format!("<codecs>: {name} stands here a second time"));
            }
            Some(codec) => match codec.available() {
                Ok(()) => codecs.push(codec),
                Err(why) => reader.warn(node, format!("<codecs>: {name} cannot be used: {why}")),
            },
            None if CODECS.contains(&name.to_ascii_lowercase().as_str()) => {
                reader.warn(node, format!("<codecs>: this program has no {name}"));
            }
            None => {
                let known = CodecKind::ALL.map(CodecKind::name);
                let message = format!(
                    "<codecs>: there is no codec {}; this program has {}",
                    shown(name),
                    known.join(", ")
                );
                reader.error(node, message);
            }
        }
    }
    if codecs.is_empty() {
        reader.error(node, "<codecs> names none that this program has");
    }
    codecs
}

fn server(text: &str) -> Result<Server, String> {
    text.parse::<Server>().map_err(|error| error.to_string())
}

fn transport(text: &str) -> Result<Transport, String> {
    // What can be asked for is what an address of a server can be written with.
    match format!("{text}:localhost").parse::<Server>() {
        Ok(server) => Ok(server.transport),
        Err(_) => Err("it has to be a transport that --proxy takes: udp, tcp, tls".to_owned()),
    }
}

fn dtmf(text: &str) -> Result<Dtmf, String> {
    match text {
        "rfc4733" => Ok(Dtmf::Events),
        "info" => Ok(Dtmf::Info),
        "tones" => Ok(Dtmf::Tones),
        _ => Err("it has to be rfc4733, info or tones".to_owned()),
    }
}

/// `HOST` or `HOST:PORT`.
pub(super) fn stun(text: &str) -> Result<StunServer, String> {
    text.parse()
}

/// Letters and digits in groups of up to eight, the first of letters alone (RFC 5646 §2.1, roughly).
fn language(text: &str) -> Result<String, String> {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    let good = (2..=8).contains(&first.len())
        && first.bytes().all(|b| b.is_ascii_alphabetic())
        && parts
            .all(|p| (1..=8).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
        && text.len() <= 35;
    good.then(|| text.to_owned())
        .ok_or_else(|| "it has to be a language, as in ko or en-GB".to_owned())
}

/// The octets that hexadecimal digits stand for.
pub(super) fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    if digits.len() % 2 != 0 {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |octet, digit| octet << 4 | digit))
            .collect(),
    )
}

//! Linphone's remote provisioning: its configuration file as XML.
//!
//! What of it concerns a telephone call is taken; the rest – appearance, video, chat – belongs to Linphone and is passed
//! over without a word.

use std::collections::BTreeMap;

use media::codec::CodecKind;
use roxmltree::Node;
use sip::auth::Secret;
use sip::header::NameAddr;
use sip::uri::Uri;

use super::document::{Reader, number, shown, switch};
use super::profile::{Account, Dtmf, Profile};
use super::schema;
use crate::address::{Name, Server};
use crate::secure::Srtp;

/// An entry and where it stands.
type Entries<'t, 'd> = BTreeMap<&'t str, (Node<'t, 'd>, String)>;

/// Reads the sections of `<config>`.
pub(super) fn read<'t, 'd>(reader: &mut Reader<'t, 'd>, root: Node<'t, 'd>) -> Profile {
    let mut sections: BTreeMap<&str, Entries<'t, 'd>> = BTreeMap::new();
    reader.children(root, &["section"], |reader, name, node| {
        if name != "section" {
            return false;
        }
        match node.attribute("name") {
            Some(section) => {
                // A section that comes twice is one, as in the file that it stands for.
                let entries = sections.entry(section).or_default();
                read_section(reader, node, entries);
            }
            None => reader.error(node, "this <section> has no name"),
        }
        true
    });
    let mut profile = Profile::default();
    let nothing = Entries::new();
    for index in 0..=u16::MAX {
        let Some(proxy) = sections.get(format!("proxy_{index}").as_str()) else {
            break;
        };
        if let Some((node, account)) = account(reader, proxy, &sections) {
            schema::add(reader, node, &mut profile.accounts, account);
        }
    }
    // The account for outgoing calls comes first.
    if let Some((_, first)) = sections.get("sip").and_then(|sip| sip.get("default_proxy"))
        && let Ok(first) = first.parse::<usize>()
        && first < profile.accounts.len()
    {
        profile.accounts.swap(0, first);
    }
    profile.codecs = codecs(reader, &sections);
    let section = |name: &str| sections.get(name).unwrap_or(&nothing);
    security(reader, section("sip"), &mut profile);
    keys(reader, section("sip"), &mut profile);
    traversal(
        reader,
        section("net"),
        section("nat_policy_0"),
        &mut profile,
    );
    profile
}

fn read_section<'t, 'd>(
    reader: &mut Reader<'t, 'd>,
    section: Node<'t, 'd>,
    entries: &mut Entries<'t, 'd>,
) {
    reader.children(section, &["entry"], |reader, name, node| {
        if name != "entry" {
            return false;
        }
        let Some(key) = node.attribute("name") else {
            reader.error(node, "this <entry> has no name");
            return true;
        };
        let value: String = node.children().filter_map(|part| part.text()).collect();
        let value = value.trim();
        // An empty entry deletes what the file had before.
        if !value.is_empty() {
            entries.insert(key, (node, value.to_owned()));
        }
        true
    });
}

/// `[proxy_N]`, and the `[auth_info_N]` that belongs to it.
fn account<'t, 'd>(
    reader: &mut Reader<'t, 'd>,
    proxy: &Entries<'t, 'd>,
    sections: &BTreeMap<&str, Entries<'t, 'd>>,
) -> Option<(Node<'t, 'd>, Account)> {
    let (node, identity) = proxy.get("reg_identity").or_else(|| {
        let (node, _) = proxy.values().next()?;
        reader.error(*node, "this account has no entry reg_identity");
        None
    })?;
    let (display_name, address) = name_addr(identity).or_else(|| {
        let message = format!("reg_identity: '{}' is no SIP address", shown(identity));
        reader.error(*node, message);
        None
    })?;
    // Parameters of the address of record say nothing that a telephone needs.
    let bare = address.split([';', '?']).next().unwrap_or_default();
    let name: Name = match bare.parse() {
        Ok(name) => name,
        Err(error) => {
            reader.error(*node, format!("reg_identity: {error}"));
            return None;
        }
    };
    let mut server = None;
    // The route, where there is one, is what requests go through; the proxy is the registrar's address.
    for key in ["reg_route", "reg_proxy"] {
        if let Some((node, text)) = proxy.get(key)
            && server.is_none()
        {
            server = read_server(reader, *node, key, text);
        }
    }
    // The domain itself is looked up the same way without being named, and then with all that its records offer.
    let server = server.filter(|s| {
        s.host != name.host() || s.port.is_some() || s.transport != sip::flow::Transport::Udp
    });
    let register = entry(reader, proxy, "reg_sendregister", switch).unwrap_or(true);
    let expires = entry(reader, proxy, "reg_expires", |t| number(t, 30..=86_400));
    let (auth_user, secret) = credentials(reader, &name, proxy, sections);
    let account = Account {
        name,
        display_name,
        auth_user,
        secret,
        proxy: server,
        register,
        expires,
    };
    Some((*node, account))
}

/// The first `[auth_info_N]` whose username and domain or realm fit.
fn credentials(
    reader: &mut Reader<'_, '_>,
    name: &Name,
    proxy: &Entries<'_, '_>,
    sections: &BTreeMap<&str, Entries<'_, '_>>,
) -> (Option<String>, Option<Secret>) {
    let text = |entries: &Entries<'_, '_>, key: &str| entries.get(key).map(|(_, v)| v.clone());
    let realm = text(proxy, "realm");
    for index in 0..=u16::MAX {
        let Some(info) = sections.get(format!("auth_info_{index}").as_str()) else {
            break;
        };
        let fits = text(info, "username").is_some_and(|user| user == name.user)
            && text(info, "domain").is_none_or(|domain| domain.eq_ignore_ascii_case(name.host()))
            && (realm.is_none() || text(info, "realm").is_none_or(|r| Some(r) == realm));
        if !fits {
            continue;
        }
        let secret = match (text(info, "passwd"), info.get("ha1")) {
            (Some(password), _) => Some(Secret::Password(password)),
            (None, Some((node, digits))) => hash(reader, *node, digits),
            (None, None) => None,
        };
        return (text(info, "userid"), secret);
    }
    (None, None)
}

/// `ha1`, of the algorithm that its length tells.
fn hash(reader: &mut Reader<'_, '_>, node: Node<'_, '_>, digits: &str) -> Option<Secret> {
    let octets = schema::hexadecimal(digits).unwrap_or_default();
    if let Ok(md5) = octets.as_slice().try_into() {
        return Some(Secret::Md5(md5));
    }
    if let Ok(sha256) = octets.as_slice().try_into() {
        return Some(Secret::Sha256(sha256));
    }
    reader.error(
        node,
        "ha1 has to be 32 hexadecimal digits (MD5) or 64 (SHA-256)",
    );
    None
}

/// `<sip:example.org:5061;transport=tls>`, with or without the brackets.
fn read_server(
    reader: &mut Reader<'_, '_>,
    node: Node<'_, '_>,
    key: &str,
    text: &str,
) -> Option<Server> {
    let (_, uri) = name_addr(text)?;
    let server = Uri::parse(uri.as_bytes()).ok().map(|uri| {
        let transport = uri.transport().unwrap_or(b"udp");
        let transport = String::from_utf8_lossy(transport).to_ascii_lowercase();
        let host = uri.host;
        let port = uri.port.map(|p| format!(":{p}")).unwrap_or_default();
        format!("{transport}:{host}{port}")
    });
    match server.map(|text| text.parse::<Server>()) {
        Some(Ok(server)) => Some(server),
        _ => {
            let message = format!("{key}: '{}' cannot be used as a server", shown(text));
            reader.error(node, message);
            None
        }
    }
}

/// `[audio_codec_N]` in their order, those with enabled=0 left out.
fn codecs(
    reader: &mut Reader<'_, '_>,
    sections: &BTreeMap<&str, Entries<'_, '_>>,
) -> Vec<CodecKind> {
    let mut codecs = Vec::new();
    let mut last = None;
    for index in 0..=u16::MAX {
        let Some(section) = sections.get(format!("audio_codec_{index}").as_str()) else {
            break;
        };
        let enabled = entry(reader, section, "enabled", switch).unwrap_or(true);
        let Some((node, mime)) = section.get("mime") else {
            continue;
        };
        last = Some(*node);
        if !enabled {
            continue;
        }
        match schema::codec(mime) {
            // Speex comes once for each of its rates.
            Some(codec) if !codecs.contains(&codec) => codecs.push(codec),
            Some(_) => {}
            None => reader.warn(*node, format!("this program has no codec {}", shown(mime))),
        }
    }
    if let (Some(node), true) = (last, codecs.is_empty()) {
        reader.error(node, "the document allows no codec that this program has");
    }
    codecs
}

fn security(reader: &mut Reader<'_, '_>, sip: &Entries<'_, '_>, profile: &mut Profile) {
    let mandatory = entry(reader, sip, "media_encryption_mandatory", switch).unwrap_or(false);
    let Some((node, encryption)) = sip.get("media_encryption") else {
        return;
    };
    profile.srtp = match encryption.to_ascii_lowercase().as_str() {
        "none" => Some(Srtp::Off),
        "srtp" | "dtls" if mandatory => Some(Srtp::Required),
        "srtp" | "dtls" => Some(Srtp::Optional),
        "zrtp" if mandatory => {
            reader.error(*node, "media_encryption: this program has no ZRTP");
            None
        }
        "zrtp" => {
            reader.warn(*node, "media_encryption: this program has no ZRTP");
            None
        }
        other => {
            reader.error(
                *node,
                format!("media_encryption: '{}' is not known", shown(other)),
            );
            None
        }
    };
}

fn keys(reader: &mut Reader<'_, '_>, sip: &Entries<'_, '_>, profile: &mut Profile) {
    let events = entry(reader, sip, "use_rfc2833", switch);
    let info = entry(reader, sip, "use_info", switch);
    profile.dtmf = match (events, info) {
        (Some(true), _) => Some(Dtmf::Events),
        (_, Some(true)) => Some(Dtmf::Info),
        (Some(false), _) => Some(Dtmf::Tones),
        _ => None,
    };
}

/// `[net]` of older documents, `[nat_policy_0]` of newer ones.
fn traversal(
    reader: &mut Reader<'_, '_>,
    net: &Entries<'_, '_>,
    policy: &Entries<'_, '_>,
    profile: &mut Profile,
) {
    let server = |text: &str| schema::stun(text);
    profile.stun = entry(reader, policy, "stun_server", server)
        .or_else(|| entry(reader, net, "stun_server", server));
    let protocols = policy.get("protocols").or(net.get("firewall_policy"));
    profile.ice = protocols.map(|(_, names)| {
        names
            .split([',', ' '])
            .any(|p| p.eq_ignore_ascii_case("ice"))
    });
}

fn entry<T>(
    reader: &mut Reader<'_, '_>,
    section: &Entries<'_, '_>,
    key: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let (node, text) = section.get(key)?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(why) => {
            reader.error(*node, format!("{key}: '{}': {why}", shown(text)));
            None
        }
    }
}

/// Display name and URI.
fn name_addr(text: &str) -> Option<(Option<String>, String)> {
    if !text.contains('<') {
        // Parameters behind a bare address are meant as its own here.
        return Uri::parse(text.as_bytes())
            .ok()
            .map(|_| (None, text.to_owned()));
    }
    let parsed = NameAddr::parse(text.as_bytes()).ok()?;
    let name = String::from_utf8_lossy(&parsed.display_unquoted()).into_owned();
    let uri = String::from_utf8_lossy(parsed.uri.as_bytes()).into_owned();
    Some((Some(name).filter(|n| !n.is_empty()), uri))
}

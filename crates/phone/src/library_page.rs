//! docs/library.md speaks only of what is there: every name of the page stands here too, where the compiler looks for it.

use std::collections::BTreeSet;

extern crate self as phone;

/// The methods of the telephone.
macro_rules! methods {
    ($($name:ident)*) => {{
        $(let _ = phone::Phone::$name;)*
        [$(concat!("Phone::", stringify!($name))),*]
    }};
}

/// What it tells.
macro_rules! events {
    ($($name:ident)*) => {{
        let _ = |event: &phone::Event| matches!(event, $(phone::Event::$name { .. })|*);
        [$(concat!("Event::", stringify!($name))),*]
    }};
}

/// Its settings.
macro_rules! settings {
    ($($name:ident)*) => {{
        $(let _ = |settings: &phone::Settings| drop(settings.$name.clone());)*
        [$(concat!("Settings::", stringify!($name))),*]
    }};
}

/// What else has a path: types, modules, functions, variants.
macro_rules! paths {
    ($($($part:ident)::+)*) => {{
        $({
            #[allow(unused_imports, reason = "that it is there is enough")]
            use $($part)::+ as _;
        })*
        [$(concat!($("::", stringify!($part)),+)),*]
    }};
}

#[test]
fn the_names_of_the_page_are_those_of_the_library() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut add =
        |names: &[&str]| known.extend(names.iter().map(|n| n.trim_start_matches("::").to_owned()));
    add(&methods! {
        call answer reject hang_up change_codecs hold transfer transfer_to accept_transfer
        refuse_transfer divert join press mute play record info message_in message subscribe
        options register unregister
    });
    add(&events! {
        Progress EarlyMedia Established Incoming Ended MediaChanged ChangeRefused Held Transferring
        Transferred TransferRequested Replaced Diverted Redirected Conference Muted Playing
        Recording Dtmf Sent RequestFailed Info Message Notified SubscriptionEnded Answered
        Registered RegistrationFailed
    });
    add(&settings! { tap });
    add(&paths! {
        net::Tap
        sip::ua::UserAgent
        sip::Endpoint
        net::Network
        sip::endpoint::Listener
        net::NetConfig
        sip::transaction::Transactions
        net::Owner
        sip::endpoint::Event
        sip::ua::Event
        sip::transaction::ClientId
        sip::transaction::ServerId
        sip::ua::CallId
        sip::endpoint::Event::Request
        sip::ua::Event::Response
        sip::ua::Cause::TimedOut
        sip::transaction::Fate
        sip::wire::Packet
        sip::message::Request
        sip::message::Response
        sip::message::RequestBuilder
        sip::respond::Reply
        sip::header
        sip::uri::Uri
        sip::wire::Edit
        sdp::Session
        sdp::offer
        sdp::answer
        sdp::complete
        sdp::reoffer
        sip::auth
        sip::flow::Flow
        sip::transaction::InviteClient
        sip::transaction::InviteServer
        sip::transaction::NonInviteClient
        sip::transaction::NonInviteServer
        sip::timers
        sip::ua::Reliable
        sip::resolve
        sip::locate::NextHop
        sip::proxy
        media::session::MediaSession
    });
    let page = include_str!("../../../docs/library.md");
    // What stands between backquotes outside the programs.
    let text: String = page.split("```").step_by(2).collect();
    let named: BTreeSet<String> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.contains("::"))
        .map(str::to_owned)
        .collect();
    let unknown: Vec<&String> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "write these here too: {unknown:?}");
    let gone: Vec<&String> = known.difference(&named).collect();
    assert!(gone.is_empty(), "the page no longer has {gone:?}");
}

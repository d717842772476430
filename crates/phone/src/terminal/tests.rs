//! The screen as a whole: what stands where, which key does what, and that nothing breaks it.

mod keys;
mod random;
mod screens;
mod walks;

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use unicode_width::UnicodeWidthStr;

use super::keys::Press;
use super::*;

/// 2026-11-26 14:03:00 UTC.
const NOW: Duration = Duration::from_secs(1_795_701_780);

/// A screen with an account that is registered and a book of three.
fn idle() -> Model {
    sized(80, 24)
}

fn sized(columns: u16, rows: u16) -> Model {
    let mut model = Model::new(Language::English, columns, rows);
    for input in [
        Input::Clock(NOW, 0),
        Input::Accounts(vec![account(Registration::Registered { until: None })]),
        Input::Contacts(vec![
            contact("Bob Builder", "bob@sori.test", Presence::Online),
            contact("박지성", "jisung@sori.test", Presence::Away),
            contact("Carol", "4711", Presence::Offline),
        ]),
        Input::Devices(Devices {
            are_used: true,
            microphones: vec![device("m1", "USB microphone"), device("m2", "내장 마이크")],
            speakers: vec![device("s1", "Headset")],
            microphone: Some("m1".to_owned()),
            speaker: Some("s1".to_owned()),
            microphone_volume: 100,
            speaker_volume: 80,
            level: Some(-20.0),
            ..Devices::default()
        }),
    ] {
        assert!(update(&mut model, input).is_empty());
    }
    model
}

/// The same with calls of every kind, a history, messages and a log.
fn busy() -> Model {
    let mut model = idle();
    for input in full() {
        update(&mut model, input);
    }
    model
}

fn full() -> Vec<Input> {
    let mut held = call(2, "carol@sori.test", Stage::Established);
    held.is_held = true;
    vec![
        Input::Calls(vec![talking(), held]),
        Input::History(vec![missed(7), past(6)]),
        Input::Conversations(vec![conversation()]),
        Input::Logged(logged(
            "INVITE sip:bob@sori.test SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0",
        )),
        Input::Logged(logged("SIP/2.0 401 Unauthorized\r\nCSeq: 1 INVITE\r\n\r\n")),
    ]
}

fn account(registration: Registration) -> Account {
    Account {
        id: "1".to_owned(),
        address: "alice@sori.test".to_owned(),
        registration,
        is_default: true,
        voicemail: None,
    }
}

fn contact(name: &str, address: &str, presence: Presence) -> Contact {
    Contact {
        name: name.to_owned(),
        address: address.to_owned(),
        presence,
        note: None,
    }
}

fn device(id: &str, name: &str) -> Device {
    Device {
        id: id.to_owned(),
        name: name.to_owned(),
    }
}

fn call(id: CallId, peer: &str, stage: Stage) -> Call {
    Call {
        id,
        account: "alice@sori.test".to_owned(),
        name: None,
        peer: peer.to_owned(),
        is_incoming: stage == Stage::Incoming,
        stage,
        since: NOW,
        is_held: false,
        is_held_there: false,
        is_muted: false,
        is_recorded: false,
        is_joined: false,
        codec: None,
        security: None,
        transport: None,
        levels: None,
        quality: None,
        keys_heard: String::new(),
        asks_for: None,
        trouble: None,
        details: Vec::new(),
    }
}

/// A call that has stood for two minutes and thirteen seconds.
fn talking() -> Call {
    Call {
        name: Some("Bob Builder".to_owned()),
        since: NOW - Duration::from_secs(133),
        codec: Some("PCMU 8 kHz".to_owned()),
        transport: Some("UDP".to_owned()),
        levels: Some(Levels {
            heard: -15.0,
            said: -60.0,
        }),
        quality: Some(Quality {
            loss: 0.5,
            jitter: Duration::from_millis(3),
            round_trip: Some(Duration::from_millis(12)),
            mos: Some(4.36),
        }),
        details: vec![("Call-ID".to_owned(), "x@y".to_owned())],
        ..call(1, "bob@sori.test", Stage::Established)
    }
}

fn past(id: i64) -> Past {
    Past {
        id: crate::book::CallId(id),
        name: None,
        peer: "sip:4711@sori.test".to_owned(),
        is_incoming: false,
        at: NOW - Duration::from_secs(86_400),
        talked: Some(Duration::from_secs(65)),
        reason: String::new(),
        is_missed: false,
        is_seen: true,
    }
}

fn missed(id: i64) -> Past {
    Past {
        peer: "jisung@sori.test".to_owned(),
        is_incoming: true,
        at: NOW - Duration::from_secs(600),
        talked: None,
        is_missed: true,
        is_seen: false,
        ..past(id)
    }
}

fn conversation() -> Conversation {
    let text = |body: &str, state| Text {
        at: NOW,
        body: body.to_owned(),
        state,
    };
    Conversation {
        peer: "jisung@sori.test".to_owned(),
        name: None,
        texts: vec![
            text("안녕하세요, 내일 회의는 몇 시인가요?", TextState::Received),
            text("열 시입니다", TextState::Delivered),
            text("x", TextState::Failed("nobody is there (480)".to_owned())),
        ],
        unread: 1,
    }
}

fn logged(text: &str) -> Logged {
    Logged {
        at: NOW,
        is_incoming: text.starts_with("SIP/2.0"),
        remote: "udp 10.77.0.1:5060".to_owned(),
        text: text.to_owned(),
    }
}

fn press(model: &mut Model, presses: &[Press]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for press in presses {
        effects.extend(update(model, Input::Press(*press)));
    }
    effects
}

fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    let presses: Vec<Press> = text.chars().map(Press::Char).collect();
    press(model, &presses)
}

fn buffer(model: &Model) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(model.columns, model.rows)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

/// The rows as a person reads them.
fn screen(model: &Model) -> Vec<String> {
    let buffer = buffer(model);
    let mut rows = Vec::new();
    for y in 0..buffer.area.height {
        let mut row = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            row.push_str(symbol);
            x += u16::try_from(symbol.width().max(1)).unwrap();
        }
        assert_eq!(
            row.width(),
            usize::from(buffer.area.width),
            "a wide character was cut: {row}"
        );
        rows.push(row.trim_end().to_owned());
    }
    rows
}

#[track_caller]
fn shows(model: &Model, text: &str) {
    let rows = screen(model);
    assert!(
        rows.iter().any(|r| r.contains(text)),
        "no {text:?} in\n{}",
        rows.join("\n")
    );
}

#[track_caller]
fn hides(model: &Model, text: &str) {
    let rows = screen(model);
    assert!(
        !rows.iter().any(|r| r.contains(text)),
        "{text:?} in\n{}",
        rows.join("\n")
    );
}

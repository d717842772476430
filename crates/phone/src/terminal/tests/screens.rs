//! What stands where.

use ratatui::style::Color;

use super::super::keys::Pane;
use super::*;

#[test]
fn the_first_screen_says_what_it_is_for() {
    let model = idle();
    let rows = screen(&model);
    assert!(
        rows[0].starts_with("┌ Contacts ") && rows[0].contains("┏ Calls "),
        "{}",
        rows[0]
    );
    shows(&model, "No calls. Type a number, or d and a name.");
    shows(&model, "● Bob Builder     online");
    shows(&model, "◐ 박지성            away");
    shows(&model, "Type a number to dial");
    let status = rows.last().unwrap();
    assert!(
        status.starts_with(" ● alice@sori.test registered  ● mic  ● speaker"),
        "{status}"
    );
    assert!(status.ends_with("14:03"), "{status}");
    assert!(rows[22].starts_with(" d dial"), "{}", rows[22]);
}

#[test]
fn a_call_is_told_with_all_that_counts() {
    let model = busy();
    let rows = screen(&model);
    shows(&model, "Bob Builder");
    shows(&model, "talking  02:13");
    shows(&model, "PCMU 8 kHz · not encrypted · bob@sori.test");
    shows(&model, "in ██████░░  out ░░░░░░░░");
    shows(&model, "loss 0.5 %  jitter 3 ms  RTT 12 ms  MOS 4.4");
    shows(&model, "→ carol@sori.test");
    shows(&model, "on hold  00:00");
    shows(&model, "History 1  Messages 1  SIP log  Settings");
    shows(&model, "✗ 13:53  박지성");
    shows(&model, "→ 11-25  Carol  ");
    let status = rows.last().unwrap();
    assert!(
        status.contains("1 missed") && status.contains("1 new"),
        "{status}"
    );
}

#[test]
fn what_fits_is_not_cut_off() {
    let mut model = busy();
    // Why a call came to nothing may take what a short name leaves.
    let past = Past {
        name: Some("Desk".to_owned()),
        peer: "sip:4799@sori.test".to_owned(),
        reason: "nobody has this address (404)".to_owned(),
        talked: None,
        ..past(9)
    };
    update(&mut model, Input::History(vec![past]));
    shows(&model, "Desk");
    shows(&model, "nobody has this address (404)");
    // The transport is left out where the line is full.
    model.calls[0].codec = Some("opus 48 kHz".to_owned());
    shows(&model, "opus 48 kHz · not encrypted · bob@sori.test  ┃");
    model.calls[0].name = None;
    shows(&model, "opus 48 kHz · not encrypted · UDP");
}

#[test]
fn flags_stand_beside_the_state() {
    let mut model = busy();
    model.calls[0].is_muted = true;
    model.calls[0].is_recorded = true;
    shows(&model, "talking · muted · REC  02:13");
    model.calls[0].security = Some("SDES AES_CM_128".to_owned());
    model.calls[0].trouble = Some("no sound comes from the other side".to_owned());
    model.calls[0].keys_heard = "12#".to_owned();
    shows(&model, "SDES AES_CM_128");
    shows(&model, "✗ no sound comes");
    shows(&model, "keys heard: 12#");
    press(&mut model, &[Press::Char('i')]);
    shows(&model, "Quality (MOS, estimated)  4.4");
    shows(&model, "Call-ID");
}

#[test]
fn a_failed_registration_says_why_and_when_it_is_tried_again() {
    let mut model = idle();
    let failed = Registration::Failed {
        reason: "the server does not answer".to_owned(),
        advice: "Check the network cable.".to_owned(),
        retry_at: Some(NOW + Duration::from_secs(32)),
    };
    update(&mut model, Input::Accounts(vec![account(failed)]));
    let status = screen(&model).pop().unwrap();
    assert!(
        status.contains("✗ alice@sori.test not registered  ● mic"),
        "{status}"
    );
    press(&mut model, &[Press::F(10)]);
    let all = screen(&model).join(" ");
    assert!(all.contains("again in 32 s"), "{all}");
    assert!(all.contains("Check the"), "{all}");
    shows(&model, "r register");
}

#[test]
fn whoever_calls_is_seen_wherever_one_is() {
    let mut model = busy();
    let mut calls = model.calls.clone();
    calls.push(Call {
        name: Some("다영".to_owned()),
        ..call(9, "dayoung@sori.test", Stage::Incoming)
    });
    let effects = update(&mut model, Input::Calls(calls));
    assert_eq!(effects, [Effect::Bell]);
    let rows = screen(&model);
    assert!(
        rows[0].contains("다영 <dayoung@sori.test> calls you"),
        "{}",
        rows[0]
    );
    assert!(
        rows[0].ends_with("a answer  n refuse  v send on"),
        "{}",
        rows[0]
    );
    // Letters are text while one writes; the banner names keys that are none.
    press(&mut model, &[Press::Char('d')]);
    let rows = screen(&model);
    assert!(rows[0].ends_with("F8 answer  F9 refuse"), "{}", rows[0]);
    for _ in 0..4 {
        typed(&mut model, "a");
    }
    assert_eq!(
        press(&mut model, &[Press::F(8)]),
        [Effect::Order(Order::Answer(9))]
    );
}

#[test]
fn a_bell_sounds_every_three_seconds_while_it_rings() {
    let mut model = idle();
    let rings = vec![call(1, "x@y", Stage::Incoming)];
    assert_eq!(
        update(&mut model, Input::Calls(rings.clone())),
        [Effect::Bell]
    );
    let later = |s| Input::Clock(NOW + Duration::from_secs(s), 0);
    assert!(update(&mut model, later(2)).is_empty());
    assert_eq!(update(&mut model, later(3)), [Effect::Bell]);
    assert!(update(&mut model, Input::Calls(Vec::new())).is_empty());
    assert!(update(&mut model, later(9)).is_empty());
    assert_eq!(update(&mut model, Input::Calls(rings)), [Effect::Bell]);
}

#[test]
fn a_request_for_a_transfer_is_asked_about() {
    let mut model = busy();
    let mut calls = model.calls.clone();
    calls[0].asks_for = Some("carol@sori.test".to_owned());
    update(&mut model, Input::Calls(calls));
    shows(&model, "asks you to call carol");
    shows(&model, "a yes  n no");
    assert_eq!(
        typed(&mut model, "a"),
        [Effect::Order(Order::AcceptTransfer(1))]
    );
    assert_eq!(
        typed(&mut model, "n"),
        [Effect::Order(Order::RefuseTransfer(1))]
    );
}

#[test]
fn the_screen_speaks_korean() {
    let mut model = busy();
    model.language = Language::Korean;
    shows(&model, "통화 중  02:13");
    shows(&model, "PCMU 8 kHz · 암호화 안 됨 · bob@sori.test");
    shows(&model, "손실 0.5 %  지터 3 ms  왕복 12 ms");
    shows(&model, "● Bob Builder     온라인");
    shows(&model, "스페이스 보류  x 끊기  m 음소거");
    shows(
        &model,
        "● alice@sori.test 등록됨  ● 마이크  ● 스피커  부재중 1  새 메시지 1",
    );
    shows(&model, "? 도움말");
}

#[test]
fn korean_messages_are_shown_and_typed_right() {
    let mut model = busy();
    let effects = press(&mut model, &[Press::F(5), Press::Enter]);
    assert!(effects.contains(&Effect::Order(Order::Read("jisung@sori.test".to_owned()))));
    shows(&model, "박지성 <jisung@sori.test>");
    shows(&model, "박지성: 안녕하세요, 내일");
    shows(&model, "not delivered: nobody");
    typed(&mut model, "네, 알겠습니다");
    shows(&model, " Message: 네, 알겠습니다");
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, &model)).unwrap();
    // Ten columns of label, fourteen of text: seven are of two columns, two of one.
    let at = terminal.backend().cursor_position();
    assert_eq!((at.x, at.y), (10 + 14, 21));
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        [Effect::Order(Order::Message {
            to: "jisung@sori.test".to_owned(),
            text: "네, 알겠습니다".to_owned()
        })]
    );
}

#[test]
fn small_terminals_show_one_pane() {
    for (columns, rows) in [(60, 16), (71, 24), (80, 16), (40, 10)] {
        let mut model = sized(columns, rows);
        for input in full() {
            update(&mut model, input);
        }
        shows(&model, "Calls 2");
        hides(&model, "Contacts");
        shows(&model, "? help");
        let status = screen(&model).pop().unwrap();
        assert!(status.contains("● mic  ● speaker"), "{status}");
        press(&mut model, &[Press::Tab]);
        shows(&model, "Contacts");
        shows(&model, "박지성");
    }
    let model = sized(30, 5);
    shows(&model, "The terminal is too small");
    for (columns, rows) in [(1, 1), (2, 1), (39, 24), (200, 60)] {
        screen(&sized(columns, rows));
    }
}

#[test]
fn colours_are_the_terminals_own() {
    let mut model = busy();
    update(
        &mut model,
        Input::Told(Notice {
            text: "x".to_owned(),
            is_error: true,
        }),
    );
    let mut calls = model.calls.clone();
    calls.push(call(9, "x@y", Stage::Incoming));
    update(&mut model, Input::Calls(calls));
    for pane in Pane::ALL {
        model.pane = pane;
        for cell in buffer(&model).content() {
            for colour in [cell.fg, cell.bg] {
                assert!(
                    !matches!(colour, Color::Rgb(..) | Color::Indexed(_)),
                    "{cell:?}"
                );
            }
            // Readable whatever the terminal's own background is.
            assert!(
                cell.bg == Color::Reset || cell.fg == Color::Black,
                "{cell:?}"
            );
        }
    }
    model.look.colour = false;
    for pane in Pane::ALL {
        model.pane = pane;
        for cell in buffer(&model).content() {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{cell:?}");
        }
    }
}

#[test]
fn ascii_terminals_get_ascii_signs() {
    let mut model = busy();
    model.look.ascii = true;
    for input in [
        Input::Contacts(vec![contact("Bob", "bob@x", Presence::Online)]),
        Input::Conversations(Vec::new()),
    ] {
        update(&mut model, input);
    }
    let rows = screen(&model).join("");
    let strange: String = rows.chars().filter(|c| !c.is_ascii()).collect();
    assert_eq!(strange, "");
}

//! What a person does, key by key.

use super::super::keys::Pane;
use super::*;

fn order(order: Order) -> Vec<Effect> {
    vec![Effect::Order(order)]
}

fn dials(target: &str) -> Effect {
    Effect::Order(Order::Dial {
        target: target.to_owned(),
        account: Some("1".to_owned()),
    })
}

#[test]
fn digits_dial_wherever_one_is() {
    for pane in Pane::ALL {
        let mut model = idle();
        model.pane = pane;
        assert!(typed(&mut model, "010#").is_empty());
        shows(&model, " Call: 010#");
        let effects = press(&mut model, &[Press::Enter]);
        assert!(effects.contains(&dials("010#")), "{effects:?}");
        assert_eq!(model.pane, Pane::Calls);
    }
}

#[test]
fn names_are_completed_and_chosen() {
    let mut model = idle();
    typed(&mut model, "dㅂㅈ");
    shows(&model, "박지성");
    hides(&model, "bob@sori.test");
    let effects = press(&mut model, &[Press::Enter]);
    assert_eq!(effects, [dials("jisung@sori.test")]);
    typed(&mut model, "dca");
    press(&mut model, &[Press::Tab]);
    shows(&model, " Call: 4711");
    press(&mut model, &[Press::Esc]);
    typed(&mut model, "d");
    assert_eq!(
        press(&mut model, &[Press::Down, Press::Down, Press::Enter]),
        [dials("jisung@sori.test")]
    );
    // What is an address as it stands is taken as it stands.
    typed(&mut model, "dbob@example.org");
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        [dials("bob@example.org")]
    );
    typed(&mut model, "dbob builder");
    assert_eq!(press(&mut model, &[Press::Enter]), [dials("bob@sori.test")]);
    typed(&mut model, "d");
    assert!(press(&mut model, &[Press::Enter]).is_empty());
}

#[test]
fn contacts_are_searched_as_one_types() {
    let mut model = idle();
    typed(&mut model, "/jis");
    shows(&model, "박지성");
    hides(&model, "Bob Builder");
    shows(&model, "filter: jis");
    press(&mut model, &[Press::Enter]);
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        [dials("jisung@sori.test")]
    );
    model.pane = Pane::Contacts;
    press(&mut model, &[Press::Esc]);
    shows(&model, "Bob Builder");
    typed(&mut model, "/zzz");
    shows(&model, "Nothing matches");
    press(&mut model, &[Press::Esc]);
    shows(&model, "Bob Builder");
}

#[test]
fn contacts_are_made_renamed_and_removed() {
    let mut model = idle();
    press(&mut model, &[Press::F(3)]);
    typed(&mut model, "cdave@sori.test");
    press(&mut model, &[Press::Enter]);
    shows(&model, "Name (dave@sori.test):");
    typed(&mut model, "데이브");
    let kept = |address: &str, name: &str| {
        order(Order::KeepContact {
            address: address.to_owned(),
            name: name.to_owned(),
        })
    };
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        kept("dave@sori.test", "데이브")
    );
    press(&mut model, &[Press::Char('e'), Press::Ctrl('u')]);
    typed(&mut model, "Robert");
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        kept("bob@sori.test", "Robert")
    );
    typed(&mut model, "x");
    shows(&model, "Remove Bob Builder from the contacts?");
    assert!(typed(&mut model, "n").is_empty());
    typed(&mut model, "x");
    let gone = order(Order::RemoveContact("bob@sori.test".to_owned()));
    assert_eq!(typed(&mut model, "y"), gone);
    hides(&model, "Bob Builder");
}

#[test]
fn a_call_is_held_muted_recorded_and_ended() {
    let mut model = busy();
    assert_eq!(typed(&mut model, " "), order(Order::Hold(1)));
    assert_eq!(typed(&mut model, "m"), order(Order::Mute(true)));
    assert_eq!(typed(&mut model, "r"), order(Order::Record(1, true)));
    assert_eq!(typed(&mut model, "x"), order(Order::HangUp(1)));
    press(&mut model, &[Press::Down]);
    assert_eq!(typed(&mut model, " "), order(Order::Resume(2)));
    assert_eq!(press(&mut model, &[Press::Enter]), order(Order::Resume(2)));
    model.calls[1].is_recorded = true;
    assert_eq!(typed(&mut model, "r"), order(Order::Record(2, false)));
    model.calls.clear();
    assert!(typed(&mut model, "x").is_empty());
    shows(&model, "✗ No call is selected. Type a number to make one.");
    press(&mut model, &[Press::Esc]);
    hides(&model, "No call is selected");
}

#[test]
fn calls_are_transferred_and_joined() {
    let mut model = busy();
    typed(&mut model, "tca");
    shows(&model, "in a call");
    let effects = press(&mut model, &[Press::Down, Press::Enter]);
    assert_eq!(effects, order(Order::TransferTo(1, 2)));
    typed(&mut model, "tdave@example.org");
    let to_dave = order(Order::Transfer(1, "dave@example.org".to_owned()));
    assert_eq!(press(&mut model, &[Press::Enter]), to_dave);
    assert_eq!(typed(&mut model, "w"), order(Order::TransferTo(1, 2)));
    assert_eq!(typed(&mut model, "c"), order(Order::Conference(vec![1, 2])));
    let mut calls = model.calls.clone();
    calls.push(call(3, "dave@sori.test", Stage::Established));
    calls[0].is_joined = true;
    update(&mut model, Input::Calls(calls));
    model.call = Some(1);
    assert_eq!(typed(&mut model, "c"), order(Order::Part(1)));
    // With several others one chooses.
    typed(&mut model, "w");
    shows(&model, "Connect Bob Builder with");
    assert_eq!(
        press(&mut model, &[Press::Down, Press::Enter]),
        order(Order::TransferTo(1, 3))
    );
    // What is asked about a call ends with the call.
    typed(&mut model, "t");
    update(&mut model, Input::Calls(Vec::new()));
    assert!(model.overlays.is_empty());
}

#[test]
fn keys_are_pressed_on_the_keypad_only() {
    let mut model = busy();
    typed(&mut model, "p");
    let effects = typed(&mut model, "1#");
    let keys = |k: &str| Effect::Order(Order::Keys(1, k.to_owned()));
    assert_eq!(effects, [keys("1"), keys("#")]);
    shows(&model, "Keypad: 1#");
    press(&mut model, &[Press::Esc]);
    assert!(typed(&mut model, "5").is_empty());
    shows(&model, " Call: 5");
}

#[test]
fn a_ringing_call_can_be_sent_on() {
    let mut model = idle();
    update(
        &mut model,
        Input::Calls(vec![call(4, "x@y", Stage::Incoming)]),
    );
    typed(&mut model, "v4712");
    let on = order(Order::Forward(4, "4712".to_owned()));
    assert_eq!(press(&mut model, &[Press::Enter]), on);
    assert_eq!(typed(&mut model, "n"), order(Order::Reject(4)));
    assert_eq!(typed(&mut model, "a"), order(Order::Answer(4)));
}

#[test]
fn a_second_caller_does_not_take_the_keys_away() {
    let mut model = busy();
    let mut calls = model.calls.clone();
    calls.push(call(9, "x@y", Stage::Incoming));
    update(&mut model, Input::Calls(calls));
    assert_eq!(typed(&mut model, "x"), order(Order::HangUp(1)));
}

#[test]
fn links_are_asked_about_first() {
    let mut model = idle();
    let effects = update(&mut model, Input::Link("sip:bob@example.org".to_owned()));
    assert!(effects.is_empty());
    shows(&model, "A link asks to call sip:bob@example.org. Call?");
    assert!(typed(&mut model, "n").is_empty());
    update(&mut model, Input::Link("sip:bob@example.org".to_owned()));
    assert_eq!(typed(&mut model, "y"), [dials("sip:bob@example.org")]);
}

#[test]
fn quitting_asks_while_somebody_is_on_the_line() {
    let mut model = idle();
    assert_eq!(typed(&mut model, "q"), [Effect::Quit]);
    let mut model = busy();
    assert!(press(&mut model, &[Press::Ctrl('c')]).is_empty());
    shows(&model, "Calls are going on. Hang up and quit?");
    assert!(typed(&mut model, "n").is_empty());
    assert!(typed(&mut model, "q").is_empty());
    assert_eq!(press(&mut model, &[Press::Ctrl('c')]), [Effect::Quit]);
}

#[test]
fn the_log_is_filtered_and_read() {
    let mut model = busy();
    press(&mut model, &[Press::F(6)]);
    shows(&model, "← 14:03:00.000 401 Unauthorized");
    typed(&mut model, "/invite sip");
    hides(&model, "401 Unauth");
    press(&mut model, &[Press::Enter, Press::Enter]);
    shows(&model, "v=0");
    shows(&model, "udp 10.77.0.1:5060");
    press(&mut model, &[Press::Esc, Press::Esc]);
    shows(&model, "401 Unauth");
    // Standing still, the message under the cursor stays there while others come.
    typed(&mut model, "f");
    shows(&model, "paused");
    for n in 0..100 {
        update(
            &mut model,
            Input::Logged(logged(&format!("OPTIONS sip:{n} SIP/2.0\r\n\r\n"))),
        );
    }
    press(&mut model, &[Press::Enter]);
    shows(&model, "401 Unauthorized");
    for n in 0..5000 {
        update(&mut model, Input::Logged(logged(&n.to_string())));
    }
    assert!(model.log.len() <= 2000);
}

#[test]
fn missed_calls_are_seen_once_one_has_left_them() {
    let mut model = busy();
    assert!(press(&mut model, &[Press::F(4)]).is_empty());
    assert_eq!(press(&mut model, &[Press::F(2)]), order(Order::SawHistory));
    press(&mut model, &[Press::F(4)]);
    typed(&mut model, "f");
    hides(&model, "01:05");
    shows(&model, "f all");
    assert_eq!(
        press(&mut model, &[Press::Enter])[0],
        dials("jisung@sori.test")
    );
}

#[test]
fn devices_and_services_are_set() {
    let mut model = idle();
    assert_eq!(
        press(&mut model, &[Press::F(7)]),
        order(Order::Measure(true))
    );
    shows(&model, "USB microphone");
    assert!(press(&mut model, &[Press::Enter]).is_empty());
    shows(&model, "내장 마이크");
    let second = order(Order::Microphone("m2".to_owned()));
    assert_eq!(press(&mut model, &[Press::Down, Press::Enter]), second);
    press(&mut model, &[Press::Down]);
    assert_eq!(
        press(&mut model, &[Press::Left]),
        order(Order::MicrophoneVolume(95))
    );
    assert_eq!(typed(&mut model, "t"), order(Order::TestTone));
    for _ in 0..5 {
        press(&mut model, &[Press::Down]);
    }
    press(&mut model, &[Press::Enter]);
    typed(&mut model, "4711");
    let always = order(Order::Divert(Divert::Always, Some("4711".to_owned())));
    assert_eq!(press(&mut model, &[Press::Enter]), always);
    press(&mut model, &[Press::Enter, Press::Ctrl('u')]);
    assert_eq!(
        press(&mut model, &[Press::Enter]),
        order(Order::Divert(Divert::Always, None))
    );
    assert_eq!(
        press(&mut model, &[Press::End, Press::Right]),
        order(Order::Speak(Language::Korean))
    );
    shows(&model, "언어");
    assert_eq!(
        press(&mut model, &[Press::F(2)]),
        order(Order::Measure(false))
    );
    assert_eq!(typed(&mut model, "D"), order(Order::DoNotDisturb(true)));
}

#[test]
fn without_devices_there_is_nothing_to_choose() {
    let mut model = idle();
    update(&mut model, Input::Devices(Devices::default()));
    hides(&model, "mic");
    assert!(press(&mut model, &[Press::F(7), Press::Char('t')]).is_empty());
    shows(&model, "Do not disturb");
    hides(&model, "Microphone");
    hides(&model, "test tone");
}

#[test]
fn pasted_text_is_never_obeyed() {
    let mut model = idle();
    let effects = update(&mut model, Input::Paste(" +82 2-123\n\u{1b}q".to_owned()));
    assert!(effects.is_empty());
    shows(&model, " Call: +82 2-123");
    press(&mut model, &[Press::Esc]);
    typed(&mut model, "?");
    update(&mut model, Input::Paste("q".to_owned()));
    assert_eq!(model.overlays.len(), 1);
}

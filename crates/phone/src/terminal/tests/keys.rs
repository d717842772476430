//! The table of keys against what the keys do.

use std::collections::BTreeMap;

use super::super::field::Field;
use super::super::keys::{Action, BINDINGS, Binding, Chord, Pane, Press, Scope, action, markdown};
use super::super::model::{Choice, Overlay, Prompt, Purpose, Question};
use super::*;

/// What is looked through for a key, wherever one can be.
fn stacks() -> Vec<Vec<Scope>> {
    let mut stacks: Vec<Vec<Scope>> = Pane::ALL
        .into_iter()
        .map(|p| vec![Scope::Ringing, p.scope(), Scope::Panes, Scope::Always])
        .collect();
    for line in [Scope::Dial, Scope::Search, Scope::Compose] {
        stacks.push(vec![line, Scope::Line, Scope::Always]);
    }
    for own in [Scope::Keypad, Scope::Choose, Scope::Confirm, Scope::Read] {
        stacks.push(vec![own, Scope::Always]);
    }
    stacks
}

/// Every key that the table knows, and some that it does not.
fn presses() -> Vec<Press> {
    let mut all: Vec<Press> = (' '..='~').map(Press::Char).collect();
    all.extend(['한', 'é', '+'].map(Press::Char));
    all.extend(('a'..='z').map(Press::Ctrl));
    all.extend((1..=12).map(Press::F));
    for binding in BINDINGS {
        for chord in binding.chords {
            if let Chord::One(press) = chord
                && !all.contains(press)
            {
                all.push(*press);
            }
        }
    }
    all
}

#[test]
fn no_key_does_two_things_in_one_place() {
    for stack in stacks() {
        for press in presses() {
            let meant: Vec<&Binding> = BINDINGS
                .iter()
                .filter(|b| stack.contains(&b.scope) && b.chords.iter().any(|c| c.fits(press)))
                .collect();
            assert!(meant.len() <= 1, "{press:?} in {stack:?}: {meant:?}");
            assert_eq!(action(&stack, press), meant.first().map(|b| b.action));
        }
    }
}

#[test]
fn the_table_is_whole() {
    let mut seen: BTreeMap<Scope, usize> = BTreeMap::new();
    for binding in BINDINGS {
        assert!(!binding.chords.is_empty(), "{binding:?}");
        *seen.entry(binding.scope).or_default() += 1;
    }
    assert!(Scope::ALL.iter().all(|s| seen.contains_key(s)));
    assert_eq!(
        seen.len(),
        Scope::ALL.len(),
        "a scope is missing in the help"
    );
}

/// A screen on which the keys of a scope have something to do.
fn ready(binding: &Binding) -> Model {
    let mut model = busy();
    let prompt = |purpose| {
        Overlay::Prompt(Prompt {
            purpose,
            field: Field::new("b a"),
            chosen: Some(0),
        })
    };
    let overlay = match binding.scope {
        Scope::Dial | Scope::Line => Some(prompt(Purpose::Call)),
        Scope::Search => Some(Overlay::Search),
        Scope::Compose => Some(Overlay::Compose {
            peer: "jisung@sori.test".to_owned(),
            field: Field::new("hello"),
            scroll: 2,
        }),
        Scope::Keypad => Some(Overlay::Keypad {
            call: 1,
            sent: String::new(),
        }),
        Scope::Choose => Some(Overlay::Choose {
            choice: Choice::Microphone,
            at: usize::from(binding.action == Action::Up),
        }),
        Scope::Confirm => Some(Overlay::Confirm(Question::Quit)),
        Scope::Read => Some(Overlay::Help {
            scroll: if binding.action == Action::Last {
                0
            } else {
                12
            },
        }),
        _ => None,
    };
    if binding.scope == Scope::Dial {
        // Somebody is suggested.
        model.overlays.push(prompt(Purpose::Call));
        if let Some(Overlay::Prompt(prompt)) = model.overlays.last_mut() {
            prompt.field.clear();
        }
    } else {
        model.overlays.extend(overlay);
    }
    if let Some(pane) = Pane::ALL.into_iter().find(|p| p.scope() == binding.scope) {
        model.pane = pane;
    }
    if binding.scope == Scope::Ringing || matches!(binding.action, Action::Answer | Action::Refuse)
    {
        let mut calls = model.calls.clone();
        calls.push(call(9, "dave@sori.test", Stage::Incoming));
        update(&mut model, Input::Calls(calls));
    }
    match (binding.scope, binding.action) {
        // Something is below, and something above.
        (Scope::Panes | Scope::Search, Action::Up | Action::PageUp | Action::First) => {
            model.pane = Pane::Contacts;
            model.at.contact = 2;
        }
        (Scope::Panes | Scope::Search, Action::Down | Action::PageDown | Action::Last) => {
            model.pane = Pane::Contacts;
        }
        (Scope::Panes, Action::Left | Action::Show(Pane::Calls)) => model.pane = Pane::History,
        (Scope::Panes, Action::Right) => model.pane = Pane::Contacts,
        (Scope::Panes, Action::Back) => model.zoomed = true,
        (Scope::Calls, Action::Open) => model.call = Some(2),
        (Scope::Line, Action::Delete | Action::LineRight | Action::LineEnd) => {
            press(&mut model, &[Press::Home]);
        }
        _ => {}
    }
    model
}

/// Every row of the table, with each of its keys: something changes, or is asked for outside.
#[test]
fn every_key_shown_does_something() {
    for binding in BINDINGS {
        for chord in binding.chords {
            let key = match chord {
                Chord::One(press) => *press,
                Chord::Digits => Press::Char('5'),
                Chord::Typed => Press::Char('한'),
            };
            let mut model = ready(binding);
            assert_eq!(
                action(&model.scopes(), key),
                Some(binding.action),
                "{binding:?} {key:?}"
            );
            let before = format!("{model:?}");
            let effects = press(&mut model, &[key]);
            let refused = model.notice.as_ref().is_some_and(|(n, _)| n.is_error);
            assert!(!refused, "{binding:?} {key:?}: {:?}", model.notice);
            assert!(
                !effects.is_empty() || before != format!("{model:?}"),
                "{binding:?} {key:?} does nothing"
            );
        }
    }
}

#[test]
fn the_help_has_every_key() {
    for language in [Language::English, Language::Korean] {
        let mut model = busy();
        model.language = language;
        model.rows = 400;
        press(&mut model, &[Press::Char('?')]);
        let rows = screen(&model).join("\n");
        for binding in BINDINGS {
            let label = binding.label(language);
            let text: String = binding
                .text
                .in_language(language)
                .chars()
                .take(12)
                .collect();
            assert!(rows.contains(&label), "{label}");
            assert!(rows.contains(&text), "{text}");
        }
    }
}

#[test]
fn the_documentation_has_the_same_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/phone.md");
    let docs = std::fs::read_to_string(path).unwrap();
    let (start, end) = ("<!-- keys -->", "<!-- end of keys -->");
    let table = docs
        .split_once(start)
        .and_then(|(_, rest)| rest.split_once(end));
    let (table, _) = table.expect("docs/phone.md has the marks");
    let wanted = markdown(Language::English);
    assert!(
        table.trim() == wanted.trim(),
        "docs/phone.md has another table of keys; it has to be:\n{wanted}"
    );
}

/// Hints are of keys that work here, and the way to all others is always shown.
#[test]
fn hints_fit_what_can_be_done() {
    let model = idle();
    shows(&model, "? help");
    hides(&model, "Space hold");
    let mut model = busy();
    shows(&model, "Space hold  x hang up  m mute  p keypad");
    model.calls[0].is_held = true;
    shows(&model, "Space resume");
    for pane in Pane::ALL {
        model.pane = pane;
        for columns in [60, 80, 120] {
            model.columns = columns;
            shows(&model, "? help");
        }
    }
}

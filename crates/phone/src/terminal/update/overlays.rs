//! Keys in what lies over the panes.

use super::super::field::Field;
use super::super::keys::{Action, Pane, Press};
use super::super::model::{
    Choice, Effect, Model, Order, Overlay, Prompt, Purpose, Question, Suggestion, same,
};
use super::super::scene::CallId;
use super::super::texts::Text;
use super::{ask, calls, inform, panes};

/// Lines that a page has, more or less.
const PAGE: usize = 10;
/// The farthest that anything can be scrolled; drawing stops at the end of the text.
const FARTHEST: usize = 10_000;
/// Keys of a keypad that are remembered.
const KEYS: usize = 40;

/// The call that an overlay is about.
pub(super) fn subject(overlay: &Overlay) -> Option<CallId> {
    match overlay {
        Overlay::Prompt(prompt) => match prompt.purpose {
            Purpose::Transfer(call) | Purpose::Deflect(call) => Some(call),
            _ => None,
        },
        Overlay::Choose {
            choice: Choice::Other(call),
            ..
        } => Some(*call),
        Overlay::Keypad { call, .. } | Overlay::Details { call, .. } => Some(*call),
        _ => None,
    }
}

/// The line that is typed.
pub(super) fn field(model: &mut Model) -> Option<&mut Field> {
    match model.overlays.last_mut()? {
        Overlay::Prompt(prompt) => {
            prompt.chosen = None;
            Some(&mut prompt.field)
        }
        Overlay::Compose { field, .. } => Some(field),
        Overlay::Search => match model.pane {
            Pane::History => Some(&mut model.history_filter),
            Pane::Log => Some(&mut model.log_filter),
            _ => Some(&mut model.contact_filter),
        },
        _ => None,
    }
}

/// A key while an overlay has it.
pub(super) fn act(model: &mut Model, action: Action, press: Press, effects: &mut Vec<Effect>) {
    if edit(model, action, press) {
        return;
    }
    match model.overlays.last().cloned() {
        Some(Overlay::Prompt(prompt)) => prompted(model, prompt, action, effects),
        Some(Overlay::Search) => searched(model, action),
        Some(Overlay::Compose { peer, field, .. }) => {
            composed(model, peer, &field, action, effects);
        }
        Some(Overlay::Keypad { call, sent }) => keypad(model, call, sent, action, press, effects),
        Some(Overlay::Choose { choice, at }) => chosen(model, choice, at, action, effects),
        Some(Overlay::Confirm(question)) => {
            model.overlays.pop();
            if action == Action::Yes {
                confirmed(model, question, effects);
            }
        }
        Some(Overlay::Help { .. } | Overlay::Message { .. } | Overlay::Details { .. }) => {
            reading(model, action);
        }
        None => {}
    }
}

/// Changes the line that is typed.
fn edit(model: &mut Model, action: Action, press: Press) -> bool {
    if !matches!(
        action,
        Action::Type
            | Action::Backspace
            | Action::Delete
            | Action::DeleteWord
            | Action::ClearLine
            | Action::LineLeft
            | Action::LineRight
            | Action::LineStart
            | Action::LineEnd
    ) {
        return false;
    }
    let Some(field) = field(model) else {
        return false;
    };
    match (action, press) {
        (Action::Type, Press::Char(c)) => field.insert(c.encode_utf8(&mut [0; 4])),
        (Action::Backspace, _) => field.backspace(),
        (Action::Delete, _) => field.delete(),
        (Action::DeleteWord, _) => field.delete_word(),
        (Action::ClearLine, _) => field.clear(),
        (Action::LineLeft, _) => field.left(),
        (Action::LineRight, _) => field.right(),
        (Action::LineStart, _) => field.home(),
        (Action::LineEnd, _) => field.end(),
        _ => {}
    }
    true
}

fn prompted(model: &mut Model, mut prompt: Prompt, action: Action, effects: &mut Vec<Effect>) {
    let suggestions = model.suggestions(&prompt);
    match action {
        Action::Up | Action::Down if !suggestions.is_empty() => {
            let last = suggestions.len() - 1;
            prompt.chosen = match (prompt.chosen, action) {
                // They stand above the line: up leads to the one nearest to it.
                (None, Action::Up) => Some(last),
                (None, _) => Some(0),
                (Some(0), Action::Up) => None,
                (Some(at), Action::Up) => Some(at - 1),
                (Some(at), _) => (at < last).then_some(at + 1),
            };
        }
        Action::Complete => {
            let at = prompt.chosen.unwrap_or(0);
            if let Some(suggestion) = suggestions.get(at) {
                prompt.field = Field::new(&suggestion.address);
                prompt.chosen = None;
            }
        }
        Action::Open => {
            model.overlays.pop();
            let chosen = prompt.chosen.and_then(|at| suggestions.get(at)).cloned();
            let chosen = chosen.or_else(|| meant(prompt.field.text(), &suggestions));
            entered(model, &prompt, chosen, effects);
            return;
        }
        Action::Back => {
            model.overlays.pop();
            return;
        }
        _ => {}
    }
    if let Some(Overlay::Prompt(present)) = model.overlays.last_mut() {
        *present = prompt;
    }
}

/// What is meant by a text that can be no address: the name it is, or the first that it is a part of.
fn meant(text: &str, suggestions: &[Suggestion]) -> Option<Suggestion> {
    let text = text.trim();
    let is_name = |s: &&Suggestion| s.name.to_lowercase() == text.to_lowercase();
    if let Some(exact) = suggestions.iter().find(is_name) {
        return Some(exact.clone());
    }
    let is_address = text.is_ascii() && !text.contains(' ');
    let first = suggestions.first().filter(|_| !is_address);
    first.cloned()
}

fn entered(
    model: &mut Model,
    prompt: &Prompt,
    chosen: Option<Suggestion>,
    effects: &mut Vec<Effect>,
) {
    let typed = prompt.field.text().trim().to_owned();
    let call = chosen.as_ref().and_then(|s| s.call);
    let address = chosen.map_or_else(|| typed.clone(), |s| s.address);
    if let Purpose::Divert(when) = prompt.purpose {
        let target = Some(address).filter(|a| !a.is_empty());
        effects.push(Effect::Order(Order::Divert(when, target)));
        return;
    }
    if address.is_empty() && typed.is_empty() {
        return;
    }
    match &prompt.purpose {
        Purpose::Call => panes::dial(model, &address, effects),
        Purpose::Transfer(this) => {
            let order = match call {
                Some(other) => Order::TransferTo(*this, other),
                None => Order::Transfer(*this, address.clone()),
            };
            effects.push(Effect::Order(order));
            inform(model, model.text_with(Text::TransferOn, &[&address]));
        }
        Purpose::Deflect(this) => effects.push(Effect::Order(Order::Forward(*this, address))),
        Purpose::TextTo => panes::write_to(model, &address, effects),
        Purpose::ContactAddress => {
            let name = model.name_of(&typed).unwrap_or_default().to_owned();
            ask(model, Purpose::ContactName { address: typed }, &name);
        }
        Purpose::ContactName { address } => effects.push(Effect::Order(Order::KeepContact {
            address: address.clone(),
            name: typed,
        })),
        Purpose::Divert(_) => {}
    }
}

fn searched(model: &mut Model, action: Action) {
    let (place, rows) = match model.pane {
        Pane::History => (model.at.past, model.shown_history().len()),
        Pane::Log => (model.at.logged, model.shown_log().len()),
        _ => (model.at.contact, model.shown_contacts().len()),
    };
    // In the log, places are counted from the newest, which stands last.
    let turned = match (action, model.pane) {
        (Action::Up, Pane::Log) => Action::Down,
        (Action::Down, Pane::Log) => Action::Up,
        (other, _) => other,
    };
    let to = panes::moved(place, rows, turned);
    match (action, model.pane) {
        (Action::Back, _) => {
            if let Some(field) = field(model) {
                field.clear();
            }
            model.overlays.pop();
        }
        (Action::Open, _) => {
            model.overlays.pop();
        }
        (_, Pane::History) => model.at.past = to,
        (_, Pane::Log) => model.at.logged = to,
        _ => model.at.contact = to,
    }
}

fn composed(
    model: &mut Model,
    peer: String,
    field: &Field,
    action: Action,
    effects: &mut Vec<Effect>,
) {
    if action == Action::Back {
        model.overlays.pop();
        return;
    }
    let text = field.text().trim().to_owned();
    let Some(Overlay::Compose { field, scroll, .. }) = model.overlays.last_mut() else {
        return;
    };
    match action {
        Action::Open if !text.is_empty() => {
            field.clear();
            *scroll = 0;
            effects.push(Effect::Order(Order::Message { to: peer, text }));
        }
        // The newest stand at the bottom: scrolling is counted from there.
        Action::PageUp => *scroll = (*scroll + 3).min(FARTHEST),
        Action::PageDown => *scroll = scroll.saturating_sub(3),
        _ => {}
    }
}

fn keypad(
    model: &mut Model,
    call: CallId,
    mut sent: String,
    action: Action,
    press: Press,
    effects: &mut Vec<Effect>,
) {
    match (action, press) {
        (Action::Digit, Press::Char('+')) => {}
        (Action::Digit, Press::Char(key)) => {
            effects.push(Effect::Order(Order::Keys(call, key.to_string())));
            sent.push(key);
            if sent.len() > KEYS {
                sent.remove(0);
            }
            if let Some(top) = model.overlays.last_mut() {
                *top = Overlay::Keypad { call, sent };
            }
        }
        _ => {
            model.overlays.pop();
        }
    }
}

fn chosen(model: &mut Model, choice: Choice, at: usize, action: Action, effects: &mut Vec<Effect>) {
    let devices = &model.devices;
    let rows = match choice {
        Choice::Microphone => devices.microphones.len(),
        Choice::Speaker => devices.speakers.len(),
        Choice::Other(call) => calls::other_calls(model, call).len(),
    };
    match action {
        Action::Open => {
            let order = match choice {
                Choice::Microphone => devices
                    .microphones
                    .get(at)
                    .map(|d| Order::Microphone(d.id.clone())),
                Choice::Speaker => devices
                    .speakers
                    .get(at)
                    .map(|d| Order::Speaker(d.id.clone())),
                Choice::Other(call) => calls::other_calls(model, call)
                    .get(at)
                    .map(|other| Order::TransferTo(call, other.id)),
            };
            effects.extend(order.map(Effect::Order));
            model.overlays.pop();
        }
        Action::Back => {
            model.overlays.pop();
        }
        _ => {
            let to = panes::moved(at, rows, action);
            if let Some(Overlay::Choose { at, .. }) = model.overlays.last_mut() {
                *at = to;
            }
        }
    }
}

fn confirmed(model: &mut Model, question: Question, effects: &mut Vec<Effect>) {
    match question {
        Question::Quit => effects.push(Effect::Quit),
        Question::Link(target) => panes::dial(model, &target, effects),
        Question::RemoveContact { address, .. } => {
            model.contacts.retain(|c| !same(&c.address, &address));
            effects.push(Effect::Order(Order::RemoveContact(address)));
        }
    }
}

fn reading(model: &mut Model, action: Action) {
    if action == Action::Back {
        model.overlays.pop();
        return;
    }
    if let Some(
        Overlay::Help { scroll }
        | Overlay::Message { scroll, .. }
        | Overlay::Details { scroll, .. },
    ) = model.overlays.last_mut()
    {
        let to = match action {
            Action::Up => scroll.saturating_sub(1),
            Action::Down => *scroll + 1,
            Action::PageUp => scroll.saturating_sub(PAGE),
            Action::PageDown => *scroll + PAGE,
            Action::First => 0,
            Action::Last => FARTHEST,
            _ => *scroll,
        };
        *scroll = to.min(FARTHEST);
    }
}

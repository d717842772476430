//! What an input changes, and what is to be done outside because of it.

mod calls;
mod overlays;
mod panes;

use std::time::Duration;

pub(super) use calls::other_calls;

use super::keys::{self, Action, Pane, Press};
use super::model::{Effect, Input, LOG, Model, Notice, Order, Overlay, Prompt, Purpose, Question};
use super::scene::{Call, Contact, Conversation, Logged, Past, Stage};
use super::texts::Text;
use super::{field::Field, width::harmless};

/// How long good news stay.
const NEWS: Duration = Duration::from_secs(5);
/// How long bad news stay; Esc takes them away.
const BAD_NEWS: Duration = Duration::from_secs(20);
/// How often the bell sounds while somebody rings.
const BELL: Duration = Duration::from_secs(3);
/// Overlays over overlays: a person cannot get deeper than help over a question over a line.
const DEPTH: usize = 8;

/// Takes an input in. The effects are to be carried out in their order.
pub fn update(model: &mut Model, input: Input) -> Vec<Effect> {
    let mut effects = Vec::new();
    match input {
        Input::Press(press) => pressed(model, press, &mut effects),
        Input::Paste(text) => pasted(model, &text),
        Input::Size { columns, rows } => {
            model.columns = columns;
            model.rows = rows;
        }
        Input::Clock(now, offset) => {
            model.now = now;
            model.offset = offset;
            if model
                .notice
                .as_ref()
                .is_some_and(|(_, until)| *until <= now)
            {
                model.notice = None;
            }
        }
        Input::Accounts(accounts) => model.accounts = accounts,
        Input::Calls(new) => calls(model, new),
        Input::Contacts(contacts) => book(model, contacts),
        Input::History(history) => past(model, history),
        Input::Conversations(new) => conversations(model, new, &mut effects),
        Input::Logged(message) => logged(model, message),
        Input::Devices(devices) => model.devices = devices,
        Input::Services(services) => model.services = services,
        Input::Told(notice) => tell(model, notice),
        Input::Link(target) => push(model, Overlay::Confirm(Question::Link(target))),
    }
    settle(model);
    ring(model, &mut effects);
    effects
}

/// Shows a line for a person.
pub(super) fn tell(model: &mut Model, notice: Notice) {
    let stays = if notice.is_error { BAD_NEWS } else { NEWS };
    let until = model.now + stays;
    let text = harmless(&notice.text);
    model.notice = Some((Notice { text, ..notice }, until));
}

/// Says why a key does nothing.
pub(super) fn refuse(model: &mut Model, text: Text) {
    let text = model.text(text).to_owned();
    tell(
        model,
        Notice {
            text,
            is_error: true,
        },
    );
}

pub(super) fn inform(model: &mut Model, text: String) {
    tell(
        model,
        Notice {
            text,
            is_error: false,
        },
    );
}

pub(super) fn push(model: &mut Model, overlay: Overlay) {
    if model.overlays.len() < DEPTH {
        model.overlays.push(overlay);
    }
}

pub(super) fn ask(model: &mut Model, purpose: Purpose, text: &str) {
    push(
        model,
        Overlay::Prompt(Prompt {
            purpose,
            field: Field::new(text),
            chosen: None,
        }),
    );
}

fn pressed(model: &mut Model, press: Press, effects: &mut Vec<Effect>) {
    let Some(action) = keys::action(&model.scopes(), press) else {
        return;
    };
    if always(model, action, effects) {
        return;
    }
    if model.overlays.is_empty() {
        panes::act(model, action, press, effects);
    } else {
        overlays::act(model, action, press, effects);
    }
}

/// What means the same wherever it is pressed.
fn always(model: &mut Model, action: Action, effects: &mut Vec<Effect>) -> bool {
    match action {
        Action::Quit => quit(model, effects),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::Help => {
            if !matches!(model.overlays.last(), Some(Overlay::Help { .. })) {
                push(model, Overlay::Help { scroll: 0 });
            }
        }
        Action::Answer | Action::Refuse | Action::Deflect => {
            calls::answer_or_not(model, action, effects);
        }
        _ => return false,
    }
    true
}

fn quit(model: &mut Model, effects: &mut Vec<Effect>) {
    let asked = matches!(
        model.overlays.last(),
        Some(Overlay::Confirm(Question::Quit))
    );
    if model.calls.is_empty() || asked {
        effects.push(Effect::Quit);
    } else {
        push(model, Overlay::Confirm(Question::Quit));
    }
}

/// Pasted text goes to the line that is typed; where none is, it is taken for somebody to call.
fn pasted(model: &mut Model, text: &str) {
    let text = text.trim();
    if let Some(field) = overlays::field(model) {
        field.insert(text);
    } else if model.overlays.is_empty() && !text.is_empty() {
        ask(model, Purpose::Call, text);
    }
}

fn calls(model: &mut Model, mut new: Vec<Call>) {
    for call in &mut new {
        // What the book calls somebody counts more than what they call themselves.
        if let Some(known) = model.name_of(&call.peer) {
            call.name = Some(known.to_owned());
        }
    }
    // A new call is the one that the next keys are about, unless its owner is busy with another.
    let fresh = new
        .iter()
        .find(|c| !model.calls.iter().any(|old| old.id == c.id));
    let busy = model
        .chosen_call()
        .is_some_and(|c| c.stage == Stage::Established && new.iter().any(|n| n.id == c.id));
    if let Some(fresh) = fresh
        && (!fresh.is_incoming || !busy)
    {
        model.call = Some(fresh.id);
        if !fresh.is_incoming && model.overlays.is_empty() {
            model.pane = Pane::Calls;
        }
    }
    model.calls = new;
    let known = |id: &u64| model.calls.iter().any(|c| c.id == *id);
    if !model.call.as_ref().is_some_and(known) {
        let talking = model.calls.iter().find(|c| c.stage == Stage::Established);
        model.call = talking.or(model.calls.first()).map(|c| c.id);
    }
    // What was about a call that is over is over.
    let ids: Vec<u64> = model.calls.iter().map(|c| c.id).collect();
    model
        .overlays
        .retain(|overlay| overlays::subject(overlay).is_none_or(|call| ids.contains(&call)));
}

/// The cursor stays on the contact that it is on.
fn book(model: &mut Model, contacts: Vec<Contact>) {
    let chosen = model.shown_contacts().get(model.at.contact).copied();
    let chosen = chosen.map(|c| c.address.clone());
    model.contacts = contacts;
    let mut rows = model.shown_contacts().into_iter();
    let row = chosen.and_then(|address| rows.position(|c| c.address == address));
    model.at.contact = row.unwrap_or(model.at.contact);
}

/// The cursor stays on the call that it is on; at the newest it stays at the newest.
fn past(model: &mut Model, history: Vec<Past>) {
    let chosen = model.shown_history().get(model.at.past).map(|p| p.id);
    model.history = history;
    if model.at.past > 0 {
        let row = model
            .shown_history()
            .iter()
            .position(|p| Some(p.id) == chosen);
        model.at.past = row.unwrap_or(model.at.past);
    }
}

fn conversations(model: &mut Model, new: Vec<Conversation>, effects: &mut Vec<Effect>) {
    let chosen = model.conversations.get(model.at.conversation);
    let chosen = chosen.map(|c| c.peer.clone());
    model.conversations = new;
    let row = chosen.and_then(|peer| model.conversations.iter().position(|c| c.peer == peer));
    model.at.conversation = row.unwrap_or(model.at.conversation);
    read(model, effects);
}

fn logged(model: &mut Model, message: Logged) {
    // Whoever looks at one message keeps it under the cursor.
    let stays = model.paused || (model.pane == Pane::Log && model.at.logged > 0);
    if model.log.len() >= LOG {
        model.log.pop_front();
    }
    model.log.push_back(message);
    if stays {
        // Rows are counted from the newest.
        model.at.logged += 1;
    }
}

/// The texts of the conversation that is open are read.
pub(super) fn read(model: &mut Model, effects: &mut Vec<Effect>) {
    let Some(Overlay::Compose { peer, .. }) = model.overlays.last() else {
        return;
    };
    if let Some(conversation) = model.conversation_with(peer)
        && conversation.unread > 0
    {
        effects.push(Effect::Order(Order::Read(conversation.peer.clone())));
    }
}

/// Keeps every cursor on a row that is there.
fn settle(model: &mut Model) {
    let last = |rows: usize| rows.saturating_sub(1);
    let contacts = last(model.shown_contacts().len());
    let history = last(model.shown_history().len());
    let log = last(model.shown_log().len());
    let settings = last(model.settings().len());
    let at = &mut model.at;
    at.contact = at.contact.min(contacts);
    at.past = at.past.min(history);
    at.logged = at.logged.min(log);
    at.account = at.account.min(last(model.accounts.len()));
    at.conversation = at.conversation.min(last(model.conversations.len()));
    at.setting = at.setting.min(settings);
    if let Some(farthest) = super::draw::farthest_scroll(model)
        && let Some(
            Overlay::Help { scroll }
            | Overlay::Message { scroll, .. }
            | Overlay::Details { scroll, .. }
            | Overlay::Compose { scroll, .. },
        ) = model.overlays.last_mut()
    {
        *scroll = (*scroll).min(farthest);
    }
    if matches!(
        model.pane,
        Pane::History | Pane::Messages | Pane::Log | Pane::Settings
    ) {
        model.lower = model.pane;
    }
}

fn ring(model: &mut Model, effects: &mut Vec<Effect>) {
    let rings = model.calls.iter().any(|c| c.stage == Stage::Incoming);
    if !rings {
        model.rang = Duration::ZERO;
    } else if model.rang.is_zero() || model.now >= model.rang + BELL {
        model.rang = model.now.max(Duration::from_nanos(1));
        effects.push(Effect::Bell);
    }
}

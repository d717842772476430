//! The panes that are lists.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::keys::Pane;
use super::super::look::{SIGNS, chosen, faint, strong};
use super::super::model::{Model, Overlay, bare};
use super::super::scene::{Logged, Past, Presence, Registration, TextState};
use super::super::texts::Text;
use super::super::width::{cut, fit, fit_right, sides, width, wrapped};
use super::{bars, clock, local, nothing, reading, rows, when};

/// A row that says in its sign what it is, and stands out when it is chosen.
fn row(
    sign: &'static str,
    tint: Style,
    text: String,
    style: Style,
    is_chosen: Option<bool>,
) -> Line<'static> {
    let style = match is_chosen {
        Some(focused) => chosen(focused),
        None => style,
    };
    Line::from(vec![
        Span::styled(sign, tint),
        Span::raw(" "),
        Span::styled(text, style),
    ])
}

/// Whether the row is the one that the keys are about.
fn is_chosen(model: &Model, pane: Pane, row: usize, at: usize) -> Option<bool> {
    (row == at).then_some(model.pane == pane)
}

pub(super) fn contacts(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let shown = model.shown_contacts();
    if shown.is_empty() {
        let text = if model.contact_filter.is_empty() {
            Text::NoContacts
        } else {
            Text::NothingFound
        };
        nothing(frame, area, model.text(text));
        return;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let lines = shown.iter().enumerate().map(|(n, contact)| {
        let (sign, tint, word) = presence(model, contact.presence);
        let said = contact.note.as_deref().filter(|n| !n.is_empty());
        let right = said.or(word.map(|w| model.text(w)));
        let right = right.map_or(String::new(), |r| cut(r, columns / 2));
        let text = sides(&contact.name, &right, columns);
        let at = is_chosen(model, Pane::Contacts, n, model.at.contact);
        row(sign, tint, text, Style::new(), at)
    });
    rows(frame, area, lines.collect(), model.at.contact);
}

fn presence(model: &Model, presence: Presence) -> (&'static str, Style, Option<Text>) {
    let (signs, look) = (SIGNS, model.look);
    match presence {
        Presence::Unknown => (signs.between, faint(), None),
        Presence::Offline => (signs.empty, faint(), Some(Text::Offline)),
        Presence::Online => (signs.full, look.good(), Some(Text::Online)),
        Presence::Away => (signs.half, look.notable(), Some(Text::Away)),
        Presence::Busy => (signs.full, look.bad(), Some(Text::Busy)),
    }
}

pub(super) fn history(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let shown = model.shown_history();
    if shown.is_empty() {
        let text = match (model.history_filter.is_empty(), model.only_missed) {
            (false, _) => Text::NothingFound,
            (true, true) => Text::NoMissed,
            (true, false) => Text::NoHistory,
        };
        nothing(frame, area, model.text(text));
        return;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let lines = shown.iter().enumerate().map(|(n, past)| {
        let at = is_chosen(model, Pane::History, n, model.at.past);
        past_row(model, past, columns, at)
    });
    rows(frame, area, lines.collect(), model.at.past);
}

fn past_row(model: &Model, past: &Past, columns: usize, at: Option<bool>) -> Line<'static> {
    let (signs, look) = (SIGNS, model.look);
    let (sign, tint) = match (past.is_missed, past.is_incoming) {
        (true, _) => (signs.wrong, look.bad()),
        (false, true) => (signs.left, Style::new()),
        (false, false) => (signs.right, Style::new()),
    };
    let outcome = match past.talked {
        Some(time) => clock(time),
        None if past.is_missed => model.text(Text::Missed).to_owned(),
        None if past.reason.is_empty() => model.text(Text::NotAnswered).to_owned(),
        None => past.reason.clone(),
    };
    let time = fit_right(&when(model, past.at), 5);
    let name = model.name_of(&past.peer).or(past.name.as_deref());
    let who = name.unwrap_or_else(|| bare(&past.peer));
    let left = format!("{time}  {who}");
    // The reason has what the name leaves, and half of the row at least.
    let room = columns.saturating_sub(width(&left) + 2).max(columns / 2);
    let text = sides(&left, &cut(&outcome, room), columns);
    let style = if past.is_missed && !past.is_seen {
        strong()
    } else {
        Style::new()
    };
    row(sign, tint, text, style, at)
}

pub(super) fn accounts(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    if model.accounts.is_empty() {
        nothing(frame, area, model.text(Text::NoAccount));
        return;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let mut lines = Vec::new();
    let mut chosen_line = 0;
    for (n, account) in model.accounts.iter().enumerate() {
        let at = is_chosen(model, Pane::Accounts, n, model.at.account).filter(|focused| *focused);
        if at.is_some() {
            chosen_line = lines.len();
        }
        let (sign, state) = bars::registration(model, account);
        let tint = match account.registration {
            Registration::Registered { .. } => model.look.good(),
            Registration::Failed { .. } => model.look.bad(),
            Registration::Trying => model.look.notable(),
            Registration::Off => faint(),
        };
        let voicemail = account.voicemail.filter(|n| *n > 0);
        let right = voicemail.map_or(String::new(), |n| {
            model.text_with(Text::VoicemailCount, &[&n.to_string()])
        });
        let is_default = model.accounts.len() > 1 && account.is_default;
        let style = if is_default { strong() } else { Style::new() };
        lines.push(row(
            sign,
            tint,
            sides(&account.address, &right, columns),
            style,
            at,
        ));
        let mut told = state;
        if let Registration::Failed { advice, .. } = &account.registration
            && !advice.is_empty()
        {
            told.push_str(&format!(". {advice}"));
        }
        // Why it failed is told in full where one looks for it.
        let texts = if model.pane == Pane::Accounts {
            wrapped(&told, columns)
        } else {
            vec![cut(&told, columns)]
        };
        lines.extend(
            texts
                .into_iter()
                .map(|t| Line::styled(format!("  {t}"), faint())),
        );
    }
    rows(
        frame,
        area,
        lines,
        chosen_line + usize::from(area.height) / 2,
    );
}

pub(super) fn messages(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    if let Some(Overlay::Compose { peer, scroll, .. }) = model
        .overlays
        .iter()
        .rev()
        .find(|o| matches!(o, Overlay::Compose { .. }))
    {
        conversation(frame, model, area, peer, *scroll);
        return;
    }
    if model.conversations.is_empty() {
        nothing(frame, area, model.text(Text::NoMessages));
        return;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let signs = SIGNS;
    let lines = model.conversations.iter().enumerate().map(|(n, c)| {
        let name = model.name_of(&c.peer).or(c.name.as_deref());
        let name = name.unwrap_or_else(|| bare(&c.peer));
        let last = c.texts.last();
        let said = last.map_or("", |t| t.body.as_str());
        let time = last.map_or(String::new(), |t| when(model, t.at));
        let who = fit(name, (columns / 3).max(8));
        let text = sides(&format!("{who} {said}"), &time, columns);
        let (sign, style) = if c.unread > 0 {
            (signs.full, strong())
        } else {
            (" ", Style::new())
        };
        let at = is_chosen(model, Pane::Messages, n, model.at.conversation);
        row(sign, model.look.good(), text, style, at)
    });
    rows(frame, area, lines.collect(), model.at.conversation);
}

fn conversation(frame: &mut Frame<'_>, model: &Model, area: Rect, peer: &str, scroll: usize) {
    let name = model
        .name_of(peer)
        .map_or(String::new(), |n| format!("{n} "));
    let title = cut(&format!("{name}<{}>", bare(peer)), usize::from(area.width));
    let [top, rest] = ratatui::layout::Layout::vertical([
        ratatui::layout::Constraint::Length(1),
        ratatui::layout::Constraint::Min(1),
    ])
    .areas(area);
    frame.render_widget(Line::styled(title, strong()), top);
    let lines = conversation_lines(model, peer, usize::from(rest.width));
    let height = usize::from(rest.height);
    let end = lines.len().saturating_sub(scroll);
    let first = end.saturating_sub(height);
    let shown: Vec<Line<'_>> = lines.into_iter().skip(first).take(height).collect();
    frame.render_widget(ratatui::widgets::Paragraph::new(shown), rest);
}

/// The texts of a conversation as lines.
pub(super) fn conversation_lines(model: &Model, peer: &str, columns: usize) -> Vec<Line<'static>> {
    let Some(conversation) = model.conversation_with(peer) else {
        return Vec::new();
    };
    let name = model.name_of(peer).unwrap_or_else(|| bare(peer));
    let name = cut(name.split('@').next().unwrap_or(name), 12);
    let mut lines = Vec::new();
    for text in &conversation.texts {
        let (who, style, state) = match &text.state {
            TextState::Received => (name.as_str(), model.look.good(), None),
            TextState::Sending => (model.text(Text::You), strong(), Some(Text::MessageSending)),
            TextState::Stored => (model.text(Text::You), strong(), Some(Text::MessageStored)),
            TextState::Delivered | TextState::Failed(_) => (model.text(Text::You), strong(), None),
        };
        let lead = format!("{} {who}: ", when(model, text.at));
        let indent = width(&lead).min(columns / 2);
        let mut body = wrapped(&text.body, columns.saturating_sub(indent)).into_iter();
        lines.push(Line::from(vec![
            Span::styled(cut(&lead, indent), style),
            Span::raw(body.next().unwrap_or_default()),
        ]));
        lines.extend(body.map(|rest| Line::raw(format!("{}{rest}", " ".repeat(indent)))));
        if let Some(state) = state {
            let text = format!("{}({})", " ".repeat(indent), model.text(state));
            lines.push(Line::styled(cut(&text, columns), faint()));
        }
        if let TextState::Failed(why) = &text.state {
            let text = model.text_with(Text::MessageFailed, &[why]);
            for rest in wrapped(&text, columns.saturating_sub(indent)) {
                let text = format!("{}{rest}", " ".repeat(indent));
                lines.push(Line::styled(text, model.look.bad()));
            }
        }
    }
    lines
}

pub(super) fn log(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let shown = model.shown_log();
    if shown.is_empty() {
        let text = if model.log_filter.is_empty() {
            Text::NoLog
        } else {
            Text::NothingFound
        };
        nothing(frame, area, model.text(text));
        return;
    }
    let columns = usize::from(area.width).saturating_sub(2);
    let chosen_row = shown.len().saturating_sub(1 + model.at.logged);
    let height = usize::from(area.height);
    // Only what can be seen is made: there may be thousands.
    let first = chosen_row.saturating_sub(height);
    let lines: Vec<Line<'_>> = shown
        .iter()
        .enumerate()
        .skip(first)
        .take(2 * height)
        .map(|(n, message)| {
            let at = is_chosen(model, Pane::Log, n, chosen_row).filter(|_| model.pane == Pane::Log);
            logged_row(model, message, columns, at)
        })
        .collect();
    rows(frame, area, lines, chosen_row - first);
}

fn logged_row(model: &Model, message: &Logged, columns: usize, at: Option<bool>) -> Line<'static> {
    let look = model.look;
    let signs = SIGNS;
    let sign = if message.is_incoming {
        signs.left
    } else {
        signs.right
    };
    let (second, _) = local(model, message.at);
    let time = format!(
        "{:02}:{:02}:{:02}.{:03}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        message.at.subsec_millis()
    );
    let (first, right) = reading::summary(&message.text);
    let tint = match first
        .strip_prefix("SIP/2.0 ")
        .and_then(|s| s.chars().next())
    {
        Some('4'..='6') => look.bad(),
        Some('2') => look.good(),
        _ => Style::new(),
    };
    let first = first.strip_prefix("SIP/2.0 ").unwrap_or(&first);
    let text = sides(&format!("{time} {first}"), &right, columns);
    row(sign, tint, text, Style::new(), at)
}

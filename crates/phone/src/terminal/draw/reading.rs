//! What is read: help, a SIP message, the details of a call.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::super::keys::{BINDINGS, Scope};
use super::super::look::{border, faint, strong};
use super::super::model::{Model, Overlay};
use super::super::scene::{Call, CallId, Logged};
use super::super::texts::Text;
use super::super::width::{cut, fit, width, wrapped};
use super::{calls, lists};

/// Rows around a body: what a reader cannot use.
const FRAME_ROWS: u16 = 5;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, body: Rect) {
    let Some(overlay) = model.overlays.last() else {
        return;
    };
    let columns = usize::from(body.width.saturating_sub(4));
    let lines = lines(model, overlay, columns);
    let (title, scroll) = match overlay {
        Overlay::Help { scroll } => (model.text(Text::HelpTitle).to_owned(), *scroll),
        Overlay::Message { message, scroll } => (summary(&message.text).0, *scroll),
        Overlay::Details { scroll, .. } => (model.text(Text::DetailsTitle).to_owned(), *scroll),
        _ => return,
    };
    let total = lines.len().to_string();
    let height = usize::from(body.height.saturating_sub(2));
    let shown = (scroll + height).min(lines.len()).to_string();
    let place = model.text_with(Text::LogTruncated, &[&shown, &total]);
    let title = cut(&title, columns.saturating_sub(width(&place) + 4));
    let block = Block::new()
        .borders(Borders::ALL)
        .border_set(border(true))
        .border_style(strong())
        .title(Span::styled(format!(" {title} "), strong()))
        .title(Line::from(format!(" {place} ")).right_aligned());
    let inner = block.inner(body);
    frame.render_widget(block, body);
    let inner = Rect {
        x: inner.x + 1,
        width: inner.width.saturating_sub(2),
        ..inner
    };
    let lines: Vec<Line<'_>> = lines.into_iter().skip(scroll).take(height).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

/// How far what is read can be scrolled.
pub(in super::super) fn farthest_scroll(model: &Model) -> Option<usize> {
    let overlay = model.overlays.last()?;
    let rows = usize::from(model.rows.saturating_sub(FRAME_ROWS));
    let columns = usize::from(model.columns.saturating_sub(4));
    match overlay {
        Overlay::Help { .. } | Overlay::Message { .. } | Overlay::Details { .. } => {
            Some(lines(model, overlay, columns).len().saturating_sub(rows))
        }
        Overlay::Compose { peer, .. } => {
            let lines = lists::conversation_lines(model, peer, columns / 2);
            Some(lines.len())
        }
        _ => None,
    }
}

fn lines(model: &Model, overlay: &Overlay, columns: usize) -> Vec<Line<'static>> {
    match overlay {
        Overlay::Help { .. } => help(model, columns),
        Overlay::Message { message, .. } => message_lines(message, columns),
        Overlay::Details { call, .. } => details(model, *call, columns),
        _ => Vec::new(),
    }
}

/// The table of keys: those that hold where help was asked for come first.
fn help(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let mut here = vec![model.pane.scope()];
    let below = model.overlays.iter().rev().nth(1);
    if let Some(overlay) = below {
        let mut below = model.clone();
        below.overlays = vec![overlay.clone()];
        here = below.scopes();
        here.pop();
    }
    let mut scopes = here.clone();
    scopes.extend(Scope::ALL.into_iter().filter(|s| !here.contains(s)));
    let language = model.language;
    let keys = BINDINGS.iter().map(|b| width(&b.label(language))).max();
    let keys = keys.unwrap_or(0).min(columns / 3);
    let mut lines = Vec::new();
    for scope in scopes {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::styled(model.text(scope.title()), strong()));
        for binding in BINDINGS.iter().filter(|b| b.scope == scope) {
            let texts = wrapped(model.text(binding.text), columns.saturating_sub(keys + 4));
            for (n, text) in texts.into_iter().enumerate() {
                let label = if n == 0 {
                    binding.label(language)
                } else {
                    String::new()
                };
                lines.push(Line::from(vec![
                    Span::styled(format!("  {}", fit(&label, keys)), strong()),
                    Span::raw(format!("  {text}")),
                ]));
            }
        }
    }
    lines
}

fn message_lines(message: &Logged, columns: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(cut(&message.remote, columns), faint())];
    for (n, text) in message.text.lines().enumerate() {
        for rest in wrapped(text, columns) {
            lines.push(if n == 0 {
                Line::styled(rest, strong())
            } else {
                Line::raw(rest)
            });
        }
    }
    lines
}

fn details(model: &Model, id: CallId, columns: usize) -> Vec<Line<'static>> {
    let Some(call) = model.call_named(id) else {
        return Vec::new();
    };
    let rows = detail_rows(model, call);
    let label = rows.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let label = label.min(columns / 2);
    let mut lines = Vec::new();
    for (name, value) in rows {
        for (n, rest) in wrapped(&value, columns.saturating_sub(label + 2))
            .into_iter()
            .enumerate()
        {
            let name = if n == 0 { name.as_str() } else { "" };
            lines.push(Line::from(vec![
                Span::styled(fit(name, label), faint()),
                Span::raw(format!("  {rest}")),
            ]));
        }
    }
    lines
}

fn detail_rows(model: &Model, call: &Call) -> Vec<(String, String)> {
    let mut rows = vec![
        (
            Text::DetailPeer,
            match &call.name {
                Some(name) => format!("{name} <{}>", call.peer),
                None => call.peer.clone(),
            },
        ),
        (Text::DetailAccount, call.account.clone()),
        (Text::DetailState, calls::state(model, call).0),
    ];
    rows.extend(call.codec.clone().map(|v| (Text::DetailCodec, v)));
    let security = call.security.clone();
    let security = security.unwrap_or_else(|| model.text(Text::NotEncrypted).to_owned());
    rows.push((Text::DetailSecurity, security));
    rows.extend(call.transport.clone().map(|v| (Text::DetailTransport, v)));
    if let Some(quality) = call.quality {
        rows.push((Text::DetailLoss, format!("{:.1} %", quality.loss)));
        rows.push((
            Text::DetailJitter,
            format!("{} ms", quality.jitter.as_millis()),
        ));
        let time = quality.round_trip;
        rows.extend(time.map(|t| (Text::DetailRoundTrip, format!("{} ms", t.as_millis()))));
        rows.extend(quality.mos.map(|m| (Text::DetailMos, format!("{m:.1}"))));
    }
    let mut rows: Vec<(String, String)> = rows
        .into_iter()
        .map(|(name, value)| (model.text(name).to_owned(), value))
        .collect();
    rows.extend(call.details.iter().cloned());
    rows
}

/// The first line of a message, and what its CSeq says it is about when the line does not.
pub(super) fn summary(text: &str) -> (String, String) {
    let first = text.lines().next().unwrap_or_default().to_owned();
    let header = |name: &str| {
        let mut lines = text.lines().take_while(|l| !l.is_empty());
        lines.find_map(|l| {
            let (n, value) = l.split_once(':')?;
            n.trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    };
    let cseq = header("CSeq").unwrap_or_default();
    let first = first.strip_suffix(" SIP/2.0").unwrap_or(&first).to_owned();
    (first, cseq)
}

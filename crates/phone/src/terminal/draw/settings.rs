//! The pane of settings.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::super::keys::Pane;
use super::super::look::{chosen, faint};
use super::super::model::{Divert, Model, Setting};
use super::super::scene::Device;
use super::super::texts::Text;
use super::super::width::{fit, width, wrapped};
use super::{meter, rows};

/// Columns of a volume or a level.
const BAR: usize = 10;
/// Below this a microphone hears nothing at all: it is muted, or none.
const SILENT: f32 = -90.0;

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let columns = usize::from(area.width);
    let settings = model.settings();
    let names = settings.iter().map(|s| model.text(name(*s)));
    let label = names.map(width).max().unwrap_or(0);
    let label = label.min(columns / 2);
    let mut lines = Vec::new();
    let mut at = 0;
    for (n, setting) in settings.into_iter().enumerate() {
        let is_chosen = n == model.at.setting && model.pane == Pane::Settings;
        if n == model.at.setting {
            at = lines.len();
        }
        let title = model.text(name(setting));
        let value = value(model, setting);
        let text = fit(&format!("{}  {value}", fit(title, label)), columns);
        let style = if is_chosen {
            chosen(true)
        } else {
            Style::new()
        };
        lines.push(Line::styled(text, style));
        if let Some(trouble) = trouble(model, setting) {
            let texts = wrapped(trouble, columns.saturating_sub(2));
            let trouble = texts.into_iter().take(3);
            lines.extend(trouble.map(|t| Line::styled(format!("  {t}"), model.look.bad())));
        }
    }
    if model.pane == Pane::Settings && model.devices.are_used {
        let tone = format!(
            "{}: {}",
            model.text(Text::TestTone),
            model.text(Text::TestToneHow)
        );
        lines.push(Line::styled(fit(&tone, columns), faint()));
    }
    rows(frame, area, lines, at);
}

fn name(setting: Setting) -> Text {
    match setting {
        Setting::Microphone => Text::Microphone,
        Setting::MicrophoneVolume => Text::MicrophoneVolume,
        Setting::Level => Text::Level,
        Setting::Speaker => Text::Speaker,
        Setting::SpeakerVolume => Text::SpeakerVolume,
        Setting::DoNotDisturb => Text::DoNotDisturb,
        Setting::Divert(Divert::Always) => Text::DivertAlways,
        Setting::Divert(Divert::Busy) => Text::DivertBusy,
        Setting::Divert(Divert::NoAnswer) => Text::DivertNoAnswer,
        Setting::Language => Text::LanguageSetting,
    }
}

fn value(model: &Model, setting: Setting) -> String {
    let devices = &model.devices;
    let services = &model.services;
    let target = |target: &Option<String>| {
        let target = target.as_deref();
        target.unwrap_or(model.text(Text::Off)).to_owned()
    };
    match setting {
        Setting::Microphone => device(model, &devices.microphones, &devices.microphone),
        Setting::Speaker => device(model, &devices.speakers, &devices.speaker),
        Setting::MicrophoneVolume => volume(devices.microphone_volume),
        Setting::SpeakerVolume => volume(devices.speaker_volume),
        Setting::Level => match devices.level {
            Some(level) if level > SILENT => meter(level, BAR),
            Some(_) => model.text(Text::LevelSilent).to_owned(),
            None => meter(f32::NEG_INFINITY, BAR),
        },
        Setting::DoNotDisturb if services.do_not_disturb => model.text(Text::On).to_owned(),
        Setting::DoNotDisturb => model.text(Text::Off).to_owned(),
        Setting::Divert(Divert::Always) => target(&services.divert_always),
        Setting::Divert(Divert::Busy) => target(&services.divert_busy),
        Setting::Divert(Divert::NoAnswer) => target(&services.divert_no_answer),
        Setting::Language => model.text(Text::LanguageName).to_owned(),
    }
}

fn device(model: &Model, all: &[Device], used: &Option<String>) -> String {
    let Some(used) = used else {
        return model.text(Text::NoDevice).to_owned();
    };
    let found = all.iter().find(|d| d.id == *used);
    found.map_or(used, |d| &d.name).clone()
}

fn volume(percent: u8) -> String {
    let share = f32::from(percent.min(100)) / 100.0;
    format!("{} {percent} %", meter((share - 1.0) * 60.0, BAR))
}

fn trouble(model: &Model, setting: Setting) -> Option<&str> {
    match setting {
        Setting::Microphone => model.devices.microphone_trouble.as_deref(),
        Setting::Speaker => model.devices.speaker_trouble.as_deref(),
        _ => None,
    }
}

//! How the screen looks: the terminal's own palette, and signs that every terminal has.
//!
//! No colour carries a meaning alone, and text is in the terminal's own foreground: what is readable on black is then readable
//! on white. Where a background is set, so is the foreground.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Colours may be used (https://no-color.org).
    pub colour: bool,
    /// Only ASCII signs may be used, because the terminal's character set has no others.
    pub ascii: bool,
}

impl Default for Look {
    fn default() -> Look {
        Look {
            colour: true,
            ascii: false,
        }
    }
}

/// Signs, each one column wide.
pub(super) struct Signs {
    pub full: &'static str,
    pub empty: &'static str,
    pub half: &'static str,
    pub wrong: &'static str,
    pub right: &'static str,
    pub left: &'static str,
    pub chosen: &'static str,
    pub bar: &'static str,
    pub no_bar: &'static str,
    pub between: &'static str,
}

pub(super) const SIGNS: Signs = Signs {
    full: "●",
    empty: "○",
    half: "◐",
    wrong: "✗",
    right: "→",
    left: "←",
    chosen: "▸",
    bar: "█",
    no_bar: "░",
    between: "·",
};

/// The sign that stands for another where only ASCII can be shown; "?" for what has none.
pub(super) fn in_ascii(symbol: &str) -> &'static str {
    match symbol {
        "●" => "*",
        "○" => "o",
        "◐" | "…" => "~",
        "✗" => "x",
        "→" | "▸" => ">",
        "←" => "<",
        "↑" => "^",
        "↓" => "v",
        "█" => "#",
        "░" => ".",
        "─" | "━" | "·" => "-",
        "│" | "┃" => "|",
        "┌" | "┐" | "└" | "┘" | "┏" | "┓" | "┗" | "┛" => "+",
        _ => "?",
    }
}

impl Look {
    /// Something that is as it should be.
    pub(super) fn good(self) -> Style {
        self.tinted(Color::Green)
    }

    /// Something to look at.
    pub(super) fn notable(self) -> Style {
        self.tinted(Color::Magenta)
    }

    /// Something that is wrong.
    pub(super) fn bad(self) -> Style {
        self.tinted(Color::Red)
    }

    /// What calls for attention now.
    pub(super) fn alarm(self) -> Style {
        if self.colour {
            let style = Style::new().fg(Color::Black).bg(Color::Yellow);
            style.add_modifier(Modifier::BOLD)
        } else {
            strong().add_modifier(Modifier::REVERSED)
        }
    }

    fn tinted(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            strong()
        }
    }
}

pub(super) const fn border(focused: bool) -> border::Set<'static> {
    if focused {
        border::THICK
    } else {
        border::PLAIN
    }
}

/// What the eye should find first.
pub(super) fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// What may be passed over.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

/// What the keys are about.
pub(super) fn chosen(focused: bool) -> Style {
    if focused {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        strong()
    }
}

/// The line at the bottom.
pub(super) fn status() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

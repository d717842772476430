//! `sori phone`: a telephone for people.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use phone::Sound;

use crate::arguments::Line;
use crate::console::Console;
use crate::exit::Exit;
use crate::screen;

/// A telephone on this terminal.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    line: Line,
    #[command(flatten)]
    screen: screen::Options,
}

/// Runs until its owner quits.
pub fn run(args: Args) -> ExitCode {
    let account = args.line.account.to_string();
    let mut console = Console::new("phone", &account, false);
    let settings = match args.line.settings() {
        Ok(settings) => settings,
        Err(failure) => return console.failure(&failure).into(),
    };
    match screen::run(
        vec![settings],
        Box::new(|| Ok(Sound::default())),
        args.screen,
    ) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

//! `sori phone`: a telephone for people, and one that programs drive.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args as ClapArgs;
use phone::control::Sounds;
use phone::{Name, Server, Settings, SoundError, Source};

use crate::arguments::{Line, Output, Voice};
use crate::console::Console;
use crate::exit::{Exit, Failure, exit_codes};
use crate::headless;
use crate::provision::SetUp;
use crate::report::json_events;
use crate::screen;

/// The commands of the phone, as its help shows them; a test compares them with the grammar.
macro_rules! commands {
    () => {
        "\
Commands, one a line; CALL is the number that events give, and may be left out where only one fits:
  dial TARGET [as ACCOUNT]     answer [CALL]                hangup [CALL|all]
  reject [CALL] [STATUS]       hold [CALL]                  resume [CALL]
  swap                         transfer CALL TARGET         transfer CALL to CALL
  accept-transfer CALL         refuse-transfer CALL         forward CALL TARGET
  divert always|busy|no-answer TARGET|off [SECONDS]         pickup TARGET
  dnd on|off                   waiting on|off               autoanswer on|off|SECONDS
  conference CALL CALL...      join CALL                    part CALL
  dtmf CALL DIGITS [rfc4733|info]                           info CALL TYPE BODY
  message TARGET|#CALL TEXT    mute on|off                  record CALL FILE|off
  play CALL FILE|off           codec CALL NAMES             register [ACCOUNT]
  unregister [ACCOUNT]         options TARGET               subscribe EVENT TARGET
  calls                        accounts                     status
  sleep SECONDS                wait EVENT [CALL] [SECONDS]  quit"
    };
}

/// A telephone on this terminal; with --headless one that a script drives.
///
/// With --headless every line on standard input is a command, and so is every line on the socket of --control. What happens
/// is told line by line, as JSON with --json. At the end of standard input the phone ends when its last call has ended; with
/// --control or --answer it goes on.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori phone --account alice@example.org
  sori phone --headless --json --account alice@example.org --answer --echo
  printf 'dial bob\\nwait established\\ndtmf 0 12#\\nsleep 2\\nhangup\\n' |
    sori phone --headless --json --account alice@example.org

", commands!(), "\n\n", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    /// Whose phone it is; may be given several times, and the first speaks where a command names none
    #[arg(long, short, value_name = "USER@DOMAIN", value_parser = Name::from_str, required_unless_present = "provision")]
    account: Vec<Name>,
    /// Take the settings from an XML document at this http: or https: address
    #[arg(long, value_name = "URL")]
    provision: Option<String>,
    /// The server of the account; one for all, or as many as there are accounts, in the same order
    #[arg(long, value_name = "udp|tcp:HOST:PORT", value_parser = Server::from_str)]
    proxy: Vec<Server>,
    /// Send straight to whom it calls, without a server of the account in between
    #[arg(long, conflicts_with = "proxy")]
    direct: bool,
    /// The password of the account; one for all, or as many as there are accounts
    #[arg(long, value_name = "FILE")]
    password_file: Vec<PathBuf>,
    /// Use this local port for SIP [default: any free one]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    voice: Voice,
    /// Send back what is heard
    #[arg(long, conflicts_with = "play")]
    echo: bool,
    #[command(flatten)]
    headless: headless::Options,
    #[command(flatten)]
    screen: screen::Options,
}

/// Runs until its owner quits.
pub fn run(args: Args) -> ExitCode {
    let mut console = Console::new("phone", args.output.json);
    match start(args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn start(args: Args, console: &mut Console) -> Result<(), Failure> {
    let settings = settings(&args, console)?;
    let sounds = sounds(args.voice, args.echo);
    if args.headless.headless {
        headless::run(settings, sounds, &args.headless, console)
    } else {
        screen::run(settings, sounds, args.screen)
    }
}

/// The settings of every account.
fn settings(args: &Args, console: &mut Console) -> Result<Vec<Settings>, Failure> {
    let many = args.account.len();
    for (given, what) in [
        (args.proxy.len(), "--proxy"),
        (args.password_file.len(), "--password-file"),
    ] {
        if given > 1 && given != many {
            return Err(Failure::new(
                Exit::Usage,
                format!("{what} is given {given} times for {many} accounts"),
                "give it once for all of them, or once for each, in the same order",
            ));
        }
    }
    let accounts: Vec<Option<&Name>> = match many {
        0 => vec![None],
        _ => args.account.iter().map(Some).collect(),
    };
    let mut all = Vec::new();
    for (n, account) in accounts.into_iter().enumerate() {
        let line = Line {
            account: account.cloned(),
            provision: args.provision.clone(),
            proxy: of_account(&args.proxy, n),
            password_file: of_account(&args.password_file, n),
            port: args.port,
            output: Output {
                json: args.output.json,
                verbose: args.output.verbose,
            },
        };
        let mut settings = SetUp::of(&line, console)?.settings;
        if args.direct {
            settings.server = None;
            settings.direct = Some(settings.account.host().to_owned());
        }
        if let Some(codecs) = &args.voice.codec {
            settings.codecs.clone_from(codecs);
        }
        settings.max_calls = usize::try_from(args.headless.max_calls).unwrap_or(usize::MAX);
        all.push(settings);
    }
    Ok(all)
}

/// What is given for the `n`th account, or for all.
fn of_account<T: Clone>(given: &[T], n: usize) -> Option<T> {
    given.get(n).or(given.first()).cloned()
}

/// Files, an echo or silence for each call.
fn sounds(voice: Voice, echo: bool) -> Sounds {
    let mut calls = 0;
    Box::new(move || {
        calls += 1;
        let mut sound = voice
            .open(calls)
            .map_err(|failure| SoundError::new(failure.message))?;
        if echo {
            sound.source = Source::Echo;
        }
        Ok(sound)
    })
}

#[cfg(test)]
mod tests {
    use phone::control::GRAMMAR;

    #[test]
    fn the_help_names_every_command() {
        let help = commands!();
        for (usage, _) in GRAMMAR {
            assert!(help.contains(usage), "{usage}");
        }
    }
}

//! `sori phone`: a telephone for people, and one that programs drive.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args as ClapArgs;
use phone::control::Sounds;
use phone::provision::Profile;
use phone::{KeysBy, Name, Server, Settings, SoundError, Source};

use crate::arguments::{Line, Output, Passage, Voice, parse_keys_by};
use crate::console::Console;
use crate::devices::{Devices, Usual, language};
use crate::exit::{Exit, Failure, exit_codes};
use crate::provision::{self, SetUp};
use crate::report::{self, json_events};
use crate::{check, handler, headless, screen};

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
  devices                      device microphone|speaker CHOICE
  volume microphone|speaker PERCENT                         echo-cancellation on|off
  noise-suppression on|off     play CALL FILE|off           codec CALL NAMES
  register [ACCOUNT]           unregister [ACCOUNT]         options TARGET
  subscribe EVENT TARGET       calls                        accounts
  status                       sleep SECONDS                wait EVENT [CALL] [SECONDS]
  quit"
    };
}

/// A telephone on this terminal; with --headless one that a script drives.
///
/// With --headless every line on standard input is a command, and so is every line on the socket of --control. What happens
/// is told line by line, as JSON with --json. At the end of standard input the phone ends when its last call has ended; with
/// --control or --answer it goes on.
///
/// You talk with this machine's microphone and speaker, which are checked before each call; with --headless, --play,
/// --record or --echo no device is used unless it is named.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori phone --account alice@example.org
  sori phone --check
  sori phone --headless --json --account alice@example.org --answer --echo
  printf 'dial bob\\nwait established\\ndtmf 0 12#\\nsleep 2\\nhangup\\n' |
    sori phone --headless --json --account alice@example.org

", commands!(), "\n\n", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    /// Whose phone it is; may be given several times, and the first speaks where a command names none
    #[arg(long, short, value_name = "USER@DOMAIN", value_parser = Name::from_str, required_unless_present_any = ["provision", "list", "check", "remove_handler"])]
    account: Vec<Name>,
    /// Take the settings from an XML document at this http: or https: address
    #[arg(long, value_name = "URL")]
    provision: Option<String>,
    /// The server of the account; one for all, or as many as there are accounts, in the same order
    #[arg(long, value_name = "udp|tcp|tls:HOST:PORT", value_parser = Server::from_str)]
    proxy: Vec<Server>,
    /// Trust the certificates in this PEM file in TLS, beside those that this system trusts; may be given again
    #[arg(long = "tls-root", value_name = "FILE")]
    tls_roots: Vec<PathBuf>,
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
    #[command(flatten)]
    passage: Passage,
    /// Do not let the other side know who calls (RFC 3323); the server is told
    #[arg(long)]
    anonymous: bool,
    /// Believe the server about who calls (P-Asserted-Identity, RFC 3325)
    #[arg(long)]
    trust_asserted: bool,
    /// How keys travel: rfc4733 (among the sound) or info [default: rfc4733, or what the document says]
    #[arg(long, value_name = "HOW", value_parser = parse_keys_by)]
    dtmf_by: Option<KeysBy>,
    /// Send back what is heard
    #[arg(long, conflicts_with_all = ["play", "microphone"])]
    echo: bool,
    #[command(flatten)]
    devices: Devices,
    /// List the microphones and speakers of this machine, and end
    #[arg(long = "devices", visible_alias = "list-devices")]
    list: bool,
    /// Open microphone and speaker, make sure that they work, show how loud it is; exit code 7 where they do not
    #[arg(long)]
    check: bool,
    /// Have the desktop start this phone, with the other options given here, when a sip: or tel: link is clicked; and end
    #[arg(long, conflicts_with_all = ["headless", "list", "check", "remove_handler", "link"])]
    install_handler: bool,
    /// Take that back, and end
    #[arg(long)]
    remove_handler: bool,
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
    if args.list || args.check {
        return look(&args, console);
    }
    if args.install_handler || args.remove_handler {
        return handle_links(args.install_handler, console);
    }
    let (settings, profile) = settings(&args, console)?;
    let usual = if args.headless.headless || args.echo {
        Usual::None
    } else {
        Usual::OfMachine
    };
    let hook = args.devices.hook(usual, &args.voice, &profile);
    let sounds = sounds(args.voice, args.echo);
    if args.headless.headless {
        let devices = hook.map(|hook| (hook, language(&profile)));
        headless::run(settings, sounds, devices, &args.headless, console)
    } else {
        let devices = hook.map(|hook| (hook, args.devices));
        screen::run(settings, sounds, devices, profile, args.screen)
    }
}

/// Registers this phone with the desktop, or takes that back.
fn handle_links(install: bool, console: &mut Console) -> Result<(), Failure> {
    let done = if install {
        // A link starts the phone as it was started now.
        let options = std::env::args_os().skip(2);
        handler::install(
            options
                .filter(|option| option != "--install-handler")
                .collect(),
        )?
    } else {
        handler::remove()?
    };
    for line in done {
        console.tell(report::named("handler").text("message", &line), &line);
    }
    console.flush();
    Ok(())
}

/// Looks at the devices, without an account.
fn look(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let profile = match &args.provision {
        Some(url) => provision::fetch(url, console)?.profile,
        None => Profile::default(),
    };
    let nothing = Voice::default();
    let Some(hook) = args.devices.hook(Usual::OfMachine, &nothing, &profile) else {
        return Ok(());
    };
    if args.list {
        check::list(hook, console);
        return Ok(());
    }
    let language = args.screen.language.unwrap_or(language(&profile));
    check::check(hook, language, console)
}

/// The settings of every account.
fn settings(args: &Args, console: &mut Console) -> Result<(Vec<Settings>, Profile), Failure> {
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
    let (mut all, mut profile) = (Vec::new(), Profile::default());
    for (n, account) in accounts.into_iter().enumerate() {
        let line = Line {
            account: account.cloned(),
            provision: args.provision.clone(),
            proxy: of_account(&args.proxy, n),
            tls_roots: args.tls_roots.clone(),
            password_file: of_account(&args.password_file, n),
            port: args.port,
            output: Output {
                json: args.output.json,
                verbose: args.output.verbose,
            },
        };
        let set_up = SetUp::of(&line, console)?;
        profile = set_up.profile;
        let mut settings = set_up.settings;
        if args.direct {
            settings.server = None;
            settings.direct = Some(settings.account.host().to_owned());
        }
        args.voice.apply(&mut settings);
        args.passage.apply(&mut settings);
        settings.anonymous = args.anonymous;
        settings.trust_asserted = args.trust_asserted;
        settings.keys_by = args.dtmf_by.unwrap_or(settings.keys_by);
        settings.max_calls = usize::try_from(args.headless.max_calls).unwrap_or(usize::MAX);
        all.push(settings);
    }
    Ok((all, profile))
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

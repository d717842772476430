//! `sori register`: one registration, or its end.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use phone::{Event, Name};

use crate::arguments::Line;
use crate::console::Console;
use crate::desk::{Desk, GRACE, Happening};
use crate::exit::{Exit, Failure, exit_codes};
use crate::provision::SetUp;
use crate::report::json_events;

/// The ports from which `sori register` takes that of an account: above those that systems give out by themselves.
const PORTS: std::ops::RangeInclusive<u16> = 61_000..=64_999;

/// The seconds asked for when nothing else is said.
const EXPIRES: u32 = 3600;

/// Register once and leave the registration there, or remove it.
///
/// It shows that the account, its password and the way to the server are right. Nobody answers at the contact that it
/// leaves; phones that answer register by themselves. Each account has a local port of its own here, so that --remove
/// takes away exactly what an earlier `sori register` left on this machine.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori register --account alice@example.org --proxy udp:192.0.2.1:5060
  sori register --account alice@example.org --expires 60 --json
  sori register --account alice@example.org --remove

", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    #[command(flatten)]
    line: Line,
    /// Ask the registrar for so many seconds [default: 3600]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    expires: Option<u32>,
    /// Remove what an earlier `sori register` left
    #[arg(long, conflicts_with = "expires")]
    remove: bool,
}

/// Registers, or removes the registration.
pub fn run(args: Args) -> ExitCode {
    let mut console = Console::new("register", args.line.output.json);
    match register(&args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn register(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let mut set_up = SetUp::of(&args.line, console)?;
    let (whom, has_password) = (set_up.whom(), set_up.has_password());
    let expires = args.expires.or(set_up.expires()).unwrap_or(EXPIRES);
    let port = port_of(&set_up.settings.account);
    set_up.settings.port.get_or_insert(port);
    let desk = Desk::open(set_up.settings)?;
    desk.phone.keep_contact();
    if args.remove {
        desk.phone.unregister();
    } else {
        desk.phone.register(expires);
    }
    let outcome = loop {
        let event = match desk.next(None) {
            Happening::Phone(event) => event,
            Happening::Time => continue,
            Happening::Stop => {
                break Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted before the registrar answered",
                    "",
                ));
            }
        };
        console.event(&event);
        match event {
            Event::Registered { .. } | Event::Unregistered { .. } => break Ok(()),
            Event::RegistrationFailed { cause, .. } => {
                break Err(Failure::of(&cause, "cannot register", &whom, has_password));
            }
            _ => {}
        }
    };
    let grace = if outcome.is_err() {
        Duration::ZERO
    } else {
        GRACE
    };
    for event in desk.close(grace) {
        console.event(&event);
    }
    outcome
}

/// The same port for the same account, each time.
fn port_of(account: &Name) -> u16 {
    // FNV-1a: any hash that never changes will do.
    let hash = account.uri().bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let ports = u32::from(PORTS.end() - PORTS.start()) + 1;
    PORTS.start() + u16::try_from(hash % ports).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_keeps_its_port() {
        let port = |name: &str| port_of(&name.parse().unwrap());
        assert_eq!(port("alice@example.org"), port("sip:alice@example.org"));
        assert_ne!(port("alice@example.org"), port("bob@example.org"));
        assert!(PORTS.contains(&port("alice@example.org")));
    }
}

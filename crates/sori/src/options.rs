//! `sori options`: asks what somebody can do.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use phone::{Event, Name, Server, Settings};
use sip::uri::Uri;

use crate::arguments::Output;
use crate::console::Console;
use crate::desk::{Desk, GRACE, Happening};
use crate::exit::{Exit, Failure, exit_codes};
use crate::report::json_events;

/// Ask a server or a phone what it can do (SIP OPTIONS), which also shows that it is there.
///
/// TARGET is a host (example.org, 192.0.2.1:5070), an address (bob@example.org) or a SIP URI. No account is needed.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = concat!("\
Examples:
  sori options 192.0.2.1
  sori options 'sip:example.org;transport=tcp' --json
  sori options bob@example.org --proxy udp:192.0.2.1:5060

", exit_codes!(), "\n\n", json_events!()))]
pub struct Args {
    /// Whom to ask
    #[arg(value_name = "TARGET")]
    target: String,
    /// The server that the request goes through [default: straight to the target]
    #[arg(long, value_name = "udp|tcp|tls:HOST:PORT", value_parser = <Server as std::str::FromStr>::from_str)]
    proxy: Option<Server>,
    /// Trust the certificates in this PEM file in TLS, beside those that this system trusts; may be given again
    #[arg(long = "tls-root", value_name = "FILE")]
    tls_roots: Vec<std::path::PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// Asks and shows the answer.
pub fn run(args: Args) -> ExitCode {
    let mut console = Console::new("options", args.output.json);
    match ask(&args, &mut console) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => console.failure(&failure).into(),
    }
}

fn ask(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let text = args.target.trim();
    let whole = text.contains('@') || text.starts_with('<') || has_scheme(text);
    let text = if whole {
        text.to_owned()
    } else {
        format!("sip:{text}")
    };
    let wrong =
        |why: &dyn std::fmt::Display| Failure::new(Exit::Usage, format!("TARGET {why}"), "");
    let target = phone::target(&text, "").map_err(|error| wrong(&error))?;
    let host = Uri::parse(target.as_bytes())
        .map(|uri| {
            uri.host
                .ip()
                .map_or_else(|| uri.host.to_string(), |ip| ip.to_string())
        })
        .map_err(|error| wrong(&error))?;
    let settings = Settings {
        server: args.proxy.clone(),
        direct: Some(host),
        tap: args.output.tap(),
        tls_roots: args.tls_roots.clone(),
        ..Settings::new(nobody())
    };
    let desk = Desk::open(settings)?;
    desk.phone.options(&target);
    let outcome = loop {
        let event = match desk.next(None) {
            Happening::Phone(event) => event,
            Happening::Time => continue,
            Happening::Stop => {
                break Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted before an answer came",
                    "",
                ));
            }
        };
        console.event(&event);
        match &event {
            Event::Answered { .. } => {
                show(console, &target, &event);
                break verdict(&target, &event);
            }
            Event::RequestFailed { cause, .. } => {
                break Err(Failure::of(cause, "cannot ask", &target, false));
            }
            _ => {}
        }
    };
    desk.close(GRACE);
    outcome
}

/// Who asks when it does not matter (RFC 3323 §4.1.1.3).
fn nobody() -> Name {
    Name {
        user: "anonymous".to_owned(),
        domain: "anonymous.invalid".to_owned(),
    }
}

fn has_scheme(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

fn show(console: &mut Console, target: &str, event: &Event) {
    let Event::Answered {
        status,
        reason,
        allow,
        accept,
        supported,
        product,
        round_trip,
    } = event
    else {
        return;
    };
    let milliseconds = round_trip.as_secs_f64() * 1000.0;
    console.result(&format!(
        "{target}: {status} {reason} ({milliseconds:.1} ms)"
    ));
    for (name, values) in [
        ("Allow", allow),
        ("Accept", accept),
        ("Supported", supported),
    ] {
        if !values.is_empty() {
            console.result(&format!("  {name}: {}", values.join(", ")));
        }
    }
    if let Some(product) = product {
        console.result(&format!("  Server: {product}"));
    }
}

fn verdict(target: &str, event: &Event) -> Result<(), Failure> {
    match event {
        Event::Answered {
            status: 200..=299, ..
        } => Ok(()),
        Event::Answered { status, reason, .. } => {
            let cause = phone::Cause::Refused {
                status: sip::message::StatusCode(*status),
                reason: reason.clone(),
                contacts: Vec::new(),
            };
            Err(Failure::of(&cause, "refused by", target, false))
        }
        _ => Ok(()),
    }
}

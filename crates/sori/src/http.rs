//! The console of `sori serve`: its address, its start, and what an administrator asks of the process through it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::{Config, Console, ConsoleError, LogBook};
use server::Server;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Where the console listens when nothing is said.
const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// Whether and where the console is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// Not at all.
    Off,
    /// At this address.
    At(SocketAddr),
}

/// Reads `ADDR:PORT` or `none`.
pub fn parse_http(text: &str) -> Result<Http, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(Http::Off);
    }
    text.parse().map(Http::At).map_err(|_| {
        format!(
            "{text} is not an address with a port: write it as 127.0.0.1:8080, [::]:8080, or none"
        )
    })
}

/// Messages go to standard error, and into the book that the console shows.
pub fn keep_log() -> Arc<LogBook> {
    let book = LogBook::new();
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(book.layer())
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_target(false),
        )
        .init();
    book
}

/// This program as it was started, to be started again.
#[derive(Debug)]
pub struct Program {
    path: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    /// As it runs now. The path is that of now: a newer program that takes its place is what a restart runs.
    pub fn running() -> Program {
        Program {
            path: std::env::current_exe().ok(),
            arguments: std::env::args_os().collect(),
        }
    }

    /// Takes the place of this process; returns only what went wrong.
    pub fn start_again(&self) -> String {
        let Some(path) = &self.path else {
            return "cannot start again: the system does not say where this program is".into();
        };
        let mut command = std::process::Command::new(path);
        command.args(self.arguments.iter().skip(1));
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt as _;
            if let Some(name) = self.arguments.first() {
                command.arg0(name);
            }
            let error = command.exec();
            format!("cannot start {} again: {error}", path.display())
        }
        #[cfg(not(unix))]
        match command.spawn() {
            Ok(_) => std::process::exit(0),
            Err(error) => format!("cannot start {} again: {error}", path.display()),
        }
    }
}

/// Starts the console, unless it is off. When nobody asked for it and its usual port is taken, that is said, and the
/// server works without.
///
/// # Errors
/// What is wrong, for a person.
pub fn start(
    wanted: Option<Http>,
    server: &Server,
    logs: Arc<LogBook>,
    program: &Program,
    settings: Option<&Path>,
) -> Result<Option<Console>, String> {
    let listen = match wanted {
        Some(Http::Off) => return Ok(None),
        Some(Http::At(address)) => address,
        None => USUAL,
    };
    let files = program.path.iter().cloned();
    // On this host itself nobody listens in, and the certificate is for another name than localhost. One that signed itself
    // would be warned of by every browser.
    let certificates = server
        .certificates()
        .filter(|c| !c.is_self_signed() && !listen.ip().is_loopback());
    let config = Config {
        listen,
        tls: certificates.map(|c| c.server_config(&[b"http/1.1"])),
        certificate: certificates.map_or_else(String::new, |c| c.file().display().to_string()),
        files: files.chain(settings.map(Path::to_path_buf)).collect(),
    };
    match Console::start(config, server.admin(), logs) {
        Ok(console) => Ok(Some(console)),
        Err(ConsoleError::Listen(address, error)) if wanted.is_none() => {
            eprintln!(
                "sori serve: no console: {address} cannot be had ({error}); choose another with --http ADDR:PORT, or --http none"
            );
            Ok(None)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What is printed of it at the start.
pub fn announcement(console: &Console) -> String {
    let mut text = format!("  console   {}\n", console.url());
    if let Some((name, password)) = console.first_password() {
        text.push_str(&format!(
            "            sign in as {name} with the password {password} (shown only now; the console asks for a new one)\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_console() {
        assert_eq!(parse_http("none"), Ok(Http::Off));
        assert_eq!(parse_http("127.0.0.1:8080"), Ok(Http::At(USUAL)));
        assert!(parse_http("[::]:443").is_ok());
        for bad in ["", "8080", "127.0.0.1", "localhost:8080"] {
            assert!(parse_http(bad).is_err_and(|e| e.contains("none")), "{bad}");
        }
    }
}

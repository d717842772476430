//! `sori`: an organisation's own telephone network in one program.

mod admin;
mod answer;
mod arguments;
mod call;
mod check;
mod codec;
mod config;
mod console;
mod contacts;
mod desk;
mod devices;
mod exit;
mod handler;
mod headless;
mod http;
mod json;
mod options;
mod password;
mod phone;
mod provision;
mod register;
mod report;
mod screen;
mod serve;
mod signals;
mod trace;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Your own telephone and messenger network on open standards (SIP).
///
/// One program: the server that phones register with, and a telephone for scripts and terminals.
#[derive(Debug, Parser)]
#[command(name = "sori", version, max_term_width = 100, after_long_help = concat!("\
Examples:
  sori serve                                       start the server; it says how to go on
  sori user add alice                              make an account
  sori call echo --account alice@example.org       call the server's echo
  sori answer --account bob@example.org --echo     answer calls

", exit_codes!(), "

Passwords come from --password-file, the variable SORI_PASSWORD, or a prompt; never from the
command line, where everybody on this machine could read them."))]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[command(max_term_width = 100)]
enum Command {
    Serve(serve::Args),
    User(user::Args),
    Admin(admin::Args),
    Phone(phone::Args),
    Call(call::Args),
    Answer(answer::Args),
    Register(register::Args),
    Options(options::Args),
    Contacts(contacts::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::User(args) => user::run(args),
        Command::Admin(args) => admin::run(args),
        Command::Phone(args) => phone::run(args),
        Command::Call(args) => call::run(args),
        Command::Answer(args) => answer::run(args),
        Command::Register(args) => register::run(args),
        Command::Options(args) => options::run(args),
        Command::Contacts(args) => contacts::run(args),
    }
}

use exit::exit_codes;

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}

//! `sori admin`: who may sign in to the console, while the server runs or not.

use std::path::PathBuf;
use std::process::ExitCode;

use api::{Administrators, Role};
use clap::{Args as ClapArgs, Subcommand};
use store::Store;

use crate::password;

/// List the administrators of the console and give them new passwords; works while the server runs and takes
/// effect at once.
///
/// The first start of the server makes the administrator "admin". Accounts, which telephones use, are the
/// affair of "sori user".
#[derive(Debug, ClapArgs)]
#[command(after_long_help = "\
Examples:
  sori admin list
  sori admin passwd admin
  echo 'a long secret' | sori admin passwd admin --password-stdin")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show administrators and operators, one a line
    List(Data),
    /// Give one a new password; who is signed in with the old one is signed out
    Passwd(Passwd),
}

#[derive(Debug, ClapArgs)]
struct Data {
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct Passwd {
    /// The administrator or operator
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    data: Data,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Carries the command out.
pub fn run(args: Args) -> ExitCode {
    let done = match args.action {
        Action::List(data) => list(&data),
        Action::Passwd(passwd) => change(&passwd),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("sori admin: {message}");
            ExitCode::FAILURE
        }
    }
}

fn administrators(data: &Data) -> Result<Administrators, String> {
    let dir = match &data.data {
        Some(dir) => dir.clone(),
        None => crate::config::data_dir()?,
    };
    if !dir.join("sori.db").exists() {
        return Err(format!(
            "there is no data in {}: name the server's directory with --data",
            dir.display()
        ));
    }
    let store = Store::open(&dir).map_err(|error| error.to_string())?;
    Ok(Administrators::new(store))
}

fn list(data: &Data) -> Result<(), String> {
    let all = administrators(data)?.list().map_err(|e| e.to_string())?;
    if all.is_empty() {
        eprintln!("nobody yet: the first start of the server with its console makes admin");
    }
    for one in all {
        let role = match one.role {
            Role::Administrator => "administrator",
            Role::Operator => "operator",
            Role::User => "user",
        };
        let first = if one.must_change_password {
            "  (has to change the password)"
        } else {
            ""
        };
        println!("{}  {role}{first}", one.name);
    }
    Ok(())
}

fn change(passwd: &Passwd) -> Result<(), String> {
    let all = administrators(&passwd.data)?;
    let name = &passwd.name;
    let found = all.find(name).map_err(|e| e.to_string())?;
    if found.is_none() {
        return Err(format!(
            "there is no administrator {name}; sori admin list shows those there are"
        ));
    }
    let password = if passwd.password_stdin {
        password::from_stdin()?
    } else {
        password::choose(name)?
    };
    all.set_password(name, &password, true)
        .map_err(|e| e.to_string())?;
    println!("{name} has a new password");
    Ok(())
}

//! `sori user`: accounts, while the server runs or not.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use store::{ServedOutcome, Store, StoreError};

use crate::password;

/// How long a running server may take to honour a change.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Add, list and remove accounts; works while the server runs and takes effect at once.
///
/// A name without a domain belongs to the domain that the server serves first. Passwords are asked for, or read
/// from standard input with --password-stdin; they are never stored, only what Digest authentication needs.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = "\
Examples:
  sori user add alice
  echo secret | sori user add bob@example.org --password-stdin
  sori user passwd alice
  sori user list
  sori user remove alice")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an account
    Add(Named),
    /// Show the accounts, one a line
    List(Data),
    /// Remove an account and the registrations of its phones
    Remove(NamedOnly),
    /// Give an account a new password
    Passwd(Named),
}

#[derive(Debug, ClapArgs)]
struct Data {
    /// The server's data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
struct NamedOnly {
    /// The account, as NAME or NAME@DOMAIN
    #[arg(value_name = "NAME[@DOMAIN]")]
    name: String,
    #[command(flatten)]
    data: Data,
}

#[derive(Debug, ClapArgs)]
struct Named {
    #[command(flatten)]
    account: NamedOnly,
    /// Read the password from the first line of standard input
    #[arg(long)]
    password_stdin: bool,
}

/// Why a command did not do what it should, and its exit code.
struct Failed(String, u8);

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Failed(error.to_string(), 1)
    }
}

/// Carries the command out.
pub fn run(args: Args) -> ExitCode {
    match act(args.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(message, code)) => {
            eprintln!("sori user: {message}");
            ExitCode::from(code)
        }
    }
}

fn act(action: Action) -> Result<(), Failed> {
    match action {
        Action::Add(named) => add(&named),
        Action::List(data) => list(data),
        Action::Remove(named) => remove(named),
        Action::Passwd(named) => passwd(&named),
    }
}

fn open(data: &Data, may_create: bool) -> Result<Store, Failed> {
    let dir = match &data.data {
        Some(dir) => dir.clone(),
        None => crate::config::data_dir().map_err(|message| Failed(message, 2))?,
    };
    if !may_create && !dir.join("sori.db").exists() {
        let what = format!(
            "there is no data in {}: name the server's directory with --data",
            dir.display()
        );
        return Err(Failed(what, 1));
    }
    Ok(Store::open(&dir)?)
}

/// User and domain of what was typed.
fn address(store: &Store, name: &str) -> Result<(String, String), Failed> {
    let name = name.strip_prefix("sip:").unwrap_or(name);
    let (user, domain) = match name.rsplit_once('@') {
        Some((user, domain)) => (user, domain.to_ascii_lowercase()),
        None => {
            let domain = store.default_domain()?;
            (name, domain.unwrap_or_else(server::domain_of_host))
        }
    };
    let printable = |c: char| !c.is_control() && !c.is_whitespace();
    if user.is_empty() || domain.is_empty() || !name.chars().all(printable) || user.contains('@') {
        return Err(Failed(
            format!("\"{name}\" is no account name: write NAME or NAME@DOMAIN, without blanks"),
            2,
        ));
    }
    Ok((user.to_owned(), domain))
}

fn ask_password(named: &Named, user: &str, domain: &str) -> Result<String, Failed> {
    let password = if named.password_stdin {
        password::from_stdin()
    } else {
        password::choose(&format!("{user}@{domain}"))
    };
    let password = password.map_err(|message| Failed(message, 2))?;
    if password.is_empty() {
        return Err(Failed("the password is empty: choose one".into(), 2));
    }
    Ok(password)
}

fn add(named: &Named) -> Result<(), Failed> {
    let store = open(&named.account.data, true)?;
    let (user, domain) = address(&store, &named.account.name)?;
    let exists = || {
        let what = format!(
            "{user}@{domain} exists already; give it a new password with: sori user passwd {user}@{domain}"
        );
        Failed(what, 1)
    };
    if store.account(&user, &domain)?.is_some() {
        return Err(exists());
    }
    let password = ask_password(named, &user, &domain)?;
    if !store.add_account(server::account_for(&user, &domain, &password))? {
        return Err(exists());
    }
    served(&store)?;
    if store.default_domain()?.is_some_and(|d| d != domain) {
        eprintln!(
            "{domain} is not the server's first domain: serve it too (sori serve --domain … --domain {domain})"
        );
    }
    println!("{user}@{domain} added");
    Ok(())
}

fn passwd(named: &Named) -> Result<(), Failed> {
    let store = open(&named.account.data, false)?;
    let (user, domain) = address(&store, &named.account.name)?;
    let Some(before) = store.account(&user, &domain)? else {
        return Err(unknown(&user, &domain));
    };
    let password = ask_password(named, &user, &domain)?;
    let mut account = server::account_for(&user, &domain, &password);
    account.display_name = before.display_name;
    account.enabled = before.enabled;
    account.created = before.created;
    store.put_account(account)?;
    served(&store)?;
    println!("{user}@{domain} has a new password");
    Ok(())
}

fn remove(named: NamedOnly) -> Result<(), Failed> {
    let store = open(&named.data, false)?;
    let (user, domain) = address(&store, &named.name)?;
    if !store.remove_account(&user, &domain)? {
        return Err(unknown(&user, &domain));
    }
    served(&store)?;
    println!("{user}@{domain} removed");
    Ok(())
}

fn list(data: Data) -> Result<(), Failed> {
    let store = open(&data, false)?;
    for account in store.accounts(None)? {
        let state = if account.enabled { "" } else { "  (disabled)" };
        println!("{}@{}{state}", account.user, account.domain);
    }
    Ok(())
}

fn unknown(user: &str, domain: &str) -> Failed {
    let what = format!("there is no account {user}@{domain}; sori user list shows those there are");
    Failed(what, 1)
}

/// Waits until a running server honours the change.
fn served(store: &Store) -> Result<(), Failed> {
    match store.wait_until_served(SERVED_WITHIN)? {
        ServedOutcome::Served | ServedOutcome::NotRunning => Ok(()),
        ServedOutcome::TimedOut => {
            let what = "stored, but the running server has not taken it up: look at its messages";
            Err(Failed(what.into(), 1))
        }
    }
}

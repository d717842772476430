//! Accounts as a table: in and out.

use std::collections::HashSet;

use csv::{ReaderBuilder, StringRecord};
use serde::Serialize;

use super::accounts::{self, AccountChange};
use super::table::{Table, original};
use crate::problem::Problem;
use crate::request::{Call, Reply};

const COLUMNS: [&str; 6] = [
    "user",
    "domain",
    "display_name",
    "password",
    "aliases",
    "enabled",
];
/// Rows of one table.
const MOST: usize = 20_000;
/// Errors that are told.
const ERRORS: usize = 200;

#[derive(Default, Serialize)]
struct Imported {
    created: u64,
    changed: u64,
    errors: Vec<RowError>,
    passwords: Vec<Password>,
}

#[derive(Serialize)]
struct RowError {
    line: u64,
    column: String,
    message: String,
}

#[derive(Serialize)]
struct Password {
    address: String,
    password: String,
}

/// `GET /api/accounts/export`
pub(crate) fn export(call: &Call<'_>) -> Result<Reply, Problem> {
    let mut table = Table::new(&COLUMNS)?;
    for account in call.context.store.accounts(None)? {
        let account = accounts::shown(call.context, account);
        let enabled = if account.enabled { "true" } else { "false" };
        table.row(&[
            &account.user,
            &account.domain,
            &account.display_name,
            "",
            &account.aliases.join(" "),
            enabled,
        ])?;
    }
    call.note("exported", "accounts");
    Ok(Reply::file(
        "text/csv; charset=utf-8",
        "attachment; filename=\"accounts.csv\"",
        table.finish()?,
    ))
}

/// `POST /api/accounts/import`. Rows that are wrong are told and left out; the others are taken.
pub(crate) fn import(call: &Call<'_>) -> Result<Reply, Problem> {
    let dry = match call.query("dry_run") {
        "true" => true,
        "false" | "" => false,
        _ => return Err(Problem::invalid("dry_run", "dry_run is true or false")),
    };
    let text = std::str::from_utf8(call.body)
        .map_err(|_| Problem::malformed("the table is not UTF-8: save it as \"CSV UTF-8\""))?;
    let text = text.trim_start_matches('\u{feff}');
    // Spreadsheets of countries with a decimal comma separate by semicolons.
    let head = text.lines().next().unwrap_or_default();
    let delimiter = if head.contains(';') && !head.contains(',') {
        b';'
    } else {
        b','
    };
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let places = places(
        reader
            .headers()
            .map_err(|e| Problem::malformed(e.to_string()))?,
    )?;
    let mut done = Imported::default();
    let mut seen = HashSet::new();
    for (number, record) in reader.records().enumerate() {
        if number >= MOST {
            return Err(Problem::malformed(format!(
                "more than {MOST} rows: divide the table"
            )));
        }
        let (line, result) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, csv::Position::line);
                (line, row(call, &record, &places, dry, &mut seen, &mut done))
            }
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                (line, Err(Problem::malformed(error.to_string())))
            }
        };
        if let Err(problem) = result
            && done.errors.len() < ERRORS
        {
            done.errors.push(RowError {
                line,
                column: problem.field.unwrap_or_default(),
                message: problem.message,
            });
        }
    }
    if !dry {
        call.context.admin.accounts_changed()?;
        let what = format!(
            "accounts: {} created, {} changed",
            done.created, done.changed
        );
        call.note("imported", &what);
    }
    Reply::json(&done)
}

/// Where each column stands.
fn places(head: &StringRecord) -> Result<[Option<usize>; 6], Problem> {
    for name in head {
        if !COLUMNS.contains(&name.trim().to_lowercase().as_str()) {
            let why = format!(
                "there is no column \"{}\"; the columns are {}",
                name.trim(),
                COLUMNS.join(", ")
            );
            return Err(Problem::malformed(why));
        }
    }
    let place = |column: &str| {
        head.iter()
            .position(|n| n.trim().eq_ignore_ascii_case(column))
    };
    if place("user").is_none() {
        return Err(Problem::malformed(
            "the first line names the columns, and user has to be among them",
        ));
    }
    Ok(COLUMNS.map(place))
}

fn row(
    call: &Call<'_>,
    record: &StringRecord,
    places: &[Option<usize>; 6],
    dry: bool,
    seen: &mut HashSet<String>,
    done: &mut Imported,
) -> Result<(), Problem> {
    let change = read(record, places)?;
    let (user, domain) = accounts::names(call.context, &change)?;
    let address = format!("{user}@{domain}");
    if !seen.insert(address.clone()) {
        return Err(Problem::exists(
            "user",
            format!("{address} stands in the table twice"),
        ));
    }
    if let Some(password) = &change.password {
        accounts::fit(password)?;
    }
    let exists = call.context.account(&address)?.is_some();
    match (dry, exists) {
        (true, _) => check_aliases(call, &address, &change)?,
        (false, true) => accounts::alter(call.context, &address, &change)?,
        (false, false) => {
            let (address, password) = accounts::add(call.context, &change)?;
            done.passwords
                .extend(password.map(|password| Password { address, password }));
        }
    }
    if exists {
        done.changed += 1;
    } else {
        done.created += 1;
    }
    Ok(())
}

fn read(record: &StringRecord, places: &[Option<usize>; 6]) -> Result<AccountChange, Problem> {
    let cell = |column: usize| {
        let place = places.get(column).copied().flatten()?;
        Some(original(record.get(place)?.trim()).to_owned())
    };
    let enabled = match cell(5).unwrap_or_default().to_lowercase().as_str() {
        "" => None,
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        other => {
            let why = format!("\"{other}\" is neither true nor false");
            return Err(Problem::invalid("enabled", why));
        }
    };
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
    Ok(AccountChange {
        user: cell(0),
        domain: cell(1)
            .filter(|d| !d.is_empty())
            .map(|d| d.to_ascii_lowercase()),
        display_name: cell(2),
        password: cell(3).filter(|p| !p.is_empty()),
        aliases: cell(4).map(words),
        enabled,
        ..AccountChange::default()
    })
}

/// What a trial can know of aliases: that nobody else has them.
fn check_aliases(call: &Call<'_>, address: &str, change: &AccountChange) -> Result<(), Problem> {
    let snapshot = call.context.admin.directory().snapshot();
    let domain = address.rsplit_once('@').map_or("", |(_, d)| d);
    for alias in change.aliases.iter().flatten() {
        let owner = snapshot.aliases.get(&format!("{alias}@{domain}"));
        if let Some(owner) = owner.filter(|o| *o != address) {
            return Err(Problem::exists(
                "aliases",
                format!("{alias} is an alias of {owner}"),
            ));
        }
    }
    Ok(())
}

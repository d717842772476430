//! Where passwords come from: a file, a variable, standard input, or a prompt. Never the command line.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

/// The variable that may hold the password.
pub const VARIABLE: &str = "SORI_PASSWORD";
/// The most that is read of a file or of standard input, in octets.
const LONGEST: u64 = 4096;

/// The password of an account that exists: from the file, else from [`VARIABLE`], else – when it `may_ask` – asked for where
/// there is a terminal. `None` when there is none; a server that asks nobody is content with that.
///
/// # Errors
/// What is wrong, for a person.
pub fn of_account(
    account: &str,
    file: Option<&Path>,
    may_ask: bool,
) -> Result<Option<String>, String> {
    if let Some(path) = file {
        return from_file(path).map(Some);
    }
    match std::env::var(VARIABLE) {
        Ok(password) => return Ok(Some(password).filter(|p| !p.is_empty())),
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(format!("the variable {VARIABLE} is not valid UTF-8"));
        }
        Err(std::env::VarError::NotPresent) => {}
    }
    if !may_ask || !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let password = ask(&format!("Password of {account} (empty for none): "))?;
    Ok(Some(password).filter(|p| !p.is_empty()))
}

/// A new password: asked for twice.
///
/// # Errors
/// When there is no terminal, or the two differ.
pub fn choose(account: &str) -> Result<String, String> {
    if !std::io::stdin().is_terminal() {
        return Err(
            "there is no terminal to ask for the password at; use --password-stdin".to_owned(),
        );
    }
    let first = ask(&format!("New password of {account}: "))?;
    let second = ask("The same again: ")?;
    if first == second {
        Ok(first)
    } else {
        Err("the two passwords differ; nothing was changed".to_owned())
    }
}

/// The first line of standard input.
///
/// # Errors
/// When it cannot be read.
pub fn from_stdin() -> Result<String, String> {
    let mut line = String::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), LONGEST);
    input
        .read_line(&mut line)
        .map_err(|error| format!("cannot read the password from standard input: {error}"))?;
    Ok(first_line(&line).to_owned())
}

fn from_file(path: &Path) -> Result<String, String> {
    let name = path.display();
    let cannot = |error: std::io::Error| format!("cannot read the password from {name}: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LONGEST), &mut text)
        .map_err(cannot)?;
    match first_line(&text) {
        "" => Err(format!("there is no password in the first line of {name}")),
        password => Ok(password.to_owned()),
    }
}

fn first_line(text: &str) -> &str {
    text.split('\n')
        .next()
        .unwrap_or_default()
        .trim_end_matches('\r')
}

fn ask(prompt: &str) -> Result<String, String> {
    rpassword::prompt_password(prompt)
        .map_err(|error| format!("cannot ask for the password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_the_password_in_its_first_line() {
        let path = std::env::temp_dir().join(format!("sori-password-{}", std::process::id()));
        for (text, want) in [
            ("s3cret\n", Some("s3cret")),
            (" p \r\nx\n", Some(" p ")),
            ("one", Some("one")),
            ("\nx", None),
            ("", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(from_file(&path).ok().as_deref(), want, "{text:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(from_file(&path).unwrap_err().contains("sori-password-"));
    }
}

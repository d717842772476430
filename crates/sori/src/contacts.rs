//! `sori contacts`: the address book of the phone.

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use phone::book::{self, Book, Contact, VcardVersion};

use crate::exit::{Exit, Failure};
use crate::json::Object;

/// The largest file that is imported, in octets.
const MAX_OCTETS: u64 = 32 * 1024 * 1024;
/// Contacts that are shown at most.
const MAX_SHOWN: usize = 20_000;

/// The address book of the phone on this machine: look somebody up, import and export vCards and tables.
///
/// It lies in the user's data directory (phone.db; the variable SORI_DATA names another directory), and may be changed
/// while phones run.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = "\
Examples:
  sori contacts import people.vcf            vCards of version 3 or 4, or a table (.csv)
  sori contacts search ㄱㅊㅅ                beginnings of words, numbers, Korean initial consonants
  sori contacts add 'Front desk' 4711 --favourite
  sori contacts list --group sales --json
  sori contacts export people.csv
  sori contacts remove 'Front desk'")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show contacts, favourites first
    List {
        /// Only those of this group
        #[arg(long)]
        group: Option<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Show who fits what was typed, the best first
    Search {
        /// Beginnings of words of the name, a part of a number, or the beginning of an address
        text: String,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Add somebody
    Add {
        /// The name
        name: String,
        /// SIP URIs, addresses or numbers, the preferred one first
        #[arg(required = true, value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// A group that the contact belongs to; may be given several times
        #[arg(long)]
        group: Vec<String>,
        /// Show the contact at the top
        #[arg(long)]
        favourite: bool,
    },
    /// Remove somebody
    Remove {
        /// The whole name, or an address
        #[arg(value_name = "NAME|ADDRESS")]
        whom: String,
    },
    /// Take contacts from a file; those that are here already are changed
    Import {
        /// vCards (.vcf) or a table (.csv); '-' for standard input
        file: PathBuf,
        /// What it is [default: as the name says]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Write all contacts into a file
    Export {
        /// The file; '-' for standard output
        file: PathBuf,
        /// What to write [default: as the name says]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// vCard 4.0 (RFC 6350)
    Vcard,
    /// vCard 3.0 (RFC 2426)
    Vcard3,
    /// A table (RFC 4180)
    Csv,
}

/// Carries the command out.
pub fn run(args: Args) -> ExitCode {
    match act(args.action) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            eprintln!("sori contacts: {}", failure.message);
            if !failure.advice.is_empty() {
                eprintln!("  {}", failure.advice);
            }
            failure.exit.into()
        }
    }
}

fn act(action: Action) -> Result<(), Failure> {
    let dir = crate::config::data_dir().map_err(usage)?;
    let mut book = Book::open(&dir).map_err(internal)?;
    match action {
        Action::List { group, json } => {
            let all = book
                .contacts(group.as_deref(), MAX_SHOWN)
                .map_err(internal)?;
            show(&all, json);
        }
        Action::Search { text, json } => {
            show(&book.search(&text, MAX_SHOWN).map_err(internal)?, json);
        }
        Action::Add {
            name,
            addresses,
            group,
            favourite,
        } => {
            for address in &addresses {
                phone::target(address, "example.org").map_err(|error| usage(error.to_string()))?;
            }
            let contact = Contact {
                name,
                addresses,
                groups: group,
                favourite,
                ..Contact::default()
            };
            book.add_contact(&contact).map_err(internal)?;
            eprintln!("{} added", contact.name);
        }
        Action::Remove { whom } => remove(&book, &whom)?,
        Action::Import { file, format } => import(&mut book, &file, format)?,
        Action::Export { file, format } => export(&book, &file, format)?,
    }
    Ok(())
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message, "")
}

fn internal(error: book::BookError) -> Failure {
    Failure::new(Exit::Internal, error.to_string(), "")
}

fn show(contacts: &[Contact], json: bool) {
    let mut out = std::io::stdout().lock();
    for contact in contacts {
        let line = if json {
            Object::new()
                .text("name", &contact.name)
                .list("addresses", &contact.addresses)
                .list("groups", &contact.groups)
                .flag("favourite", contact.favourite)
                .text("note", &contact.note)
                .text("uid", &contact.uid)
                .line()
        } else {
            let star = if contact.favourite { "* " } else { "" };
            let groups = match contact.groups.is_empty() {
                true => String::new(),
                false => format!("  ({})", contact.groups.join(", ")),
            };
            let addresses = contact.addresses.join(", ");
            crate::console::harmless(&format!("{star}{}  {addresses}{groups}", contact.name)) + "\n"
        };
        // Whoever reads it may have seen enough.
        if out.write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn remove(book: &Book, whom: &str) -> Result<(), Failure> {
    let all = book.contacts(None, MAX_SHOWN).map_err(internal)?;
    let key = book::address_key(whom);
    let is_meant = |contact: &&Contact| {
        contact.name == whom
            || contact
                .addresses
                .iter()
                .any(|a| book::address_key(a) == key)
    };
    let found: Vec<&Contact> = all.iter().filter(is_meant).collect();
    match found.as_slice() {
        [] => Err(usage(format!(
            "nobody here is called '{whom}' or has this address"
        ))),
        [contact] => {
            if let Some(id) = contact.id {
                book.remove_contact(id).map_err(internal)?;
            }
            eprintln!("{} removed", contact.name);
            Ok(())
        }
        several => Err(Failure::new(
            Exit::Usage,
            format!(
                "{} contacts fit '{whom}'; nobody was removed",
                several.len()
            ),
            "name an address that only one of them has",
        )),
    }
}

fn import(book: &mut Book, file: &Path, format: Option<Format>) -> Result<(), Failure> {
    let format = format_of(file, format)?;
    let text = read(file).map_err(|why| usage(format!("cannot read {}: {why}", file.display())))?;
    let (contacts, problems) = match format {
        Format::Vcard | Format::Vcard3 => book::from_vcards(&text),
        Format::Csv => {
            let contacts = book::from_csv(&text)
                .map_err(|error| usage(format!("{}: {error}", file.display())))?;
            (contacts, Vec::new())
        }
    };
    for problem in &problems {
        eprintln!("{}: {}", file.display(), crate::console::harmless(problem));
    }
    if contacts.is_empty() {
        return Err(usage(format!(
            "there are no contacts in {}",
            file.display()
        )));
    }
    let (new, changed) = book.import_contacts(&contacts).map_err(internal)?;
    eprintln!(
        "{new} new, {changed} changed, {} not understood",
        problems.len()
    );
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    let mut octets = Vec::new();
    let source: std::io::Result<Box<dyn Read>> = match file == Path::new("-") {
        true => Ok(Box::new(std::io::stdin().lock())),
        false => std::fs::File::open(file).map(|file| Box::new(file) as Box<dyn Read>),
    };
    source
        .and_then(|source| source.take(MAX_OCTETS + 1).read_to_end(&mut octets))
        .map_err(|error| error.to_string())?;
    if octets.len() as u64 > MAX_OCTETS {
        return Err(format!(
            "it is larger than {} MiB",
            MAX_OCTETS / 1024 / 1024
        ));
    }
    String::from_utf8(octets).map_err(|_| "it is not UTF-8; save it as UTF-8".to_owned())
}

fn export(book: &Book, file: &Path, format: Option<Format>) -> Result<(), Failure> {
    let format = format_of(file, format)?;
    let all = book.contacts(None, MAX_SHOWN).map_err(internal)?;
    let cards = |version| {
        all.iter()
            .map(|c| book::to_vcard(c, version))
            .collect::<String>()
    };
    let text = match format {
        Format::Vcard => cards(VcardVersion::V4),
        Format::Vcard3 => cards(VcardVersion::V3),
        Format::Csv => book::to_csv(&all),
    };
    let written = if file == Path::new("-") {
        std::io::stdout().lock().write_all(text.as_bytes())
    } else {
        std::fs::write(file, text)
    };
    written.map_err(|error| usage(format!("cannot write {}: {error}", file.display())))?;
    eprintln!("{} contacts written", all.len());
    Ok(())
}

fn format_of(file: &Path, format: Option<Format>) -> Result<Format, Failure> {
    let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
    let by_name = match extension.to_str() {
        Some("vcf" | "vcard") => Some(Format::Vcard),
        Some("csv" | "tsv" | "txt") => Some(Format::Csv),
        _ => None,
    };
    format.or(by_name).ok_or_else(|| {
        let message = format!("cannot tell what {} is to be", file.display());
        Failure::new(
            Exit::Usage,
            message,
            "name it .vcf or .csv, or give --format",
        )
    })
}

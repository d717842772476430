//! Makes this program the one that the desktop starts for `sip:`, `sips:` and `tel:` links.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::exit::{Exit, Failure};

/// The links that are ours.
const SCHEMES: [&str; 3] = ["sip", "sips", "tel"];
const DESKTOP_FILE: &str = "sori.desktop";

/// What the desktop starts: `PROGRAM phone OPTIONS LINK`.
struct Start {
    program: PathBuf,
    /// What the phone is started with besides the link.
    options: Vec<String>,
    /// Where relative paths among the options begin.
    folder: Option<PathBuf>,
}

/// Registers this program, to be started with these options besides the link; yields what was done, for a person.
///
/// # Errors
/// Where that is not possible, and what to do instead.
pub fn install(options: Vec<OsString>) -> Result<Vec<String>, Failure> {
    let options = options.into_iter().map(OsString::into_string);
    let options = options.collect::<Result<_, _>>().map_err(|option| {
        let option = option.display();
        failed(format!(
            "{option} is not UTF-8 and cannot stand in a link's command"
        ))
    })?;
    let program = std::env::current_exe()
        .map_err(|error| failed(format!("cannot tell where this program is: {error}")))?;
    let start = Start {
        program,
        options,
        folder: std::env::current_dir().ok(),
    };
    if cfg!(windows) {
        run_all(&registry_commands(&start))?;
        return Ok(vec![
            format!(
                "sip:, sips: and tel: links start {}",
                start.program.display()
            ),
            "Windows asks which program to use when the first link is followed: choose sori"
                .to_owned(),
        ]);
    }
    if cfg!(target_os = "macos") {
        return Err(Failure::new(
            Exit::Usage,
            "macOS starts only application bundles for links, and this is a single program",
            "make one with Automator (\"Application\", \"Run Shell Script\"), which runs: sori phone \"$1\"",
        ));
    }
    let dir = applications()?;
    let mut done = vec![write_desktop_file(&dir, &start)?];
    done.push(make_default(&dir));
    Ok(done)
}

/// Takes back what [`install`] did.
///
/// # Errors
/// Where something of it cannot be removed.
pub fn remove() -> Result<Vec<String>, Failure> {
    if cfg!(windows) {
        run_all(&registry_removals())?;
        return Ok(vec!["links do not start this program any more".to_owned()]);
    }
    if cfg!(target_os = "macos") {
        return Ok(vec!["there is nothing to remove on macOS".to_owned()]);
    }
    let dir = applications()?;
    let path = dir.join(DESKTOP_FILE);
    match fs::remove_file(&path) {
        Ok(()) => {
            run_quietly("update-desktop-database", &[dir.as_os_str()]);
            Ok(vec![format!("removed {}", path.display())])
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(vec![format!("there is no {}", path.display())])
        }
        Err(error) => Err(failed(format!("cannot remove {}: {error}", path.display()))),
    }
}

fn failed(message: String) -> Failure {
    Failure::new(Exit::Internal, message, "")
}

/// Where the user's own applications are described (XDG Base Directory and Desktop Entry specifications).
fn applications() -> Result<PathBuf, Failure> {
    let base = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")));
    base.map(|base| base.join("applications")).ok_or_else(|| {
        failed("cannot tell where your applications are: HOME is not set".to_owned())
    })
}

fn write_desktop_file(dir: &Path, start: &Start) -> Result<String, Failure> {
    let path = dir.join(DESKTOP_FILE);
    let cannot = |error: io::Error| failed(format!("cannot write {}: {error}", path.display()));
    let text = desktop_file(start).ok_or_else(|| {
        failed(format!(
            "a line break cannot stand in a desktop file: {} {:?}",
            start.program.display(),
            start.options
        ))
    })?;
    fs::create_dir_all(dir).map_err(cannot)?;
    // Whole or not there: the desktop may be reading it.
    let part = path.with_extension("part");
    let written = fs::File::create(&part).and_then(|mut file| file.write_all(text.as_bytes()));
    written
        .and_then(|()| fs::rename(&part, &path))
        .map_err(cannot)?;
    Ok(format!("wrote {}", path.display()))
}

/// The description of this program; `None` when something of it cannot be written into one.
fn desktop_file(start: &Start) -> Option<String> {
    let mut exec = quoted(start.program.to_str()?)? + " phone";
    for option in &start.options {
        exec = exec + " " + &quoted(option)?;
    }
    let folder = start.folder.as_deref().and_then(Path::to_str);
    let folder = match folder.filter(|text| !text.chars().any(char::is_control)) {
        Some(folder) => format!("Path={}\n", folder.replace('\\', "\\\\")),
        None => String::new(),
    };
    let types = SCHEMES.map(|scheme| format!("x-scheme-handler/{scheme};"));
    Some(format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name=sori\n\
         GenericName=Telephone\n\
         GenericName[ko]=전화\n\
         Comment=Calls over the internet (SIP)\n\
         Exec={exec} %u\n\
         {folder}\
         Terminal=true\n\
         Categories=Network;Telephony;\n\
         MimeType={}\n\
         StartupNotify=false\n",
        types.concat()
    ))
}

/// An argument in an Exec line: quoted, and then once more escaped as every text of the file is.
fn quoted(argument: &str) -> Option<String> {
    if argument.chars().any(char::is_control) {
        return None;
    }
    let mut out = String::from("\"");
    for c in argument.chars() {
        match c {
            '"' | '`' | '$' => out.extend(['\\', '\\', c]),
            '\\' => out.push_str("\\\\\\\\"),
            '%' => out.push_str("%%"),
            other => out.push(other),
        }
    }
    out.push('"');
    Some(out)
}

/// Asks the desktop to use it, where that can be asked.
fn make_default(dir: &Path) -> String {
    run_quietly("update-desktop-database", &[dir.as_os_str()]);
    let types = SCHEMES.map(|scheme| format!("x-scheme-handler/{scheme}"));
    let mut arguments: Vec<&OsStr> = vec!["default".as_ref(), DESKTOP_FILE.as_ref()];
    arguments.extend(types.iter().map(OsStr::new));
    if run_quietly("xdg-mime", &arguments) {
        "sip:, sips: and tel: links start it".to_owned()
    } else {
        "xdg-mime is not there or failed: choose sori for sip: and tel: links in the settings of your desktop"
            .to_owned()
    }
}

/// Whether the program is there and succeeded.
fn run_quietly(program: &str, arguments: &[&OsStr]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `reg add` for each scheme, for this user alone.
fn registry_commands(start: &Start) -> Vec<Vec<String>> {
    let options: String = (start.options.iter())
        .map(|option| format!(" \"{}\"", option.replace('"', "\\\"")))
        .collect();
    let command = format!("\"{}\" phone{options} \"%1\"", start.program.display());
    let mut all = Vec::new();
    let mut add = |key: String, name: Option<&str>, value: &str| {
        let mut one = vec!["add".to_owned(), key];
        match name {
            Some(name) => one.extend(["/v".to_owned(), name.to_owned()]),
            None => one.push("/ve".to_owned()),
        }
        one.extend(["/d", value, "/f"].map(str::to_owned));
        all.push(one);
    };
    let class = "HKCU\\Software\\Classes\\sori.link".to_owned();
    add(class.clone(), None, "URL: telephone");
    add(class.clone(), Some("URL Protocol"), "");
    add(format!("{class}\\shell\\open\\command"), None, &command);
    let capabilities = "HKCU\\Software\\sori\\Capabilities";
    add(capabilities.to_owned(), Some("ApplicationName"), "sori");
    for scheme in SCHEMES {
        let key = format!("{capabilities}\\URLAssociations");
        add(key, Some(scheme), "sori.link");
    }
    let registered = "HKCU\\Software\\RegisteredApplications".to_owned();
    add(registered, Some("sori"), "Software\\sori\\Capabilities");
    all
}

fn registry_removals() -> Vec<Vec<String>> {
    let delete = |parts: &[&str]| {
        let words = ["delete"].iter().chain(parts).chain(&["/f"]);
        words.map(|word| (*word).to_owned()).collect()
    };
    vec![
        delete(&["HKCU\\Software\\RegisteredApplications", "/v", "sori"]),
        delete(&["HKCU\\Software\\sori\\Capabilities"]),
        delete(&["HKCU\\Software\\Classes\\sori.link"]),
    ]
}

fn run_all(commands: &[Vec<String>]) -> Result<(), Failure> {
    for arguments in commands {
        let output = Command::new("reg")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(format!("cannot run reg: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!(
                "reg {}: {}",
                arguments.join(" "),
                said.trim()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str, options: &[&str]) -> Start {
        Start {
            program: program.into(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            folder: Some("/home/al\\ice".into()),
        }
    }

    #[test]
    fn the_desktop_file_says_what_starts() {
        let options = [
            "--account",
            "alice@example.org",
            "--password-file",
            "my $ecret",
        ];
        let text = desktop_file(&start("/opt/so ri/100%/$a\"b\\c/sori", &options)).unwrap();
        let exec = text.lines().find(|line| line.starts_with("Exec=")).unwrap();
        assert_eq!(
            exec,
            r#"Exec="/opt/so ri/100%%/\\$a\\"b\\\\c/sori" phone "--account" "alice@example.org" "--password-file" "my \\$ecret" %u"#
        );
        assert!(text.contains("\nPath=/home/al\\\\ice\n"), "{text}");
        assert!(text.contains(
            "\nMimeType=x-scheme-handler/sip;x-scheme-handler/sips;x-scheme-handler/tel;\n"
        ));
        assert_eq!(desktop_file(&start("/opt/a\nExec=rm/sori", &[])), None);
    }

    #[test]
    fn the_file_replaces_an_older_one_and_leaves_no_rests() {
        let dir = std::env::temp_dir().join(format!("sori-handler-{}", std::process::id()));
        for program in ["/old/sori", "/new/sori"] {
            let told = write_desktop_file(&dir, &start(program, &[])).unwrap();
            assert!(told.ends_with(DESKTOP_FILE), "{told}");
        }
        let text = fs::read_to_string(dir.join(DESKTOP_FILE)).unwrap();
        let files = fs::read_dir(&dir).unwrap().count();
        fs::remove_dir_all(&dir).unwrap();
        assert!(text.contains("Exec=\"/new/sori\" phone %u\n"), "{text}");
        assert_eq!(files, 1);
    }

    #[test]
    fn windows_is_told_in_the_users_own_part_of_the_registry() {
        let commands = registry_commands(&start("C:\\Program Files\\sori.exe", &["--direct"]));
        for command in commands.iter().chain(&registry_removals()) {
            assert!(command[1].starts_with("HKCU\\Software\\"), "{command:?}");
            assert_eq!(command.last().map(String::as_str), Some("/f"), "never asks");
        }
        let open = commands
            .iter()
            .find(|c| c[1].ends_with("open\\command"))
            .unwrap();
        assert!(
            open.contains(&"\"C:\\Program Files\\sori.exe\" phone \"--direct\" \"%1\"".to_owned())
        );
    }
}

//! The binary as a user runs it: its arguments, its lines of JSON, its exit codes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// Longer than anything here takes; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// What no output may ever show.
pub const PASSWORD: &str = "opensesame-7391";

/// A command that is set up to run without a terminal and without a password.
pub fn sori(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sori"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("SORI_PASSWORD")
        // The machine that the tests run on may have a microphone or not.
        .env("SORI_MICROPHONE", "none")
        .env_remove("SORI_SPEAKER")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("COLUMNS");
    command
}

/// Runs to the end: exit code, standard output, standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    let output = sori(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A running command whose standard output is read as it comes.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let mut err = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = err.read_to_string(&mut text);
            text
        });
        Running {
            child,
            lines,
            seen: Vec::new(),
            errors: Some(errors),
        }
    }

    /// Waits for a line that `wanted` makes something of.
    pub fn wait_line<T>(&mut self, what: &str, mut wanted: impl FnMut(&str) -> Option<T>) -> T {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let found = wanted(&line);
                    self.seen.push(line);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(error) => panic!("no {what} ({error}) among {:#?}", self.seen),
            }
        }
    }

    /// Waits for an event of this name.
    pub fn wait_event(&mut self, name: &str) -> Value {
        self.wait_line(name, |line| {
            let event: Value = serde_json::from_str(line).expect("each line is JSON");
            (event["event"] == name).then_some(event)
        })
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Presses Ctrl-C.
    pub fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the end: exit code, all of standard output, standard error.
    pub fn end(mut self) -> (i32, Vec<String>, String) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.seen.push(line);
        }
        let code = self.child.wait().unwrap().code().unwrap();
        let errors = self.errors.take().unwrap().join().unwrap();
        (code, std::mem::take(&mut self.seen), errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running server with the accounts alice and bob, whose password is [`PASSWORD`].
pub struct World {
    pub server: Running,
    pub address: String,
    dir: PathBuf,
}

impl World {
    pub fn new(name: &str) -> World {
        let dir = std::env::temp_dir().join(format!("sori-cli-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let port = std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let address = format!("127.0.0.1:{port}");
        let (udp, tcp) = (format!("udp:{address}"), format!("tcp:{address}"));
        let data = dir.join("data");
        let mut server = Running::start(sori(&[
            "serve",
            "--http",
            "none",
            "--data",
            &data.display().to_string(),
            "--domain",
            "sori.test",
            "--sip",
            &udp,
            "--sip",
            &tcp,
        ]));
        server.wait_line("listener", |line| line.contains(&tcp).then_some(()));
        let world = World {
            server,
            address,
            dir,
        };
        for user in ["alice", "bob"] {
            world.add_user(user);
        }
        std::fs::write(world.password_file(), format!("{PASSWORD}\n")).unwrap();
        world
    }

    fn add_user(&self, user: &str) {
        let data = self.dir.join("data").display().to_string();
        let mut command = sori(&[
            "user",
            "add",
            &format!("{user}@sori.test"),
            "--data",
            &data,
            "--password-stdin",
        ]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{PASSWORD}").unwrap();
        assert!(child.wait().unwrap().success());
    }

    pub fn password_file(&self) -> PathBuf {
        self.dir.join("password")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command of a user's phone, with JSON.
    pub fn phone(&self, user: &str, transport: &str, args: &[&str]) -> Command {
        let mut command = sori(args);
        command
            .args(["--json", "--account", &format!("{user}@sori.test")])
            .args(["--proxy", &format!("{transport}:{}", self.address)])
            .arg("--password-file")
            .arg(self.password_file());
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The samples of a recording.
pub fn samples(path: &Path) -> Vec<i16> {
    let file = std::fs::File::open(path).unwrap();
    media::wav::WavReader::new(file, "recording")
        .unwrap()
        .read_all(10_000_000)
        .unwrap()
}

//! A server with its console, and people who talk to it.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use api::{Config, Console, LogBook, Role};
use serde_json::{Value, json};
use server::Server;

/// The password that `admin` takes after the first one.
pub const PASSWORD: &str = "correct horse";

/// A running server, its console, and its data.
pub struct World {
    pub server: Option<Server>,
    pub console: Option<Console>,
    pub logs: std::sync::Arc<LogBook>,
    dir: PathBuf,
}

impl World {
    pub fn new() -> World {
        World::with(|_| {})
    }

    pub fn with(adjust: impl FnOnce(&mut Config)) -> World {
        World::made(|_| {}, adjust)
    }

    pub fn made(
        server: impl FnOnce(&mut server::Config),
        console: impl FnOnce(&mut Config),
    ) -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::SeqCst);
        let dir = std::env::temp_dir().join(format!("sori-api-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let mut config = server::Config::new(dir.clone(), "sori.test".into());
        config.workers = 1;
        config.listen = vec![server_listen()];
        server(&mut config);
        let server = Server::start(config).unwrap();
        let mut config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            certificate: String::new(),
            files: Vec::new(),
        };
        console(&mut config);
        let logs = LogBook::new();
        let console = Console::start(config, server.admin(), logs.clone()).unwrap();
        World {
            server: Some(server),
            console: Some(console),
            logs,
            dir,
        }
    }

    pub fn console(&self) -> &Console {
        self.console.as_ref().unwrap()
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.console().address()
    }

    /// A plain connection, for what no well-behaved client does.
    pub fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).unwrap();
        stream
    }

    /// Somebody who has not signed in.
    pub fn stranger(&self) -> Person {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Person {
            agent: config.into(),
            base: format!("http://{}", self.address()),
            cookie: None,
        }
    }

    /// The administrator, with the first password changed.
    pub fn admin(&self) -> Person {
        let mut admin = self.stranger();
        let first = self.console().first_password().unwrap().1.to_owned();
        let session = admin.sign_in("admin", &first);
        if session.status == 200 {
            let change = json!({"old": first, "new": PASSWORD});
            assert_eq!(admin.put("/api/session/password", &change).status, 204);
        } else {
            assert_eq!(admin.sign_in("admin", PASSWORD).status, 200);
        }
        admin
    }

    /// Somebody of this role, signed in; a user is `alice@sori.test`.
    pub fn person(&self, role: Role) -> Person {
        let admin = self.admin();
        let mut person = self.stranger();
        let (name, made) = match role {
            Role::Administrator => return admin,
            Role::Operator => {
                let new = json!({"name": "kim", "role": "operator", "password": "first secret"});
                ("kim", admin.post("/api/administrators", &new))
            }
            Role::User => {
                let new = json!({"user": "alice", "password": "first secret"});
                ("alice", admin.post("/api/accounts", &new))
            }
        };
        assert!([201, 409].contains(&made.status), "{made:?}");
        let session = person.sign_in(name, "first secret");
        if session.status == 200 && session.json()["must_change_password"] == true {
            let change = json!({"old": "first secret", "new": PASSWORD});
            assert_eq!(person.put("/api/session/password", &change).status, 204);
        }
        person
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(console) = self.console.take() {
            console.stop();
        }
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_millis(100));
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn server_listen() -> (sip::flow::Transport, SocketAddr) {
    (sip::flow::Transport::Udp, "127.0.0.1:0".parse().unwrap())
}

/// Somebody with a browser or a script.
#[derive(Clone)]
pub struct Person {
    pub agent: ureq::Agent,
    pub base: String,
    pub cookie: Option<String>,
}

/// What the server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Code and field of a problem, with its status.
    pub fn problem(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        assert!(!text("message").is_empty(), "{json}");
        (self.status, text("code"), text("field"))
    }
}

impl Person {
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", format!("sori_session={cookie}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => self.agent.run(request.body(body).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let answer = answer.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let (head, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        body.as_reader().read_to_end(&mut bytes).unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: bytes,
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    pub fn post(&self, path: &str, value: &Value) -> Answer {
        self.with_json("POST", path, value)
    }

    pub fn put(&self, path: &str, value: &Value) -> Answer {
        self.with_json("PUT", path, value)
    }

    fn with_json(&self, method: &str, path: &str, value: &Value) -> Answer {
        let headers = [("Content-Type", "application/json")];
        self.send(method, path, &headers, Some(value.to_string().as_bytes()))
    }

    pub fn upload(&self, path: &str, table: &str) -> Answer {
        let headers = [("Content-Type", "text/csv")];
        self.send("POST", path, &headers, Some(table.as_bytes()))
    }

    pub fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let answer = self.post("/api/session", &json!({"name": name, "password": password}));
        if answer.status == 200 {
            let cookie = answer.header("set-cookie").to_owned();
            let token = cookie.strip_prefix("sori_session=").unwrap();
            self.cookie = token.split(';').next().map(str::to_owned);
        }
        answer
    }
}

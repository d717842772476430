//! A server with a few accounts on a data directory of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use server::{Config, Server, account_for};
use sip::flow::Transport;
use store::{ServedOutcome, Store};

use crate::message::word;
use crate::peer::PATIENCE;

pub const DOMAIN: &str = "example.test";

pub fn password(user: &str) -> String {
    format!("{user} has a secret")
}

/// A directory that is removed in the end.
pub struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        let path = std::env::temp_dir().join(format!("sori-server-test-{}", word()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs.
pub struct Scene {
    pub server: Option<Server>,
    pub directory: Directory,
    pub config: Config,
}

impl Scene {
    pub fn new() -> Scene {
        Scene::with(|_| {})
    }

    /// Alice, Bob and Carol have accounts; `change` sets what is different from the defaults.
    pub fn with(change: impl FnOnce(&mut Config)) -> Scene {
        let directory = Directory::new();
        let mut config = Config::new(directory.path().to_owned(), DOMAIN.into());
        config.listen = [
            (Transport::Udp, "127.0.0.1:0"),
            (Transport::Tcp, "127.0.0.1:0"),
            (Transport::Udp, "[::1]:0"),
            (Transport::Tcp, "[::1]:0"),
        ]
        .map(|(transport, address)| (transport, address.parse().unwrap()))
        .to_vec();
        config.workers = 2;
        change(&mut config);
        let mut scene = Scene {
            server: None,
            directory,
            config,
        };
        let store = scene.store();
        for user in ["alice", "bob", "carol"] {
            for domain in &scene.config.domains {
                let account = account_for(user, domain, &password(user));
                assert!(store.add_account(account).unwrap());
            }
        }
        store.close();
        scene.start();
        scene
    }

    pub fn start(&mut self) {
        self.server = Some(Server::start(self.config.clone()).unwrap());
    }

    pub fn stop(&mut self) {
        self.server.take().unwrap().stop(Duration::from_secs(2));
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Another door to the same data, like that of another process.
    pub fn store(&self) -> Store {
        Store::open(self.directory.path()).unwrap()
    }

    pub fn changed(&self, change: impl FnOnce(&Store)) {
        let store = self.store();
        change(&store);
        assert_eq!(
            store.wait_until_served(PATIENCE).unwrap(),
            ServedOutcome::Served
        );
        store.close();
    }

    fn address(&self, transport: Transport, v4: bool) -> SocketAddr {
        let mut all = self.server().listeners().iter();
        all.find(|l| l.transport == transport && l.local.is_ipv4() == v4)
            .unwrap()
            .local
    }

    pub fn udp(&self) -> SocketAddr {
        self.address(Transport::Udp, true)
    }

    pub fn tcp(&self) -> SocketAddr {
        self.address(Transport::Tcp, true)
    }

    pub fn websocket(&self) -> SocketAddr {
        self.address(Transport::Ws, true)
    }

    pub fn udp6(&self) -> SocketAddr {
        self.address(Transport::Udp, false)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::ZERO);
        }
    }
}

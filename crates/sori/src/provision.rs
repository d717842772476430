//! Who this phone is: what the command line says goes before what a document of settings says.

use std::time::{Duration, SystemTime};

use phone::provision::{self, Account, Cache, Fetched, Origin, Profile, ProvisionError, Url};
use phone::{Settings, Transport};

use crate::arguments::Line;
use crate::config::data_dir;
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::password;

/// What a registrar is asked for when nothing else is said.
pub const EXPIRES: u32 = 600;

/// A phone that is set up.
pub struct SetUp {
    /// Its settings, with its password.
    pub settings: Settings,
    /// What the document says; nothing where there is none.
    pub profile: Profile,
    /// The document's account.
    account: Option<Account>,
    /// Whether there is a document.
    pub is_provisioned: bool,
}

impl SetUp {
    /// Fetches the document, if one is named, and joins it with the command line. The console learns whose phone it is.
    ///
    /// # Errors
    /// No account, a wrong password file, no document.
    pub fn of(line: &Line, console: &mut Console) -> Result<SetUp, Failure> {
        let fetched = match &line.provision {
            Some(url) => Some(fetch(url, console)?),
            None => None,
        };
        let is_provisioned = fetched.is_some();
        let profile = fetched.map(|fetched| fetched.profile).unwrap_or_default();
        let account = match &line.account {
            None => profile.accounts.first(),
            Some(name) => profile.accounts.iter().find(|a| a.name == *name),
        };
        let account = account.cloned();
        let mut settings = match (&account, &line.account) {
            (Some(account), _) => profile.settings(account),
            (None, Some(name)) => without_account(&profile, name),
            (None, None) => {
                return Err(Failure::new(
                    Exit::Provision,
                    "the document of --provision names no account",
                    "name one with --account",
                ));
            }
        };
        console.is_for(&settings.account.to_string());
        let may_ask = settings.password.is_none() && settings.hashes.is_none();
        let asked = password::of_account(
            &settings.account.to_string(),
            line.password_file.as_deref(),
            may_ask,
        );
        let asked = asked.map_err(|message| Failure::new(Exit::Usage, message, ""))?;
        settings.password = asked.or(settings.password);
        if line.proxy.is_some() {
            settings.server.clone_from(&line.proxy);
        }
        settings.port = line.port;
        settings.tls_roots.clone_from(&line.tls_roots);
        settings.tap = line.output.tap();
        Ok(SetUp {
            settings,
            profile,
            account,
            is_provisioned,
        })
    }

    /// The server as a person knows it.
    pub fn server(&self) -> String {
        match &self.settings.server {
            // Without a port it is a choice of transport, not of another server.
            Some(server) if server.port.is_none() && server.transport == Transport::Udp => {
                server.host.clone()
            }
            Some(server) => server.to_string(),
            None => self.settings.account.domain.clone(),
        }
    }

    /// The account and its server, for messages about a registration.
    pub fn whom(&self) -> String {
        format!("{} at {}", self.settings.account, self.server())
    }

    /// Whether there is anything to answer challenges with.
    pub fn has_password(&self) -> bool {
        self.settings.password.is_some() || self.settings.hashes.is_some()
    }

    /// For how many seconds the document wants the phone to register; `None` when it does not.
    pub fn registers(&self) -> Option<u32> {
        let account = self.account.as_ref().filter(|account| account.register)?;
        Some(self.profile.expires(account).unwrap_or(EXPIRES))
    }

    /// The seconds to ask the registrar for.
    pub fn expires(&self) -> Option<u32> {
        match &self.account {
            Some(account) => self.profile.expires(account),
            None => self.profile.timers.register,
        }
    }
}

/// Another account than those of the document, with what the document says about the phone.
fn without_account(profile: &Profile, name: &phone::Name) -> Settings {
    profile.settings(&Account {
        name: name.clone(),
        display_name: None,
        auth_user: None,
        secret: None,
        proxy: None,
        register: false,
        expires: None,
    })
}

/// Fetches a document and tells of it.
///
/// # Errors
/// There is none, or it is wrong.
pub fn fetch(url: &str, console: &mut Console) -> Result<Fetched, Failure> {
    let url: Url = url.parse().map_err(|error| {
        let message = format!("--provision: {error}");
        Failure::new(Exit::Usage, message, "")
    })?;
    // Where no directory can be found, settings are not kept, and the phone works all the same.
    let cache = data_dir().ok().map(|dir| Cache::new(dir.join("settings")));
    let fetched = provision::fetch(&url, cache.as_ref()).map_err(|error| failure(&error))?;
    console.provisioned(&url.to_string(), &fetched);
    Ok(fetched)
}

fn failure(error: &ProvisionError) -> Failure {
    Failure::new(Exit::Provision, error.to_string(), error.advice())
}

/// A word for where settings are from.
pub fn origin(fetched: &Fetched) -> &'static str {
    match fetched.origin {
        Origin::Server => "server",
        Origin::Unchanged => "unchanged",
        Origin::Cache { .. } => "cache",
    }
}

/// Time since 1970.
pub fn since_epoch(moment: SystemTime) -> Duration {
    moment
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

//! Where settings and data are, and the file of `sori serve --config`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The settings of `sori serve` in a TOML file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeFile {
    /// The data directory.
    pub data: Option<PathBuf>,
    /// The domains served.
    pub domains: Vec<String>,
    /// Addresses, as on the command line.
    pub sip: Vec<String>,
    /// Where the console is served, or `none`.
    pub http: Option<String>,
    /// The PEM file of the certificate for TLS.
    pub certificate: Option<PathBuf>,
    /// The PEM file of its key.
    pub key: Option<PathBuf>,
    /// PEM files of certificates to trust.
    pub tls_roots: Vec<PathBuf>,
    /// The pages that WebSockets may come from.
    pub ws_origins: Vec<String>,
    /// What has to be authenticated.
    pub auth: Option<Words>,
    /// The hash functions of Digest to offer.
    pub digest: Option<Words>,
    /// Whether qop auth-int is offered.
    pub auth_int: bool,
    /// Ports for the sound of echo and tone, as LOW-HIGH.
    pub media_ports: Option<String>,
    /// 302 instead of putting callers through.
    pub redirect: bool,
    /// Domains that redirect.
    pub redirect_domains: Vec<String>,
    /// The host that peers are told.
    pub advertise: Option<String>,
    /// Worker threads.
    pub workers: Option<usize>,
}

/// One word, several with commas between, or a list of them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Words {
    /// `"register,invite"`
    One(String),
    /// `["register", "invite"]`
    Many(Vec<String>),
}

impl Words {
    /// The words as they stand on the command line.
    pub fn joined(&self) -> String {
        match self {
            Words::One(text) => text.clone(),
            Words::Many(list) => list.join(","),
        }
    }
}

impl ServeFile {
    /// Reads the file; an error says where it is wrong.
    pub fn read(path: &Path) -> Result<ServeFile, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{} is not right: {error}", path.display()))
    }
}

/// The user's data directory: `SORI_DATA`, else what the system's conventions say.
pub fn data_dir() -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os("SORI_DATA").filter(|d| !d.is_empty()) {
        return Ok(PathBuf::from(dir));
    }
    let base = if cfg!(windows) {
        std::env::var_os("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        std::env::home_dir().map(|home| home.join("Library/Application Support"))
    } else {
        std::env::var_os("XDG_DATA_HOME")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("sori"))
        .ok_or_else(|| "cannot tell where to keep data: name a directory with --data".into())
}

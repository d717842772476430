//! Certificates, and peers that speak TLS by themselves.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use net::{Certificates, NetConfig, Tls, Trust};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};
use sip::flow::Transport;

use crate::probe::{PATIENCE, config};

/// A folder that is gone after the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("sori-net-{}-{n}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A root, and what it signs.
pub struct Authority {
    pub folder: Folder,
    root: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let folder = Folder::new();
        std::fs::write(folder.0.join("root.pem"), root.pem()).unwrap();
        Authority {
            folder,
            root,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.0.join("root.pem")
    }

    /// The files of a certificate for `name` and its key.
    pub fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |ending: &str| self.folder.0.join(format!("{name}.{ending}"));
        std::fs::write(file("pem"), certificate.pem()).unwrap();
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        (file("pem"), file("key"))
    }

    /// Settings of a peer that we call, who shows a certificate for `name`.
    pub fn peer(&self, name: &str) -> Arc<ServerConfig> {
        let (certificate, key) = self.sign(name);
        let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A network that accepts TLS and shows a certificate for `localhost`, and opens TLS to whom the authority vouches for.
/// Failures are told.
pub fn secure(transport: Transport, authority: &Authority) -> (NetConfig, Receiver<String>) {
    let (certificate, key) = authority.sign("localhost");
    let certificates = Certificates::from_files(&certificate, &key).unwrap();
    let (told, failures) = channel();
    let tls = Tls {
        server: Some(certificates.server_config(&[])),
        trust: Some(Arc::new(Trust::new(&[authority.root()]).unwrap())),
        on_failure: Some(Arc::new(move |failure| {
            let _ = told.send(failure.to_string());
        })),
    };
    let config = NetConfig {
        tls,
        ..config(transport, "127.0.0.1:0")
    };
    (config, failures)
}

pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A client that trusts `root`.
pub fn client(
    to: SocketAddr,
    root: &Path,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsStream {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    StreamOwned::new(tls, socket)
}

/// The other end of a connection that we opened.
pub fn accepted(
    listener: &std::net::TcpListener,
    config: &Arc<ServerConfig>,
) -> StreamOwned<ServerConnection, TcpStream> {
    let (socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), socket)
}

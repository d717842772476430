//! TLS on one connection: octets of the socket on one side, octets of messages on the other.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// TLS on one connection. Whoever holds the lock of the connection's queue may use it.
pub(crate) struct Session {
    tls: rustls::Connection,
    /// Octets of the queue that TLS has taken and that have not all gone to the socket yet.
    pub(crate) fed: usize,
    /// What ended the handshake or the session, for a person.
    failure: Option<rustls::Error>,
    /// `close_notify` is said or on its way.
    closing: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}

impl Session {
    /// The side of a connection that a peer opened.
    ///
    /// # Errors
    /// What TLS says to its settings.
    pub(crate) fn server(config: &Arc<ServerConfig>) -> Result<Session, rustls::Error> {
        let tls = ServerConnection::new(config.clone())?;
        Ok(Session::new(tls.into()))
    }

    /// The side of a connection that we open to `name`.
    ///
    /// # Errors
    /// What TLS says to its settings, or to the name.
    pub(crate) fn client(config: &Arc<ClientConfig>, name: &str) -> Result<Session, rustls::Error> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| rustls::Error::General(format!("{name:?} is no name of a host")))?;
        let tls = ClientConnection::new(config.clone(), name)?;
        Ok(Session::new(tls.into()))
    }

    fn new(tls: rustls::Connection) -> Session {
        Session {
            tls,
            fed: 0,
            failure: None,
            closing: false,
        }
    }

    /// Whether the peers still agree on keys; nothing of the queue leaves before that is done.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether something waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// What ended it.
    pub(crate) fn failure(&self) -> Option<&rustls::Error> {
        self.failure.as_ref()
    }

    /// Writes what waits for the socket, once.
    ///
    /// # Errors
    /// What the socket says.
    pub(crate) fn write(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        match self.tls.write_tls(&mut socket) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        }
    }

    /// Takes octets of the queue; yields how many.
    ///
    /// # Errors
    /// None that a session that is open would have.
    pub(crate) fn feed(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let taken = self.tls.writer().write_vectored(slices)?;
        self.fed += taken;
        Ok(taken)
    }

    /// Says that nothing more comes; false when that is said already, or cannot be said.
    pub(crate) fn say_goodbye(&mut self) -> bool {
        if self.closing || self.tls.is_handshaking() {
            return false;
        }
        self.closing = true;
        self.tls.send_close_notify();
        true
    }

    /// Reads octets of messages; 0 when the peer has ended the session, with or without a goodbye: messages have lengths, so
    /// that none can be cut off unnoticed.
    ///
    /// # Errors
    /// What the socket says, [`io::ErrorKind::WouldBlock`] for one that has nothing, and
    /// [`io::ErrorKind::InvalidData`] for what is no TLS or not of the peer.
    pub(crate) fn read(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let count = self.tls.read_tls(&mut socket)?;
            if let Err(error) = self.tls.process_new_packets() {
                self.failure = Some(error);
                return Err(io::ErrorKind::InvalidData.into());
            }
            if count == 0 && self.tls.is_handshaking() {
                return Ok(0);
            }
        }
    }
}

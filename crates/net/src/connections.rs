//! All connections of a network, by name and by peer.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::{ClientConfig, ServerConfig};
use sip::flow::{ConnectionId, Flow, Transport};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Limits;
use crate::connection::Connection;
use crate::shard::lock;
use crate::statistics::Statistics;
use crate::tls::Session;

/// The connections that are open or being opened.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    table: Mutex<Table>,
    last: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<ConnectionId, Arc<Connection>>,
    by_peer: HashMap<(Transport, SocketAddr), Vec<ConnectionId>>,
    by_source: HashMap<IpAddr, usize>,
}

impl Connections {
    /// The connection that a flow means: the one it names while that is open, else the newest one to the same peer. In TLS
    /// that is one which we opened to `peer`; nothing stands in for a WebSocket.
    pub(crate) fn find(&self, flow: &Flow, peer: Option<&str>) -> Option<Arc<Connection>> {
        let table = lock(&self.table);
        let one = table.by_id.get(&flow.connection);
        one.or_else(|| table.newest(flow, peer)).cloned()
    }

    /// Takes a connection that a listener accepted; `None` when a limit is reached.
    ///
    /// # Errors
    /// What the system says to watching it.
    pub(crate) fn accept(
        &self,
        mut socket: TcpStream,
        flow: Flow,
        registry: &Registry,
        limits: &Limits,
        tls: Option<&Arc<ServerConfig>>,
    ) -> io::Result<Option<Arc<Connection>>> {
        let source = flow.remote.ip();
        if !self.has_room(source, limits) {
            return Ok(None);
        }
        socket.set_nodelay(true)?;
        let tls = tls.map(Session::server).transpose();
        let tls = tls.map_err(io::Error::other)?;
        let flow = self.name(flow);
        watch(&mut socket, flow.connection, registry)?;
        let connection = Connection::accepted(flow, socket, tls);
        Ok(Some(self.insert(connection)))
    }

    /// Starts to open a connection to the peer of `flow`, in TLS when it is said who the peer has to be; messages received
    /// on it will carry the flow's local address.
    ///
    /// # Errors
    /// What the system says, or [`io::ErrorKind::QuotaExceeded`] when a limit is reached.
    pub(crate) fn connect(
        &self,
        flow: &Flow,
        registry: &Registry,
        limits: &Limits,
        tls: Option<(&Arc<ClientConfig>, Arc<str>)>,
    ) -> io::Result<Arc<Connection>> {
        if lock(&self.table).by_id.len() >= limits.connections {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let (session, peer) = match tls {
            Some((config, peer)) => {
                let session = Session::client(config, &peer).map_err(io::Error::other)?;
                (Some(session), Some(peer))
            }
            None => (None, None),
        };
        let mut socket = dial(flow)?;
        let flow = self.name(*flow);
        watch(&mut socket, flow.connection, registry)?;
        Ok(self.insert(Connection::opening(flow, peer, socket, session)))
    }

    /// Forgets a connection.
    pub(crate) fn remove(&self, connection: &Connection, statistics: &Statistics) {
        let mut table = lock(&self.table);
        if table.by_id.remove(&connection.id()).is_none() {
            return;
        }
        statistics.connections_open.take_one();
        let peer = (connection.transport(), connection.remote());
        if let Some(ids) = table.by_peer.get_mut(&peer) {
            ids.retain(|id| *id != connection.id());
            if ids.is_empty() {
                table.by_peer.remove(&peer);
            }
        }
        let source = connection.remote().ip();
        if !connection.outgoing
            && let Some(count) = table.by_source.get_mut(&source)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                table.by_source.remove(&source);
            }
        }
    }

    fn has_room(&self, source: IpAddr, limits: &Limits) -> bool {
        let table = lock(&self.table);
        let of_source = table.by_source.get(&source).copied().unwrap_or(0);
        table.by_id.len() < limits.connections && of_source < limits.connections_per_source
    }

    fn name(&self, flow: Flow) -> Flow {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Flow {
            connection: ConnectionId(id),
            ..flow
        }
    }

    fn insert(&self, connection: Connection) -> Arc<Connection> {
        let connection = Arc::new(connection);
        let mut table = lock(&self.table);
        let peer = (connection.transport(), connection.remote());
        table.by_peer.entry(peer).or_default().push(connection.id());
        if !connection.outgoing {
            *table.by_source.entry(peer.1.ip()).or_default() += 1;
        }
        table.by_id.insert(connection.id(), connection.clone());
        connection
    }
}

impl Table {
    fn newest(&self, flow: &Flow, peer: Option<&str>) -> Option<&Arc<Connection>> {
        let ids = self.by_peer.get(&(flow.transport, flow.remote))?;
        match flow.transport {
            Transport::Tcp => self.by_id.get(ids.last()?),
            Transport::Tls => {
                let of_peer = |c: &&Arc<Connection>| peer.is_some() && c.peer.as_deref() == peer;
                let mut newest_first = ids.iter().rev().filter_map(|id| self.by_id.get(id));
                newest_first.find(of_peer)
            }
            _ => None,
        }
    }
}

/// The token under which the poll reports a connection.
pub(crate) fn token_of(id: ConnectionId) -> Token {
    Token(usize::try_from(id.0).unwrap_or(usize::MAX))
}

/// Both directions at once: edges come only when something changes.
fn watch(socket: &mut TcpStream, id: ConnectionId, registry: &Registry) -> io::Result<()> {
    registry.register(
        socket,
        token_of(id),
        Interest::READABLE | Interest::WRITABLE,
    )
}

fn dial(flow: &Flow) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(flow.remote),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let local = flow.local.ip();
    if !local.is_unspecified() && local.is_ipv4() == flow.remote.is_ipv4() {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    match socket.connect(&flow.remote.into()) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(EINPROGRESS) {
        return true;
    }
    error.kind() == io::ErrorKind::WouldBlock
}

#[cfg(target_os = "linux")]
const EINPROGRESS: i32 = libc::EINPROGRESS;
#[cfg(all(unix, not(target_os = "linux")))]
const EINPROGRESS: i32 = 36;

//! Binding what a network listens on.

use std::net::SocketAddr;

use mio::Poll;
use sip::endpoint::Listener;
use sip::flow::Transport;

use crate::config::NetConfig;
use crate::driver::no_poll;
use crate::error::NetError;
use crate::interfaces::{expand, interfaces, prefix_of};
use crate::worker::Equipment;
use crate::{listening, udp};

/// Binds every address once for each worker.
///
/// # Errors
/// [`NetError`], with nothing bound any more.
pub(crate) fn bind_all(
    config: &NetConfig,
    workers: usize,
) -> Result<(Vec<Listener>, Vec<Equipment>), NetError> {
    let known = interfaces()?;
    let mut equipment = Vec::new();
    for _ in 0..workers {
        equipment.push(Equipment {
            poll: Poll::new().map_err(no_poll)?,
            sockets: Vec::new(),
            listeners: Vec::new(),
            reserved: Vec::new(),
        });
    }
    let mut listeners = Vec::new();
    for (transport, address) in &config.listen {
        for local in expand(*address, &known) {
            let local = bind(*transport, local, config, &mut equipment)?;
            let mut listener = Listener::new(*transport, local);
            listener.prefix = prefix_of(local.ip(), &known);
            listener.advertised = config
                .advertised_host
                .as_ref()
                .map(|host| (host.clone(), local.port()));
            listeners.push(listener);
        }
    }
    if listeners.is_empty() {
        return Err(NetError::Nothing {
            what: "no address to listen on",
        });
    }
    Ok((listeners, equipment))
}

fn bind(
    transport: Transport,
    local: SocketAddr,
    config: &NetConfig,
    equipment: &mut [Equipment],
) -> Result<SocketAddr, NetError> {
    let (accepts, opens) = (config.tls.server.is_some(), config.tls.trust.is_some());
    match transport {
        Transport::Udp => bind_datagrams(local, equipment),
        Transport::Tcp | Transport::Ws => bind_listeners(transport, local, equipment),
        Transport::Tls | Transport::Wss if accepts => bind_listeners(transport, local, equipment),
        Transport::Tls if opens => reserve(transport, local, equipment),
        Transport::Tls | Transport::Wss => Err(NetError::NoCertificate { transport }),
        Transport::Sctp => Err(NetError::Unsupported { transport }),
    }
}

fn bind_datagrams(
    mut local: SocketAddr,
    equipment: &mut [Equipment],
) -> Result<SocketAddr, NetError> {
    let shared = equipment.len() > 1;
    if shared && local.port() != 0 {
        // Sharing would let a second program of the same user in unnoticed: see first that
        // nobody has the port.
        drop(udp::bind(local, false)?);
    }
    for one in equipment {
        let socket = udp::bind(local, shared)?;
        local = socket.local_addr().map_err(no_poll)?;
        one.sockets.push(socket);
    }
    Ok(local)
}

fn bind_listeners(
    transport: Transport,
    mut local: SocketAddr,
    equipment: &mut [Equipment],
) -> Result<SocketAddr, NetError> {
    let shared = equipment.len() > 1;
    if shared && local.port() != 0 {
        drop(listening::bind(transport, local, false)?);
    }
    for one in equipment {
        let socket = listening::bind(transport, local, shared)?;
        local = socket.local_addr().map_err(no_poll)?;
        one.listeners.push((transport, socket));
    }
    Ok(local)
}

/// Holds a port for connections that are only opened: peers are told one, and nobody else may answer there.
fn reserve(
    transport: Transport,
    local: SocketAddr,
    equipment: &mut [Equipment],
) -> Result<SocketAddr, NetError> {
    let socket = listening::reserve(transport, local)?;
    let bound = socket.local_addr().map_err(no_poll)?;
    if let Some(one) = equipment.first_mut() {
        one.reserved.push(socket);
    }
    Ok(bound.as_socket().unwrap_or(local))
}

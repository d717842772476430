//! Connections: accepted within bounds, and closed when they are slow.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::stream::Impatient;

/// Connections at once, and of one host (a /64 of IPv6).
const CONNECTIONS: usize = 512;
const PER_HOST: usize = 64;
/// How long a request's head may take, and how long a connection may wait for the next one.
const HEAD: Duration = Duration::from_secs(20);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The largest head of a request, in octets.
const LARGEST_HEAD: usize = 32 * 1024;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) secure: bool,
}

/// Sockets that are open and serve nothing yet.
pub(crate) struct Listening {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Serves until `stop` says so, then lets what is under way end for at most `grace`.
pub(crate) async fn serve(
    listening: Listening,
    router: Router,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let Listening { listener, tls } = listening;
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let hosts = Arc::new(Hosts::default());
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|s| *s) => break,
        };
        while connections.try_join_next().is_some() {}
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly that no descriptor is left: others have to close first.
                tracing::warn!(%error, "a connection to the console was not accepted");
                sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        // Whoever is over a limit is closed at once; that is what a full queue would come to, only later.
        let Ok(permit) = free.clone().try_acquire_owned() else {
            continue;
        };
        let Some(seat) = hosts.clone().seat(address.ip()) else {
            continue;
        };
        let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, address, tls, router, stop).await;
            drop((permit, seat));
        });
    }
    drop(listener);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // Whoever still reads after this is cut off when the set is dropped.
    let _ = timeout(grace, all_ended).await;
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    stop: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let peer = Peer {
        address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        secure: tls.is_some(),
    };
    match tls {
        None => talk(stream, peer, router, stop).await,
        Some(tls) => {
            // A failed handshake is the peer's affair: scanners fail thousands of them.
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, tls.accept(stream)).await {
                talk(stream, peer, router, stop).await;
            }
        }
    }
}

async fn talk<S>(stream: S, peer: Peer, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let mut router = router.clone();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        tower_service::Service::call(&mut router, request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(Impatient::new(stream)), service);
    tokio::pin!(connection);
    // Errors are those of the peer: it hung up, was slow, or spoke no HTTP, which hyper has told it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|s| *s) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// How many connections each host has.
#[derive(Debug, Default)]
struct Hosts(Mutex<HashMap<IpAddr, usize>>);

/// One connection of a host.
struct Seat(Arc<Hosts>, IpAddr);

impl Hosts {
    fn seat(self: Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let host = match ip.to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
            v4 => v4,
        };
        {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = all.entry(host).or_insert(0);
            if *count >= PER_HOST {
                return None;
            }
            *count += 1;
        }
        Some(Seat(self, host))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_connections() {
        let hosts = Arc::new(Hosts::default());
        let ip = "2001:db8::1".parse().unwrap();
        let seats: Vec<_> = (0..PER_HOST)
            .map(|_| hosts.clone().seat(ip).unwrap())
            .collect();
        assert!(hosts.clone().seat("2001:db8::2".parse().unwrap()).is_none());
        assert!(
            hosts
                .clone()
                .seat("2001:db8:0:1::".parse().unwrap())
                .is_some()
        );
        drop(seats);
        assert!(hosts.0.lock().unwrap().is_empty());
    }
}

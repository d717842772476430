//! What the network counts.

use std::sync::atomic::{AtomicU64, Ordering};

use sip::wire::ScanError;

/// A number that any thread may raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Takes one away; for counters of what is there now.
    pub fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! statistics {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// Counters of one network since it started.
        #[derive(Debug, Default)]
        pub struct Statistics {
            $($(#[$doc])+ pub $name: Counter,)+
        }

        impl Statistics {
            /// Every counter with its name, for display and export.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value()),)+]
            }
        }
    };
}

statistics! {
    /// Datagrams received.
    datagrams_in,
    /// Octets in datagrams received.
    datagram_bytes_in,
    /// Datagrams sent.
    datagrams_out,
    /// Octets in datagrams sent.
    datagram_bytes_out,
    /// Keep-alive datagrams (empty, or only line ends) swallowed.
    keep_alives_in,
    /// Datagrams cut off because they were larger than the receive buffer.
    datagrams_cut,
    /// Messages with nothing in them.
    scan_empty,
    /// Messages that are no SIP.
    scan_not_sip,
    /// Messages larger than the limit.
    scan_too_large,
    /// Messages with too many header lines.
    scan_too_many_headers,
    /// Datagrams that waited because the socket could not take them at once.
    datagrams_delayed,
    /// Datagrams dropped because too many waited.
    datagrams_dropped,
    /// Datagrams that the system refused to send.
    datagrams_failed,
    /// Errors that peers' hosts or routers reported (ICMP).
    unreachable_in,
    /// Batches received.
    batches_in,
    /// Batches sent.
    batches_out,
    /// Pauses made under load so that batches fill.
    pauses,
    /// Messages received on connections.
    stream_messages_in,
    /// Octets received on connections.
    stream_bytes_in,
    /// Messages handed to connections.
    stream_messages_out,
    /// Octets written to connections.
    stream_bytes_out,
    /// Keep-alive pings answered on connections.
    stream_pings_in,
    /// Connections closed because what arrived could not be followed.
    streams_broken,
    /// Connections open now.
    connections_open,
    /// Connections accepted.
    connections_accepted,
    /// Connections that we opened or tried to open.
    connections_started,
    /// Connections that we could not open.
    connections_failed,
    /// Connections refused because of a limit.
    connections_refused,
    /// Connections closed because nothing came for too long.
    connections_idle,
    /// Handshakes of TLS done.
    tls_handshakes,
    /// Handshakes of TLS that failed or took too long.
    tls_failed,
    /// Connections that became WebSockets.
    websockets_opened,
    /// Connections that should have become WebSockets and did not.
    websockets_refused,
    /// Messages for connections that are gone and that only the peer can open again.
    flows_gone,
    /// Times that accepting stopped because the process has no file descriptors left.
    accept_paused,
    /// Messages dropped because their connection had too much waiting.
    stream_messages_dropped,
    /// Transmits for a transport or address that we do not have.
    no_such_flow,
    /// Flows reported as undeliverable.
    undeliverable,
    /// Commands refused because the inbox was full.
    inbox_full,
    /// Internal notices dropped because the inbox was full.
    notices_dropped,
    /// Questions to the name servers.
    dns_queries,
    /// Questions refused because too many were under way.
    dns_refused,
    /// Questions that no name server answered.
    dns_failed,
}

impl Statistics {
    pub(crate) fn scan_error(&self, error: ScanError) {
        match error {
            ScanError::Empty => self.scan_empty.add_one(),
            ScanError::NotSip => self.scan_not_sip.add_one(),
            ScanError::TooLarge => self.scan_too_large.add_one(),
            ScanError::TooManyHeaders => self.scan_too_many_headers.add_one(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_name() {
        let statistics = Statistics::default();
        statistics.datagrams_in.add(3);
        statistics.scan_error(ScanError::NotSip);
        statistics.connections_open.add_one();
        statistics.connections_open.take_one();
        let all = statistics.all();
        assert!(all.contains(&("datagrams_in", 3)));
        assert!(all.contains(&("scan_not_sip", 1)));
        assert!(all.contains(&("connections_open", 0)));
    }
}

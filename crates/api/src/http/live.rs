//! `GET /api/live`: server-sent events (status each second, how many calls there are, log lines).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use axum::body::Body as WireBody;
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::{Body, Bytes, Frame};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use super::dispatch::{Asked, finish};
use crate::context::Context;
use crate::logs::LogLine;
use crate::problem::Problem;
use crate::request::Reply;

/// Streams at once.
const MOST: usize = 64;
/// Events that wait for a slow client; what comes then is lost to it.
const WAITING: usize = 64;
/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Every how many events of the server it is looked whether the session is over.
const LOOK_EVERY: u32 = 5;

/// Counts a stream for as long as it lives.
struct Seat(Arc<Context>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn stream(context: Arc<Context>, asked: Asked, secure: bool) -> Response {
    let seat = Seat(context.clone());
    if context.streams.fetch_add(1, Ordering::SeqCst) >= MOST {
        let why = "too many pages follow the server already: close some";
        return finish(Problem::unavailable(why).into(), secure);
    }
    let (send, events) = mpsc::channel(WAITING);
    let (news, logs) = (context.events.subscribe(), context.logs.listen());
    tokio::spawn(async move {
        let token = asked.token.unwrap_or_default();
        pump(&seat.0, &token, &send, news, logs).await;
        drop(seat);
    });
    let reply = Reply::text(StatusCode::OK, "text/event-stream", "");
    finish(reply, secure).map(|_| WireBody::new(Events(events)))
}

/// Moves events to the client until it, its session or the server is gone.
async fn pump(
    context: &Arc<Context>,
    token: &str,
    send: &mpsc::Sender<Bytes>,
    mut news: broadcast::Receiver<Arc<str>>,
    mut logs: broadcast::Receiver<Arc<LogLine>>,
) {
    let mut count = 0u32;
    // So that the headers leave at once, and the browser knows that it is connected.
    let mut next = Bytes::from_static(b": connected\n\n");
    loop {
        match timeout(PATIENCE, send.send(next)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
        next = tokio::select! {
            event = news.recv() => match event {
                Ok(event) => {
                    count = count.wrapping_add(1);
                    if count.is_multiple_of(LOOK_EVERY) && !is_signed_in(context, token).await {
                        return;
                    }
                    Bytes::copy_from_slice(event.as_bytes())
                }
                Err(RecvError::Lagged(_)) => Bytes::from_static(b": late\n\n"),
                Err(RecvError::Closed) => return,
            },
            line = logs.recv() => match line {
                Ok(line) => event("log", &*line).into(),
                Err(RecvError::Lagged(n)) => format!(": {n} lines were lost\n\n").into(),
                Err(RecvError::Closed) => return,
            },
            () = send.closed() => return,
        };
        if context.stopping.load(Ordering::SeqCst) {
            return;
        }
    }
}

async fn is_signed_in(context: &Arc<Context>, token: &str) -> bool {
    let (context, token) = (context.clone(), token.to_owned());
    let look = move || context.is_still_signed_in(&token, Instant::now());
    tokio::task::spawn_blocking(look).await.unwrap_or(false)
}

/// An event as it stands on the wire.
pub(crate) fn event<T: serde::Serialize>(name: &str, value: &T) -> String {
    // JSON has no line ends outside of strings, and escapes those inside.
    let data = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
    format!("event: {name}\ndata: {data}\n\n")
}

/// The body of the answer.
struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(cx)
            .map(|bytes| bytes.map(|b| Ok(Frame::data(b))))
    }
}

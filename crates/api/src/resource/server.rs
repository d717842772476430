//! The process: again from the start, or no more.

use axum::http::StatusCode;

use crate::context::Wish;
use crate::problem::Problem;
use crate::request::{Call, Reply};

/// `POST /api/server/restart`
pub(crate) fn restart(call: &Call<'_>) -> Result<Reply, Problem> {
    call.note("restarted", "server");
    wish(call, Wish::Restart)
}

/// `POST /api/server/stop`
pub(crate) fn stop(call: &Call<'_>) -> Result<Reply, Problem> {
    call.note("stopped", "server");
    wish(call, Wish::Stop)
}

fn wish(call: &Call<'_>, wish: Wish) -> Result<Reply, Problem> {
    call.context
        .wishes
        .try_send(wish)
        .map_err(|_| Problem::unavailable("the server is ending already"))?;
    Ok(Reply::status(StatusCode::ACCEPTED))
}

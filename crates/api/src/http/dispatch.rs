//! From a request to its handler: who asks, whether he may, what he sends; and from the answer to the wire.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body as WireBody, to_bytes};
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use tokio::time::timeout;

use super::serve::Peer;
use super::{live, origin};
use crate::assets;
use crate::context::Context;
use crate::problem::Problem;
use crate::request::{Call, Reply};
use crate::resource::session::{COOKIE, must_change};
use crate::route::{Access, Body, Handler, ROUTES, Route};
use crate::session::Identity;

/// How long a body may take to come.
const BODY: Duration = Duration::from_secs(60);

/// The router over all of [`ROUTES`]; everything else is the web app.
pub(crate) fn router(context: &Arc<Context>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else {
            continue;
        };
        let context = context.clone();
        let handle = move |parts: RawPathParams, request: Request| {
            let context = context.clone();
            let parts = parts
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            async move { answer(context, route, parts, request).await }
        };
        router = router.route(route.path, on(filter, handle));
    }
    router
        .method_not_allowed_fallback(|request: Request| async move {
            let why = format!("{} cannot be done here", request.method());
            let problem = Problem::refused(StatusCode::METHOD_NOT_ALLOWED, why);
            finish(problem.into(), is_secure(&request))
        })
        .fallback(|request: Request| async move {
            let reply = assets::answer(request.method(), request.uri(), request.headers());
            finish(reply, is_secure(&request))
        })
}

fn is_secure(request: &Request) -> bool {
    request.extensions().get::<Peer>().is_some_and(|p| p.secure)
}

async fn answer(
    context: Arc<Context>,
    route: &'static Route,
    parts: Vec<(String, String)>,
    request: Request,
) -> Response {
    let secure = is_secure(&request);
    let reply = match allowed(&context, route, parts, request).await {
        Err(problem) => problem.into(),
        Ok(asked) => match route.handler {
            Handler::Live => return live::stream(context, asked, secure),
            Handler::Answer(handler) => {
                let work = move || {
                    let call = asked.call(&context);
                    handler(&call).unwrap_or_else(Reply::from)
                };
                // Handlers wait for the disk, so they have threads of their own.
                tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
                    Problem::unavailable("this failed; the server's log says why").into()
                })
            }
        },
    };
    finish(reply, secure)
}

/// A request with its body, from somebody who may.
pub(super) struct Asked {
    who: Option<Identity>,
    pub(super) token: Option<String>,
    peer: Peer,
    parts: Vec<(String, String)>,
    query: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn call<'a>(&'a self, context: &'a Context) -> Call<'a> {
        Call {
            context,
            who: self.who.as_ref(),
            token: self.token.as_deref(),
            source: self.peer.address.ip(),
            secure: self.peer.secure,
            parts: &self.parts,
            query: &self.query,
            body: &self.body,
        }
    }
}

async fn allowed(
    context: &Arc<Context>,
    route: &'static Route,
    parts: Vec<(String, String)>,
    request: Request,
) -> Result<Asked, Problem> {
    let (head, body) = request.into_parts();
    if let Some(why) = origin::refusal(&head.method, &head.headers, route.body) {
        return Err(Problem::forbidden(why));
    }
    let peer = head.extensions.get::<Peer>().copied();
    let peer = peer.ok_or_else(|| Problem::unavailable("the request came from nowhere"))?;
    let token = token(&head.headers);
    let who = identify(context, route, token.clone()).await?;
    let limit = match route.body {
        Body::Json => 64 << 10,
        Body::Document | Body::Csv => 8 << 20,
    };
    let body = timeout(BODY, to_bytes(body, limit)).await;
    let body = body
        .map_err(|_| Problem::refused(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"))?
        .map_err(|_| {
            let why = format!("the body was cut off, or has more than {limit} octets");
            Problem::refused(StatusCode::PAYLOAD_TOO_LARGE, why)
        })?;
    Ok(Asked {
        who,
        token,
        peer,
        parts,
        query: query(&head.uri),
        body: body.to_vec(),
    })
}

/// Who asks, if he may take this route.
async fn identify(
    context: &Arc<Context>,
    route: &'static Route,
    token: Option<String>,
) -> Result<Option<Identity>, Problem> {
    let open = route.access == Access::Anybody;
    let Some(token) = token else {
        return if open {
            Ok(None)
        } else {
            Err(Problem::not_signed_in())
        };
    };
    let context = context.clone();
    let look = move || {
        let Some(who) = context.identify(&token, Instant::now())? else {
            return if open {
                Ok(None)
            } else {
                Err(Problem::not_signed_in())
            };
        };
        if !route.access.is_for(who.role) {
            return Err(Problem::forbidden("your role does not include this"));
        }
        let first_steps = matches!(route.access, Access::Anybody | Access::SignedIn);
        if !first_steps && must_change(&context, &who)? {
            let why = "change your first password: PUT /api/session/password";
            return Err(Problem::forbidden(why));
        }
        Ok(Some(who))
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| {
        Err(Problem::unavailable(
            "this failed; the server's log says why",
        ))
    })
}

fn token(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies
        .filter_map(|c| c.to_str().ok())
        .flat_map(|c| c.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let (_, token) = pairs.find(|(name, _)| *name == COOKIE)?;
    (!token.is_empty()).then(|| token.to_owned())
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    let text = uri.query().unwrap_or_default();
    let pairs = form_urlencoded::parse(text.as_bytes()).take(32);
    pairs
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect()
}

pub(super) fn finish(reply: Reply, secure: bool) -> Response {
    let mut response = Response::new(WireBody::from(reply.body));
    *response.status_mut() = reply.status;
    for (name, value) in reply.headers {
        response.headers_mut().append(name, value);
    }
    origin::secure(response.headers_mut(), secure);
    response
}

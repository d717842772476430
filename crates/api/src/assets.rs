//! The web app, embedded into the binary by `build.rs`.

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::problem::Problem;
use crate::request::Reply;

/// One file of the app.
struct Asset {
    path: &'static str,
    kind: &'static str,
    /// Its name changes with its content.
    hashed: bool,
    plain: &'static [u8],
    /// The same with gzip, where that is smaller.
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Whether the binary was built with the web app, and not only with a page that says so.
pub fn is_built_in() -> bool {
    BUILT_IN
}

/// What is not a route of the API: a file of the app, and the app itself for every other page.
pub(crate) fn answer(method: &Method, uri: &Uri, headers: &HeaderMap) -> Reply {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return Problem::not_found("such path in this API: see /api/openapi.yaml").into();
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Problem::refused(StatusCode::METHOD_NOT_ALLOWED, "this is a page to be read")
            .into();
    }
    let name = path.trim_start_matches('/');
    let found = ASSETS.iter().find(|a| a.path == name);
    // A file that is missing must not look like one that is there.
    let looks_like_file = name
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    let app = || ASSETS.iter().find(|a| a.path == "index.html");
    match found.or_else(|| if looks_like_file { None } else { app() }) {
        Some(asset) => file(asset, headers),
        None => Problem::not_found("such page").into(),
    }
}

fn file(asset: &'static Asset, headers: &HeaderMap) -> Reply {
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| {
            v.split(',')
                .any(|e| e.trim() == "gzip" || e.trim().starts_with("gzip;q=1"))
        });
    let (body, zipped) = match asset.gzip.filter(|_| takes_gzip) {
        Some(body) => (body, true),
        None => (asset.plain, false),
    };
    let caching = if asset.hashed {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut reply = Reply::text(StatusCode::OK, asset.kind, body)
        .with(header::CACHE_CONTROL, HeaderValue::from_static(caching))
        .with(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if zipped {
        reply = reply.with(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

//! Every route of the API, and who may take it: the one table that the router, the tests and the description are held to.

use axum::http::Method;

use crate::problem::Problem;
use crate::request::{Call, Reply};
use crate::resource::{
    accounts, administrators, audit, blocks, calls, groups, import, logs, metrics, records,
    registrations, rules, server, session, settings, status, tried, trunks,
};
use crate::session::Role;

use Access::{Administrator, Anybody, Operator, Owner, SignedIn};

/// Who may take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anybody,
    /// Who is signed in, be it with a first password that has to be changed.
    SignedIn,
    /// Who is signed in; users see and change only what is their own.
    Owner,
    /// Operators and administrators.
    Operator,
    /// Administrators.
    Administrator,
}

impl Access {
    /// Whether a role has it.
    pub fn is_for(self, role: Role) -> bool {
        match self {
            Anybody | SignedIn | Owner => true,
            Operator => role >= Role::Operator,
            Administrator => role >= Role::Administrator,
        }
    }
}

/// What a route does.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Answers at once, on a thread that may wait for the disk.
    Answer(Answer),
    /// Streams events until somebody hangs up.
    Live,
}

/// What comes with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// JSON, or nothing.
    Json,
    /// A larger document in JSON.
    Document,
    /// A table as `text/csv`.
    Csv,
}

/// One method of one path.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with its variable parts in braces.
    pub path: &'static str,
    /// Who may take it.
    pub access: Access,
    pub(crate) body: Body,
    pub(crate) handler: Handler,
}

type Answer = fn(&Call<'_>) -> Result<Reply, Problem>;

const fn route(method: Method, path: &'static str, access: Access, answer: Answer) -> Route {
    taking(Body::Json, method, path, access, answer)
}

const fn taking(
    body: Body,
    method: Method,
    path: &'static str,
    access: Access,
    answer: Answer,
) -> Route {
    Route {
        method,
        path,
        access,
        body,
        handler: Handler::Answer(answer),
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// All routes.
pub static ROUTES: &[Route] = &[
    route(GET, "/healthz", Anybody, status::healthy),
    route(GET, "/readyz", Anybody, status::ready),
    route(GET, "/metrics", Anybody, metrics::show),
    route(GET, "/api/openapi.yaml", Anybody, status::description),
    route(GET, "/api/session", SignedIn, session::show),
    route(POST, "/api/session", Anybody, session::sign_in),
    route(DELETE, "/api/session", SignedIn, session::sign_out),
    route(
        PUT,
        "/api/session/password",
        SignedIn,
        session::change_password,
    ),
    route(GET, "/api/status", Operator, status::show),
    Route {
        method: GET,
        path: "/api/live",
        access: Operator,
        body: Body::Json,
        handler: Handler::Live,
    },
    route(GET, "/api/accounts", Operator, accounts::list),
    route(POST, "/api/accounts", Operator, accounts::create),
    route(GET, "/api/accounts/export", Operator, import::export),
    taking(
        Body::Csv,
        POST,
        "/api/accounts/import",
        Operator,
        import::import,
    ),
    route(GET, "/api/accounts/{address}", Owner, accounts::show),
    route(PUT, "/api/accounts/{address}", Owner, accounts::change),
    route(
        DELETE,
        "/api/accounts/{address}",
        Operator,
        accounts::remove,
    ),
    route(
        POST,
        "/api/accounts/{address}/password",
        Operator,
        accounts::password,
    ),
    route(GET, "/api/registrations", Owner, registrations::list),
    route(
        DELETE,
        "/api/registrations/{id}",
        Owner,
        registrations::remove,
    ),
    route(GET, "/api/calls", Operator, calls::list),
    route(DELETE, "/api/calls/{id}", Operator, calls::hang_up),
    route(GET, "/api/blocks", Operator, blocks::list),
    route(DELETE, "/api/blocks/{address}", Operator, blocks::remove),
    route(GET, "/api/records", Owner, records::list),
    route(GET, "/api/records/export", Owner, records::export),
    route(GET, "/api/rules", Operator, rules::list),
    route(POST, "/api/rules", Operator, rules::create),
    route(PUT, "/api/rules/order", Operator, rules::order),
    route(GET, "/api/rules/document", Operator, rules::export),
    taking(
        Body::Document,
        PUT,
        "/api/rules/document",
        Operator,
        rules::import,
    ),
    route(POST, "/api/rules/try", Operator, tried::explain),
    route(PUT, "/api/rules/{id}", Operator, rules::change),
    route(DELETE, "/api/rules/{id}", Operator, rules::remove),
    route(GET, "/api/trunks", Operator, trunks::list),
    route(POST, "/api/trunks", Operator, trunks::create),
    route(GET, "/api/trunks/{id}", Operator, trunks::show),
    route(PUT, "/api/trunks/{id}", Operator, trunks::change),
    route(DELETE, "/api/trunks/{id}", Operator, trunks::remove),
    route(GET, "/api/groups", Operator, groups::list),
    route(POST, "/api/groups", Operator, groups::create),
    route(PUT, "/api/groups/{id}", Operator, groups::change),
    route(DELETE, "/api/groups/{id}", Operator, groups::remove),
    route(GET, "/api/settings", Operator, settings::show),
    route(PUT, "/api/settings", Administrator, settings::change),
    route(GET, "/api/logs", Operator, logs::list),
    route(GET, "/api/audit", Operator, audit::list),
    route(
        GET,
        "/api/administrators",
        Administrator,
        administrators::list,
    ),
    route(
        POST,
        "/api/administrators",
        Administrator,
        administrators::create,
    ),
    route(
        PUT,
        "/api/administrators/{name}",
        Administrator,
        administrators::change,
    ),
    route(
        DELETE,
        "/api/administrators/{name}",
        Administrator,
        administrators::remove,
    ),
    route(POST, "/api/server/restart", Administrator, server::restart),
    route(POST, "/api/server/stop", Administrator, server::stop),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_route_stands_twice_and_little_is_open() {
        for (place, one) in ROUTES.iter().enumerate() {
            let same = |r: &Route| r.method == one.method && r.path == one.path;
            assert_eq!(ROUTES.iter().position(same), Some(place), "{}", one.path);
        }
        let open: Vec<_> = ROUTES
            .iter()
            .filter(|r| r.access == Anybody)
            .map(|r| (r.method.as_str(), r.path))
            .collect();
        assert_eq!(
            open,
            [
                ("GET", "/healthz"),
                ("GET", "/readyz"),
                ("GET", "/metrics"),
                ("GET", "/api/openapi.yaml"),
                ("POST", "/api/session"),
            ]
        );
    }

    #[test]
    fn what_operators_and_users_may_not_is_written_down() {
        let of = |access: Access| -> Vec<String> {
            let all = ROUTES.iter().filter(|r| r.access == access);
            all.map(|r| format!("{} {}", r.method, r.path)).collect()
        };
        assert_eq!(
            of(Administrator),
            [
                "PUT /api/settings",
                "GET /api/administrators",
                "POST /api/administrators",
                "PUT /api/administrators/{name}",
                "DELETE /api/administrators/{name}",
                "POST /api/server/restart",
                "POST /api/server/stop",
            ]
        );
        assert_eq!(
            of(Owner),
            [
                "GET /api/accounts/{address}",
                "PUT /api/accounts/{address}",
                "GET /api/registrations",
                "DELETE /api/registrations/{id}",
                "GET /api/records",
                "GET /api/records/export",
            ]
        );
    }

    #[test]
    fn roles_contain_each_other() {
        for route in ROUTES {
            if route.access.is_for(Role::User) {
                assert!(route.access.is_for(Role::Operator), "{}", route.path);
            }
            assert!(route.access.is_for(Role::Administrator), "{}", route.path);
        }
    }
}

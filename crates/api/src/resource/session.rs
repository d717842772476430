//! Signing in and out, and one's own password.

use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::http::{HeaderValue, header};
use serde::{Deserialize, Serialize};

use crate::administrators::{AdministratorError, LONGEST, fit_password};
use crate::context::{Context, proof};
use crate::problem::Problem;
use crate::request::{Call, Reply};
use crate::session::{Identity, Role};

/// The cookie that holds the token.
pub(crate) const COOKIE: &str = "sori_session";
/// Passwords checked at once. Each waits for the one before it, so more would only fill the threads.
const CHECKED_AT_ONCE: usize = 4;

#[derive(Serialize)]
struct Session<'a> {
    name: &'a str,
    role: Role,
    must_change_password: bool,
}

#[derive(Deserialize)]
struct Login {
    name: String,
    password: String,
}

#[derive(Deserialize)]
struct PasswordChange {
    old: String,
    new: String,
}

/// `GET /api/session`
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let who = call.who.ok_or_else(Problem::not_signed_in)?;
    Reply::json(&Session {
        name: &who.name,
        role: who.role,
        must_change_password: must_change(call.context, who)?,
    })
}

/// `POST /api/session`
pub(crate) fn sign_in(call: &Call<'_>) -> Result<Reply, Problem> {
    let login: Login = call.json()?;
    let name = login.name.trim();
    let identity = attempt(call, name, &login.password)?;
    let Some(identity) = identity else {
        call.note_for(name, "sign_in_failed", "");
        return Err(Problem::wrong_credentials());
    };
    if identity.role != Role::User {
        call.context.administrators.signed_in(&identity.name)?;
    }
    call.note_for(&identity.name, "signed_in", "");
    let reply = Reply::json(&Session {
        name: &identity.name,
        role: identity.role,
        must_change_password: must_change(call.context, &identity)?,
    })?;
    let token = call.context.sessions.begin(identity, Instant::now());
    let token = token.ok_or_else(|| Problem::unavailable("the system gives no random numbers"))?;
    Ok(reply.with(header::SET_COOKIE, cookie(&token, call.secure, "")?))
}

/// `DELETE /api/session`
pub(crate) fn sign_out(call: &Call<'_>) -> Result<Reply, Problem> {
    if let Some(token) = call.token {
        call.context.sessions.end(token);
    }
    call.note("signed_out", "");
    Ok(Reply::done().with(header::SET_COOKIE, cookie("", call.secure, "; Max-Age=0")?))
}

/// `PUT /api/session/password`
pub(crate) fn change_password(call: &Call<'_>) -> Result<Reply, Problem> {
    let change: PasswordChange = call.json()?;
    let who = call.who.ok_or_else(Problem::not_signed_in)?;
    fit_password(&change.new).map_err(|e| Problem::from(e).about("new"))?;
    if change.old == change.new {
        return Err(Problem::invalid("new", "the new password is the old one"));
    }
    if attempt(call, &who.name, &change.old)?.is_none() {
        call.note("password_change_failed", "");
        return Err(Problem::wrong_credentials().about("old"));
    }
    let proof = match who.role {
        Role::User => {
            super::accounts::set_password(call.context, &who.name, &change.new)?;
            call.context.account(&who.name)?.as_ref().and_then(proof)
        }
        _ => {
            let all = &call.context.administrators;
            all.set_password(&who.name, &change.new, true)?;
            all.find(&who.name)?.map(|a| a.proof())
        }
    };
    if let (Some(token), Some(proof)) = (call.token, proof) {
        call.context.sessions.renew(token, proof);
    }
    call.note("changed", "own password");
    Ok(Reply::done())
}

/// Whether the first password still stands, which opens nothing but the way to change it.
pub(crate) fn must_change(context: &Context, who: &Identity) -> Result<bool, Problem> {
    Ok(match who.role {
        Role::User => false,
        _ => context
            .administrators
            .find(&who.name)?
            .is_some_and(|a| a.must_change_password),
    })
}

/// Checks a password, unless there were too many wrong ones.
fn attempt(call: &Call<'_>, name: &str, password: &str) -> Result<Option<Identity>, Problem> {
    let (context, now) = (call.context, Instant::now());
    if let Some(wait) = context.throttle.wait(call.source, name, now) {
        return Err(Problem::too_many_tries(wait));
    }
    if context.signing_in.fetch_add(1, Ordering::SeqCst) >= CHECKED_AT_ONCE {
        context.signing_in.fetch_sub(1, Ordering::SeqCst);
        return Err(Problem::unavailable(
            "too many people sign in at once: try again",
        ));
    }
    let checked = check(context, name, password);
    context.signing_in.fetch_sub(1, Ordering::SeqCst);
    let identity = checked?;
    match identity {
        Some(_) => context.throttle.right(name),
        None => context.throttle.wrong(call.source, name, now),
    }
    Ok(identity)
}

fn check(context: &Context, name: &str, password: &str) -> Result<Option<Identity>, Problem> {
    if password.len() > LONGEST {
        return Ok(None);
    }
    let address = match name.contains('@') {
        true => name.strip_prefix("sip:").unwrap_or(name).to_owned(),
        false => format!("{name}@{}", context.admin.default_domain()),
    };
    // Names of administrators have no @. Of the others, who is no account may be one.
    let account = match name.contains('@') || context.administrators.find(name)?.is_none() {
        true => context.account(&address)?,
        false => None,
    };
    let Some(account) = account else {
        let found = context.administrators.check(name, password)?;
        return Ok(found.map(|a| Identity {
            proof: a.proof(),
            role: a.role,
            name: a.name,
        }));
    };
    let given = server::account_for(&account.user, &account.domain, password);
    let proofs = proof(&given).zip(proof(&account));
    let right = account.enabled && proofs.is_some_and(|(a, b)| same(&a, &b));
    Ok(proofs.filter(|_| right).map(|(_, proof)| Identity {
        name: format!("{}@{}", account.user, account.domain),
        role: Role::User,
        proof,
    }))
}

/// Compares in a time that tells nothing.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differ = a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differ) == 0
}

fn cookie(token: &str, secure: bool, more: &str) -> Result<HeaderValue, Problem> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{more}");
    HeaderValue::from_str(&text).map_err(|error| Problem::unavailable(error.to_string()))
}

impl From<AdministratorError> for Problem {
    fn from(error: AdministratorError) -> Problem {
        let text = error.to_string();
        match error {
            AdministratorError::Store(error) => error.into(),
            AdministratorError::Unknown(_) => Problem::not_found("administrator of this name"),
            AdministratorError::Exists(_) => Problem::exists("name", text),
            AdministratorError::Invalid(field, _) => Problem::invalid(field, text),
            AdministratorError::Last => Problem::invalid("role", text),
            AdministratorError::NoRandomness => Problem::unavailable(text),
        }
    }
}

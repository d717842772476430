//! Accounts: who may register and call.

use serde::{Deserialize, Serialize};
use server::directory::{ChangeError, Forwards, Profile};

use crate::administrators::LONGEST;
use crate::context::Context;
use crate::problem::Problem;
use crate::request::{Call, Reply};
use crate::secret;

/// The shortest password of an account that is taken.
const SHORTEST: usize = 6;

/// An account as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Account {
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) domain: String,
    pub(crate) display_name: String,
    pub(crate) enabled: bool,
    pub(crate) aliases: Vec<String>,
    pub(crate) forwards: Forwards,
    pub(crate) trunks: Option<Vec<String>>,
    pub(crate) registered: usize,
    pub(crate) created: u64,
    pub(crate) changed: u64,
}

/// What is to change; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AccountChange {
    pub(crate) user: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) enabled: Option<bool>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) forwards: Option<Forwards>,
    #[serde(deserialize_with = "given")]
    pub(crate) trunks: Option<Option<Vec<String>>>,
    pub(crate) password: Option<String>,
}

/// `null` is a value here, and not the same as nothing.
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[derive(Serialize)]
struct NewAccount {
    account: Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Deserialize)]
struct NewPassword {
    password: Option<String>,
}

/// `GET /api/accounts`
pub(crate) fn list(call: &Call<'_>) -> Result<Reply, Problem> {
    let wanted = call.page()?;
    let all = call.context.store.accounts(None)?;
    let snapshot = call.context.admin.directory().snapshot();
    let found = all.into_iter().filter(|a| {
        let address = format!("{}@{}", a.user, a.domain);
        let name = a.display_name.as_deref().unwrap_or_default();
        let aliases = snapshot.profile(&address).map(|p| p.aliases.join(" "));
        wanted.finds(&[&address, name, aliases.as_deref().unwrap_or_default()])
    });
    let page = wanted.cut(found.collect());
    let items = page.items.into_iter().map(|a| shown(call.context, a));
    Reply::json(&crate::request::Page {
        total: page.total,
        items: items.collect(),
    })
}

/// `GET /api/accounts/{address}`
pub(crate) fn show(call: &Call<'_>) -> Result<Reply, Problem> {
    let address = call.part("address");
    call.may_see(address)?;
    Reply::json(&shown(call.context, known(call.context, address)?))
}

/// `POST /api/accounts`
pub(crate) fn create(call: &Call<'_>) -> Result<Reply, Problem> {
    let change: AccountChange = call.json()?;
    let made = add(call.context, &change)?;
    call.context.admin.accounts_changed()?;
    call.note("created", &format!("account {}", made.0));
    let account = shown(call.context, known(call.context, &made.0)?);
    Reply::created(&NewAccount {
        account,
        password: made.1,
    })
}

/// `PUT /api/accounts/{address}`
pub(crate) fn change(call: &Call<'_>) -> Result<Reply, Problem> {
    let address = call.part("address");
    call.may_see(address)?;
    let change: AccountChange = call.json()?;
    if call.only().is_some() {
        own_part_only(&change)?;
    }
    alter(call.context, address, &change)?;
    call.context.admin.accounts_changed()?;
    call.note("changed", &format!("account {address}"));
    Reply::json(&shown(call.context, known(call.context, address)?))
}

/// `DELETE /api/accounts/{address}`
pub(crate) fn remove(call: &Call<'_>) -> Result<Reply, Problem> {
    let address = call.part("address");
    let account = known(call.context, address)?;
    call.context
        .store
        .remove_account(&account.user, &account.domain)?;
    call.context.admin.directory().remove_profile(address)?;
    call.context.admin.accounts_changed()?;
    call.note("removed", &format!("account {address}"));
    Ok(Reply::done())
}

/// `POST /api/accounts/{address}/password`
pub(crate) fn password(call: &Call<'_>) -> Result<Reply, Problem> {
    let address = call.part("address");
    let wanted = match call.body {
        [] => NewPassword { password: None },
        _ => call.json::<NewPassword>()?,
    };
    known(call.context, address)?;
    let (password, made) = chosen(wanted.password.as_deref())?;
    set_password(call.context, address, &password)?;
    call.note("changed", &format!("password of account {address}"));
    Reply::json(&NewAccount {
        account: shown(call.context, known(call.context, address)?),
        password: made.then_some(password),
    })
}

/// What users may change of their own account.
fn own_part_only(change: &AccountChange) -> Result<(), Problem> {
    let others = [
        ("user", change.user.is_some()),
        ("domain", change.domain.is_some()),
        ("enabled", change.enabled.is_some()),
        ("aliases", change.aliases.is_some()),
        ("trunks", change.trunks.is_some()),
        ("password", change.password.is_some()),
    ];
    match others.iter().find(|(_, given)| *given) {
        Some((field, _)) => {
            let why = "you may change your name and your forwards; your password at /api/session/password";
            Err(Problem::forbidden(why).about(*field))
        }
        None => Ok(()),
    }
}

pub(super) fn known(context: &Context, address: &str) -> Result<store::Account, Problem> {
    let found = context.account(address)?;
    found.ok_or_else(|| Problem::not_found(&format!("account {address}")))
}

/// Makes an account; yields its address, and its password when that was made here.
pub(super) fn add(
    context: &Context,
    change: &AccountChange,
) -> Result<(String, Option<String>), Problem> {
    let (user, domain) = names(context, change)?;
    let address = format!("{user}@{domain}");
    let (password, made) = chosen(change.password.as_deref())?;
    let mut account = server::account_for(&user, &domain, &password);
    apply(&mut account, change)?;
    let profile = profile(Profile::default(), change);
    if context.store.account(&user, &domain)?.is_some() {
        return Err(Problem::exists(
            "user",
            format!("there is an account {address} already"),
        ));
    }
    // The profile first: it is what may be refused. One may be left of an account of this name that is no more.
    let directory = context.admin.directory();
    let left = directory.snapshot().profile(&address).is_some();
    if left || profile != Profile::default() {
        directory.put_profile(&address, profile)?;
    }
    if !context.store.add_account(account)? {
        return Err(Problem::exists(
            "user",
            format!("there is an account {address} already"),
        ));
    }
    Ok((address, made.then_some(password)))
}

/// Changes an account.
pub(super) fn alter(
    context: &Context,
    address: &str,
    change: &AccountChange,
) -> Result<(), Problem> {
    let mut account = known(context, address)?;
    let differs = |new: &Option<String>, old: &str| new.as_deref().is_some_and(|n| n != old);
    let rename = "an address cannot change: make a new account and remove this one";
    if differs(&change.user, &account.user) {
        return Err(Problem::invalid("user", rename));
    }
    if differs(&change.domain, &account.domain) {
        return Err(Problem::invalid("domain", rename));
    }
    if let Some(password) = change.password.as_deref().filter(|p| !p.is_empty()) {
        fit(password)?;
        let fresh = server::account_for(&account.user, &account.domain, password);
        account.credentials = fresh.credentials;
    }
    apply(&mut account, change)?;
    account.changed = crate::administrators::now();
    let directory = context.admin.directory();
    let snapshot = directory.snapshot();
    let before = snapshot.profile(address).map(|p| (**p).clone());
    let after = profile(before.clone().unwrap_or_default(), change);
    if before.unwrap_or_default() != after {
        directory.put_profile(address, after)?;
    }
    context.store.put_account(account)?;
    Ok(())
}

/// Gives an account a new password, and waits until it counts.
pub(super) fn set_password(
    context: &Context,
    address: &str,
    password: &str,
) -> Result<(), Problem> {
    let change = AccountChange {
        password: Some(password.to_owned()),
        ..AccountChange::default()
    };
    alter(context, address, &change)?;
    Ok(context.admin.accounts_changed()?)
}

/// User and domain of a new account, checked.
pub(super) fn names(
    context: &Context,
    change: &AccountChange,
) -> Result<(String, String), Problem> {
    let user = change.user.as_deref().unwrap_or_default().trim();
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$#".contains(c);
    if user.is_empty() || user.len() > 64 || !user.chars().all(good) {
        let why = "a user is 1 to 64 letters of English, digits, or signs such as - _ . +, for example alice or 1001";
        return Err(Problem::invalid("user", why));
    }
    let domain = change.domain.as_deref().unwrap_or_default().trim();
    let domain = match domain {
        "" => context.admin.default_domain().to_owned(),
        named => named.to_ascii_lowercase(),
    };
    let served = context.admin.domains();
    if !served.contains(&domain) {
        let why = format!("this server serves {}, not {domain}", served.join(", "));
        return Err(Problem::invalid("domain", why));
    }
    Ok((user.to_owned(), domain))
}

fn chosen(password: Option<&str>) -> Result<(String, bool), Problem> {
    match password.filter(|p| !p.is_empty()) {
        Some(password) => {
            fit(password)?;
            Ok((password.to_owned(), false))
        }
        None => {
            let made = secret::password();
            let made =
                made.ok_or_else(|| Problem::unavailable("the system gives no random numbers"))?;
            Ok((made, true))
        }
    }
}

/// Whether a password may be chosen.
pub(super) fn fit(password: &str) -> Result<(), Problem> {
    if password.chars().count() < SHORTEST || password.len() > LONGEST {
        let why = format!(
            "a password has at least {SHORTEST} characters; leave it empty to have one made"
        );
        return Err(Problem::invalid("password", why));
    }
    if password.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "password",
            "a password has no control characters",
        ));
    }
    Ok(())
}

fn apply(account: &mut store::Account, change: &AccountChange) -> Result<(), Problem> {
    if let Some(name) = &change.display_name {
        let name = name.trim();
        if name.len() > 255 || name.chars().any(char::is_control) {
            let why = "a name has at most 255 octets, and no line breaks";
            return Err(Problem::invalid("display_name", why));
        }
        account.display_name = (!name.is_empty()).then(|| name.to_owned());
    }
    if let Some(enabled) = change.enabled {
        account.enabled = enabled;
    }
    Ok(())
}

fn profile(mut profile: Profile, change: &AccountChange) -> Profile {
    if let Some(aliases) = &change.aliases {
        profile.aliases = aliases.iter().map(|a| a.trim().to_owned()).collect();
    }
    if let Some(forwards) = &change.forwards {
        profile.forwards = forwards.clone();
    }
    if let Some(trunks) = &change.trunks {
        profile.trunks.clone_from(trunks);
    }
    profile
}

pub(super) fn shown(context: &Context, account: store::Account) -> Account {
    let address = format!("{}@{}", account.user, account.domain);
    let snapshot = context.admin.directory().snapshot();
    let profile = snapshot
        .profile(&address)
        .map(|p| (**p).clone())
        .unwrap_or_default();
    Account {
        registered: context.admin.phones(&address),
        address,
        user: account.user,
        domain: account.domain,
        display_name: account.display_name.unwrap_or_default(),
        enabled: account.enabled,
        aliases: profile.aliases,
        forwards: profile.forwards,
        trunks: profile.trunks,
        created: account.created,
        changed: account.changed,
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Problem {
        match error {
            ChangeError::Invalid(invalid) if invalid.field.is_empty() => {
                Problem::malformed(invalid.message)
            }
            ChangeError::Invalid(invalid) => Problem::invalid(invalid.field, invalid.message),
            ChangeError::Unknown => Problem::not_found("such thing"),
            ChangeError::Store(error) => error.into(),
        }
    }
}

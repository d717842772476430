//! Who may administer the server: names, roles, and passwords as Argon2id keeps them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Document, DocumentChange, Store, StoreError};

use crate::secret;
use crate::session::Role;

const KIND: &str = "administrator";
/// The name of the one that the first start makes.
const FIRST: &str = "admin";
/// The shortest password that is taken.
const SHORTEST: usize = 8;
/// The longest, in octets: Argon2 has to read it all.
pub(crate) const LONGEST: usize = 1024;

/// Administrators and operators, as they stand in the store. Every question reads the store, so what another process
/// (`sori admin`) changes counts at once.
#[derive(Debug)]
pub struct Administrators {
    store: Store,
    /// One password is hashed at a time: it takes 19 MB and some 30 ms, and who floods us must not multiply that.
    hashing: Mutex<()>,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Administrator {
    /// The name to sign in with.
    #[serde(skip)]
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The hash of its password in PHC form.
    hash: String,
    /// Its password was made by the server and has to be changed.
    #[serde(default)]
    pub must_change_password: bool,
    /// When it last signed in, in milliseconds since 1970.
    #[serde(default)]
    pub last_signed_in: Option<u64>,
}

/// Leaves the hash out.
impl fmt::Debug for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Administrator")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Administrator {
    /// Differs after every change of the password.
    pub(crate) fn proof(&self) -> [u8; 32] {
        Sha256::digest(self.hash.as_bytes()).into()
    }
}

/// Why something about administrators was not done.
#[derive(Debug)]
pub enum AdministratorError {
    /// The store.
    Store(StoreError),
    /// There is none of this name.
    Unknown(String),
    /// There is one of this name already.
    Exists(String),
    /// A name, role or password cannot be taken; the member, and why.
    Invalid(&'static str, String),
    /// The only administrator cannot be removed or become an operator.
    Last,
    /// The system gave no random numbers.
    NoRandomness,
}

impl fmt::Display for AdministratorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AdministratorError::Store(error) => error.fmt(f),
            AdministratorError::Unknown(name) => write!(f, "there is no administrator {name}"),
            AdministratorError::Exists(name) => {
                write!(f, "there is an administrator {name} already")
            }
            AdministratorError::Invalid(_, why) => f.write_str(why),
            AdministratorError::Last => {
                f.write_str("this is the only administrator: make another one first")
            }
            AdministratorError::NoRandomness => {
                f.write_str("the system gives no random numbers; nothing was changed")
            }
        }
    }
}

impl std::error::Error for AdministratorError {}

impl From<StoreError> for AdministratorError {
    fn from(error: StoreError) -> Self {
        AdministratorError::Store(error)
    }
}

type Result<T> = std::result::Result<T, AdministratorError>;

impl Administrators {
    /// Those of a store.
    pub fn new(store: Store) -> Administrators {
        Administrators {
            store,
            hashing: Mutex::new(()),
        }
    }

    /// Makes the administrator `admin` with a random password when there is nobody yet, and yields that password, which
    /// is known nowhere else.
    ///
    /// # Errors
    /// When the store or the system's randomness fails.
    pub fn make_first(&self) -> Result<Option<(String, String)>> {
        if !self.list()?.is_empty() {
            return Ok(None);
        }
        let password = secret::password().ok_or(AdministratorError::NoRandomness)?;
        self.put(&Administrator {
            name: FIRST.to_owned(),
            role: Role::Administrator,
            hash: self.hash(&password)?,
            must_change_password: true,
            last_signed_in: None,
        })?;
        Ok(Some((FIRST.to_owned(), password)))
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Administrator>> {
        let documents = self.store.documents(KIND)?;
        let read = |d: Document| {
            let mut one: Administrator = serde_json::from_str(&d.body).ok()?;
            one.name = d.key;
            Some(one)
        };
        Ok(documents.into_iter().filter_map(read).collect())
    }

    /// One of them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Administrator>> {
        Ok(self.list()?.into_iter().find(|a| a.name == name))
    }

    /// Makes one; without a password the server makes one, which is answered and has to be changed.
    ///
    /// # Errors
    /// When the name is taken or not fit, or the password is too short.
    pub fn add(&self, name: &str, role: Role, password: Option<&str>) -> Result<Option<String>> {
        fit_name(name)?;
        fit_role(role)?;
        if self.find(name)?.is_some() {
            return Err(AdministratorError::Exists(name.to_owned()));
        }
        let made = match password {
            Some(_) => None,
            None => Some(secret::password().ok_or(AdministratorError::NoRandomness)?),
        };
        let password = password.or(made.as_deref()).unwrap_or_default();
        fit_password(password)?;
        self.put(&Administrator {
            name: name.to_owned(),
            role,
            hash: self.hash(password)?,
            // Whoever makes an administrator knows the password.
            must_change_password: true,
            last_signed_in: None,
        })?;
        Ok(made)
    }

    /// Gives one a new password; its sessions end. When somebody else chose it, it has to be changed.
    ///
    /// # Errors
    /// When there is none of this name, or the password is too short.
    pub fn set_password(&self, name: &str, password: &str, by_itself: bool) -> Result<()> {
        fit_password(password)?;
        let mut one = self.known(name)?;
        one.hash = self.hash(password)?;
        one.must_change_password = !by_itself;
        self.put(&one)
    }

    /// Gives one another role.
    ///
    /// # Errors
    /// When there is none of this name, or it is the only administrator.
    pub fn set_role(&self, name: &str, role: Role) -> Result<()> {
        fit_role(role)?;
        let mut one = self.known(name)?;
        if role != Role::Administrator {
            self.not_the_last(name)?;
        }
        one.role = role;
        self.put(&one)
    }

    /// Removes one; its sessions end.
    ///
    /// # Errors
    /// When there is none of this name, or it is the only administrator.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.known(name)?;
        self.not_the_last(name)?;
        self.store.change_documents(vec![DocumentChange::Remove {
            kind: KIND,
            key: name.to_owned(),
        }])?;
        Ok(())
    }

    /// The one whose password this is. A name that nobody has takes as long as one that somebody has.
    pub(crate) fn check(&self, name: &str, password: &str) -> Result<Option<Administrator>> {
        let found = self.find(name)?;
        let hash = found.as_ref().map_or(NOBODY, |a| a.hash.as_str());
        let right = password.len() <= LONGEST && self.is_right(password, hash);
        Ok(found.filter(|_| right))
    }

    /// Notes when one signed in.
    pub(crate) fn signed_in(&self, name: &str) -> Result<()> {
        let mut one = self.known(name)?;
        one.last_signed_in = Some(now());
        self.put(&one)
    }

    fn known(&self, name: &str) -> Result<Administrator> {
        self.find(name)?
            .ok_or_else(|| AdministratorError::Unknown(name.to_owned()))
    }

    fn not_the_last(&self, name: &str) -> Result<()> {
        let is_another = |a: &Administrator| a.name != name && a.role == Role::Administrator;
        let is_one = |a: &Administrator| a.name == name && a.role == Role::Administrator;
        let all = self.list()?;
        if all.iter().any(is_one) && !all.iter().any(is_another) {
            return Err(AdministratorError::Last);
        }
        Ok(())
    }

    fn put(&self, one: &Administrator) -> Result<()> {
        let body = serde_json::to_string(one)
            .map_err(|error| AdministratorError::Invalid("name", error.to_string()))?;
        let document = Document {
            key: one.name.clone(),
            position: 0,
            body,
            changed: now(),
        };
        self.store.change_documents(vec![DocumentChange::Put {
            kind: KIND,
            document,
        }])?;
        Ok(())
    }

    fn hash(&self, password: &str) -> Result<String> {
        let _one_at_a_time = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        Argon2::default()
            .hash_password(password.as_bytes())
            .map(|hash| hash.to_string())
            .map_err(|_| AdministratorError::NoRandomness)
    }

    fn is_right(&self, password: &str, hash: &str) -> bool {
        let _one_at_a_time = self.hashing.lock().unwrap_or_else(PoisonError::into_inner);
        PasswordHash::new(hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
    }
}

/// The hash of a password that was thrown away, with the settings of [`Argon2::default`].
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29yaS1ub2JvZHktaGVyZQ$p1XjEb3Zq0m3l7vSg1kG4b0cF9v1mW9H6o8sQfUeS0M";

fn fit_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(good) {
        return Ok(());
    }
    let why = "a name is 1 to 64 letters, digits, or one of - _ . (addresses are for accounts)";
    Err(AdministratorError::Invalid("name", why.into()))
}

fn fit_role(role: Role) -> Result<()> {
    if role == Role::User {
        let why = "a user is an account: make it among the accounts";
        return Err(AdministratorError::Invalid("role", why.into()));
    }
    Ok(())
}

/// Whether a password may be chosen.
pub(crate) fn fit_password(password: &str) -> Result<()> {
    let why = if password.chars().count() < SHORTEST {
        format!("a password has at least {SHORTEST} characters")
    } else if password.len() > LONGEST {
        format!("a password has at most {LONGEST} octets")
    } else {
        return Ok(());
    };
    Err(AdministratorError::Invalid("password", why))
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(name: &str) -> (Administrators, std::path::PathBuf) {
        let dir = std::env::temp_dir().join(format!("sori-admins-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        (Administrators::new(Store::open(&dir).unwrap()), dir)
    }

    #[test]
    fn the_first_one_is_made_once() {
        let (all, dir) = world("first");
        let (name, password) = all.make_first().unwrap().unwrap();
        assert!(all.make_first().unwrap().is_none());
        let one = all.check(&name, &password).unwrap().unwrap();
        assert!(one.must_change_password && one.role == Role::Administrator);
        assert!(all.check(&name, "wrong").unwrap().is_none());
        assert!(all.check("nobody", &password).unwrap().is_none());
        assert!(!format!("{one:?}").contains("argon2"));

        all.set_password(&name, "long enough", true).unwrap();
        assert!(all.check(&name, &password).unwrap().is_none());
        let again = all.check(&name, "long enough").unwrap().unwrap();
        assert!(!again.must_change_password);
        assert_ne!(again.proof(), one.proof());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn somebody_always_administers() {
        let (all, dir) = world("last");
        all.make_first().unwrap();
        let last = |r: Result<()>| matches!(r, Err(AdministratorError::Last));
        assert!(last(all.remove("admin")));
        assert!(last(all.set_role("admin", Role::Operator)));
        let made = all.add("kim", Role::Operator, None).unwrap().unwrap();
        assert_eq!(made.len(), 16);
        assert!(last(all.remove("admin")));
        all.set_role("kim", Role::Administrator).unwrap();
        all.remove("admin").unwrap();
        let unknown = all.set_password("admin", "long enough", true);
        assert!(matches!(unknown, Err(AdministratorError::Unknown(_))));
        for (name, role, password) in [
            ("", Role::Operator, "long enough"),
            ("a@b", Role::Operator, "long enough"),
            ("lee", Role::User, "long enough"),
            ("lee", Role::Operator, "short"),
        ] {
            let refused = all.add(name, role, Some(password));
            assert!(
                matches!(refused, Err(AdministratorError::Invalid(..))),
                "{name}"
            );
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_hash_of_nobody_is_one_that_can_be_checked() {
        let hash = PasswordHash::new(NOBODY).unwrap();
        let params = argon2::Params::try_from(&hash).unwrap();
        let usual = argon2::Params::default();
        let cost = |p: &argon2::Params| (p.m_cost(), p.t_cost(), p.p_cost());
        assert_eq!(cost(&params), cost(&usual));
    }
}

//! What sori keeps on disk: accounts, settings, the bindings of registered phones (RFC 3261 §10.3), what an
//! administrator set up, the calls that were, and who changed what.
//!
//! Everything lives in one embedded SQLite file, `sori.db`, in the data directory. This crate holds the disk key of the
//! house and knows nothing of SIP: the records are plain values.
//!
//! One thread per [`Store`] writes. It gathers every change that waits into one transaction, and calls each change's
//! completion callback once that transaction is durable (group commit): a REGISTER answered from its callback is
//! never lost, and a thousand of them share one flush of the disk. Submitting never blocks; a full queue refuses.
//!
//! ```
//! # fn main() -> Result<(), store::StoreError> {
//! # let dir = std::env::temp_dir().join(format!("sori-store-doc-{}", std::process::id()));
//! use store::{Binding, BindingChange, Store};
//!
//! let store = Store::open(&dir)?;
//! let (durable, told) = std::sync::mpsc::channel();
//! let binding = Binding {
//!     aor: "sip:alice@example.org".into(),
//!     contact: "sip:alice@192.0.2.7:5062".into(),
//!     contact_key: "alice@192.0.2.7:5062".into(),
//!     expires_at: 1_900_000_000_000,
//!     ..Binding::default()
//! };
//! store.apply(vec![BindingChange::Put(binding)], move |result| {
//!     let _ = durable.send(result); // here the server would send its 200 (OK)
//! })?;
//! told.recv().expect("every accepted change is completed")?;
//! assert_eq!(store.load_bindings(1_800_000_000_000)?.len(), 1);
//! store.close();
//! # let _ = std::fs::remove_dir_all(&dir);
//! # Ok(())
//! # }
//! ```

mod account;
mod audit;
mod binding;
mod call_record;
mod checkpoint;
mod database;
mod document;
mod error;
mod migration;
mod queue;
mod serve_lock;
mod setting;
mod store;
mod watch;
mod writer;

pub use account::{Account, Algorithm, Credential};
pub use audit::AuditEntry;
pub use binding::{Binding, BindingChange};
pub use call_record::{CallQuery, CallRecord, Outcome};
pub use document::{Document, DocumentChange};
pub use error::{Culprit, StoreError};
pub use serve_lock::ServeLock;
pub use store::{Statistics, Store};
pub use watch::{AccountChange, AccountWatch, ServedOutcome};

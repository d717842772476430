//! What the API shows and takes, one resource a file.

pub(crate) mod accounts;
pub(crate) mod administrators;
pub(crate) mod audit;
pub(crate) mod blocks;
pub(crate) mod calls;
pub(crate) mod groups;
pub(crate) mod import;
pub(crate) mod logs;
pub(crate) mod metrics;
mod notices;
pub(crate) mod records;
pub(crate) mod registrations;
pub(crate) mod rules;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod status;
mod table;
pub(crate) mod tried;
pub(crate) mod trunks;

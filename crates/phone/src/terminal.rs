//! The phone on a terminal.
//!
//! The picture is a function of a model, and the model changes by inputs alone: [`update`] takes an input and says what is to
//! be done outside ([`Effect`]), [`draw`] paints. Neither reads a clock, a file or a key; whoever owns the terminal and the
//! phone brings both together.
//!
//! ```text
//!  keys, phone, clock ── Input ──► update(model) ── Effect ──► phone, terminal
//!                                      │
//!                                      └──► draw(frame, model)
//! ```

mod causes;
mod draw;
mod estimate;
mod field;
mod happened;
mod keys;
mod look;
mod model;
mod orders;
mod present;
mod records;
mod run;
mod scene;
mod screen;
mod sound;
#[cfg(test)]
mod tests;
mod texts;
mod update;
mod width;

pub use draw::draw;
pub use keys::{Press, markdown};
pub use look::Look;
pub use model::{Divert, Effect, Input, Model, Notice, Order};
pub use run::{Happening, Setup, run};
pub use scene::{
    Account, Call, CallId, Contact, Conversation, Device, Devices, Levels, Logged, Past, Presence,
    Quality, Registration, Services, Stage, Text, TextState,
};
pub use screen::give_back;
pub use texts::Language;
pub use update::update;

//! What a phone can be told to do.

use std::path::Path;

use media::codec::CodecKind;
use sip::ua::Diverted;

use super::{CallError, KeysBy, Phone};
use crate::call_media::{Order, Told};
use crate::event::{AccountNumber, CallNumber};
use crate::line::{Command, Within};
use crate::sound::{Recorder, Sound, SoundError, Source};

/// Accounts.
impl Phone {
    /// Registers all accounts for so many seconds and keeps the registrations fresh.
    pub fn register(&self, expires: u32) {
        for (account, _) in &self.accounts {
            self.register_account(*account, expires);
        }
    }

    /// Registers one account, or registers it again; 0 seconds take its contact from the registrar.
    pub fn register_account(&self, account: AccountNumber, expires: u32) {
        self.post(Command::Register { account, expires });
    }

    /// Takes our contacts from the registrars.
    pub fn unregister(&self) {
        self.register(0);
    }

    /// Leaves our contacts with the registrars when the phone ends.
    pub fn keep_contact(&self) {
        self.post(Command::KeepContact);
    }
}

/// Calls.
impl Phone {
    /// Calls a SIP URI with the first account. How it goes is told by events.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound.
    pub fn call(&self, target: &str, sound: Sound) -> Result<CallNumber, CallError> {
        self.call_as(AccountNumber::default(), target, sound)
    }

    /// Calls a SIP URI with an account of ours.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound.
    pub fn call_as(
        &self,
        account: AccountNumber,
        target: &str,
        sound: Sound,
    ) -> Result<CallNumber, CallError> {
        let number = self.numbers.next();
        let negotiation = self.open(number, (account, None), true, sound)?;
        let command = Command::Call {
            number,
            account,
            target: target.to_owned(),
            negotiation,
        };
        self.post_call(number, command)
    }

    /// Takes a call that rings at somebody else's phone (RFC 5359 §2.16).
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound.
    pub fn pick_up(
        &self,
        account: AccountNumber,
        target: &str,
        sound: Sound,
    ) -> Result<CallNumber, CallError> {
        let number = self.numbers.next();
        let negotiation = self.open(number, (account, None), true, sound)?;
        let command = Command::PickUp {
            number,
            account,
            target: target.to_owned(),
            negotiation,
        };
        self.post_call(number, command)
    }

    /// Tells a caller that it rings here.
    pub fn ring(&self, call: CallNumber) {
        self.within(call, Within::Ring);
    }

    /// Answers a call.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound; the call still waits for an answer.
    pub fn answer(&self, call: CallNumber, sound: Sound) -> Result<(), CallError> {
        let Some((account, address)) = self.waiting.of(call) else {
            // The caller gave up; the end of its call is told.
            return Ok(());
        };
        let negotiation = self.open(call, (account, Some(address)), false, sound)?;
        let command = Command::Answer {
            number: call,
            negotiation,
        };
        self.post_call(call, command).map(drop)
    }

    /// Refuses a call with a status from 300 to 699: 486 busy, 603 declined.
    pub fn reject(&self, call: CallNumber, status: u16) {
        self.within(call, Within::Reject { status });
    }

    /// Sends a call that rings here elsewhere (302). `why` is what Diversion says (RFC 5806).
    pub fn divert(&self, call: CallNumber, target: &str, why: Diverted) {
        let target = target.to_owned();
        self.within(call, Within::Divert { target, why });
    }

    /// Ends a call, whatever it takes: CANCEL, a refusal, or BYE.
    pub fn hang_up(&self, call: CallNumber) {
        self.within(call, Within::HangUp);
    }

    /// Puts the peer on hold, or takes it off. [`crate::Event::Held`] comes when it has agreed,
    /// [`crate::Event::ChangeRefused`] when not.
    pub fn hold(&self, call: CallNumber, held: bool) {
        self.within(call, Within::Hold { held });
    }

    /// Offers the peer other codecs, in the order of preference. [`crate::Event::MediaChanged`] or
    /// [`crate::Event::ChangeRefused`] comes.
    pub fn change_codecs(&self, call: CallNumber, codecs: &[CodecKind]) {
        let codecs = codecs.to_vec();
        self.within(call, Within::Codecs { codecs });
    }

    fn within(&self, call: CallNumber, within: Within) {
        self.post(Command::Within(call, within));
    }
}

/// Transfer.
impl Phone {
    /// Asks the peer to call `target` instead of us. The peer is put on hold before; [`crate::Event::Transferring`] and
    /// [`crate::Event::Transferred`] tell how it goes.
    pub fn transfer(&self, call: CallNumber, target: &str) {
        let target = target.to_owned();
        self.within(call, Within::Transfer { target });
    }

    /// Connects the peers of two calls: that of `call` takes our place in `other` (RFC 3891).
    pub fn transfer_to(&self, call: CallNumber, other: CallNumber) {
        self.within(call, Within::TransferTo { other });
    }

    /// Calls whom the peer of `call` asks us to; yields the new call.
    ///
    /// # Errors
    /// [`CallError`] when there is no port for the sound.
    pub fn accept_transfer(
        &self,
        call: CallNumber,
        account: AccountNumber,
        sound: Sound,
    ) -> Result<CallNumber, CallError> {
        let new = self.numbers.next();
        let negotiation = self.open(new, (account, None), true, sound)?;
        let command = Command::AcceptTransfer {
            number: call,
            new,
            account,
            negotiation,
        };
        self.post_call(new, command)
    }

    /// Does not call whom the peer asks us to; it is told `status`, 603 as a rule.
    pub fn refuse_transfer(&self, call: CallNumber, status: u16) {
        self.within(call, Within::RefuseTransfer { status });
    }
}

/// Requests.
impl Phone {
    /// Asks a SIP URI what it can do; [`crate::Event::Answered`] or [`crate::Event::RequestFailed`] comes.
    pub fn options(&self, target: &str) {
        self.post(Command::Options {
            account: AccountNumber::default(),
            target: target.to_owned(),
        });
    }

    /// Sends a text message outside any call (RFC 3428); [`crate::Event::Sent`] or [`crate::Event::RequestFailed`] comes.
    pub fn message(&self, account: AccountNumber, target: &str, content_type: &str, body: &[u8]) {
        self.post(Command::Message {
            account,
            target: target.to_owned(),
            content_type: content_type.to_owned(),
            body: body.to_vec(),
        });
    }

    /// Sends a text message inside a call.
    pub fn message_in(&self, call: CallNumber, content_type: &str, body: &[u8]) {
        let content_type = content_type.to_owned();
        let body = body.to_vec();
        self.within(call, Within::Message { content_type, body });
    }

    /// Sends INFO inside a call (RFC 6086).
    pub fn info(&self, call: CallNumber, content_type: &str, body: &[u8]) {
        let content_type = content_type.to_owned();
        let body = body.to_vec();
        self.within(call, Within::Info { content_type, body });
    }

    /// Subscribes to an event package of somebody (RFC 6665): `presence`, `message-summary`, `dialog`.
    /// [`crate::Event::Notified`] and [`crate::Event::SubscriptionEnded`] tell what comes of it.
    pub fn subscribe(&self, account: AccountNumber, package: &str, target: &str) {
        self.post(Command::Subscribe {
            account,
            package: package.to_owned(),
            target: target.to_owned(),
        });
    }
}

/// Sound.
impl Phone {
    /// Presses keys as the settings say: `0`–`9`, `*`, `#`, `A`–`D`, and commas for pauses of a second, which only
    /// telephone-events know.
    pub fn press(&self, call: CallNumber, keys: &str) {
        self.press_by(call, keys, self.keys_by);
    }

    /// Presses keys in one of the ways, whatever the settings say.
    pub fn press_by(&self, call: CallNumber, keys: &str, by: KeysBy) {
        let keys = keys.to_owned();
        match by {
            KeysBy::Rfc4733 => self.sound(call, Told::Press { keys }),
            KeysBy::Info => self.within(call, Within::Press { keys }),
        }
    }

    /// How keys travel where a command does not say it.
    pub fn keys_by(&self) -> KeysBy {
        self.keys_by
    }

    /// Silences our side of every call, or no longer.
    pub fn mute(&self, muted: bool) {
        let _ = self.media.orders().give(Order::Mute { muted });
    }

    /// Records what a call hears from now on, in place of a recording that runs; `None` ends it.
    ///
    /// # Errors
    /// [`SoundError`] when the file cannot be written.
    pub fn record(&self, call: CallNumber, file: Option<&Path>) -> Result<(), SoundError> {
        let recorder = file
            .map(|path| {
                Recorder::create(path).map(|recorder| Box::new((path.to_owned(), recorder)))
            })
            .transpose()?;
        self.sound(call, Told::Record { recorder });
        Ok(())
    }

    /// Plays a file to the peer in place of what it hears else; `None` ends that.
    ///
    /// # Errors
    /// [`SoundError`] when the file cannot be read.
    pub fn play(&self, call: CallNumber, file: Option<&Path>) -> Result<(), SoundError> {
        let source = file
            .map(|path| Source::file(path).map(|source| (path.to_owned(), source)))
            .transpose()?;
        self.sound(call, Told::Play { source });
        Ok(())
    }

    /// Takes a call into the conference of this phone, whose members hear each other and us, or out of it. A peer that we
    /// hold is taken off hold; [`crate::Event::Conference`] comes.
    pub fn join(&self, call: CallNumber, joined: bool) {
        self.within(call, Within::Join { joined });
    }

    /// Whether [`crate::Event::Quality`] comes once a second for each call.
    pub fn watch(&self, watched: bool) {
        let _ = self.media.orders().give(Order::Watch { watched });
    }

    /// Tells of trouble with a call as if it came from the sound.
    pub(crate) fn trouble(&self, call: CallNumber, message: String) {
        self.sound(call, Told::Trouble { message });
    }

    fn sound(&self, call: CallNumber, told: Told) {
        let told = Box::new(told);
        let _ = self.media.orders().give(Order::Tell { call, told });
    }
}

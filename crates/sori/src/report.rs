//! What happens as JSON objects: the names and members that scripts rely on.

use std::time::{Duration, SystemTime};

use phone::control::Refusal;
use phone::device::Levels;
use phone::provision::{Fetched, Origin};
use phone::readiness::Report;
use phone::{AccountNumber, Agreed, CallNumber, Cause, Event, Statistics};

use crate::exit::Failure;
use crate::json::Object;
use crate::provision::{origin, since_epoch};

/// The events of `--json`, for the help and the manual.
macro_rules! json_events {
    () => {
        "\
Events of --json, one object a line; each has \"event\" and \"time\" (RFC 3339, UTC), those of calls
have \"call\" (0, 1, …). Times end in _s (seconds) or _ms (milliseconds).
  provisioned          url, origin (server, unchanged, cache), date (when the server last had it),
                       reason? (why the server's answer is not used), warnings
  registered           account, contact, expires_s
  registration_failed  account, reason, status?, retry_in_s? (absent: it is not tried again)
  unregistered         account
  calling              call, account, target
  incoming             from, from_uri, to, call_id, account?, referred_by?, replaces? (the call that
                       this one takes the place of)
  ringing              status (180), reason
  progress             status (181 to 199), reason
  early_media          sound before the answer: codec, sample_rate, ptime_ms, local_rtp,
                       remote_rtp?, sends, receives, dtmf, security (none, sdes, dtls), suite?
  established          peer, call_id?, transport, and all of early_media
  media_changed        hold, resume or another address: all of early_media
  path                 ICE found the way of the sound: remote_rtp, kind (host, srflx, prflx, relay)
  secured              the handshake of DTLS gave the keys: suite
  notice               message: worth knowing about the way of the sound, nothing is wrong
  hold                 by_us, by_peer: who holds whom now
  change_refused       what (hold, resume, codecs), reason, status?: the call goes on as it was
  transfer_requested   target, referred_by?, attended: the other side asks us to call somebody
  transferring         status, reason: how a transfer that we asked for goes on
  transferred          it is done
  transfer_failed      reason, status?: it came to nothing, and the call goes on
  replaced             by: a new call takes the place of this one
  diverted             target: a call that came in was sent elsewhere
  redirected           target: our call was sent elsewhere, and follows
  conference           joined: the call is in the conference, or out of it
  recording, playing   file? (absent at the end)
  muted                muted
  ready                microphone, speaker, took_ms: both work; comes before anything is sent
  device               role (microphone, speaker), change (lost, replaced, back, chosen), name: what
                       is used from now on, or was lost
  level                of --check: microphone_db, microphone_peak_db, speaker_db (0 is the loudest)
  quality              once a second, for the terminal: heard_db, said_db, and the numbers of ended
  info                 content_type, text: INFO came
  dtmf                 digit, duration_ms, by (rfc4733, info)
  silence              heard_before: no sound has come for five seconds
  sound                sound comes again
  trouble              message: something about the sound; the call goes on
  sent                 method (MESSAGE, INFO), target, call?, status, reason: the answer to ours
  failed               method, target, call?, reason, status?: there was none
  message              from, content_type, text, account?, call?
  messages_waiting     account, waiting, new, old: voice mail
  notified             account, package, target, content_type, text: news of a subscription
  subscription_ended   account, package, target, reason
  answered             of options: status, reason, allow, accept, supported, product?,
                       round_trip_ms
  ended                cause, reason, status?, call_id?, duration_s, packets_sent,
                       packets_received, packets_lost, packets_late, jitter_ms, round_trip_ms?,
                       remote_packets_lost?, remote_jitter_ms?
  closing              after_s: the call is over, and the program will be
  error                why the exit code is not 0: exit_code, status?, code?, message, advice
                       why a command was not carried out: command, code?, message, advice
                       (code: no_microphone, microphone_silent, speaker_busy …)
cause is one of hung_up_here, hung_up_there, cancelled, answered_elsewhere, refused, unauthorized,
timed_out, unreachable, no_ack, no_prack, expired."
    };
}
pub(crate) use json_events;

/// An event of a phone of these accounts.
pub fn event(event: &Event, accounts: &[String]) -> Object {
    match event {
        Event::Registered {
            account,
            expires,
            contact,
        } => named("registered")
            .text_if("account", name(accounts, Some(*account)))
            .text("contact", contact)
            .number("expires_s", u64::from(*expires)),
        Event::RegistrationFailed {
            account,
            cause,
            retry_in,
        } => named("registration_failed")
            .text_if("account", name(accounts, Some(*account)))
            .text("reason", &cause.to_string())
            .number_if("status", status(cause))
            .number_if("retry_in_s", retry_in.map(|d| d.as_secs())),
        Event::Unregistered { account } => {
            named("unregistered").text_if("account", name(accounts, Some(*account)))
        }
        Event::Message {
            account,
            call,
            from,
            content_type,
            body,
        } => named("message")
            .number_if("call", call.map(CallNumber::as_u64))
            .text_if("account", name(accounts, *account))
            .text("from", from)
            .text("content_type", content_type)
            .text("text", &String::from_utf8_lossy(body)),
        Event::Answered {
            status,
            reason,
            allow,
            accept,
            supported,
            product,
            round_trip,
        } => named("answered")
            .number("status", u64::from(*status))
            .text("reason", reason)
            .list("allow", allow)
            .list("accept", accept)
            .list("supported", supported)
            .text_if("product", product.as_deref())
            .decimal("round_trip_ms", ms(*round_trip)),
        Event::Sent {
            method,
            target,
            call,
            status,
            reason,
        } => named("sent")
            .text("method", method)
            .text("target", target)
            .number_if("call", call.map(CallNumber::as_u64))
            .number("status", u64::from(*status))
            .text("reason", reason),
        Event::RequestFailed {
            method,
            target,
            call,
            cause,
        } => named("failed")
            .text("method", method)
            .text("target", target)
            .number_if("call", call.map(CallNumber::as_u64))
            .text("reason", &cause.to_string())
            .number_if("status", status(cause)),
        Event::Muted { muted } => named("muted").flag("muted", *muted),
        Event::Device { role, change, name } => named("device")
            .text("role", role.name())
            .text("change", change.name())
            .text("name", name),
        Event::MessagesWaiting { .. }
        | Event::Notified { .. }
        | Event::SubscriptionEnded { .. } => of_subscription(event, accounts),
        Event::Calling {
            call,
            account,
            target,
        } => named("calling")
            .number("call", call.as_u64())
            .text_if("account", name(accounts, Some(*account)))
            .text("target", target),
        Event::Incoming { account, .. } => {
            of_call(event).text_if("account", name(accounts, *account))
        }
        other => of_call(other),
    }
}

/// What was subscribed to.
fn of_subscription(event: &Event, accounts: &[String]) -> Object {
    match event {
        Event::MessagesWaiting {
            account,
            waiting,
            new,
            old,
        } => named("messages_waiting")
            .text_if("account", name(accounts, Some(*account)))
            .flag("waiting", *waiting)
            .number("new", u64::from(*new))
            .number("old", u64::from(*old)),
        Event::Notified {
            account,
            package,
            target,
            content_type,
            body,
        } => named("notified")
            .text_if("account", name(accounts, Some(*account)))
            .text("package", package)
            .text("target", target)
            .text("content_type", content_type)
            .text("text", &String::from_utf8_lossy(body)),
        Event::SubscriptionEnded {
            account,
            package,
            target,
            reason,
        } => named("subscription_ended")
            .text_if("account", name(accounts, Some(*account)))
            .text("package", package)
            .text("target", target)
            .text("reason", reason),
        _ => named("unknown"),
    }
}

fn name(accounts: &[String], account: Option<AccountNumber>) -> Option<&str> {
    let place = usize::try_from(account?.as_u32()).ok()?;
    accounts.get(place).map(String::as_str)
}

/// Why a command fails.
pub fn failure(failure: &Failure) -> Object {
    named("error")
        .number("exit_code", failure.exit as u64)
        .number_if("status", failure.status.map(u64::from))
        .text_if("code", failure.code)
        .text("message", &failure.message)
        .text("advice", &failure.advice)
}

/// Microphone and speaker work.
pub fn ready(report: &Report) -> Object {
    named("ready")
        .text("microphone", &report.microphone)
        .text("speaker", &report.speaker)
        .decimal("took_ms", ms(report.took))
}

/// How loud it is.
pub fn level(levels: Levels) -> Object {
    let (microphone, speaker) = (levels.microphone, levels.speaker);
    named("level")
        .decimal("microphone_db", microphone.rms_db().into())
        .decimal("microphone_peak_db", microphone.peak_db().into())
        .decimal("speaker_db", speaker.rms_db().into())
}

/// Settings, and where they are from.
pub fn provisioned(url: &str, fetched: &Fetched) -> Object {
    let reason = match &fetched.origin {
        Origin::Cache { because } => Some(because.to_string()),
        Origin::Server | Origin::Unchanged => None,
    };
    named("provisioned")
        .text("url", url)
        .text("origin", origin(fetched))
        .text("date", &rfc3339(since_epoch(fetched.date)))
        .text_if("reason", reason.as_deref())
        .list("warnings", &fetched.warnings)
}

/// `2026-11-21 07:31 UTC`.
pub fn day(moment: SystemTime) -> String {
    let text = rfc3339(since_epoch(moment));
    let (day, time) = text.split_once('T').unwrap_or_default();
    format!("{day} {} UTC", time.get(..5).unwrap_or_default())
}

/// Why a command of a script is not carried out.
pub fn refusal(refusal: &Refusal) -> Object {
    named("error")
        .text("command", &refusal.command)
        .text_if("code", refusal.code)
        .text("message", &refusal.what)
        .text("advice", &refusal.advice)
}

/// An object with what all of them have.
pub fn named(name: &str) -> Object {
    Object::new().text("event", name).text("time", &now())
}

/// Milliseconds, with their fraction.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The course of a call.
fn of_call(event: &Event) -> Object {
    match event {
        Event::Incoming {
            call,
            from,
            from_uri,
            to_uri,
            call_id,
            replaces,
            referred_by,
            ..
        } => named("incoming")
            .number("call", call.as_u64())
            .text("from", from)
            .text("from_uri", from_uri)
            .text("to", to_uri)
            .text("call_id", call_id)
            .number_if("replaces", replaces.map(CallNumber::as_u64))
            .text_if("referred_by", referred_by.as_deref()),
        Event::Progress {
            call,
            status,
            reason,
        } => named(if *status == 180 {
            "ringing"
        } else {
            "progress"
        })
        .number("call", call.as_u64())
        .number("status", u64::from(*status))
        .text("reason", reason),
        Event::Established {
            call,
            call_id,
            peer,
            transport,
            agreed,
        } => {
            let object = named("established")
                .number("call", call.as_u64())
                .text("peer", peer)
                .text_if("call_id", known(call_id))
                .text("transport", transport.param());
            agreed.iter().fold(object, with_agreed)
        }
        Event::Ended {
            call,
            call_id,
            cause,
            talked,
            statistics,
        } => {
            let object = named("ended")
                .number("call", call.as_u64())
                .text("cause", cause_name(cause))
                .text("reason", &cause.to_string())
                .number_if("status", status(cause))
                .text_if("call_id", known(call_id))
                .decimal("duration_s", talked.unwrap_or_default().as_secs_f64());
            with_statistics(object, statistics.as_deref().copied().unwrap_or_default())
        }
        other => of_sound(other),
    }
}

/// The sound of a call.
fn of_sound(event: &Event) -> Object {
    match event {
        Event::EarlyMedia { call, agreed } => {
            with_agreed(named("early_media").number("call", call.as_u64()), agreed)
        }
        Event::MediaChanged { call, agreed } => {
            with_agreed(named("media_changed").number("call", call.as_u64()), agreed)
        }
        Event::PathFound { call, remote, kind } => named("path")
            .number("call", call.as_u64())
            .text("remote_rtp", &remote.to_string())
            .text("kind", kind),
        Event::Secured { call, suite } => named("secured")
            .number("call", call.as_u64())
            .text("suite", suite),
        Event::Notice { call, message } => named("notice")
            .number("call", call.as_u64())
            .text("message", message),
        Event::Dtmf {
            call,
            digit,
            duration,
            by_info,
        } => named("dtmf")
            .number("call", call.as_u64())
            .text("digit", digit.encode_utf8(&mut [0; 4]))
            .number(
                "duration_ms",
                duration.as_millis().try_into().unwrap_or(u64::MAX),
            )
            .text("by", if *by_info { "info" } else { "rfc4733" }),
        Event::Silent { call, heard_before } => named("silence")
            .number("call", call.as_u64())
            .flag("heard_before", *heard_before),
        Event::Heard { call } => named("sound").number("call", call.as_u64()),
        Event::SoundTrouble { call, message, .. } => named("trouble")
            .number("call", call.as_u64())
            .text("message", message),
        other => of_services(other),
    }
}

/// Hold, transfer and their like.
fn of_services(event: &Event) -> Object {
    let of = |name| named(name).number_if("call", event.call().map(CallNumber::as_u64));
    match event {
        Event::Held { by_us, by_peer, .. } => {
            of("hold").flag("by_us", *by_us).flag("by_peer", *by_peer)
        }
        Event::ChangeRefused { what, cause, .. } => of("change_refused")
            .text("what", what)
            .text("reason", &cause.to_string())
            .number_if("status", status(cause)),
        Event::TransferRequested {
            target,
            referred_by,
            attended,
            ..
        } => of("transfer_requested")
            .text("target", target)
            .text_if("referred_by", referred_by.as_deref())
            .flag("attended", *attended),
        Event::Transferring { status, reason, .. } => of("transferring")
            .number("status", u64::from(*status))
            .text("reason", reason),
        Event::Transferred { failure: None, .. } => of("transferred"),
        Event::Transferred {
            failure: Some(cause),
            ..
        } => of("transfer_failed")
            .text("reason", &cause.to_string())
            .number_if("status", status(cause)),
        Event::Replaced { by, .. } => of("replaced").number("by", by.as_u64()),
        Event::Diverted { target, .. } => of("diverted").text("target", target),
        Event::Redirected { target, .. } => of("redirected").text("target", target),
        Event::Recording { file, .. } => of("recording").text_if("file", path(file).as_deref()),
        Event::Playing { file, .. } => of("playing").text_if("file", path(file).as_deref()),
        Event::Conference { joined, .. } => of("conference").flag("joined", *joined),
        Event::Info {
            content_type, body, ..
        } => of("info")
            .text("content_type", content_type)
            .text("text", &String::from_utf8_lossy(body)),
        Event::Quality { quality, .. } => with_statistics(
            of("quality")
                .decimal("heard_db", f64::from(quality.heard))
                .decimal("said_db", f64::from(quality.said)),
            quality.statistics,
        ),
        // All others have been dealt with.
        _ => named("unknown"),
    }
}

fn path(file: &Option<std::path::PathBuf>) -> Option<String> {
    file.as_ref().map(|file| file.display().to_string())
}

fn known(call_id: &str) -> Option<&str> {
    Some(call_id).filter(|id| !id.is_empty())
}

fn with_agreed(object: Object, agreed: &Agreed) -> Object {
    object
        .text("codec", agreed.codec)
        .number("sample_rate", u64::from(agreed.sample_rate))
        .number("ptime_ms", u64::from(agreed.ptime_ms))
        .text("local_rtp", &agreed.local.to_string())
        .text_if(
            "remote_rtp",
            agreed.remote.map(|r| r.to_string()).as_deref(),
        )
        .flag("sends", agreed.sends)
        .flag("receives", agreed.receives)
        .flag("dtmf", agreed.dtmf)
        .text("security", agreed.security.name())
        .text_if("suite", agreed.suite)
}

fn with_statistics(object: Object, statistics: Statistics) -> Object {
    let object = object
        .number("packets_sent", statistics.packets_sent)
        .number("packets_received", statistics.packets_received)
        .number("packets_lost", statistics.packets_lost)
        .number("packets_late", statistics.played.late)
        .decimal("jitter_ms", ms(statistics.jitter));
    let object = match statistics.round_trip {
        Some(round_trip) => object.decimal("round_trip_ms", ms(round_trip)),
        None => object,
    };
    match statistics.remote {
        Some(remote) => object
            .number(
                "remote_packets_lost",
                u64::try_from(remote.packets_lost).unwrap_or(0),
            )
            .decimal("remote_jitter_ms", ms(remote.jitter)),
        None => object,
    }
}

fn cause_name(cause: &Cause) -> &'static str {
    match cause {
        Cause::ByUs => "hung_up_here",
        Cause::ByPeer { .. } => "hung_up_there",
        Cause::Cancelled => "cancelled",
        Cause::AnsweredElsewhere => "answered_elsewhere",
        Cause::Refused { .. } => "refused",
        Cause::Unauthorized { .. } => "unauthorized",
        Cause::TimedOut => "timed_out",
        Cause::Unreachable { .. } => "unreachable",
        Cause::NoAck => "no_ack",
        Cause::NoPrack => "no_prack",
        Cause::Expired => "expired",
    }
}

fn status(cause: &Cause) -> Option<u64> {
    match cause {
        Cause::Refused { status, .. } | Cause::Unauthorized { status, .. } => {
            Some(u64::from(status.0))
        }
        _ => None,
    }
}

fn now() -> String {
    rfc3339(since_epoch(SystemTime::now()))
}

/// `2026-11-21T07:31:09.123Z` for a time since 1970 (RFC 3339 §5.6).
fn rfc3339(since: Duration) -> String {
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March make the leap day the last of the year; 719,468 days lie between 0000-03-01 and 1970.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_246_269, "2026-11-21T07:31:09.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            rfc3339(Duration::from_millis(1)),
            "1970-01-01T00:00:00.001Z"
        );
    }
}

//! The devices of the system, through cpal: PulseAudio and PipeWire or ALSA, CoreAudio, WASAPI.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cpal::traits::{DeviceTrait as _, HostTrait as _, StreamTrait as _};
use cpal::{
    BufferSize, ErrorKind, FromSample, SampleFormat, SizedSample, StreamConfig,
    SupportedStreamConfig,
};

use super::bridge::{self, Health, Inlet, Outlet};
use super::keeper::{Hardware, Opened};
use super::{Capture, Device, Playback, Role};
use crate::readiness::{NotReady, Reason};

/// Devices of one system that are looked at.
const MOST_DEVICES: usize = 256;

/// The microphones and speakers of this system.
///
/// # Errors
/// [`NotReady`] when the system's sound cannot be asked.
pub fn devices() -> Result<Vec<Device>, NotReady> {
    System::default().list()
}

/// The system's sound; connected to when it is first needed, and again when it went away.
#[derive(Default)]
pub(crate) struct System {
    host: Option<cpal::Host>,
}

impl System {
    fn host(&mut self) -> &cpal::Host {
        keep_quiet();
        self.host.get_or_insert_with(cpal::default_host)
    }

    fn is_pulse(&self) -> bool {
        self.host
            .as_ref()
            .is_some_and(|host| host.id().name() == "PulseAudio")
    }

    fn find(&mut self, wanted: &Device) -> Result<cpal::Device, NotReady> {
        let missing = || NotReady::new(Reason::Missing, wanted.role).on(&wanted.name);
        let mut devices = self.host().devices().map_err(|_| missing())?;
        devices
            .find(|device| {
                device.id().is_ok_and(|id| id.id() == wanted.id)
                    && records_or_plays(device, wanted.role)
            })
            .ok_or_else(missing)
    }
}

impl Hardware for System {
    fn list(&mut self) -> Result<Vec<Device>, NotReady> {
        let host = self.host();
        let is_alsa = host.id().name() == "ALSA";
        let default = |device: Option<cpal::Device>| {
            device
                .and_then(|device| device.id().ok())
                .map(|id| id.id().to_owned())
        };
        let defaults = [
            (Role::Microphone, default(host.default_input_device())),
            (Role::Speaker, default(host.default_output_device())),
        ];
        let found = match host.devices() {
            Ok(found) => found,
            Err(error) => {
                // The next look connects anew.
                self.host = None;
                return Err(trouble(&error, Role::Speaker));
            }
        };
        let mut devices = Vec::new();
        for device in found.take(MOST_DEVICES) {
            let (Ok(id), Ok(description)) = (device.id(), device.description()) else {
                continue;
            };
            let (id, name) = (id.id(), description.name());
            if is_alsa && !is_worth_showing(id) {
                continue;
            }
            for (role, default) in &defaults {
                if records_or_plays(&device, *role) && !is_monitor(id, name) {
                    devices.push(Device {
                        role: *role,
                        name: name.to_owned(),
                        id: id.to_owned(),
                        is_default: default.as_deref() == Some(id),
                    });
                }
            }
        }
        Ok(devices)
    }

    fn lists_what_is_open(&self) -> bool {
        // PulseAudio moves the stream of a device that vanishes to another, perhaps to the speaker's monitor, and says
        // nothing. ALSA lists only what can be opened, which a device in use often cannot be.
        self.is_pulse()
    }

    fn open_capture(&mut self, wanted: &Device) -> Result<Opened<dyn Capture>, NotReady> {
        let device = self.find(wanted)?;
        let failed = |error: cpal::Error| trouble(&error, Role::Microphone).on(&wanted.name);
        let config = device.default_input_config().map_err(failed)?;
        let health = Arc::new(Health::default());
        let mut last = None;
        for stream_config in configs(&config) {
            let made = bridge::capture(config.sample_rate(), config.channels(), health.clone());
            let (inlet, end) = made.map_err(|error| unusable(wanted, &error.to_string()))?;
            match record(
                &device,
                stream_config,
                config.sample_format(),
                inlet,
                health.clone(),
            ) {
                Ok(stream) => {
                    stream.play().map_err(failed)?;
                    return Ok(Opened {
                        end: Box::new(end),
                        stream: Box::new(stream),
                        health,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| unusable(wanted, "no format"), failed))
    }

    fn open_playback(&mut self, wanted: &Device) -> Result<Opened<dyn Playback>, NotReady> {
        let device = self.find(wanted)?;
        let failed = |error: cpal::Error| trouble(&error, Role::Speaker).on(&wanted.name);
        let config = device.default_output_config().map_err(failed)?;
        let health = Arc::new(Health::default());
        let mut last = None;
        for stream_config in configs(&config) {
            let made = bridge::playback(config.sample_rate(), config.channels(), health.clone());
            let (outlet, end) = made.map_err(|error| unusable(wanted, &error.to_string()))?;
            match play(
                &device,
                stream_config,
                config.sample_format(),
                outlet,
                health.clone(),
            ) {
                Ok(stream) => {
                    stream.play().map_err(failed)?;
                    return Ok(Opened {
                        end: Box::new(end),
                        stream: Box::new(stream),
                        health,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| unusable(wanted, "no format"), failed))
    }
}

/// ALSA writes what it dislikes to standard error, across whatever is on the screen there; what it says on this thread goes
/// nowhere. What went wrong comes back as an error all the same.
fn keep_quiet() {
    #[cfg(target_os = "linux")]
    {
        // Where that cannot be had, ALSA speaks.
        let _ = alsa::Output::local_error_handler();
    }
}

/// What is tried: blocks of 10 ms, which PulseAudio needs to be told, then whatever the device likes.
fn configs(config: &SupportedStreamConfig) -> [StreamConfig; 2] {
    let preferred = StreamConfig {
        channels: config.channels(),
        sample_rate: config.sample_rate(),
        buffer_size: BufferSize::Fixed((config.sample_rate() / 100).max(1)),
    };
    let other = StreamConfig {
        buffer_size: BufferSize::Default,
        ..preferred
    };
    [preferred, other]
}

fn record(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    inlet: Inlet,
    health: Arc<Health>,
) -> Result<cpal::Stream, cpal::Error> {
    match format {
        SampleFormat::I8 => record_as::<i8>(device, config, inlet, health),
        SampleFormat::I16 => record_as::<i16>(device, config, inlet, health),
        SampleFormat::I24 => record_as::<cpal::I24>(device, config, inlet, health),
        SampleFormat::I32 => record_as::<i32>(device, config, inlet, health),
        SampleFormat::U8 => record_as::<u8>(device, config, inlet, health),
        SampleFormat::U16 => record_as::<u16>(device, config, inlet, health),
        SampleFormat::U32 => record_as::<u32>(device, config, inlet, health),
        SampleFormat::F32 => record_as::<f32>(device, config, inlet, health),
        SampleFormat::F64 => record_as::<f64>(device, config, inlet, health),
        _ => Err(ErrorKind::UnsupportedConfig.into()),
    }
}

fn record_as<T>(
    device: &cpal::Device,
    config: StreamConfig,
    mut inlet: Inlet,
    health: Arc<Health>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    device.build_input_stream(
        config,
        move |samples: &[T], _| inlet.deliver(samples.iter().map(|s| f32::from_sample_(*s))),
        move |error| note(&error, &health),
        None,
    )
}

fn play(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    outlet: Outlet,
    health: Arc<Health>,
) -> Result<cpal::Stream, cpal::Error> {
    match format {
        SampleFormat::I8 => play_as::<i8>(device, config, outlet, health),
        SampleFormat::I16 => play_as::<i16>(device, config, outlet, health),
        SampleFormat::I24 => play_as::<cpal::I24>(device, config, outlet, health),
        SampleFormat::I32 => play_as::<i32>(device, config, outlet, health),
        SampleFormat::U8 => play_as::<u8>(device, config, outlet, health),
        SampleFormat::U16 => play_as::<u16>(device, config, outlet, health),
        SampleFormat::U32 => play_as::<u32>(device, config, outlet, health),
        SampleFormat::F32 => play_as::<f32>(device, config, outlet, health),
        SampleFormat::F64 => play_as::<f64>(device, config, outlet, health),
        _ => Err(ErrorKind::UnsupportedConfig.into()),
    }
}

fn play_as<T>(
    device: &cpal::Device,
    config: StreamConfig,
    mut outlet: Outlet,
    health: Arc<Health>,
) -> Result<cpal::Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
{
    device.build_output_stream(
        config,
        move |samples: &mut [T], _| {
            outlet.request(samples.len(), |at, value| {
                if let Some(sample) = samples.get_mut(at) {
                    *sample = T::from_sample_(value);
                }
            });
        },
        move |error| note(&error, &health),
        None,
    )
}

/// What a device reports while it runs.
fn note(error: &cpal::Error, health: &Health) {
    match error.kind() {
        // A gap is counted where it is heard, and the others change nothing.
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        _ => health.gone.store(true, Ordering::Relaxed),
    }
}

fn records_or_plays(device: &cpal::Device, role: Role) -> bool {
    // Asking which formats there are would open the device, which fails when it is in use.
    device.description().is_ok_and(|description| match role {
        Role::Microphone => description.supports_input(),
        Role::Speaker => description.supports_output(),
    })
}

/// What a speaker plays, offered as if it were recorded: a call would hear itself or nothing.
fn is_monitor(id: &str, name: &str) -> bool {
    id.ends_with(".monitor") || name.starts_with("Monitor of ")
}

/// ALSA lists each card a dozen times, and devices that are none; those left out can still be named in its configuration.
/// PulseAudio's is left out too: where that runs, it is asked and not ALSA.
fn is_worth_showing(id: &str) -> bool {
    let is_card = id
        .strip_prefix("plughw:CARD=")
        .is_some_and(|card| !card.starts_with(|c: char| c.is_ascii_digit()));
    is_card || ["default", "pipewire"].contains(&id)
}

fn trouble(error: &cpal::Error, role: Role) -> NotReady {
    let reason = match error.kind() {
        ErrorKind::DeviceBusy => Reason::Busy,
        ErrorKind::PermissionDenied => Reason::Permission,
        ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable => Reason::Missing,
        _ => Reason::Failed,
    };
    NotReady::new(reason, role).because(&error.to_string())
}

fn unusable(device: &Device, why: &str) -> NotReady {
    NotReady::new(Reason::Failed, device.role)
        .on(&device.name)
        .because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monitors_are_no_microphones() {
        assert!(is_monitor(
            "alsa_output.pci.analog-stereo.monitor",
            "Monitor von Built-in"
        ));
        assert!(is_monitor("x", "Monitor of Speaker"));
        assert!(!is_monitor("alsa_input.usb", "Monitoring Headset"));
    }

    #[test]
    fn of_alsa_only_what_people_know_is_shown() {
        for id in ["default", "pipewire", "plughw:CARD=PCH,DEV=0"] {
            assert!(is_worth_showing(id), "{id}");
        }
        for id in [
            "null",
            "pulse",
            "hw:CARD=PCH,DEV=0",
            "plughw:CARD=0,DEV=0",
            "surround51:CARD=PCH,DEV=0",
        ] {
            assert!(!is_worth_showing(id), "{id}");
        }
    }

    #[test]
    fn each_error_has_its_reason() {
        for (kind, reason) in [
            (ErrorKind::DeviceBusy, Reason::Busy),
            (ErrorKind::PermissionDenied, Reason::Permission),
            (ErrorKind::DeviceNotAvailable, Reason::Missing),
            (ErrorKind::UnsupportedConfig, Reason::Failed),
        ] {
            assert_eq!(trouble(&kind.into(), Role::Speaker).reason, reason);
        }
        let health = Health::default();
        note(&ErrorKind::Xrun.into(), &health);
        assert!(!health.gone.load(Ordering::Relaxed));
        note(&ErrorKind::DeviceNotAvailable.into(), &health);
        assert!(health.gone.load(Ordering::Relaxed));
    }
}

"""Test sounds, and the question whether a recording holds what was played.

A test sound resembles speech: syllables of voiced harmonics under moving formants, hisses, pauses. It never repeats
itself, so the place where a recording matches it is unique.
"""
import struct
from dataclasses import dataclass

import numpy as np

RATE = 8000
BLOCK = 0.2


def voice(seed, seconds, rate=RATE):
    """A speech-like sound as 16-bit samples, the same for the same seed."""
    random = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * rate))
    at = 0
    while at < len(sound):
        length = int(rate * random.uniform(0.12, 0.28))
        syllable = _syllable(random, length, rate)
        end = min(at + length, len(sound))
        sound[at:end] += syllable[:end - at]
        at = end + int(rate * random.uniform(0.01, 0.09))
    return np.round(sound / np.abs(sound).max() * 12000).astype("<i2")


def _syllable(random, length, rate):
    envelope = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 0.6
    if random.random() < 0.2:  # a hiss
        spectrum = np.fft.rfft(random.standard_normal(length))
        frequency = np.fft.rfftfreq(length, 1 / rate)
        spectrum[(frequency < 1200) | (frequency > 3200)] = 0
        hiss = np.fft.irfft(spectrum, length)
        return envelope * hiss / np.abs(hiss).max() * 0.6
    pitch = np.linspace(random.uniform(90, 220), random.uniform(90, 220), length)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = [random.uniform(300, 800), random.uniform(900, 1900), random.uniform(2100, 3000)]
    sound = np.zeros(length)
    for harmonic in range(2, 24):
        frequency = harmonic * pitch
        weight = sum(np.exp(-((frequency - f) / 160) ** 2) / (n + 1) for n, f in enumerate(formants)) + 0.03
        weight = np.where((frequency > 280) & (frequency < 3300), weight, 0)
        sound += weight * np.sin(harmonic * phase + random.uniform(0, 2 * np.pi))
    return envelope * sound / (np.abs(sound).max() + 1e-9)


def write(path, samples, rate=RATE):
    """A mono 16-bit WAV file."""
    data = np.asarray(samples, "<i2").tobytes()
    with open(path, "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " +
                   struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16) + b"data" + struct.pack("<I", len(data)) + data)


def read(path):
    """Samples as floats in units of 16-bit steps, and the rate. Copes with the open-ended length that a recorder
    which was stopped leaves behind; channels are averaged."""
    with open(path, "rb") as file:
        content = file.read()
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise ValueError(f"{path} is not a WAV file")
    at, layout, body = 12, None, b""
    while at + 8 <= len(content):
        kind, size = content[at:at + 4], struct.unpack("<I", content[at + 4:at + 8])[0]
        if kind == b"fmt ":
            layout = struct.unpack("<HHIIHH", content[at + 8:at + 24])
        elif kind == b"data":
            body = content[at + 8:at + 8 + size] if size else content[at + 8:]
            break
        at += 8 + size + size % 2
    if layout is None:
        raise ValueError(f"{path} has no format")
    code, channels, rate, _, _, bits = layout
    if code in (1, 0xFFFE) and bits == 16:
        samples = np.frombuffer(body[:len(body) // 2 * 2], "<i2").astype(float)
    elif code == 3 and bits == 32:
        samples = np.frombuffer(body[:len(body) // 4 * 4], "<f4").astype(float) * 32767
    else:
        raise ValueError(f"{path}: format {code} with {bits} bits is not handled")
    if channels > 1:
        samples = samples[:len(samples) // channels * channels].reshape(-1, channels).mean(axis=1)
    return samples, rate


def resample(samples, rate, target):
    """Band-limited change of rate."""
    if rate == target or not len(samples):
        return samples
    length = int(len(samples) * target / rate)
    spectrum = np.fft.rfft(samples)
    wanted = np.zeros(length // 2 + 1, complex)
    shared = min(len(spectrum), len(wanted))
    wanted[:shared] = spectrum[:shared]
    return np.fft.irfft(wanted, length) * target / rate


@dataclass
class Match:
    """How much of a played sound a recording holds."""

    lag: float  #: seconds from the start of the recording to the start of the sound, negative when its start is missing
    seconds: float  #: how long the two overlap
    correlation: float  #: of the whole overlap at that lag
    blocks: int  #: sounding 200 ms blocks in the overlap
    found: float  #: share of the blocks found within 60 ms of where they belong
    level: float  #: loudness of the recording against the sound, 1 = same

    def __str__(self):
        return (f"{self.found:.0%} of {self.blocks} blocks, lag {self.lag:.3f} s, correlation {self.correlation:.2f}, "
                f"overlap {self.seconds:.1f} s, level {self.level:.2f}")


def compare(played, recorded, similar=0.85):
    """Looks for the sound `played` in `recorded` (samples at RATE). A block is found when its correlation exceeds
    `similar`; G.711 alone leaves it above 0.99."""
    nothing = Match(0, 0, 0, 0, 0, 0)
    if len(recorded) < RATE // 2 or np.abs(recorded).max() < 50:
        return nothing
    size = 1 << int(np.ceil(np.log2(len(played) + len(recorded))))
    cross = np.fft.irfft(np.fft.rfft(recorded, size) * np.conj(np.fft.rfft(played, size)), size)
    lag = int(np.argmax(cross))
    if lag > size // 2:
        lag -= size
    a, b = (played[-lag:], recorded) if lag < 0 else (played, recorded[lag:])
    length = min(len(a), len(b))
    a, b = a[:length], b[:length]
    if length < RATE // 2:
        return nothing
    blocks, found = _blocks(a, b, similar)
    return Match(lag / RATE, length / RATE, _correlation(a, b), blocks, found / blocks if blocks else 0,
                 float(np.sqrt((b * b).mean() / max((a * a).mean(), 1e-9))))


def _correlation(a, b):
    power = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / power) if power else 0.0


def _blocks(a, b, similar):
    block, slip = int(BLOCK * RATE), int(0.06 * RATE)
    blocks = found = 0
    for start in range(slip, len(a) - block - slip, block):
        x = a[start:start + block]
        if np.sqrt((x * x).mean()) < 300:
            continue
        blocks += 1
        y = b[start - slip:start + block + slip]
        power = np.convolve(y * y, np.ones(block), "valid") * (x * x).sum()
        found += bool((np.correlate(y, x, "valid") / np.sqrt(power + 1e-9)).max() > similar)
    return blocks, found


def pitch(samples):
    """The strongest frequency in Hz, and the share of the power within 10 Hz of it."""
    window = samples * np.hanning(len(samples))
    power = np.abs(np.fft.rfft(window)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    peak = frequency[int(np.argmax(power))]
    return float(peak), float(power[np.abs(frequency - peak) < 10].sum() / max(power.sum(), 1e-9))

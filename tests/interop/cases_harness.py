"""Tests of the means of these tests: they must be able to fail."""
import numpy as np
from cases import case, server
from wav import RATE, compare, pitch, voice
from world import check


@case("harness-comparison", servers=("sori", "kamailio"), capture=False)
def comparison(world):
    """A delayed copy is found; another voice, noise, silence and a copy with gaps are not."""
    played = voice(1, 10).astype(float)
    late = np.concatenate([np.zeros(RATE // 2), played[:5 * RATE]])
    match = compare(played, late)
    check(match.found == 1 and abs(match.lag - 0.5) < 0.001 and match.blocks > 15, f"a delayed copy is not found: {match}")
    noise = np.random.default_rng(3).standard_normal(10 * RATE) * 3000
    gaps = played.copy()
    for start in range(0, len(gaps), RATE // 5):
        gaps[start:start + RATE // 16] = 0
    for what, sound in (("another voice", voice(2, 10).astype(float)), ("noise", noise), ("silence", np.zeros(10 * RATE)), ("gaps", gaps)):
        match = compare(played, sound)
        check(match.found < 0.7, f"{what} passes for the sound played: {match}")
    tone = np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE) * 9000
    check(abs(pitch(tone)[0] - 440) < 1 and pitch(tone)[1] > 0.99, f"440 Hz is measured as {pitch(tone)}")
    check(pitch(noise)[1] < 0.1, "noise passes for a tone")


@case("options", capture=True)
def options(world):
    """The server answers sipsak's OPTIONS."""
    served = server(world)
    for transport in ("udp", "tcp"):
        probe = world.spawn(f"sipsak-{transport}", "alice", ["sipsak", "-v", "-E", transport, "-s", f"sip:{served.address}:{served.port}"])
        check(probe.wait(15) == 0, f"sipsak over {transport} failed")

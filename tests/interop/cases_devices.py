"""Microphone and speaker: what is said into one is heard from the other, and without them nobody is called."""
import os
import re
import time

import numpy as np
import wav
from cases import case, server
from cases_provision import Web
from pulse import Pulse
from sori import TALKED, Phone, Script
from terminal import Terminal, phone
from tshark import packets
from world import check, until

OURS = ("sori",)
NOT_READY = 7


def desk(world, microphones=("Microphone",), speaker=True):
    """A sound server with these microphones, of which the first is the default, and a speaker."""
    pulse = Pulse(world)
    if speaker:
        pulse.plug_speaker()
    for described in reversed(microphones):
        pulse.plug_microphone(described.lower(), described)
    if microphones:
        pulse.control("set-default-source", microphones[0].lower())
    return pulse


class Talker(Phone):
    """`sori call` with the devices of a sound server."""

    def __init__(self, world, served, pulse, name="sori-alice"):
        super().__init__(world, "alice", served, "alice", "pw-alice", 1, name=name)
        self.pulse = pulse

    def spawn(self, command, *args):
        self.process = self.world.spawn(
            self.name, self.host, [self.world.binary, *command, "--account", f"{self.user}@{self.server.domain}", "--proxy",
                                   f"udp:{self.server.address}:{self.server.port}", "--json", *args],
            env={"SORI_PASSWORD": self.password, **self.pulse.env})
        return self.process


class Talking(Script):
    """`sori phone --headless` with the devices of a sound server."""

    def __init__(self, world, host, served, pulse, user="alice"):
        super().__init__(world, host, served, user, f"pw-{user}", 1)
        self.pulse = pulse

    def start(self, *args):
        self.process = self.world.spawn(
            self.name, self.host, [self.world.binary, "phone", "--headless", "--json", "--account", f"{self.user}@{self.server.domain}", "--proxy",
                                   f"udp:{self.server.address}:{self.server.port}", "--microphone", "default", "--speaker", "default", *args],
            env={"SORI_PASSWORD": self.password, **self.pulse.env}, stdin=True)
        self.process.wait_event("registered")


def loudness(samples):
    """Root mean square of samples."""
    return float(np.sqrt((samples * samples).mean())) if len(samples) else 0.0


def refused(world, pulse, code, *args, says="microphone"):
    """`sori call` is refused with this code, and nothing leaves."""
    served = server(world, ("alice",))
    caller = Talker(world, served, pulse)
    process = caller.spawn(["call", served.uri("echo")], *args)
    got = process.wait(15)
    check(got == NOT_READY, f"sori call exited with {got}: {process.text()[-400:]}")
    error = process.wait_event("error", 0)
    check(error["code"] == code, f"the code is {error['code']}, not {code}: {error}")
    check(says in error["message"] and error["advice"], f"it does not say what to do: {error}")
    sent = packets(world.stop_capture(), "sip && ip.src == 10.77.0.2")
    check(sent == [], f"{len(sent)} messages were sent all the same")


@case("microphone-echo", servers=OURS, pulseaudio=True, heavy=True)
def microphone_echo(world):
    """Said into the microphone, sent back by the echo, heard from the speaker."""
    served = server(world, ("alice",))
    pulse = desk(world)
    caller = Talker(world, served, pulse)
    voice = wav.voice(7, 6).astype(float)
    ear = pulse.record()
    # Before the call stands the voice is what makes the microphone live.
    noise = pulse.speak(np.random.default_rng(1).integers(-20, 20, 60 * wav.RATE))
    caller.spawn(["call", served.uri("echo")], "--no-echo-cancellation", "--no-noise-suppression", "--codec", "pcmu")
    ready = caller.process.wait_event("ready")
    check((ready["microphone"], ready["speaker"]) == ("Microphone", "Speaker"), f"other devices are used: {ready}")
    caller.process.wait_event("established")
    pulse.speak(voice).wait(12)
    time.sleep(1)  # until the last of it has come back
    # The clocks of the devices are followed by stretching the sound by up to a thousandth, which moves its higher parts
    # against each other within a block.
    match = wav.compare(voice, pulse.heard(ear), similar=0.6)
    print(f"from the speaker: {match}")
    check(match.found > 0.85 and 0.8 < match.level < 1.2, f"the voice came back as {match}")
    caller.hangup()
    ended = caller.wait_ended()
    check(caller.process.wait(5) == TALKED, "the call was not talked")
    check(ended["packets_sent"] > 250, f"only {ended['packets_sent']} packets were sent")
    noise.stop()


@case("microphone-cleaned", servers=OURS, pulseaudio=True, heavy=True)
def microphone_cleaned(world):
    """The microphone stands beside the speaker, which plays the server's tone: the other side hears nothing of it."""
    served = server(world, ("alice", "bob"))
    pulse = desk(world)
    # The loop is the room: what the speaker plays comes into the microphone, after 30 ms and at a quarter.
    pulse.control("load-module", "module-loopback", "source=speaker.monitor", "sink=microphone-feed", "latency_msec=30",
                  "adjust_time=0")
    until(lambda: "loopback" in pulse.control("list", "short", "modules"), 5, "no loop")
    pulse.control("set-sink-input-volume", loop_input(pulse), "65%")
    said = {}
    for way, args in (("raw", ["--no-echo-cancellation", "--no-noise-suppression"]), ("clean", [])):
        bob = Phone(world, "bob", served, "bob", "pw-bob", 2, answers=True, name=f"sori-bob-{way}")
        bob.start("--calls", "1")
        caller = Talker(world, served, pulse, name=f"sori-{way}")
        caller.spawn(["call", served.uri("bob")], *args, "--no-check", "--duration", "10")
        check(caller.process.wait(25) == TALKED, f"the call was not talked: {caller.process.text()[-300:]}")
        bob.process.wait(10)
        # The first seconds are those in which the canceller learns the room; a machine that is too busy shakes it now and then.
        heard = bob.recording()
        said[way] = float(np.median([loudness(heard[at:at + wav.RATE // 2]) for at in range(4 * wav.RATE, 9 * wav.RATE, wav.RATE // 2)]))
    print(f"echo at the other side: {said['raw']:.0f} as it is, {said['clean']:.0f} without echo")
    check(said["raw"] > 100, f"there is no echo to take away: {said}")
    check(said["clean"] < said["raw"] / 4, f"the echo is still heard: {said}")


def loop_input(pulse):
    """The loop's number among the streams that play."""
    text = pulse.control("list", "sink-inputs")
    blocks = re.split(r"Sink Input #", text)
    found = [block.split("\n")[0].strip() for block in blocks if "module-loopback" in block]
    check(len(found) == 1, f"{len(found)} loops play")
    return found[0]


@case("readiness-muted", servers=OURS, pulseaudio=True)
def muted(world):
    """A muted microphone: exit code 7, and no INVITE on the wire."""
    pulse = desk(world)
    pulse.speak(wav.voice(1, 30))
    pulse.mute("microphone")
    refused(world, pulse, "microphone_silent")


@case("readiness-dead", servers=OURS, pulseaudio=True)
def dead(world):
    """A microphone that gives digital silence is as good as none."""
    refused(world, desk(world), "microphone_silent")


@case("readiness-no-microphone", servers=OURS, pulseaudio=True)
def no_microphone(world):
    """There is a speaker, and its monitor looks like a microphone: it is none."""
    refused(world, desk(world, microphones=()), "no_microphone")


@case("readiness-no-speaker", servers=OURS, pulseaudio=True)
def no_speaker(world):
    """There is a microphone, and nothing to hear with. The feed of the microphone is a speaker to PulseAudio."""
    refused(world, desk(world, speaker=False), "unknown_speaker", "--speaker", "Headset", says="speaker")


@case("readiness-unknown-microphone", servers=OURS, pulseaudio=True)
def unknown(world):
    refused(world, desk(world), "unknown_microphone", "--microphone", "Headset")


@case("readiness-no-sound", servers=OURS)
def no_sound(world):
    """No sound server and no card: said clearly, in the language of the person; --microphone none and --no-check call all the same."""
    served = server(world, ("alice",))

    class Nothing:
        env = {"PULSE_SERVER": "unix:/nonexistent/native", "SORI_MICROPHONE": "default", "LC_ALL": "ko_KR.UTF-8"}

    process = Talker(world, served, Nothing, name="refused").spawn(["call", served.uri("echo")])
    check(process.wait(15) == NOT_READY, f"sori call exited with {process.code}")
    error = process.wait_event("error", 0)
    check(error["code"] == "no_microphone" and "마이크가 없습니다" in error["message"], f"{error}")
    check("--microphone none" in error["advice"], f"it does not say how to call without: {error}")
    for name, args in (("none", ["--microphone", "none"]), ("unchecked", ["--no-check"])):
        caller = Talker(world, served, Nothing, name=name)
        caller.spawn(["call", served.uri("echo")], "--duration", "1", *args)
        check(caller.process.wait(15) == TALKED, f"{name}: {caller.process.text()[-300:]}")
    listed = Talker(world, served, Nothing, name="listed")
    process = world.spawn("devices", "alice", [world.binary, "phone", "--devices", "--json"], env=Nothing.env)
    check(process.wait(10) == 0, "sori phone --devices failed")
    check([e["role"] for e in process.events() if e["event"] == "missing"] == ["microphone", "speaker"], f"{process.events()}")
    listed.stop()


@case("readiness-check", servers=OURS, pulseaudio=True)
def checked(world):
    """sori phone --check plays a tone and shows what the microphone hears, for programs and on a terminal."""
    pulse = desk(world)
    ear = pulse.record()
    pulse.speak(wav.voice(3, 40))
    process = world.spawn("check", "alice", [world.binary, "phone", "--check", "--json"], env=pulse.env)
    check(process.wait(15) == 0, f"sori phone --check exited with {process.code}: {process.text()}")
    process.wait_event("ready", 0)
    levels = [event["microphone_db"] for event in process.events() if event["event"] == "level"]
    check(len(levels) > 8 and max(levels) > -40, f"the levels are {levels}")
    frequency, share = clearest_pitch(pulse.heard(ear))
    check(abs(frequency - 440) < 5 and share > 0.9, f"the speaker played {frequency:.0f} Hz with {share:.0%} of the power")
    screen = Terminal(world, "alice", "meter", [world.binary, "phone", "--check"], env=pulse.env)
    screen.wait(r"#{5,}.* -\d+ dB")
    screen.keys("C-c")
    screen.wait_over()


def clearest_pitch(samples):
    """Frequency and share of the power of the quarter second that is most of all one tone.

    A sound server that gets no time from a busy machine leaves gaps in what it plays; a tone that was never played is in
    none of the pieces.
    """
    length = wav.RATE // 4
    pieces = [samples[at:at + length] for at in range(0, max(1, len(samples) - length), length // 2)]
    return max((wav.pitch(piece) for piece in pieces if loudness(piece) > 300), key=lambda found: found[1], default=(0, 0))


def tone(samples):
    """The half second of the tone that is loudest."""
    length = wav.RATE // 2
    starts = range(0, max(1, len(samples) - length), length // 4)
    loudest = max(starts, key=lambda at: loudness(samples[at:at + length]))
    return samples[loudest:loudest + length]


@case("microphone-unplugged", servers=OURS, pulseaudio=True, seconds=60)
def unplugged(world):
    """Unplugged in the middle of a call, the call goes on and it is told; plugged in again, it is heard again."""
    served = server(world, ("alice",))
    pulse = desk(world)
    alice = Talking(world, "alice", served, pulse)
    ear = pulse.record()
    pulse.speak(wav.voice(4, 60))
    alice.start("--no-echo-cancellation")
    call = alice.dial(served.uri("echo"))
    until(lambda: loudness(pulse.heard(ear)[-wav.RATE:]) > 300, 10, "the microphone is not heard")
    pulse.unplug("microphone")
    alice.wait("device", role="microphone", change="lost", name="Microphone")
    until(lambda: loudness(pulse.heard(ear)[-wav.RATE // 2:]) < 5, 10, "something is still heard")
    pulse.plug_microphone("microphone", "Microphone")
    pulse.speak(wav.voice(5, 60))
    alice.wait("device", role="microphone", change="back", name="Microphone")
    until(lambda: loudness(pulse.heard(ear)[-wav.RATE:]) > 300, 10, "the microphone is not heard again")
    alice.write(f"hangup {call}")
    alice.wait("ended", cause="hung_up_here")
    alice.stop()


@case("microphone-chosen", servers=OURS, pulseaudio=True, seconds=60)
def chosen(world):
    """Another microphone, its volume and muting, in the middle of a call; a vanished one is replaced."""
    served = server(world, ("alice",))
    pulse = desk(world, microphones=("Webcam", "Headset"))
    alice = Talking(world, "alice", served, pulse)
    ear = pulse.record()
    alice.start("--no-echo-cancellation", "--no-noise-suppression")
    hum = 3000 * np.sin(2 * np.pi * 440 / wav.RATE * np.arange(60 * wav.RATE))
    pulse.speak(hum, "webcam")
    pulse.speak(3000 * np.sin(2 * np.pi * 1000 / wav.RATE * np.arange(60 * wav.RATE)), "headset")
    alice.write("devices")
    alice.wait("microphone", name="Webcam", used=True, default=True)
    alice.wait("microphone", name="Headset", used=False)
    alice.wait("speaker", name="Speaker", used=True)
    alice.dial(served.uri("echo"))

    def hears(frequency, what):
        def is_there():
            last = pulse.heard(ear)[-wav.RATE // 2:]
            return loudness(last) > 300 and abs(wav.pitch(last)[0] - frequency) < 10
        until(is_there, 10, what)
    hears(440, "the default microphone is not heard")
    alice.write("device microphone Headset")
    alice.wait("device", role="microphone", change="chosen", name="Headset")
    hears(1000, "the other microphone is not heard")
    before = settled(pulse, ear)
    alice.write("volume microphone 200")
    until(lambda: 1.8 < loudness(pulse.heard(ear)[-wav.RATE // 2:]) / before < 2.2, 10, "200 % is not twice as loud")
    alice.write("volume speaker 50")
    until(lambda: 0.9 < loudness(pulse.heard(ear)[-wav.RATE // 2:]) / before < 1.1, 10, "50 % is not half as loud")
    alice.write("mute on")
    alice.wait("muted", muted=True)
    until(lambda: loudness(pulse.heard(ear)[-wav.RATE // 2:]) < 5, 10, "it is heard while it is muted")
    alice.write("mute off")
    hears(1000, "it is not heard after muting")
    pulse.unplug("headset")
    alice.wait("device", role="microphone", change="replaced", name="Webcam")
    hears(440, "the microphone that replaces it is not heard")
    alice.write("device microphone nobody")
    alice.wait("error", code="unknown_microphone")
    alice.hangup()
    alice.wait("ended")
    alice.stop()


def settled(pulse, ear):
    """How loud it is once that no longer changes."""
    last = [0.0]

    def is_steady():
        before, last[0] = last[0], loudness(pulse.heard(ear)[-wav.RATE // 2:])
        time.sleep(0.2)
        return abs(last[0] - before) < 0.02 * last[0]
    until(is_steady, 10, "the loudness does not settle")
    return last[0]


@case("microphone-ringing", servers=OURS, pulseaudio=True)
def ringing(world):
    """A call that comes in rings from the speaker until it is answered; the caller hears that it rings there."""
    served = server(world, ("alice", "bob"))
    pulse = desk(world)
    pulse.speak(wav.voice(6, 60))
    bob = Talking(world, "bob", served, pulse, user="bob")
    bob.start()
    theirs = Pulse(world, "pulse-alice")
    theirs.plug_speaker()
    theirs.plug_microphone()
    theirs.control("set-default-source", "microphone")
    theirs.speak(wav.voice(8, 60))
    ear, ears = pulse.record(), theirs.record()
    alice = Talker(world, served, theirs)
    alice.spawn(["call", served.uri("bob")])
    bob.wait("incoming")

    def rings(heard, frequencies):
        def is_there():
            last = tone(heard()[-2 * wav.RATE:])
            return loudness(last) > 100 and min(abs(wav.pitch(last)[0] - f) for f in frequencies) < 15
        return is_there
    until(rings(lambda: pulse.heard(ear), (523, 659)), 10, "it does not ring")
    until(rings(lambda: theirs.heard(ears), (440, 480)), 10, "the caller does not hear that it rings")
    bob.write("answer")
    alice.process.wait_event("established")
    bob.wait("established")
    alice.hangup()
    alice.wait_ended()
    bob.wait("ended")
    bob.stop()


DOCUMENT = """<?xml version="1.0"?>
<sori version="1">
  <account><user>alice</user><domain>{domain}</domain><password>pw-alice</password><proxy>udp:{address}:{port}</proxy></account>
  <gateway>echo</gateway>
  <devices><microphone>{microphone}</microphone><speaker>Speaker</speaker></devices>
  <readiness>{readiness}</readiness>
  <language>ko</language>
</sori>
"""


@case("readiness-provisioned", servers=OURS, pulseaudio=True)
def provisioned(world):
    """The document chooses the devices, the check and the language."""
    served = server(world, ("alice",))
    pulse = desk(world, microphones=("Webcam", "Headset"))
    pulse.speak(wav.voice(9, 60), "headset")
    env = {**pulse.env, "SORI_DATA": os.path.join(world.dir, "visitor")}
    env.pop("SORI_MICROPHONE")
    web = Web(world, "")

    def click(name, microphone, readiness):
        with open(os.path.join(world.dir, "web", "phone.xml"), "w", encoding="utf-8") as file:
            file.write(DOCUMENT.format(domain=served.domain, address=served.address, port=served.port, microphone=microphone, readiness=readiness))
        # Nothing of the run's own choice: the document's counts.
        process = world.spawn(name, "alice", ["env", "-u", "SORI_MICROPHONE", world.binary, "call", "--provision", web.url, "--json",
                                              "--duration", "1", "--auto-close", "0"], env=env)
        return process.wait(20), process
    code, process = click("headset", "Headset", "yes")
    check(code == TALKED, f"it exited with {code}: {process.text()[-300:]}")
    check(process.wait_event("ready", 0)["microphone"] == "Headset", "another microphone is used")
    code, process = click("silent", "Webcam", "yes")
    check(code == NOT_READY, f"it exited with {code}, though the webcam is dead")
    check("마이크가 음소거" in process.wait_event("error", 0)["message"], "it is not told in Korean")
    code, process = click("unchecked", "Webcam", "no")
    check(code == TALKED, f"it exited with {code}, though nothing was to be checked")


@case("microphone-terminal", servers=OURS, pulseaudio=True, seconds=60)
def on_terminal(world):
    """The phone on a terminal: it shows its devices, a muted microphone is told, another one is chosen and measured."""
    served = server(world, ("alice",))
    pulse = desk(world, microphones=("Webcam", "Headset"))
    pulse.speak(wav.voice(9, 60), "headset")
    alice = phone(world, "alice", served, "alice", env=pulse.env, registered=None)
    alice.wait("● mic  ● speaker")
    alice.type("decho")
    alice.keys("Enter")
    alice.wait("the microphone is muted or dead", 15)
    alice.wait("✗ mic")
    alice.keys("F7")
    alice.wait("Microphone +Webcam")
    alice.picture()
    alice.keys("Enter")
    alice.wait("Choose the microphone")
    alice.keys("Up")
    alice.keys("Enter")
    alice.wait("Microphone +Headset")
    alice.wait("Microphone level +█+")
    alice.keys("F2")
    alice.type("decho")
    alice.keys("Enter")
    alice.wait("talking  00:0")
    pulse.unplug("headset")
    alice.wait("Microphone is gone; Webcam is used now")
    alice.keys("x")
    alice.wait("No calls")
    alice.keys("q")
    alice.wait_over()

"""Microphones and speakers for a machine that has none: a PulseAudio of one test's own."""
import atexit
import os
import shutil
import subprocess
import tempfile

import wav
from world import check, until

RATE = 48000


class Pulse:
    """A sound server. What is spoken into its microphones are files; what its speaker plays is recorded."""

    def __init__(self, world, name="pulse"):
        self.world, self.name = world, name
        # The folder of the test would be too long a path for a socket.
        self.folder = tempfile.mkdtemp(prefix="sori-pulse-", dir="/tmp")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        socket = os.path.join(self.folder, "native")
        #: What programs need to find it, and nothing of this machine's own.
        self.env = {"PULSE_SERVER": f"unix:{socket}", "PULSE_RUNTIME_PATH": self.folder, "XDG_RUNTIME_DIR": self.folder, "HOME": self.folder,
                    "PULSE_COOKIE": os.path.join(self.folder, "cookie"), "SORI_MICROPHONE": "default"}
        self.process = world.spawn(name, "desk", [
            "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disallow-exit", "--realtime=no",
            "--high-priority=no", "--log-target=stderr", "--log-level=error", "-L", f"module-native-protocol-unix socket={socket} auth-anonymous=1"],
            env=self.env)
        until(lambda: self._try("info").returncode == 0, 10, "PulseAudio does not answer")
        self.modules, self.voices, self.feeding = {}, 0, {}

    def _try(self, *args):
        return subprocess.run(["pactl", *args], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=10)

    def control(self, *args):
        done = self._try(*args)
        check(done.returncode == 0, f"pactl {' '.join(args)} failed: {done.stderr.strip()}")
        return done.stdout.strip()

    def plug_speaker(self, name="speaker", described="Speaker"):
        """A speaker that records what it plays."""
        self.modules[name] = [self.control("load-module", "module-null-sink", f"sink_name={name}", f"rate={RATE}", "channels=2",
                                           f"sink_properties=device.description={described}")]
        self._keep_awake("pacat", "-p", "-d", name)

    def plug_microphone(self, name="microphone", described="Microphone"):
        """A microphone that hears what is played into its feed."""
        feed = self.control("load-module", "module-null-sink", f"sink_name={name}-feed", f"rate={RATE}", "channels=1",
                            f"sink_properties=device.description={described}-feed")
        source = self.control("load-module", "module-remap-source", f"source_name={name}", f"master={name}-feed.monitor", "channels=1",
                              f"source_properties=device.description={described}")
        self.modules[name] = [source, feed]
        self.feeding[name] = [self._keep_awake("pacat", "-p", "-d", f"{name}-feed")]
        self._keep_awake("pacat", "-r", "-d", name)

    def _keep_awake(self, program, *args):
        """A null sink moves sound in steps of two seconds until somebody asks for less."""
        source = "/dev/zero" if "-p" in args else "/dev/null"
        self.voices += 1
        return self.world.spawn(f"{self.name}-awake-{self.voices}", "desk", [program, *args, "--latency-msec=20", "--raw", source], env=self.env)

    def unplug(self, name):
        first, *others = self.modules.pop(name)
        self.control("unload-module", first)
        # What is spoken into a microphone that is gone would be moved to the speaker.
        for process in self.feeding.pop(name, []):
            process.stop()
        for module in others:
            self.control("unload-module", module)

    def mute(self, name, muted=True):
        self.control("set-source-mute", name, str(int(muted)))

    def speak(self, samples, microphone="microphone"):
        """Plays samples at wav.RATE into a microphone."""
        self.voices += 1
        path = os.path.join(self.world.dir, f"{self.name}-spoken-{self.voices}.wav")
        wav.write(path, samples)
        voice = self.world.spawn(f"{self.name}-voice-{self.voices}", "desk", ["paplay", f"--device={microphone}-feed", path], env=self.env)
        self.feeding[microphone].append(voice)
        return voice

    def record(self, speaker="speaker"):
        """Records what a speaker plays; `heard` reads it."""
        self.voices += 1
        path = os.path.join(self.world.dir, f"{self.name}-heard-{self.voices}.wav")
        recorder = self.world.spawn(f"{self.name}-ear-{self.voices}", "desk",
                                    ["parec", "-d", f"{speaker}.monitor", "--rate=16000", "--channels=1", "--file-format=wav", "--latency-msec=50", path],
                                    env=self.env)
        recorder.path = path
        until(lambda: os.path.exists(path) and os.path.getsize(path) > 1000, 10, f"nothing is recorded from {speaker}")
        return recorder

    @staticmethod
    def heard(recorder):
        """What was recorded so far, at wav.RATE."""
        samples, rate = wav.read(recorder.path)
        return wav.resample(samples, rate, wav.RATE)

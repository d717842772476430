"""pjsua2 as a phone: drives pjsua_agent.py, which runs in a process of its own on the phone's host."""
import os
import sys

import numpy as np
import wav

CODECS = {"pcmu": "PCMU/8000", "pcma": "PCMA/8000", "g722": "G722/16000", "gsm": "GSM/8000", "speex": "speex/8000",
          "speex16": "speex/16000"}
AGENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pjsua_agent.py")


class Pjsua:
    """One phone on one host; calls that come are answered when `answers` says so."""

    kind = "pjsua2"

    def __init__(self, world, host, server, user, password, seed, transport="udp", answers=False, name=None, options=(),
                 codecs=("pcmu", "pcma")):
        self.world, self.host, self.server, self.user, self.password = world, host, server, user, password
        self.codecs = codecs
        self.transport, self.answers, self.name = transport, answers, name or f"pjsua2-{user}"
        self.options = options  # more arguments of the agent
        self.played = wav.voice(seed, 30)
        self.recorded = os.path.join(world.dir, f"{self.name}-recorded.wav")
        self.process = None

    def start(self, registered=True):
        """Starts and registers."""
        sound = os.path.join(self.world.dir, f"{self.name}-played.wav")
        wav.write(sound, self.played)
        args = [sys.executable, AGENT, "--user", self.user, "--domain", self.server.domain,
                "--proxy", f"{self.server.address}:{self.server.port_of(self.transport)}", "--address", self.world.address(self.host), "--play", sound,
                "--record", self.recorded, "--log", os.path.join(self.world.dir, f"{self.name}.log"),
                "--codecs", ",".join(CODECS[c] for c in self.codecs)]
        args += ["--tls-root", self.server.certificate] if self.transport == "tls" else []
        args += ["--tcp"] * (self.transport == "tcp") + ["--answer"] * self.answers + list(self.options)
        self.process = self.world.spawn(self.name, self.host, args, env={"SIP_PASSWORD": self.password}, stdin=True)
        if registered:
            self.process.wait_event("registered")

    def dial(self, uri):
        self.process.write(f"call {uri}")

    def wait_established(self, seconds=10):
        self.process.wait_event("established", seconds)

    def hangup(self):
        self.process.write("hangup")

    def wait_ended(self, seconds=10):
        return self.process.wait_event("ended", seconds)

    def wait_dtmf(self, digits, seconds=10):
        """Waits until these digits were heard as telephone events, in this order and no others."""
        self.process.wait_digits(digits, seconds)

    def send_dtmf(self, digits):
        self.process.write(f"dtmf {digits}")

    def hold(self):
        self.process.write("hold")

    def wait_holding(self):
        """It can be asked to resume at once."""

    def resume(self):
        self.process.write("unhold")

    def refuse(self):
        self.process.write("hangup")

    def wait_message(self, text, seconds=5):
        self.process.wait_event("message", seconds, text=text)

    def message(self, uri, text):
        self.process.write(f"message {uri} {text}")

    def stop(self):
        if self.process.code is None:
            try:
                self.process.write("quit")
                self.process.child.wait(5)
            except Exception as error:
                print(f"{self.name}: {error}")
        self.process.stop()

    def recording(self):
        """What it heard, at wav.RATE."""
        if not os.path.exists(self.recorded):
            return np.zeros(0)
        samples, rate = wav.read(self.recorded)
        return wav.resample(samples, rate, wav.RATE)

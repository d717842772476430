"""linphonec as a phone: its SIP loop runs only on a terminal, so it gets one (on_terminal.py)."""
import os
import re
import sys

import numpy as np
import wav
from world import HOSTS, Failed, until

TERMINAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "on_terminal.py")
CONFIG = """[sip]
sip_port={udp}
sip_tcp_port={tcp}
sip_tls_port=0
default_proxy=0
use_rfc2833=1
use_info=0
media_encryption={encryption}
media_encryption_mandatory={mandatory}
verify_server_certs=0
session_expires_enabled={timer}
session_expires_value={expires}
session_expires_min_value=90
[auth_info_0]
username={user}
passwd={password}
realm={domain}
[proxy_0]
reg_proxy=<sip:{address}:{port};transport={transport}>
reg_route=<sip:{address}:{port};transport={transport};lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
publish=0
quality_reporting_enabled=0
[rtp]
audio_rtp_port=20000-20099
[net]
mtu=1300
nat_policy_ref=way
[nat_policy_0]
ref=way
protocols={ways}
[misc]
real_early_media=0
"""
CODECS = {"pcmu": ("PCMU", 8000), "pcma": ("PCMA", 8000), "g722": ("G722", 8000), "opus": ("opus", 48000), "gsm": ("GSM", 8000),
          "speex": ("speex", 8000), "speex16": ("speex", 16000)}


class Linphone:
    """One phone on one host; calls that come are answered when `answers` says so.

    `encryption` is none, srtp, dtls or zrtp; `ice` and `timer` (seconds) switch those on; without `codecs` it has all of its own.
    """

    kind = "linphone"

    def __init__(self, world, host, server, user, password, seed, transport="udp", answers=False, name=None, encryption="none",
                 mandatory=False, ice=False, timer=0, codecs=()):
        self.world, self.host, self.server, self.user, self.password = world, host, server, user, password
        self.transport, self.answers, self.name = transport, answers, name or f"linphone-{user}"
        self.encryption, self.mandatory, self.ice, self.timer = encryption, mandatory, ice, timer
        self.codecs = codecs
        self.address = HOSTS[host]
        self.directory = os.path.join(world.dir, self.name)
        self.log = os.path.join(self.directory, "debug.log")
        self.played = wav.voice(seed, 30)
        self.recorded = os.path.join(self.directory, "recorded.wav")
        self.process = None

    def start(self):
        """Starts and registers."""
        home = os.path.join(self.directory, "home")
        for folder in (".local/share/linphone", ".config/linphone"):
            os.makedirs(os.path.join(home, folder))
        sound, settings = os.path.join(self.directory, "played.wav"), os.path.join(self.directory, "rc")
        wav.write(sound, self.played)
        by_tcp = self.transport == "tcp"
        with open(settings, "w") as file:
            file.write(CONFIG.format(
                udp=0 if by_tcp else 5060, tcp=5060 if by_tcp else 0, encryption=self.encryption, mandatory=int(self.mandatory),
                timer=int(self.timer > 0), expires=self.timer, user=self.user, password=self.password, domain=self.server.domain,
                address=self.server.address, port=self.server.port, transport=self.transport, ways="ice" if self.ice else ""))
            if self.codecs:
                every = sorted(CODECS, key=lambda codec: codec not in self.codecs)
                for number, codec in enumerate(every):
                    mime, rate = CODECS[codec]
                    file.write(f"[audio_codec_{number}]\nmime={mime}\nrate={rate}\nchannels={2 if codec == 'opus' else 1}\nenabled={int(codec in self.codecs)}\n")
        self.process = self.world.spawn(
            self.name, self.host, [sys.executable, TERMINAL, "linphonec", "-c", settings, "-d", "5", "-l", self.log, "-S"],
            env={"HOME": home}, stdin=True)
        self.process.wait_text("linphonec>")
        commands = ["soundcard use files", f"play {sound}", f"record {self.recorded}"] + ["autoanswer enable"] * self.answers
        for command in commands:
            self.type(command)
        until(self._registered, 10, f"{self.name} never registered")

    def type(self, command):
        self.process.write(command)

    def _registered(self):
        self.type("status register")
        try:
            return self.process.wait_text("registered, identity", 0.2)
        except Failed:
            return None

    def wait_log(self, pattern, seconds=10):
        """Waits for a regular expression in liblinphone's own log: its terminal lags behind."""
        def seen():
            with open(self.log, errors="replace") as file:
                return re.search(pattern, file.read())
        return until(seen, seconds, f"{self.name} never logged /{pattern}/")

    def dial(self, uri):
        self.type(f"call {uri} --audio-only")

    def wait_established(self, seconds=10):
        self.wait_log(r"to (state )?LinphoneCallStreamsRunning|Media streams established", seconds)

    def hangup(self):
        self.type("terminate")

    def wait_ended(self, seconds=10):
        self.wait_log(r"to (state )?LinphoneCall(End|Error)\b", seconds)

    def hold(self):
        self.type("pause")

    def wait_holding(self):
        self.wait_log(r"to (state )?LinphoneCallPaused\b")

    def resume(self):
        self.type("resume 1")

    def wait_held(self, seconds=5):
        """Waits until the other side has put it on hold."""
        self.wait_log(r"to (state )?LinphoneCallPausedByRemote", seconds)

    def refuse(self):
        self.type("terminate")

    def consult(self, uri):
        """Holds the call and makes another."""
        self.type("pause")
        self.wait_holding()
        self.type(f"call {uri} --audio-only")

    def connect_both(self):
        """Transfers the first call to the second one's peer."""
        self.type("transfer 1 --to-call 2")

    def transfer(self, uri):
        self.type(f"transfer {uri}")

    def message(self, uri, text):
        self.type(f'chat {uri} "{text}"')

    def wait_message(self, text, seconds=5):
        self.wait_log(rf"(?s)MESSAGE sip.*{re.escape(text)}", seconds)

    def send_dtmf(self, digits):
        for digit in digits:
            self.type(digit)

    def wait_dtmf(self, digits, seconds=10):
        pattern = r"[\s\S]*".join(rf"(?:Receiving tone|Receiving dtmf|dtmf) .?{re.escape(d)}" for d in digits)
        self.wait_log(pattern, seconds)

    def stop(self):
        if self.process is None:
            return
        if self.process.code is None:
            try:
                self.type("quit")
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

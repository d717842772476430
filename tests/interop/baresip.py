"""baresip as a phone, driven over its control port (netstrings of JSON)."""
import glob
import json
import os
import re
import select
import socket
import time

import numpy as np
import wav
from world import CONTROL_PORT, HOSTS, check, until

CONFIG = """poll_method epoll
sip_listen {address}:5060
call_local_timeout 120
call_max_calls 4
audio_player aubridge,sink
audio_source aufile,{sound}
audio_alert aubridge,alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
rtp_stats yes
module_path {folder}
snd_path {recordings}
ctrl_tcp_listen {address}:{control}
"""
CODECS = {"pcmu": "PCMU/8000", "pcma": "PCMA/8000", "g722": "G722/16000/1", "gsm": "GSM/8000/1", "opus": "opus/48000/2"}
MODULES = ["g711.so", "g722.so", "gsm.so", "opus.so", "aubridge.so", "aufile.so", "sndfile.so", "srtp.so", "dtls_srtp.so", "stun.so", "ice.so"]
TEMPORARY = ["uuid.so", "account.so"]
APPLICATIONS = ["menu.so", "ctrl_tcp.so", "debug_cmd.so"]


def modules():
    """The folder of baresip's modules."""
    found = [f for f in glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules") if os.path.isdir(f)]
    check(found, "no folder of baresip modules: apt-get install baresip-core")
    return found[0]


class Baresip:
    """One phone on one host; calls that come are answered when `answers` says so."""

    kind = "baresip"

    def __init__(self, world, host, server, user, password, seed, transport="udp", answers=False, name=None, options=(), config=(),
                 codecs=("pcmu", "pcma")):
        self.world, self.host, self.server, self.user, self.password = world, host, server, user, password
        self.codecs = codecs
        self.transport, self.answers, self.name = transport, answers, name or f"baresip-{user}"
        self.options, self.config = options, config  # more parameters of the account, more lines of the configuration
        self.address = HOSTS[host]
        self.directory = os.path.join(world.dir, self.name)
        self.played = wav.voice(seed, 30)
        self.process = self.control = None
        self.waiting = b""

    def start(self):
        """Starts and registers."""
        os.makedirs(os.path.join(self.directory, "recordings"))
        sound = os.path.join(self.directory, "played.wav")
        wav.write(sound, self.played)
        folder = modules()
        lines = [CONFIG.format(address=self.address, sound=sound, folder=folder, control=CONTROL_PORT,
                               recordings=os.path.join(self.directory, "recordings"))]
        trust = [f"sip_cafile {self.server.certificate}"] if self.transport == "tls" else []
        for directive, names in (("module", MODULES), ("module_tmp", TEMPORARY), ("module_app", APPLICATIONS)):
            lines += [f"{directive} {n}" for n in names if os.path.exists(os.path.join(folder, n))]
        self._write("config", "\n".join([*lines, *self.config, *trust]) + "\n")
        via = "" if self.transport == "udp" else f";transport={self.transport}"
        proxy = f"sip:{self.server.address}:{self.server.port_of(self.transport)}{via}"
        self._write("accounts", f"<sip:{self.user}@{self.server.domain}{via}>;auth_user={self.user};auth_pass={self.password};"
                                f'outbound="{proxy}";answermode={"auto" if self.answers else "manual"};regint=600;'
                                f"audio_codecs={','.join(CODECS[c] for c in self.codecs)}" + "".join(f";{o}" for o in self.options) + "\n")
        self._write("contacts", "")
        self.process = self.world.spawn(self.name, self.host, ["baresip", "-4", "-s", "-f", self.directory])
        self.process.wait_text(r"registered successfully|200 OK \(|All \d+ useragents? registered")
        self.control = until(self._connect, 5, f"{self.name} has no control port")

    def _write(self, name, text):
        with open(os.path.join(self.directory, name), "w") as file:
            file.write(text)

    def _connect(self):
        try:
            return socket.create_connection((self.address, CONTROL_PORT), 1)
        except OSError:
            return None

    def command(self, name, parameters=""):
        """One command; returns the text of its answer."""
        message = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self.control.sendall(b"%d:%s," % (len(message), message))
        end = time.monotonic() + 5
        while time.monotonic() < end:
            while (match := re.match(rb"(\d+):", self.waiting)) and len(self.waiting) > match.end() + int(match[1]):
                body = self.waiting[match.end():match.end() + int(match[1])]
                self.waiting = self.waiting[match.end() + int(match[1]) + 1:]
                answer = json.loads(body)
                if answer.get("response") and answer.get("token") == name:
                    return answer.get("data", "")
            if select.select([self.control], [], [], 0.1)[0]:
                data = self.control.recv(65536)
                check(data, f"{self.name} closed its control port")
                self.waiting += data
        return check(False, f"{self.name} did not answer the command {name}")

    def dial(self, uri):
        self.command("dial", uri)

    def wait_established(self, seconds=10):
        self.process.wait_text(r"Call established|call established|CALL_ESTABLISHED", seconds)

    def hangup(self):
        self.command("hangup")

    def wait_message(self, text, seconds=5):
        self.process.wait_text(re.escape(text), seconds)

    def refuse(self):
        self.command("hangup")

    def hold(self):
        self.command("hold")

    def wait_holding(self):
        """It can be asked to resume at once."""

    def resume(self):
        self.command("resume")

    def transfer(self, uri):
        self.command("transfer", uri)

    def wait_ended(self, seconds=10):
        self.process.wait_text(r"session closed|Call with .* (ended|terminated)|CALL_CLOSED", seconds)

    def wait_dtmf(self, digits, seconds=10):
        """Waits until these digits were heard as telephone events."""
        pattern = r"[\s\S]*".join(rf"(?:[Rr]eceived (?:DTMF|event)[^\n]*?|telev[^\n]*?)'?{re.escape(d)}" for d in digits)
        self.process.wait_text(pattern, seconds)

    def send_dtmf(self, digits):
        for digit in digits:
            self.command("sndcode", digit)
            time.sleep(0.3)

    def stop(self):
        if self.process.code is None and self.control:
            try:
                message = b'{"command":"quit","token":"quit"}'
                self.control.sendall(b"%d:%s," % (len(message), message))
                self.process.child.wait(5)
            except (OSError, TimeoutError):
                pass
            except Exception as error:  # subprocess.TimeoutExpired has no common base with the above
                print(f"{self.name}: {error}")
        self.process.stop()

    def recording(self):
        """What it heard, at wav.RATE."""
        parts = []
        for path in sorted(glob.glob(os.path.join(self.directory, "recordings", "*-dec.wav"))):
            samples, rate = wav.read(path)
            parts.append(wav.resample(samples, rate, wav.RATE))
        return np.concatenate(parts) if parts else np.zeros(0)

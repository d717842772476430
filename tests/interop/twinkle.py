"""twinkle-console as a phone. It speaks to ALSA alone, so it gets a sound server of its own to speak through."""
import os
import re

import numpy as np
from pulse import Pulse
import wav
from world import HOSTS

PROFILE = """user_name={user}
user_domain={domain}
user_display={user}
auth_name={user}
auth_pass={password}
outbound_proxy={server}
registrar={server}
register_at_startup=yes
registration_time=600
codecs={codecs}
sip_transport={transport}
zrtp_enabled=no
pres_publish_startup=no
dtmf_transport={keys}
ask_user_to_refer=no
ask_user_to_redirect=no
"""
SYSTEM = """dev_ringtone=alsa:default
dev_speaker=alsa:default
dev_mic=alsa:default
validate_audio_dev=no
sip_port=5060
rtp_port=20000
start_user_profile=profile
play_ringtone=no
play_ringback=no
"""
# Not including the machine's own configuration, which would say again what "default" is.
SOUND = 'pcm.!default {{\n type pulse\n server "{server}"\n}}\nctl.!default {{\n type pulse\n server "{server}"\n}}\n'
CODECS = {"pcmu": "g711u", "pcma": "g711a", "gsm": "gsm", "speex": "speex-nb", "speex16": "speex-wb"}


class Twinkle:
    """One phone on one host; calls that come are answered when `answers` says so. `keys` is rfc2833 or info."""

    kind = "twinkle"

    def __init__(self, world, host, server, user, password, seed, transport="udp", answers=False, name=None, codecs=("pcmu", "pcma"),
                 keys="rfc2833", options=()):
        self.world, self.host, self.server, self.user, self.password = world, host, server, user, password
        self.transport, self.answers, self.name = transport, answers, name or f"twinkle-{user}"
        self.codecs, self.keys, self.options = codecs, keys, options  # options: more lines of the profile
        self.address = HOSTS[host]
        self.directory = os.path.join(world.dir, self.name)
        self.played = wav.voice(seed, 30)
        self.process = self.pulse = self.ear = None
        self.heard = np.zeros(0)

    def start(self):
        """Starts and registers."""
        settings = os.path.join(self.directory, ".twinkle")
        os.makedirs(settings)
        self.pulse = Pulse(self.world, f"{self.name}-pulse")
        self.pulse.plug_speaker()
        self.pulse.plug_microphone()
        self.pulse.control("set-default-source", "microphone")
        self.ear = self.pulse.record()
        profile = PROFILE.format(user=self.user, domain=self.server.domain, password=self.password, keys=self.keys, transport=self.transport,
                                 server=f"{self.server.address}:{self.server.port}", codecs=",".join(CODECS[c] for c in self.codecs))
        for name, text in (("profile.cfg", "\n".join([profile.rstrip(), *self.options, ""])), ("twinkle.sys", SYSTEM)):
            with open(os.path.join(settings, name), "w") as file:
                file.write(text)
        sound = os.path.join(self.directory, "asoundrc")
        with open(sound, "w") as file:
            file.write(SOUND.format(server=self.pulse.env["PULSE_SERVER"]))
        environment = {**self.pulse.env, "HOME": self.directory, "ALSA_CONFIG_PATH": sound}
        self.process = self.world.spawn(self.name, self.host, ["twinkle-console"], env=environment, stdin=True)
        self.process.wait_text("registration succeeded")
        self.pulse.speak(self.played)
        if self.answers:
            self.type("auto_answer -a on")

    def type(self, command):
        self.process.write(command)

    def dial(self, uri):
        self.type(f"call {uri}")

    def wait_established(self, seconds=10):
        self.process.wait_text(r"far end answered call|call established", seconds)

    def hangup(self):
        self.type("bye")

    def wait_ended(self, seconds=10):
        self.process.wait_text(r"call ended|far end ended call|call released|call failed|far end cancelled", seconds)
        # The speaker goes on without the call, and is recorded.
        self.heard = Pulse.heard(self.ear)

    def hold(self):
        self.type("hold")

    def wait_holding(self):
        self.process.wait_text("re-INVITE successful")

    def resume(self):
        self.type("retrieve")

    def refuse(self):
        self.type("reject")

    def consult(self, uri):
        """Holds the call and makes another."""
        self.type("hold")
        self.type("line 2")
        self.type(f"call {uri}")

    def connect_both(self):
        """Transfers the second call to the first one's peer."""
        self.type("transfer -l")

    def transfer(self, uri):
        self.type(f"transfer {uri}")

    def message(self, uri, text):
        self.type(f'message {uri} "{text}"')

    def wait_message(self, text, seconds=5):
        self.process.wait_text(re.escape(text), seconds)

    def send_dtmf(self, digits):
        self.type(f"dtmf {digits}")

    def wait_dtmf(self, digits, seconds=10):
        """Waits until these keys were heard."""
        pattern = r"[\s\S]*".join(rf"DTMF[^\n]*?:? *{re.escape(d)}" for d in digits)
        self.process.wait_text(pattern, seconds)

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
        """What was heard from its speaker, at wav.RATE."""
        return self.heard

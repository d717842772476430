"""Our own server and phone, run as a user runs them: the binary, its arguments, its JSON events, its exit codes."""
import os
import signal
import subprocess

import numpy as np
import wav
from kamailio import wait_answer
from probe import Probe
from world import HOSTS, check, until

# What keeps the wave, so that what was heard can be held against what was said; cases_codecs has the others.
LOSSLESS = ("pcmu", "pcma")
TALKED, USAGE, REFUSED, UNREACHABLE, NOT_AUTHORISED = 0, 2, 3, 4, 5


class Sori:
    """`sori serve` on one host."""

    kind = "sori"

    def __init__(self, world, host="server", domain="sori.test", auth=True, name="sori-serve", listen=(), http="none", options=()):
        self.world, self.host, self.domain, self.auth, self.name = world, host, domain, auth, name
        self.http = http  # where the console is
        self.options = options  # more arguments
        self.listen = listen  # more transports or addresses than the usual two
        self.address, self.port = HOSTS[host], 5060
        self.data = os.path.join(world.dir, f"{name}.data")
        self.certificate = os.path.join(self.data, "self-signed.pem")
        self.users, self.process = {}, None

    def port_of(self, transport):
        """Where it listens on a transport."""
        return {"tls": 5061, "ws": 8088, "wss": 8443}.get(transport, self.port)

    def run(self, *args, text=None, code=0):
        """Runs the binary once on the server's host and returns what it printed; fails unless it exits with `code`."""
        done = subprocess.run(["nsenter", f"--net=/run/netns/{self.host}", "--", self.world.binary, *args], input=text, text=True,
                              capture_output=True, timeout=20)
        check(done.returncode == code, f"sori {' '.join(args)} exited with {done.returncode}, not {code}: {done.stderr.strip()}")
        return done.stdout

    def add_user(self, user, password):
        self.run("user", "add", f"{user}@{self.domain}", "--data", self.data, "--password-stdin", text=f"{password}\n")
        self.users[user] = password

    def change_password(self, user, password):
        self.run("user", "passwd", f"{user}@{self.domain}", "--data", self.data, "--password-stdin", text=f"{password}\n")
        self.users[user] = password

    def remove_user(self, user):
        self.run("user", "remove", f"{user}@{self.domain}", "--data", self.data)
        del self.users[user]

    def uri(self, user):
        return f"sip:{user}@{self.domain}"

    def start(self):
        args = [self.world.binary, "serve", "--data", self.data, "--domain", self.domain]
        listen = (f"{word}:{self.address}:{self.port_of(word)}" if word.isalpha() else word for word in ("udp", "tcp", *self.listen))
        for address in listen:
            args += ["--sip", address]
        args += ["--auth", "register,invite" if self.auth else "none", "--http", self.http, *self.options]
        self.process = self.world.spawn(self.name, self.host, args)
        wait_answer(self)

    def kill(self):
        """As if the power went."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def bindings(self, user):
        """The contacts bound to the user."""
        probe = Probe(self.address, self.port)
        try:
            return probe.bindings(user, self.domain, self.users.get(user) if self.auth else None)
        finally:
            probe.close()

    def stop(self):
        self.process.stop()


class Phone:
    """`sori answer` (when it `answers`) or `sori call`. A caller's process starts when it dials."""

    kind = "sori"

    def __init__(self, world, host, server, user, password, seed, transport="udp", answers=False, name=None, codecs=LOSSLESS):
        self.world, self.host, self.server, self.user, self.password = world, host, server, user, password
        self.codecs = codecs
        self.transport, self.answers, self.name = transport, answers, name or f"sori-{user}"
        self.played = wav.voice(seed, 30)
        self.recorded = os.path.join(world.dir, f"{self.name}-recorded.wav")
        self.process = None

    def spawn(self, command, *args, stdin=False):
        """Starts `sori COMMAND` with the account, the proxy and --json."""
        self.process = self.world.spawn(
            self.name, self.host,
            [self.world.binary, *command, "--account", f"{self.user}@{self.server.domain}", "--proxy",
             f"{self.transport}:{self.server.address}:{self.server.port_of(self.transport)}",
             *(["--tls-root", self.server.certificate] if self.transport == "tls" else []), "--json", *args], env={"SORI_PASSWORD": self.password}, stdin=stdin)
        return self.process

    def _sounds(self):
        sound = os.path.join(self.world.dir, f"{self.name}-played.wav")
        wav.write(sound, self.played)
        return ["--play", sound, "--record", self.recorded, "--codec", ",".join(self.codecs)]

    def start(self, *args):
        """Registers, when it is one that answers."""
        if self.answers:
            self.spawn(["answer"], *self._sounds(), *args)
            self.process.wait_event("registered")

    def dial(self, uri, *args):
        self.spawn(["call", uri], *self._sounds(), *args)

    def wait_established(self, seconds=10):
        return self.process.wait_event("established", seconds)

    def hangup(self):
        self.process.signal(signal.SIGINT)

    def wait_ended(self, seconds=10):
        return self.process.wait_event("ended", seconds)

    def wait_dtmf(self, digits, seconds=10):
        """Waits until these digits were heard as telephone events, in this order and no others."""
        self.process.wait_digits(digits, seconds)

    def stop(self):
        if self.process is None:
            return
        if self.process.code is None:
            self.process.signal(signal.SIGINT)
            try:
                self.process.child.wait(5)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not end after SIGINT")
        self.process.stop()

    def recording(self):
        """What it heard, at wav.RATE."""
        if not os.path.exists(self.recorded):
            return np.zeros(0)
        samples, rate = wav.read(self.recorded)
        return wav.resample(samples, rate, wav.RATE)


class Script(Phone):
    """`sori phone --headless`, driven line by line."""

    def start(self, *args, sounds=True):
        """Registers; calls are answered by themselves when it `answers`."""
        more = [*(self._sounds() if sounds else []), *(["--answer"] if self.answers else [])]
        self.spawn(["phone", "--headless"], *more, *args, stdin=True)
        self.process.wait_event("registered")

    def write(self, line):
        self.process.write(line)

    def wait(self, kind, seconds=10, **fields):
        return self.process.wait_event(kind, seconds, **fields)

    def dial(self, uri):
        """Calls, and returns the number of the call once it stands."""
        before = len([e for e in self.process.events() if e["event"] == "calling"])
        self.write(f"dial {uri}")
        until(lambda: len([e for e in self.process.events() if e["event"] == "calling"]) > before, 5, f"{self.name} does not call")
        call = [e for e in self.process.events() if e["event"] == "calling"][before]["call"]
        self.wait("established", call=call)
        return call

    def hangup(self):
        self.write("hangup")

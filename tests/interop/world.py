"""The small network a test runs in: hosts on one bridge, the processes on them, and a capture of all traffic.

A test runs in network, process and mount namespaces of its own (run.py makes them), so that whatever it starts
ends with it and nothing it does reaches the machine's network.
"""
import json
import os
import re
import signal
import subprocess
import time

#: Host name -> address. `desk` is where the test itself stands.
HOSTS = {"server": "10.77.0.1", "alice": "10.77.0.2", "bob": "10.77.0.3", "carol": "10.77.0.4", "desk": "10.77.0.254"}
CONTROL_PORT = 4444
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Failed(Exception):
    """The test found something wrong; the text says what."""


def check(condition, message):
    """Fails the test with `message` unless `condition` holds."""
    if not condition:
        raise Failed(message)


def until(condition, seconds, what):
    """Waits until `condition()` is true and returns its value; fails with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"{what} (waited {seconds:g} s)")
        time.sleep(0.01)


class Process:
    """A program on one host of the world, its output kept in NAME.out and NAME.err."""

    def __init__(self, world, name, host, args, env=None, stdin=False, stdout=None):
        self.name, self.host, self.address = name, host, HOSTS[host]
        self.stdout = stdout or os.path.join(world.dir, f"{name}.out")
        self.stderr = os.path.join(world.dir, f"{name}.err")
        if host != "desk":
            args = ["nsenter", f"--net=/run/netns/{host}", "--", *args]
        with open(self.stdout, "ab") as out, open(self.stderr, "ab") as err:
            self.child = subprocess.Popen([str(a) for a in args], stdout=out, stderr=err, cwd=world.dir,
                                          stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                          env={**os.environ, **(env or {})}, start_new_session=True)
        world.processes.append(self)

    @property
    def pid(self):
        return self.child.pid

    @property
    def code(self):
        """The exit code, or None while it runs."""
        return self.child.poll()

    def text(self):
        """Everything it has written so far, stdout then stderr, without colours."""
        parts = []
        for path in (self.stdout, self.stderr):
            with open(path, errors="replace") as file:
                parts.append(file.read())
        return ANSI.sub("", "".join(parts))

    def events(self):
        """The complete JSON lines of stdout."""
        found = []
        with open(self.stdout, errors="replace") as file:
            for line in file:
                if line.startswith("{") and line.endswith("\n"):
                    found.append(json.loads(line))
        return found

    def write(self, line):
        """One line to its standard input."""
        self.child.stdin.write(f"{line}\n".encode())
        self.child.stdin.flush()

    def wait_text(self, pattern, seconds=10):
        """Waits for a regular expression in the output; fails early when the program ends without it."""
        def seen():
            ended = self.code is not None
            match = re.search(pattern, self.text())
            if not match and ended:
                raise Failed(f"{self.name} ended with {self.code} before it said /{pattern}/")
            return match
        return until(seen, seconds, f"{self.name} never said /{pattern}/")

    def wait_event(self, kind, seconds=10, **fields):
        """Waits for a JSON event of that kind whose fields have these values, and returns it."""
        def seen():
            ended = self.code is not None
            for event in self.events():
                if event.get("event") == kind and all(event.get(k) == v for k, v in fields.items()):
                    return event
            if ended:
                raise Failed(f"{self.name} ended with {self.code} before event {kind} {fields or ''}")
            return None
        return until(seen, seconds, f"{self.name} gave no event {kind} {fields or ''}")

    def wait_digits(self, digits, seconds):
        """Waits until its dtmf events are exactly these digits in this order."""
        def heard():
            return "".join(event["digit"] for event in self.events() if event.get("event") == "dtmf")
        try:
            until(lambda: heard() == digits, seconds, "")
        except Failed:
            raise Failed(f"{self.name} heard the digits '{heard()}', not '{digits}'") from None

    def signal(self, number):
        if self.code is None:
            self.child.send_signal(number)

    def wait(self, seconds=10):
        """The exit code once it has ended; fails after `seconds`."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} has not ended after {seconds:g} s") from None

    def stop(self, seconds=4):
        """Ends it, first politely."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.code is not None:
                return
            self.signal(number)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


class World:
    """Hosts, processes and the capture of one test. `dir` holds every file the test makes."""

    def __init__(self, directory, server_kind, binary):
        self.dir, self.server_kind, self.binary = directory, server_kind, binary
        self.processes = []
        self.capture = None
        self.relay = None  # the address that sound comes from at the listener's, when it does not come from the speaker's
        self.hidden = {}  # the addresses of hosts that are behind a translator; HOSTS has the translator's then

    def address(self, host):
        """The address that the host itself has."""
        return self.hidden.get(host, HOSTS[host])

    def build(self):
        """Makes the hosts. Only for a process that is alone in its namespaces."""
        # Nobody answers there unless a test starts a server: a lookup fails at once instead of hanging.
        self._replace("/etc/resolv.conf", f"nameserver {HOSTS['desk']}\noptions timeout:1 attempts:1\n")
        # sipsak gives up when the machine's own name has no address.
        self._replace("/etc/hosts", f"127.0.0.1 localhost {os.uname().nodename}\n::1 localhost\n")
        os.makedirs("/run/netns", exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run/netns"], check=True)
        outer = ["link set lo up", "link add br0 type bridge forward_delay 0 stp_state 0", "link set br0 up",
                 f"addr add {HOSTS['desk']}/24 dev br0"]
        for number, name in enumerate(n for n in HOSTS if n != "desk"):
            subprocess.run(["ip", "netns", "add", name], check=True)
            outer += [f"link add h{number} type veth peer name eth0 netns {name}", f"link set h{number} master br0 up"]
            inner = ["link set lo up", f"addr add {HOSTS[name]}/24 dev eth0", f"addr add fd77::{number + 1}/64 dev eth0 nodad",
                     "link set eth0 up", f"route add default via {HOSTS['desk']}"]
            self._ip(outer)
            self._ip(inner, name)
            outer = []

    def _replace(self, path, text):
        """Puts another file in the place of one of the machine's, for this test only."""
        own = os.path.join(self.dir, os.path.basename(path))
        with open(own, "w") as file:
            file.write(text)
        subprocess.run(["mount", "--bind", own, os.path.realpath(path)], check=True)

    @staticmethod
    def _ip(commands, namespace=None):
        where = ["-n", namespace] if namespace else []
        subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(commands).encode(), check=True)

    def spawn(self, name, host, args, **options):
        return Process(self, name, host, args, **options)

    def start_capture(self):
        """Records what passes the bridge into capture.pcap."""
        # To stdout: tcpdump gives up its rights before it would open a file here, on some systems.
        self.capture = self.spawn("tcpdump", "desk", ["tcpdump", "-i", "br0", "-U", "--immediate-mode", "-n", "-s", "0", "-w", "-",
                                                      "not", "port", str(CONTROL_PORT), "and", "(udp or tcp or icmp or icmp6)"],
                                  stdout=os.path.join(self.dir, "capture.pcap"))
        self.capture.wait_text("listening on")

    def stop_capture(self):
        """Ends the capture and returns its path."""
        self.capture.signal(signal.SIGINT)
        self.capture.wait(5)
        return self.capture.stdout

    def close(self):
        for process in reversed(self.processes):
            process.stop(2)

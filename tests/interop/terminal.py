"""`sori phone` on a terminal: tmux is the terminal, keys are typed and the screen is read as a person does."""
import atexit
import os
import re
import shutil
import subprocess
import tempfile

from world import HOSTS, Failed, check, until


class Terminal:
    """A terminal of tmux on one host, with a shell or a program in it."""

    def __init__(self, world, host, name, command, columns=80, rows=24, env=None):
        self.world, self.host, self.name = world, host, name
        # The folder of the test would be too long a path for a socket.
        self.folder = tempfile.mkdtemp(prefix="sori-terminal-", dir="/tmp")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        env = {"LC_ALL": "C.UTF-8", "HOME": world.dir, "XDG_DATA_HOME": os.path.join(world.dir, f"{name}.data"), "TERM": "xterm-256color", **(env or {})}
        settings = [item for key, value in env.items() for item in ("-e", f"{key}={value}")]
        self._run(["nsenter", f"--net=/run/netns/{host}", "--", *self._tmux("-f", "/dev/null", "-u", "new-session", "-d", "-s", name,
                   "-x", str(columns), "-y", str(rows), *settings, " ".join(command))], env)
        # What is left on the screen when the program has ended is read too.
        self._run(self._tmux("set-option", "-t", name, "remain-on-exit", "on"))

    def _tmux(self, *args):
        return ["tmux", "-L", self.name, *args]

    def _run(self, args, env=None):
        done = subprocess.run(args, env={**os.environ, **(env or {}), "TMUX_TMPDIR": self.folder}, capture_output=True, text=True, timeout=10)
        check(done.returncode == 0, f"{' '.join(args[-6:])} failed: {done.stderr.strip()}")
        return done.stdout

    def keys(self, *keys):
        """Presses keys by their names: Enter, Escape, F2, C-z, or single characters."""
        self._run(self._tmux("send-keys", "-t", self.name, *keys))

    def type(self, text):
        """Types text as it stands."""
        self._run(self._tmux("send-keys", "-t", self.name, "-l", text))

    def resize(self, columns, rows):
        self._run(self._tmux("resize-window", "-t", self.name, "-x", str(columns), "-y", str(rows)))

    def screen(self):
        """What stands on the screen."""
        return self._run(self._tmux("capture-pane", "-p", "-t", self.name))

    def wait(self, pattern, seconds=10):
        """Waits until a regular expression is on the screen, and returns the match; the screen is told when it is not."""
        try:
            return until(lambda: re.search(pattern, self.screen(), re.MULTILINE), seconds, "")
        except Failed:
            raise Failed(f"{self.name} never showed /{pattern}/ but\n{self.screen()}") from None

    def wait_gone(self, pattern, seconds=10):
        """Waits until a regular expression is no longer on the screen."""
        try:
            until(lambda: not re.search(pattern, self.screen(), re.MULTILINE), seconds, "")
        except Failed:
            raise Failed(f"{self.name} still shows /{pattern}/:\n{self.screen()}") from None

    def picture(self):
        """Keeps the screen with its colours in the test's folder."""
        text = self._run(self._tmux("capture-pane", "-e", "-N", "-p", "-t", self.name))
        with open(os.path.join(self.world.dir, f"{self.name}.ansi"), "w", encoding="utf-8") as file:
            file.write(text)

    def is_over(self):
        """Whether the program has ended."""
        return self._run(self._tmux("list-panes", "-t", self.name, "-F", "#{pane_dead}")).strip() == "1"

    def pid(self):
        """The process that the terminal was opened for."""
        return int(self._run(self._tmux("list-panes", "-t", self.name, "-F", "#{pane_pid}")))

    def wait_over(self, seconds=8):
        until(self.is_over, seconds, f"{self.name} has not ended")


def command(world, served, user, *args, proxy=True):
    """The command line of a phone on a terminal."""
    line = [world.binary, "phone", "--account", f"{user}@{served.domain}"]
    if proxy:
        line += ["--proxy", f"udp:{HOSTS[served.host]}:{served.port}"]
    return [*line, *args]


def phone(world, host, served, user, *args, env=None, password=None, registered=r"● \w+@sori.test registered", **options):
    """A phone on a terminal, registered."""
    made = Terminal(world, host, user, command(world, served, user, *args), env={"SORI_PASSWORD": password or f"pw-{user}", **(env or {})}, **options)
    if registered:
        made.wait(registered)
    return made

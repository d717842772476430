#!/usr/bin/env python3
"""Tests with real peers: sipp, baresip, pjsua2, Kamailio against our server and our phone.

Every test has its own small network (see world.py), a time limit, and a folder target/interop/NAME with the output
of every program and a capture of the traffic, which is kept when the test fails.
"""
import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = os.path.join(ROOT, ".cache", "venv", "bin", "python")
MODULES = ["cases_harness", "cases_load", "cases_calls", "cases_codecs", "cases_echo", "cases_refusals", "cases_hops", "cases_storage",
           "cases_wire", "cases_secure", "cases_nat", "cases_provision", "cases_terminal", "cases_transports", "cases_services", "cases_features",
           "cases_devices", "cases_bridge"]
TAIL = 16
# So many failures may be a busy machine's: these cases work in real time, several at once. More are something else.
FEW = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="tests to run, or the beginnings of their names; all when none is given")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--server", choices=["sori", "kamailio"], default="sori",
                        help="kamailio: check the peers and this harness without our server")
    parser.add_argument("--binary", default=os.path.join(ROOT, "target", "release", "sori"), help="our program (%(default)s)")
    parser.add_argument("-j", "--jobs", type=int, default=max(2, min(8, 3 * (os.cpu_count() or 1))), help="tests at the same time (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the folders of tests that passed too")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run the selection N times")
    parser.add_argument("--report", metavar="FILE", help="write the matrix of features and peers there")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    enter_environment()
    if options.inside:
        sys.exit(run_inside(options))
    cases = select(options)
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        print("\n".join(cases))
        return
    prepare(options, cases)
    sys.exit(Run(options, cases).all())


def enter_environment():
    """Goes on in the Python that has numpy and pjsua2, as root."""
    sys.dont_write_bytecode = True  # no __pycache__ in the sources
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # the logs of phones speak Korean, the locale of a machine may not
    # The machine that the tests run on may have a microphone or not: phones that are not told use none.
    os.environ["SORI_MICROPHONE"] = "none"
    if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(PYTHON))):
        if not os.path.exists(PYTHON):
            sys.exit("interop: .cache/venv is missing; run: scripts/setup test")
        os.execv(PYTHON, [PYTHON, *sys.argv])
    for folder in ("/usr/local/sbin", "/usr/sbin", "/sbin"):
        if folder not in os.environ["PATH"].split(":"):
            os.environ["PATH"] += f":{folder}"
    if os.geteuid() != 0 and "--list" not in sys.argv:
        if not shutil.which("sudo"):
            sys.exit("interop: the tests build network namespaces and need root: become root, or install sudo")
        os.execvp("sudo", ["sudo", "--preserve-env=PATH", PYTHON, *sys.argv])


def load():
    """Imports the files of tests and returns the register they filled."""
    sys.path.insert(0, HERE)
    for module in MODULES:
        importlib.import_module(module)
    return importlib.import_module("cases").CASES


def select(options):
    """The tests that were asked for, by name."""
    known = load()
    # The peers among themselves can be tried before our program is built.
    peers_only = options.server != "sori" and not os.path.exists(options.binary)
    possible = {n: c for n, c in known.items() if options.server in c.servers and not (peers_only and c.needs_sori)}
    if not options.names:
        return possible
    chosen = {}
    for name in options.names:
        found = {n: c for n, c in known.items() if n == name} or {n: c for n, c in possible.items() if n.startswith(name)}
        if not found:
            sys.exit(f"interop: no test {name} with server {options.server}; --list names them")
        chosen.update(found)
    return chosen


def prepare(options, cases):
    """Says at once what would make every test fail."""
    if (options.server == "sori" or any(c.needs_sori for c in cases.values())) and not os.path.exists(options.binary):
        sys.exit(f"interop: {options.binary} is missing; run: make release")
    if not shutil.which("pulseaudio"):
        left_out = [name for name, found in cases.items() if found.needs_pulseaudio]
        if left_out:
            print(f"left out, because there is no pulseaudio: {' '.join(left_out)}", flush=True)
        for name in left_out:
            del cases[name]
    missing = [p for p in ("kamailio", "sipp", "baresip", "linphonec", "twinkle-console", "sipsak", "tshark", "tcpdump", "ip", "nsenter", "unshare", "tmux", "pactl") if not shutil.which(p)]
    if missing:
        sys.exit(f"interop: missing programs: {', '.join(missing)}; run: scripts/setup test")
    trial = subprocess.run(["unshare", "--net", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True)
    if trial.returncode:
        sys.exit(f"interop: this machine forbids network namespaces ({trial.stderr.strip()}); a container needs --privileged")


class Run:
    """All selected tests, some at a time; heavy ones alone."""

    def __init__(self, options, cases):
        self.options, self.cases = options, cases
        self.base = os.path.join(ROOT, "target", "interop")
        self.lock = threading.Lock()
        self.children = set()
        self.passed, self.failed = [], {}
        self.unsteady = {}
        self.stopping = False

    def all(self):
        """Runs everything and returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        start = time.monotonic()
        try:
            for _ in range(self.options.repeat):
                self.some([c for c in self.cases.values() if not c.heavy], self.options.jobs)
                self.some([c for c in self.cases.values() if c.heavy], 1)
            self.failed_again()
        except KeyboardInterrupt:
            self.stopping = True
            with self.lock:
                for child in self.children:
                    child.kill()
                    child.wait()
            print("interrupted")
        if "SUDO_UID" in os.environ:  # the folder belongs to who called sudo, or cargo clean fails for them
            subprocess.run(["chown", "-R", f"{os.environ['SUDO_UID']}:{os.environ['SUDO_GID']}", self.base], check=False)
        if self.options.report and not self.stopping:
            importlib.import_module("report").write(self.options.report, self.passed, self.failed)
        if self.unsteady:
            print("passed only when alone:")
            print("\n".join(f"  {name}: {why}" for name, why in self.unsteady.items()))
        if self.failed:
            print("failed: " + " ".join(self.failed))
            print("\n".join(f"  {name}: {why}" for name, why in self.failed.items()))
        print(f"interop took {time.monotonic() - start:.0f} s with {self.options.jobs} at a time")
        print(f"{len(self.passed)} passed, {len(self.failed)} failed", flush=True)
        return 1 if self.failed or self.stopping or not self.passed else 0

    def failed_again(self):
        """Gives a few failed tests the machine for themselves, once: what fails there too, fails; the others are told."""
        if not 0 < len(self.failed) <= FEW or self.options.jobs == 1:
            return
        first = dict(self.failed)
        print(f"again, alone: {' '.join(first)}", flush=True)
        self.failed.clear()
        self.some([self.cases[name] for name in first], 1)
        self.unsteady = {name: why for name, why in first.items() if name not in self.failed}

    def some(self, cases, jobs):
        waiting = list(cases)

        def work():
            while not self.stopping:
                with self.lock:
                    if not waiting:
                        return
                    case = waiting.pop(0)
                self.one(case)
        threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)

    def one(self, case):
        directory = os.path.join(self.base, case.name)
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        start = time.monotonic()
        with open(os.path.join(directory, "test.log"), "wb") as log:
            # A process namespace: when its first process ends, however it ends, the kernel ends all others in it.
            child = subprocess.Popen(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", PYTHON,
                                      os.path.abspath(__file__), "--inside", case.name, "--server", self.options.server,
                                      "--binary", os.path.abspath(self.options.binary), directory],
                                     stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            with self.lock:
                self.children.add(child)
            try:
                code = child.wait(case.seconds + 10)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
            with self.lock:
                self.children.discard(child)
        took = time.monotonic() - start
        with self.lock:
            if self.stopping:
                return
            if code == 0:
                self.passed.append(case.name)
                print(f"ok     {case.name}  {took:.1f} s", flush=True)
                if not self.options.keep:
                    shutil.rmtree(directory, ignore_errors=True)
                return
            self.failed[case.name] = importlib.import_module("report").why(directory)
            self.report(case, directory, took, code)

    @staticmethod
    def report(case, directory, took, code):
        print(f"FAILED {case.name}  {took:.1f} s  (exit code {code}; all logs in {directory})")
        for name in sorted(os.listdir(directory), key=lambda n: (n != "test.log", n)):
            path = os.path.join(directory, name)
            if name.endswith((".log", ".out", ".err")) and os.path.isfile(path):
                with open(path, errors="replace") as file:
                    lines = file.read().splitlines()
                tail = TAIL if name == "test.log" else TAIL // 2
                if lines:
                    print(f"       --- {name}" + (f" (last {tail} of {len(lines)} lines)" if len(lines) > tail else ""))
                    print("\n".join(f"       {line[:240]}" for line in lines[-tail:]))
        sys.stdout.flush()


def run_inside(options):
    """One test, in its own namespaces; the exit code is the result."""
    case = load()[options.inside]
    from world import Failed, World
    world = World(options.names[0], options.server, options.binary)

    def late(*_):
        raise Failed(f"not finished within {case.seconds:g} s")
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, case.seconds)
    try:
        # Sound is real time: other work on the machine must not make the peers stutter.
        os.setpriority(os.PRIO_PROCESS, 0, 0 if case.heavy else -10)
        world.build()
        if case.capture:
            world.start_capture()
        case.run(world)
        result = 0
    except Failed as failure:
        print(f"failed: {failure}")
        result = 1
    except Exception:
        traceback.print_exc()
        result = 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    sys.stdout.flush()
    world.close()
    return result


if __name__ == "__main__":
    main()

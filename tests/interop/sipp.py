"""SIPp: scripted calls from the files in scenarios/, and the counts it keeps."""
import csv
import glob
import os

from world import HOSTS, check

SCENARIOS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "scenarios")


class Sipp:
    """One run of a scenario. `rows` fill [field0], [field1] .. one row a call, from the first again when they end."""

    def __init__(self, world, name, host, scenario, server=None, port=5060, transport="udp", calls=None, rate=None, rows=None,
                 keys=None, hold=None, seconds=40, extra=()):
        self.world, self.name, self.host, self.port = world, name, host, port
        self.calls = calls
        self.folder = os.path.join(world.dir, name)
        os.makedirs(self.folder)
        self.statistics = os.path.join(self.folder, "statistics.csv")
        args = ["sipp", "-sf", os.path.join(SCENARIOS, f"{scenario}.xml"), "-i", HOSTS[host], "-p", port, "-nostdin",
                "-t", "u1" if transport == "udp" else "t1", "-trace_stat", "-stf", self.statistics, "-fd", 1,
                "-trace_err", "-error_file", os.path.join(self.folder, "errors.log"), "-buff_size", 4194304,
                "-timeout", seconds, "-timeout_error"]
        if calls is not None:
            args += ["-m", calls]
        if rate is not None:
            args += ["-r", rate, "-l", 5000]
        if hold is not None:
            args += ["-d", hold]
        if rows:
            path = os.path.join(self.folder, "rows.csv")
            with open(path, "w") as file:
                file.write("SEQUENTIAL\n" + "".join(";".join(map(str, row)) + "\n" for row in rows))
            args += ["-inf", path]
        for key, value in (keys or {}).items():
            args += ["-key", key, value]
        args += extra
        if server:
            args.append(f"{server.address}:{server.port}")
        self.process = world.spawn(os.path.join(name, "screen"), host, args, env={"TERM": "dumb"})

    def counts(self):
        """(successful, failed, retransmissions) so far."""
        if not os.path.exists(self.statistics):
            return 0, 0, 0
        with open(self.statistics, newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        if not rows:
            return 0, 0, 0
        last = rows[-1]
        return tuple(int(last[k]) for k in ("SuccessfulCall(C)", "FailedCall(C)", "Retransmissions(C)"))

    def errors(self):
        """The first of what it complained about."""
        for path in glob.glob(os.path.join(self.folder, "errors*.log")):
            with open(path, errors="replace") as file:
                return file.read(1500)
        return ""

    def wait(self, seconds=60):
        """Waits for its end and fails unless every call went as the scenario says."""
        code = self.process.wait(seconds)
        good, bad, _ = self.counts()
        check(code == 0 and bad == 0, f"{self.name}: {bad} calls failed, {good} succeeded, exit code {code}\n{self.errors()}")
        check(self.calls is None or good == self.calls, f"{self.name}: {good} of {self.calls} calls succeeded")
        return good

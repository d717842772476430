"""What tshark sees in a capture."""
import subprocess

from world import Failed

WARNING, ERROR = 0x600000, 0x800000


def packets(path, wanted, *fields):
    """One list of field values for each packet that the display filter `wanted` lets through."""
    args = ["tshark", "-n", "-r", path, "-Y", wanted, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"]
    for field in fields or ("frame.number",):
        args += ["-e", field]
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"tshark -Y '{wanted}' failed: {done.stderr}")
    return [line.split("\t") for line in done.stdout.splitlines()]

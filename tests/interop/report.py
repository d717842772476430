"""The matrix of features and peers, from the results of a run: docs/interop.md is made by it.

A test whose name is FEATURE-CALLER-CALLEE... is a cell: its row is the feature, its column the peer and the direction.
"""
import datetime
import os
import re
import shutil
import subprocess
from importlib import metadata

PEERS = ("pjsua2", "baresip", "linphone", "twinkle")
KINDS = "|".join(("sori", *PEERS))
CELL = re.compile(rf"(?P<feature>[a-z0-9-]+?)-(?P<caller>{KINDS})-(?P<callee>{KINDS})(?:-(?P<variant>.+))?")
PACKAGES = {"baresip": "baresip-core", "linphone": "linphone-cli", "twinkle": "twinkle-console", "sipp": "sip-tester", "kamailio": "kamailio"}

TEXT = """# Interoperation

Made by `make interop ARGS="--report docs/interop.md"` on {date}: each cell is one or more calls between our phone and a
program that we did not write, through our server, each in a network of its own, with the sound compared at both ends.
*calls* means that the other program begins, *is called* that ours does.

With {versions}.

{table}
"""


def cell(name):
    """Feature, peer and direction of a test; None when it is no cell."""
    match = CELL.fullmatch(name)
    if not match or (match["caller"] == "sori") == (match["callee"] == "sori"):
        return None
    calls = match["callee"] == "sori"
    return match["feature"], match["caller"] if calls else match["callee"], "calls" if calls else "is called"


def write(path, passed, failed):
    """Writes the page. `passed` are names of tests, `failed` maps names to what went wrong."""
    cells, features = {}, []
    for name in [*passed, *failed]:
        if (found := cell(name)) is None:
            continue
        if found[0] not in features:
            features.append(found[0])
        cells.setdefault(found, []).append((name, failed.get(name)))
    columns = [(p, d) for p in PEERS for d in ("is called", "calls") if any(c[1:] == (p, d) for c in cells)]
    rows = ["| | " + " | ".join(f"{p} {d}" for p, d in columns) + " |", "|---|" + "---|" * len(columns)]
    notes = []
    for feature in sorted(features):
        row = [feature]
        for column in columns:
            results = cells.get((feature, *column), [])
            bad = [(n, why) for n, why in results if why]
            if bad:
                notes += [f"- {n}: {why}" for n, why in bad]
                row.append(f"{len(results) - len(bad)} of {len(results)}")
            else:
                row.append("yes" if results else "–")
        rows.append("| " + " | ".join(row) + " |")
    table = "\n".join(rows) + ("\n\nWhat fails, and why:\n\n" + "\n".join(notes) if notes else "\n\nNothing fails.")
    with open(path, "w") as file:
        file.write(TEXT.format(date=datetime.date.today().isoformat(), versions=versions(), table=table).replace("\n\n\n", "\n\n"))


def versions():
    """What the peers are, for the head of the page."""
    found = []
    try:
        found.append(f"pjsua2 {metadata.version('pjsua2-python')}")
    except metadata.PackageNotFoundError:
        pass
    for peer, package in PACKAGES.items():
        if shutil.which("dpkg-query"):
            asked = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True)
            if asked.returncode == 0 and asked.stdout:
                found.append(f"{peer} {re.split('[-+~]', asked.stdout.split(':')[-1])[0]}")
    return ", ".join(found)


def why(directory):
    """What a failed test says of itself, in a line."""
    try:
        with open(os.path.join(directory, "test.log"), errors="replace") as log:
            said = [line.strip() for line in log if line.startswith(("failed:", "Failed", "AssertionError"))]
    except OSError:
        said = []
    return said[-1].removeprefix("failed:").strip()[:200] if said else "see its log"

"""The matrix of features and peers, from the results of a run: docs/interop.md is made by it.

A test whose name is FEATURE-CALLER-CALLEE... is a cell: its row is the feature, its column the peer and the direction.
"""
import datetime
import os
import re
import shutil
import subprocess
from importlib import metadata

PEERS = ("pjsua2", "baresip", "linphone", "twinkle", "sipp")
KINDS = "|".join(("sori", *PEERS))
CELL = re.compile(rf"(?P<feature>[a-z0-9-]+?)-(?P<caller>{KINDS})-(?:behind-nat-)?(?P<callee>{KINDS})(?:-(?P<variant>.+))?")
BETWEEN = re.compile(rf"(?P<feature>kamailio-registrar|next-hop-out|next-hop-in)-(?P<caller>{KINDS})-(?P<callee>{KINDS}).*")
PACKAGES = {"baresip": "baresip-core", "linphone": "linphone-cli", "twinkle": "twinkle-console", "sipp": "sip-tester", "kamailio": "kamailio"}
#: The rows in their order, and what they are called.
ROWS = {
    "call": "call, sound both ways, over UDP, TCP and TLS", "refuse": "refusing, and giving up while it rings", "late-offer": "INVITE without an offer",
    "early-media": "sound before the answer (183)", "forked-early": "two early dialogs of one INVITE", "prack": "PRACK (RFC 3262)",
    "session-timer": "session interval (RFC 4028)", "hold": "hold and resume (RFC 3264 §8.4)", "update": "UPDATE (RFC 3311)",
    "codec-change": "another codec in mid-call", "glare": "glare (491) and another try", "change-refused": "refused change, the call goes on",
    "transfer-blind": "transfer (REFER)", "transfer-attended": "attended transfer (Replaces)", "divert": "forwarding (302)",
    "do-not-disturb": "do not disturb", "conference": "conference of three", "dtmf": "keys by RFC 4733", "dtmf-info": "keys by INFO",
    "anonymous": "hiding who calls (RFC 3323)", "message": "MESSAGE", "options": "OPTIONS", "codec-pcma": "G.711 A-law", "codec-g722": "G.722", "codec-opus": "Opus", "codec-gsm": "GSM",
    "codec-speex": "Speex, narrow band", "codec-speex16": "Speex, wide band", "srtp": "SRTP, keys by SDES", "dtls": "SRTP, keys by DTLS", "ice": "ICE",
    "stun": "STUN", "nat-both": "both behind address translators", "nat-caller": "the caller behind an address translator",
    "nat-callee": "the one called behind an address translator", "provision-call": "called as the provisioned target",
}
HOPS = {"kamailio-registrar": "Kamailio is the registrar of both", "next-hop-out": "our server passes calls on to Kamailio",
        "next-hop-in": "Kamailio passes calls on to our server"}

TEXT = """# Interoperation

Made by `make interop ARGS="--report docs/interop.md"` on {date}: each cell is one or more calls between our phone and a program that
we did not write, through our server (SIPp without one), each in a network of its own; where sound is the matter it is compared at
both ends. *calls* means that the other program begins, *is called* that our phone does. In transfers and conferences the third is a pjsua2.
A dash: the program cannot do it, or not without a person; what it cannot do is in the notes.

With {versions}.

{table}

## With Kamailio between

{between}
{failures}
## What the others cannot do

- baresip 1.0.0: PRACK, session intervals, attended transfer, keys by INFO; it sends MESSAGE to its one contact only.
- pjsua2 as a wheel: Opus, DTLS. It follows no redirection by itself.
- linphonec: UPDATE of its own accord, another codec in mid-call; its answer to OPTIONS names nothing.
- Twinkle: session intervals, SRTP with SDES (it has ZRTP), ICE, G.722 and Opus.
- SIPp plays what the phones cannot be made to do; it has no sound.
"""


def cell(name):
    """Feature, peer and direction of a test; None when it is no cell."""
    match = CELL.fullmatch(name)
    if not match or BETWEEN.fullmatch(name) or (match["caller"] == "sori") == (match["callee"] == "sori"):
        return None
    calls = match["callee"] == "sori"
    return match["feature"], match["caller"] if calls else match["callee"], "calls" if calls else "is called"


def write(path, passed, failed):
    """Writes the page. `passed` are names of tests, `failed` maps names to what went wrong."""
    cells, between = {}, {}
    for name in [*passed, *failed]:
        if match := BETWEEN.fullmatch(name):
            between.setdefault(match["feature"], []).append((f"{match['caller']} calls {match['callee']}", failed.get(name)))
        elif found := cell(name):
            cells.setdefault(found, []).append((name, failed.get(name)))
    columns = [(p, d) for p in PEERS for d in ("is called", "calls") if any(c[1:] == (p, d) for c in cells)]
    rows = ["| | " + " | ".join(f"{p} {d}" for p, d in columns) + " |", "|---|" + "---|" * len(columns)]
    features = {c[0] for c in cells}
    for feature in [*(f for f in ROWS if f in features), *sorted(features - set(ROWS))]:
        marks = [mark([why for _, why in cells.get((feature, *column), [])]) for column in columns]
        rows.append(f"| {ROWS.get(feature, feature)} | " + " | ".join(marks) + " |")
    through = ["| | |", "|---|---|"]
    for feature, tests in between.items():
        told = ", ".join(pair + (f" (fails: {why})" if why else "") for pair, why in dict.fromkeys(tests))
        through.append(f"| {HOPS[feature]} | {told} |")
    reasons = [f"- {name}: {why}" for name, why in failed.items() if cell(name) or BETWEEN.fullmatch(name)]
    failures = "\n## What fails, and why\n\n" + "\n".join(reasons) + "\n" if reasons else ""
    with open(path, "w") as file:
        file.write(TEXT.format(date=datetime.date.today().isoformat(), versions=versions(), table="\n".join(rows), between="\n".join(through),
                               failures=failures))


def mark(results):
    """What stands in a cell: results are None, or what went wrong."""
    good = results.count(None)
    if not results:
        return "–"
    return "yes" if good == len(results) else f"{good} of {len(results)}"


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

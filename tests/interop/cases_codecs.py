"""Each codec between our phone and every peer that has it, in both directions, with the sound compared."""
import time

from cases import case, server
from cases_calls import TALK, phone
from rtp import missing
from wav import compare
from world import HOSTS, check

# How alike a 200 ms block has to be to what was played: codecs of few bits keep what is heard, not the wave, and baresip
# changes the rate of its file without a filter.
ALIKE = {"pcma": 0.95, "g722": 0.7, "opus": 0.8, "gsm": 0.7, "speex": 0.7, "speex16": 0.7, "g729": 0.6, "g723": 0.6}
# What our phone calls them in its events, and their samples per second.
AGREED = {"pcma": ("PCMA", 8000), "g722": ("G722", 16000), "opus": ("opus", 48000), "gsm": ("GSM", 8000), "speex": ("speex", 8000),
          "speex16": ("speex", 16000), "g729": ("G729", 8000), "g723": ("G723", 8000)}
PEERS = {"sori": list(ALIKE), "pjsua2": ["pcma", "g722", "gsm", "speex", "speex16"], "baresip": ["pcma", "g722", "gsm", "opus"],
         "linphone": ["opus", "gsm", "speex", "speex16"], "twinkle": ["pcma", "gsm", "speex", "speex16"]}


def make_codec(codec, caller_kind, callee_kind):
    def run(world):
        served = server(world, ("alice", "bob"))
        caller = phone(world, caller_kind, "alice", served, "alice", 1, codecs=(codec,))
        callee = phone(world, callee_kind, "bob", served, "bob", 2, codecs=(codec,), answers=True)
        callee.start()
        caller.start()
        caller.dial(served.uri(callee.user))
        agreed = caller.wait_established(), callee.wait_established()
        time.sleep(TALK + 3 * ("twinkle" in (caller_kind, callee_kind)))  # its microphone opens late
        caller.hangup()
        ended = caller.wait_ended(), callee.wait_ended()
        for each, event, end in zip((caller, callee), agreed, ended):
            each.stop()
            if each.kind == "sori":
                found = event["codec"], event["sample_rate"]
                check(found == AGREED[codec], f"{each.name} speaks {found}, not {AGREED[codec]}")
                # A peer short of time leaves numbers out itself: what counts is what reached our host.
                other = callee if each is caller else caller
                absent = 0 if other.kind == "sori" else missing(world.stop_capture(), HOSTS[other.host], HOSTS[each.host])
                check(end["packets_lost"] <= absent, f"{each.name}: {end['packets_lost']} packets lost, {absent} of them never sent")
        for speaker, listener in ((caller, callee), (callee, caller)):
            # A sound server changes the wave a little.
            alike = min(ALIKE[codec], 0.6) if "twinkle" in (caller_kind, callee_kind) else ALIKE[codec]
            match = compare(speaker.played.astype(float), listener.recording(), alike)
            print(f"{listener.name} heard {speaker.name}: {match}")
            # Hisses have no wave to keep. pjsua2's G.722 counts in 14 bits: it sends half the level and plays twice.
            scale = {"sori": 2, "pjsua2": 0.5}[listener.kind] if codec == "g722" and "pjsua2" in (speaker.kind, listener.kind) else 1
            check(match.seconds > TALK - 1.5 and match.found >= 0.75 and (0.3 if speaker.kind == "twinkle" else 0.6) < match.level * scale < 1.5,
                  f"{listener.name} did not hear {speaker.name} well: {match}")
    return run


for _peer, _codecs in PEERS.items():
    for _codec in _codecs:
        for _caller, _callee in (("sori", _peer), (_peer, "sori")) if _peer != "sori" else (("sori", "sori"),):
            case(f"codec-{_codec}-{_caller}-{_callee}", pulseaudio=_peer == "twinkle")(make_codec(_codec, _caller, _callee))

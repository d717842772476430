"""Two phones, one call, sound in both directions."""
import itertools
import time

from baresip import Baresip
from cases import case, server
from linphone import Linphone
from pjsua import Pjsua
from rtp import sound
from sori import TALKED, Phone
from twinkle import Twinkle
from wav import compare
from world import HOSTS, check

PHONES = {"sori": Phone, "pjsua2": Pjsua, "baresip": Baresip, "linphone": Linphone, "twinkle": Twinkle}
#: Those that call each other through our server too.
ALL_PAIRS = ("sori", "pjsua2", "baresip")
TALK = 5.0


def phone(world, kind, host, served, user, seed, **options):
    """A phone of that kind for a user of the server."""
    return PHONES[kind](world, host, served, user, f"pw-{user}", seed, **options)


def check_sound(speaker, listener, seconds):
    """Fails unless what the speaker played is in what the listener recorded."""
    # A sound server between them changes the wave a little.
    match = compare(speaker.played.astype(float), listener.recording(), 0.6 if "twinkle" in (speaker.kind, listener.kind) else 0.85)
    print(f"{listener.name} heard {speaker.name}: {match}")
    # The jitter buffers of the peers drop frames when they change their delay, whoever speaks.
    least = 0.9 if listener.kind == "sori" else 0.75
    if "sori" in (speaker.kind, listener.kind) or speaker is listener:
        quietest = 0.3 if speaker.kind == "twinkle" else 0.5
        check(is_good(match, seconds, least, quietest), f"{listener.name} did not hear {speaker.name} well: {match}")
        return
    # Two peers talk past us: what we owe them is that the sound goes from one to the other. What the listener makes of it
    # is its own (baresip's recorder stays empty now and then).
    wire = compare(speaker.played.astype(float), sound(listener.world.stop_capture(), listener.world.relay or HOSTS[speaker.host], HOSTS[listener.host]))
    print(f"on the wire from {speaker.name} to {listener.name}: {wire}")
    check(is_good(wire, seconds, 0.9), f"{speaker.name} was not sent well to {listener.name}: {wire}")


def is_good(match, seconds, least, quietest=0.5):
    """Whether so many seconds of the sound are there, with so large a share of its blocks."""
    return match.seconds > seconds and match.blocks >= seconds * 2 and match.found >= least and quietest < match.level < 1.5


def check_statistics(ended, seconds):
    """Fails unless the numbers our phone gives at the end fit a call of that length on a network without loss."""
    expected = seconds * 50
    sent, received, lost = (ended.get(k) for k in ("packets_sent", "packets_received", "packets_lost"))
    check(None not in (sent, received, lost), f"the event ended lacks packet counts: {ended}")
    check(expected * 0.9 < sent < expected * 1.3, f"{sent} packets sent in a call of {seconds:.1f} s")
    check(expected * 0.9 < received < expected * 1.3, f"{received} packets received in a call of {seconds:.1f} s")
    check(lost == 0, f"{lost} packets lost on a network that loses none")


def talk(world, caller, callee, hangup_by, served):
    """One call from beginning to end."""
    callee.start()
    caller.start()
    caller.dial(served.uri(callee.user))
    caller.wait_established()
    callee.wait_established()
    # Twinkle opens its microphone three seconds late.
    time.sleep(TALK + 3 * ("twinkle" in (caller.kind, callee.kind)))
    (caller if hangup_by == "caller" else callee).hangup()
    ended = caller.wait_ended(), callee.wait_ended()
    if caller.kind == "sori":
        code = caller.process.wait(10)
        check(code == TALKED, f"sori call exited with {code} after a call that was talked and ended")
    for each in (caller, callee):
        each.stop()
    for each, event in zip((caller, callee), ended):
        if each.kind == "sori":
            if "twinkle" not in (caller.kind, callee.kind):
                check_statistics(event, TALK)
    check_sound(caller, callee, TALK - 1)
    check_sound(callee, caller, TALK - 1)


def make_call(caller_kind, callee_kind, transport, hangup_by):
    def run(world):
        served = server(world, ("alice", "bob"))
        caller = phone(world, caller_kind, "alice", served, "alice", 1, transport=transport)
        callee = phone(world, callee_kind, "bob", served, "bob", 2, transport=transport, answers=True)
        talk(world, caller, callee, hangup_by, served)
    return run


for _caller, _callee, _transport in itertools.product(PHONES, PHONES, ("udp", "tcp")):
    _ours = "sori" in (_caller, _callee)
    if not _ours and not {_caller, _callee} <= set(ALL_PAIRS):
        continue
    # Each side hangs up once, over one of the transports.
    _by = "caller" if _transport == "udp" else "callee"
    case(f"call-{_caller}-{_callee}-{_transport}-{_by}-hangs-up", needs_sori=_ours, pulseaudio="twinkle" in (_caller, _callee))(
        make_call(_caller, _callee, _transport, _by))


def make_dtmf(caller_kind, callee_kind, digits="159#"):
    def run(world):
        served = server(world, ("alice", "bob"))
        caller = phone(world, caller_kind, "alice", served, "alice", 1)
        callee = phone(world, callee_kind, "bob", served, "bob", 2, answers=True)
        callee.start()
        caller.start()
        if caller.kind == "sori":
            caller.dial(served.uri("bob"), "--dtmf", digits)
        else:
            caller.dial(served.uri("bob"))
        caller.wait_established()
        callee.wait_established()
        if caller.kind != "sori":
            caller.send_dtmf(digits)
        callee.wait_dtmf(digits, 15)
        caller.hangup()
        caller.wait_ended()
        callee.wait_ended()
    return run


for _caller, _callee in (("sori", "pjsua2"), ("pjsua2", "sori"), ("sori", "baresip"), ("baresip", "sori"), ("sori", "linphone"),
                         ("linphone", "sori"), ("sori", "twinkle"), ("twinkle", "sori"), ("sori", "sori"), ("pjsua2", "pjsua2")):
    case(f"dtmf-{_caller}-{_callee}", needs_sori="sori" in (_caller, _callee), pulseaudio="twinkle" in (_caller, _callee))(
        make_dtmf(_caller, _callee))


@case("fork-first-answer-wins")
def fork(world):
    """Bob has two phones: both ring, one answers, the other is cancelled."""
    served = server(world, ("alice", "bob"))
    answering = phone(world, "pjsua2", "bob", served, "bob", 2, answers=True, name="pjsua2-answering")
    ringing = phone(world, "pjsua2", "carol", served, "bob", 3, name="pjsua2-ringing")
    caller = phone(world, "pjsua2", "alice", served, "alice", 1)
    for each in (ringing, answering, caller):
        each.start()
    check(len(served.bindings("bob")) == 2, f"bob's bindings: {served.bindings('bob')}")
    caller.dial(served.uri("bob"))
    caller.wait_established()
    answering.wait_established()
    ended = ringing.wait_ended(5)
    check(ended["status"] == 487, f"the phone that only rang saw {ended['status']}, not 487")
    caller.hangup()
    answering.wait_ended()


@case("message-pjsua2-pjsua2")
def message(world):
    served = server(world, ("alice", "bob"))
    sender, receiver = (phone(world, "pjsua2", host, served, host, 1) for host in ("alice", "bob"))
    receiver.start()
    sender.start()
    text = "안녕하세요, ça va? <b>&amp;</b>"
    sender.message(served.uri("bob"), text)
    receiver.process.wait_event("message", text=text)

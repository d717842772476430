"""Phones behind the kernel's address translators, with nothing of their own against it: no STUN, no ICE."""
import sys
import time

from cases import case, server
from cases_calls import TALK, check_sound, phone, talk
from nat import KINDS, forget_after, hide
from tshark import packets
from world import HOSTS, check

OURS = ("sori",)


def make_echo(kind, translator):
    def run(world):
        """The sound goes back to where it comes from, not to the address that the phone describes."""
        hide(world, "alice", translator)
        served = server(world, ("alice",))
        caller = phone(world, kind, "alice", served, "alice", 1)
        caller.start()
        caller.dial(served.uri("echo"))
        caller.wait_established()
        time.sleep(TALK)
        caller.hangup()
        caller.wait_ended()
        caller.stop()
        check_sound(caller, caller, TALK - 1.5)
    return run


for _translator in KINDS:
    for _kind in ("sori", "pjsua2"):
        case(f"nat-echo-{_kind}-behind-{_translator}", servers=OURS)(make_echo(_kind, _translator))


def make_kept_alive(kind):
    def run(world):
        """A translator that forgets after 27 seconds; the phone behind it is still rung after 35.

        Our phone hides the address that it has inside and keeps the translator awake; pjsua here tells it, and the server does."""
        hide(world, "bob", "random")
        forget_after("bob", 27)
        served = server(world, ("alice", "bob"))
        callee = phone(world, kind, "bob", served, "bob", 2, answers=True)
        callee.start()
        time.sleep(35)
        caller = phone(world, "sori", "alice", served, "alice", 1)
        caller.dial(served.uri("bob"))
        caller.wait_established()
        caller.hangup()
        callee.wait_ended()
    return run


for _kind in ("sori", "pjsua2"):
    case(f"nat-mapping-is-kept-alive-{_kind}", servers=OURS, seconds=75)(make_kept_alive(_kind))


def relayed(world, pairs):
    """Fails when sound went past the server, or did not come through it."""
    capture = world.stop_capture()
    for source, target in pairs:
        # 20 ms of G.711; tshark knows RTP by the descriptions, and those name other addresses here.
        found = packets(capture, f"udp.length == 180 && ip.src == {source} && ip.dst == {target}")
        check(len(found) > 100, f"{len(found)} packets of sound from {source} to {target}")
    alice, bob = HOSTS["alice"], HOSTS["bob"]
    around = packets(capture, f"udp && ip.addr == {alice} && ip.addr == {bob}")
    check(not around, f"{len(around)} datagrams went past the server")


def make_call(caller_kind, callee_kind, caller_translator, callee_translator, hangup_by):
    def run(world):
        if caller_translator:
            hide(world, "alice", caller_translator)
        if callee_translator:
            # The same inside address as the other one's: nothing may be sent to either.
            hide(world, "bob", callee_translator)
        served = server(world, ("alice", "bob"))
        world.relay = HOSTS["server"]
        caller = phone(world, caller_kind, "alice", served, "alice", 1)
        callee = phone(world, callee_kind, "bob", served, "bob", 2, answers=True)
        talk(world, caller, callee, hangup_by, served)
        alice, bob, relay = HOSTS["alice"], HOSTS["bob"], world.relay
        relayed(world, [(alice, relay), (relay, bob), (bob, relay), (relay, alice)])
    return run


for _caller, _callee, _by in (("sori", "sori", "caller"), ("pjsua2", "sori", "callee"), ("sori", "pjsua2", "caller"), ("pjsua2", "pjsua2", "callee")):
    for _one, _other in (("kept", "kept"), ("random", "random"), ("random", "kept")):
        case(f"nat-both-{_caller}-{_callee}-{_one}-{_other}", servers=OURS, needs_sori="sori" in (_caller, _callee))(
            make_call(_caller, _callee, _one, _other, _by))
    case(f"nat-caller-{_caller}-{_callee}", servers=OURS)(make_call(_caller, _callee, "random", None, _by))
    case(f"nat-callee-{_caller}-{_callee}", servers=OURS)(make_call(_caller, _callee, None, "random", _by))
case("nat-callee-baresip-sori", servers=OURS)(make_call("baresip", "sori", None, "random", "caller"))
case("nat-caller-sori-baresip", servers=OURS)(make_call("sori", "baresip", "random", None, "callee"))


#: Sends RTP to every port that sound may come to, again and again: whoever listens to the first comer listens to this.
STRANGER = """
import socket, struct, time
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("0.0.0.0", 4000))
number = 0
while True:
    number += 1
    packet = struct.pack(">BBHII", 0x80, 0, number & 0xffff, number * 160, 0xbad) + b"\\x80" * 160
    for port in range(16384, 32768, 2):
        end.sendto(packet, ("%s", port))
    if number == 1:
        print("sent", flush=True)
    time.sleep(1)
"""


@case("nat-a-stranger-gets-no-sound", servers=OURS)
def stranger(world):
    """Somebody who sends to all ports, before the call and during it, is sent nothing, and is not heard."""
    hide(world, "alice", "random")
    hide(world, "bob", "random")
    served = server(world, ("alice", "bob"))
    world.spawn("stranger", "carol", [sys.executable, "-c", STRANGER % HOSTS["server"]]).wait_text("sent")
    talk(world, phone(world, "sori", "alice", served, "alice", 1), phone(world, "sori", "bob", served, "bob", 2, answers=True), "caller", served)
    capture = world.stop_capture()
    tried = packets(capture, f"ip.src == {HOSTS['carol']} && ip.dst == {HOSTS['server']} && udp.srcport == 4000")
    got = packets(capture, f"udp && !icmp && ip.dst == {HOSTS['carol']} && udp.dstport == 4000")
    check(len(tried) > 2 * 8192 and not got, f"the stranger sent {len(tried)} packets and got {len(got)}")

"""What happens to calls that stand, or ring: hold, transfer, keys by INFO, conference, diversion. Our phone is driven by a script."""
import time

from cases import case, server
from cases_calls import PHONES, check_sound, is_good, phone
from sori import Script
from wav import compare
from world import check

TALK = 4.0


def ours(world, host, served, seed, answers=False, sounds=True):
    made = Script(world, host, served, host, f"pw-{host}", seed, answers=answers)
    made.start(sounds=sounds)
    return made


def peer(world, kind, host, served, seed, answers=True):
    made = PHONES[kind](world, host, served, host, f"pw-{host}", seed, answers=answers)
    made.start()
    return made


def stop(*phones):
    for each in phones:
        each.stop()


def quits(phone):
    """Our phone ends when it is told to, and says that all is well."""
    phone.write("quit")
    code = phone.process.wait(10)
    check(code == 0, f"{phone.name} exited with {code}")


def heard(speaker, listener):
    """Fails unless the speaker was heard, but for what jitter buffers drop while a stream changes."""
    match = compare(speaker.played.astype(float), listener.recording())
    print(f"{listener.name} heard {speaker.name}: {match}")
    check(is_good(match, TALK - 1, 0.75), f"{listener.name} did not hear {speaker.name} well: {match}")


# Hold.

@case("hold-sori-pjsua2", needs_sori=True)
def hold(world):
    """We call and hold, then the peer does."""
    served = server(world, ("alice", "bob"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    alice = ours(world, "alice", served, 1)
    alice.dial("bob")
    alice.write("hold")
    alice.wait("hold", by_us=True, by_peer=False)
    bob.process.wait_event("media", status="remote_hold")
    alice.write("resume")
    alice.wait("hold", by_us=False, by_peer=False)
    bob.process.write("hold")
    alice.wait("hold", by_us=False, by_peer=True)
    bob.process.write("unhold")
    alice.write("wait hold 0 10\ncalls")
    state = alice.wait("call", 15)
    check(not state["held_by_us"] and not state["held_by_peer"], f"somebody is still on hold: {state}")
    time.sleep(TALK)
    alice.hangup()
    alice.wait("ended", cause="hung_up_here")
    quits(alice)
    stop(bob)
    check_sound(alice, bob, TALK - 1)
    check_sound(bob, alice, TALK - 1)


@case("hold-pjsua2-sori", needs_sori=True)
def hold_by_peer(world):
    """The peer calls and holds; then we hold too, and both take it back."""
    served = server(world, ("alice", "bob"))
    bob = ours(world, "bob", served, 2, answers=True)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    alice.dial(served.uri("bob"))
    bob.wait("established")
    alice.wait_established()
    time.sleep(1)  # the peer settles on one codec by a second offer
    alice.process.write("hold")
    bob.wait("hold", by_us=False, by_peer=True)
    alice.process.write("unhold")
    bob.wait("hold", by_us=False, by_peer=False)
    bob.write("hold")
    alice.process.wait_event("media", status="remote_hold")
    bob.wait("hold", by_us=True)  # the peer knows first
    bob.write("resume\nsleep 1\ncalls")
    state = bob.wait("call", 15)
    check(not state["held_by_us"], f"still on hold: {state}")
    alice.hangup()
    bob.wait("ended", cause="hung_up_there")
    quits(bob)
    stop(alice)


@case("hold-sori-baresip", needs_sori=True)
def hold_baresip(world):
    served = server(world, ("alice", "bob"))
    bob = peer(world, "baresip", "bob", served, 2)
    alice = ours(world, "alice", served, 1)
    alice.dial("bob")
    alice.write("hold")
    alice.wait("hold", by_us=True)
    alice.write("resume")
    alice.wait("hold", by_us=False, by_peer=False)
    bob.command("hold")
    alice.wait("hold", by_us=False, by_peer=True)
    bob.command("resume")
    alice.write("sleep 2\ncalls")
    state = alice.wait("call", 15)
    check(not state["held_by_peer"], f"still held by the peer: {state}")
    alice.hangup()
    alice.wait("ended", cause="hung_up_here")
    quits(alice)
    stop(bob)


# Codecs, keys, messages within a call.

@case("codec-change-sori-pjsua2", needs_sori=True)
def codec(world):
    """The codec of a call is changed, and it sounds on."""
    served = server(world, ("alice", "bob"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    alice = ours(world, "alice", served, 1)
    alice.dial("bob")
    alice.write("codec 0 pcma")
    alice.wait("media_changed", codec="PCMA")
    time.sleep(TALK)
    alice.hangup()
    alice.wait("ended")
    quits(alice)
    stop(bob)
    heard(alice, bob)
    heard(bob, alice)


@case("dtmf-info-sori-pjsua2", needs_sori=True)
def info(world):
    """Keys by INFO, both ways."""
    served = server(world, ("alice", "bob"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    caller = phone(world, "sori", "alice", served, "alice", 1, name="sori-caller")
    caller.dial(served.uri("bob"), "--dtmf", "70", "--dtmf-by", "info")
    bob.wait_dtmf("70")
    caller.hangup()
    caller.wait_ended()
    alice = ours(world, "alice", served, 1)
    alice.dial("bob")
    alice.write("dtmf 0 12*# info")
    bob.wait_dtmf("7012*#")
    check(all(e["method"] == "info" for e in bob.process.events() if e["event"] == "dtmf"), "the peer heard telephone-events")
    bob.process.write("dtmfinfo 98")
    alice.wait_dtmf("98")
    check(all(e["by"] == "info" for e in alice.process.events() if e["event"] == "dtmf"), "we heard telephone-events")
    alice.hangup()
    alice.wait("ended")
    quits(alice)
    stop(bob)


# Transfer.

@case("transfer-blind-sori-pjsua2-pjsua2", needs_sori=True)
def blind(world):
    """We ask the peer to call somebody else."""
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = ours(world, "alice", served, 1)
    call = alice.dial("bob")
    alice.write(f"transfer {call} carol")
    carol.wait_established(15)
    alice.wait("transferred", 15)
    alice.wait("ended", call=call)
    bob.process.wait_event("established", 10, call=1)
    quits(alice)
    time.sleep(TALK)
    stop(bob, carol)


@case("transfer-blind-sori-baresip-pjsua2", needs_sori=True)
def blind_baresip(world):
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, "baresip", "bob", served, 2)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = ours(world, "alice", served, 1)
    call = alice.dial("bob")
    alice.write(f"transfer {call} carol")
    carol.wait_established(15)
    alice.wait("transferred", 15)
    alice.wait("ended", call=call)
    quits(alice)
    stop(bob, carol)


@case("transfer-blind-pjsua2-sori-pjsua2", needs_sori=True)
def blind_asked(world):
    """The peer asks us to call somebody else."""
    served = server(world, ("alice", "bob", "carol"))
    bob = ours(world, "bob", served, 2, answers=True)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    alice.dial(served.uri("bob"))
    bob.wait("established", call=0)
    alice.wait_established()
    time.sleep(1)
    alice.process.write(f"xfer {served.uri('carol')}")
    asked = bob.wait("transfer_requested", call=0)
    check("carol" in asked["target"] and not asked["attended"], f"another transfer was asked for: {asked}")
    bob.write("accept-transfer 0")
    bob.wait("established", call=1)
    carol.wait_established()
    alice.process.wait_event("transferring", 10, status=200)
    time.sleep(TALK)
    bob.write("hangup 1")
    bob.wait("ended", call=1)
    quits(bob)
    stop(alice, carol)


@case("transfer-blind-pjsua2-pjsua2-sori", needs_sori=True)
def blind_target(world):
    """We are the one who is called in the end."""
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    carol = ours(world, "carol", served, 3, answers=True)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    alice.dial(served.uri("bob"))
    alice.wait_established()
    time.sleep(1)
    alice.process.write(f"xfer {served.uri('carol')}")
    carol.wait("established")
    alice.process.wait_event("transferring", 10, status=200)
    carol.write("hangup")
    carol.wait("ended")
    quits(carol)
    stop(alice, bob)


@case("transfer-attended-sori-pjsua2-pjsua2", needs_sori=True)
def attended(world):
    """We connect two peers with each other."""
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = ours(world, "alice", served, 1)
    first = alice.dial("bob")
    alice.write("hold")
    alice.wait("hold", call=first, by_us=True)
    second = alice.dial("carol")
    alice.write(f"transfer {first} to {second}")
    alice.wait("transferred", 15)
    alice.wait("ended", 10, call=first)
    alice.wait("ended", 10, call=second)
    bob.process.wait_event("established", 10, call=1)
    carol.process.wait_event("established", 10, call=1)
    quits(alice)
    time.sleep(TALK)
    stop(bob, carol)


@case("transfer-attended-pjsua2-sori-pjsua2", needs_sori=True)
def attended_asked(world):
    """The peer connects us with somebody."""
    served = server(world, ("alice", "bob", "carol"))
    bob = ours(world, "bob", served, 2, answers=True)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    connect_by_pjsua2(served, alice, bob, carol)
    asked = bob.wait("transfer_requested", call=0)
    check(asked["attended"], f"it is no attended transfer: {asked}")
    bob.write("accept-transfer 0")
    bob.wait("established", call=1)
    carol.process.wait_event("ended", 10, call=0)
    alice.process.wait_event("transferring", 10, status=200)
    alice.hangup()  # the agent is an application that has to end what it transferred
    bob.wait("ended", call=0)
    quits(bob)
    stop(alice, carol)


@case("transfer-attended-pjsua2-pjsua2-sori", needs_sori=True)
def attended_target(world):
    """The call with the one who transfers is replaced at our side."""
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    carol = ours(world, "carol", served, 3, answers=True)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    connect_by_pjsua2(served, alice, bob, carol)
    carol.wait("replaced", call=0, by=1)
    carol.wait("ended", call=0)
    carol.wait("established", call=1)
    quits(carol)
    stop(alice, bob)


def connect_by_pjsua2(served, alice, bob, carol):
    """Alice calls both, one after the other, and connects them."""
    alice.dial(served.uri("bob"))
    alice.process.wait_event("established", call=0)
    time.sleep(1)
    alice.process.write("hold")
    alice.process.wait_event("media", call=0, status="local_hold")
    alice.dial(served.uri("carol"))
    alice.process.wait_event("established", call=1)
    time.sleep(1)
    alice.process.write("use 0")
    alice.process.write("xferto 1")


# Conference.

def conference(world, kinds):
    """We join two calls and say nothing: each of the others hears the other."""
    served = server(world, ("alice", "bob", "carol"))
    bob = peer(world, kinds[0], "bob", served, 2)
    carol = peer(world, kinds[1], "carol", served, 3)
    alice = ours(world, "alice", served, 1, sounds=False)
    first = alice.dial("bob")
    alice.write("hold")
    alice.wait("hold", call=first, by_us=True)
    second = alice.dial("carol")
    alice.write(f"conference {first} {second}")
    alice.wait("conference", call=first, joined=True)
    alice.wait("conference", call=second, joined=True)
    alice.wait("hold", call=first, by_us=False)
    time.sleep(TALK + 1)
    alice.write("hangup all")
    alice.wait("ended", call=first)
    alice.wait("ended", call=second)
    quits(alice)
    stop(bob, carol)
    for speaker, listener in ((carol, bob), (bob, carol)):
        if listener.kind != "baresip":  # its recorder stays empty now and then
            heard(speaker, listener)


@case("conference-sori-pjsua2", needs_sori=True)
def conference_pjsua2(world):
    conference(world, ("pjsua2", "pjsua2"))


@case("conference-sori-baresip-pjsua2", needs_sori=True)
def conference_baresip(world):
    conference(world, ("baresip", "pjsua2"))


# Calls that ring here and go elsewhere.

@case("divert-sori-sori-pjsua2", needs_sori=True)
def divert(world):
    """All calls are sent to somebody else, and the caller follows."""
    served = server(world, ("alice", "bob", "carol"))
    bob = ours(world, "bob", served, 2)
    carol = peer(world, "pjsua2", "carol", served, 3)
    alice = ours(world, "alice", served, 1)
    bob.write("divert always carol")
    bob.write("status")
    bob.wait("status")
    alice.dial("bob")
    carol.wait_established()
    bob.wait("diverted")
    alice.hangup()
    alice.wait("ended")
    quits(alice)
    quits(bob)
    stop(carol)


@case("do-not-disturb-pjsua2-sori", needs_sori=True)
def dnd(world):
    """A caller that must not disturb is told so."""
    served = server(world, ("alice", "bob"))
    bob = ours(world, "bob", served, 2)
    alice = peer(world, "pjsua2", "alice", served, 1, answers=False)
    bob.write("dnd on")
    bob.write("status")
    bob.wait("status")
    alice.dial(served.uri("bob"))
    ended = alice.wait_ended()
    check(ended["status"] == 480, f"the status was {ended['status']}, not 480")
    quits(bob)
    stop(alice)

"""What the phones of others and ours do with each other, feature by feature: the cells of docs/interop.md that no other file has.

A name is FEATURE-CALLER-CALLEE; where three take part the third is a pjsua2.
"""
import os
import re
import subprocess
import time
from types import SimpleNamespace

from cases import case, server
from cases_calls import PHONES, phone
from cases_services import ours, peer, quits, stop
from sipp_steps import Callee, Caller, play, sound
from sori import Script
from tshark import packets
from world import HOSTS, check, until

TEXT = "안녕하세요, ça va?"


def cells(feature, peers, directions=("sori-{}", "{}-sori"), third=False, **options):
    """Registers a function of (world, kind of the peer, whether the peer calls) for these peers, both ways."""
    def keep(function):
        for kind in peers:
            for direction in directions:
                name = f"{feature}-{direction.format(kind)}" + "-pjsua2" * third
                by_peer = not direction.startswith("sori")
                case(name, needs_sori=True, servers=("sori",), pulseaudio=kind == "twinkle", **options)(
                    lambda world, k=kind, b=by_peer: function(world, k, b))
        return function
    return keep


def pair(world, kind, by_peer, answers=True, users=("alice", "bob"), options=None):
    """Our phone and the other, registered: (served, caller, callee, ours, other). The caller is alice, the callee bob."""
    served = server(world, users)
    made = {}
    for host, is_ours, picks_up in (("bob", by_peer, answers), ("alice", not by_peer, False)):
        seed = 1 if host == "alice" else 2
        if is_ours:
            made[host] = ours(world, host, served, seed, answers=picks_up)
        else:
            made[host] = PHONES[kind](world, host, served, host, f"pw-{host}", seed, answers=picks_up, **(options or {}))
            made[host].start()
    mine, other = (made["bob"], made["alice"]) if by_peer else (made["alice"], made["bob"])
    return served, made["alice"], made["bob"], mine, other


def connect(served, caller, callee):
    """The callee answers by itself."""
    if isinstance(caller, Script):
        caller.dial("bob")
        callee.wait_established()
    else:
        caller.dial(served.uri("bob"))
        callee.wait("established")
        caller.wait_established()


def times(phone, kind, **fields):
    """How often our phone told this."""
    return len([e for e in phone.process.events() if e["event"] == kind and all(e.get(k) == v for k, v in fields.items())])


def finish(mine, *others):
    """We hang up what stands."""
    mine.write("hangup all")
    quits(mine)
    stop(*others)


@cells("hold", ("linphone", "twinkle"))
def hold(world, kind, by_peer):
    """Each holds the other and takes it back."""
    served, caller, callee, mine, other = pair(world, kind, by_peer)
    connect(served, caller, callee)
    time.sleep(1)  # the peers settle on one codec
    hold_both(mine, other)
    finish(mine, other)


@cells("hold", ("baresip",), ("{}-sori",))
def hold_baresip(world, kind, by_peer):
    hold(world, kind, by_peer)


def hold_both(mine, other):
    mine.write("hold")
    mine.wait("hold", by_us=True, by_peer=False)
    mine.write("resume")
    mine.wait("hold", by_us=False, by_peer=False)
    other.hold()
    mine.wait("hold", by_us=False, by_peer=True)
    other.wait_holding()
    before = times(mine, "hold", by_us=False, by_peer=False)
    other.resume()
    until(lambda: times(mine, "hold", by_us=False, by_peer=False) > before, 10, "the other never took us back from hold")


@cells("refuse", PHONES.keys() - {"sori"})
def refuse(world, kind, by_peer):
    """The callee refuses; then the caller gives up while it rings."""
    served, caller, callee, mine, other = pair(world, kind, by_peer, answers=False)
    if by_peer:
        caller.dial(served.uri("bob"))
        mine.wait("incoming")
        mine.write("reject")
        caller.wait_ended()
        mine.wait("ended", call=0)
        caller.dial(served.uri("bob"))
        mine.wait("incoming", call=1)
        time.sleep(0.5)  # a provisional response has to come before a CANCEL may leave
        caller.hangup()
        mine.wait("ended", call=1, cause="cancelled")
    else:
        mine.write("dial bob")
        mine.wait("ringing", call=0)
        time.sleep(0.5)
        other.refuse()
        mine.wait("ended", call=0, cause="refused")
        mine.write("dial bob")
        mine.wait("ringing", call=1)
        mine.write("hangup 1")
        mine.wait("ended", call=1, cause="cancelled")
    finish(mine, other)


@cells("message", ("pjsua2", "linphone", "twinkle"))
def message(world, kind, by_peer):
    """Text outside of calls."""
    served, _, _, mine, other = pair(world, kind, by_peer)
    if by_peer:
        other.message(served.uri("bob"), TEXT)
        got = mine.wait("message")
        check(got["text"].strip('"') == TEXT, f"other words came: {got}")
    else:
        mine.write(f"message bob {TEXT}")
        mine.wait("sent", method="MESSAGE", status=200)
        other.wait_message(TEXT)
    finish(mine, other)


@cells("message", ("baresip",), ("sori-{}",))
def message_baresip(world, kind, by_peer):
    message(world, kind, by_peer)


@cells("options", PHONES.keys() - {"sori"}, ("sori-{}",))
def options(world, kind, by_peer):
    """What the other can do, asked without a call."""
    _, _, _, mine, other = pair(world, kind, by_peer)
    mine.write("options bob")
    answer = mine.wait("answered", status=200)
    # Linphone says nothing but 200.
    check(kind == "linphone" or "INVITE" in answer["allow"], f"the answer says little: {answer}")
    finish(mine, other)


@cells("dtmf-info", ("twinkle",))
def keys_by_info(world, kind, by_peer):
    served, caller, callee, mine, other = pair(world, kind, by_peer, options={"keys": "info"})
    connect(served, caller, callee)
    mine.write("dtmf 0 12# info")
    mine.wait("sent", method="INFO", status=200)
    other.send_dtmf("98")
    mine.wait_dtmf("98")
    check(all(e["by"] == "info" for e in mine.process.events() if e["event"] == "dtmf"), "we heard telephone-events")
    finish(mine, other)


@cells("prack", ("pjsua2", "twinkle"))
def prack(world, kind, by_peer):
    """The other insists on provisional responses being acknowledged."""
    required = {"options": ("--prack",)} if kind == "pjsua2" else {"options": ("ext_100rel=required",)}
    # A phone that answers at once has no provisional response to give.
    served, caller, callee, mine, other = pair(world, kind, by_peer, answers=not by_peer, options=required)
    if by_peer:
        caller.dial(served.uri("bob"))
        mine.wait("incoming")
        mine.write("sleep 0.5\nanswer")
        mine.wait("established")
    else:
        connect(served, caller, callee)
    finish(mine, other)
    answered = packets(world.stop_capture(), "sip.Status-Code == 200 && sip.CSeq.method == PRACK")
    check(answered, "no provisional response was acknowledged")


@cells("session-timer", ("pjsua2", "linphone"))
def timer(world, kind, by_peer):
    """A session interval is agreed on."""
    wanted = {"options": ("--timer",)} if kind == "pjsua2" else {"timer": 90}
    served, caller, callee, mine, other = pair(world, kind, by_peer, options=wanted)
    connect(served, caller, callee)
    finish(mine, other)
    found = packets(world.stop_capture(), "sip.Status-Code == 200 && sip.CSeq.method == INVITE && sip.Session-Expires", "sip.Session-Expires")
    check(found and all("refresher=" in value[0] for value in found), f"no interval with a refresher was agreed on: {found}")


@cells("update", ("pjsua2",), ("{}-sori",))
def update(world, kind, by_peer):
    served, caller, callee, mine, other = pair(world, kind, by_peer)
    connect(served, caller, callee)
    time.sleep(1)
    other.process.write("update")
    log = os.path.join(world.dir, f"{other.name}.log")
    until(lambda: re.search(r"response[^\n]*200/UPDATE|200/UPDATE", open(log, errors="replace").read(), re.I), 5, "UPDATE was not answered")
    finish(mine, other)
    check(packets(world.stop_capture(), "sip.Status-Code == 200 && sip.CSeq.method == UPDATE"), "no UPDATE was answered")


def third(world, served):
    """The one who is called in the end."""
    return peer(world, "pjsua2", "carol", served, 3)


THREE = ("alice", "bob", "carol")


@cells("transfer-blind", ("linphone", "twinkle"), ("sori-{}",), third=True)
def transfer(world, kind, by_peer):
    """We ask the other to call somebody else."""
    served, _, callee, mine, other = pair(world, kind, by_peer, users=THREE)
    carol = third(world, served)
    connect(served, mine, callee)
    mine.write("transfer 0 carol")
    carol.wait_established(15)
    mine.wait("transferred", 15)
    mine.wait("ended", call=0)
    quits(mine)
    stop(other, carol)


@cells("transfer-blind", ("baresip", "linphone", "twinkle"), ("{}-sori",), third=True)
def transfer_asked(world, kind, by_peer):
    """The other asks us to call somebody else."""
    served, caller, callee, mine, other = pair(world, kind, by_peer, users=THREE)
    carol = third(world, served)
    connect(served, caller, callee)
    time.sleep(1)
    other.transfer(served.uri("carol"))
    asked = mine.wait("transfer_requested", call=0)
    check("carol" in asked["target"] and not asked["attended"], f"another transfer was asked for: {asked}")
    mine.write("accept-transfer 0")
    mine.wait("established", call=1)
    carol.wait_established()
    finish(mine, other, carol)


@cells("transfer-attended", ("linphone", "twinkle"), ("sori-{}",), third=True)
def connecting(world, kind, by_peer):
    """We connect the other with somebody."""
    served, _, callee, mine, other = pair(world, kind, by_peer, users=THREE)
    carol = third(world, served)
    connect(served, mine, callee)
    mine.write("hold")
    mine.wait("hold", call=0, by_us=True)
    second = mine.dial("carol")
    mine.write(f"transfer 0 to {second}")
    mine.wait("transferred", 15)
    mine.wait("ended", call=second)
    carol.process.wait_event("established", 10, call=1)
    quits(mine)
    stop(other, carol)


@cells("transfer-attended", ("linphone", "twinkle"), ("{}-sori",), third=True)
def connected(world, kind, by_peer):
    """The other connects us with somebody."""
    served, caller, callee, mine, other = pair(world, kind, by_peer, users=THREE)
    carol = third(world, served)
    connect(served, caller, callee)
    time.sleep(1)
    other.consult(served.uri("carol"))
    carol.wait_established()
    mine.wait("hold", call=0, by_peer=True)
    time.sleep(1)
    other.connect_both()
    if kind == "twinkle":  # it sends the second one to us
        mine.wait("replaced", call=0, by=1)
    else:
        asked = mine.wait("transfer_requested", call=0)
        check(asked["attended"], f"it is no attended transfer: {asked}")
        mine.write("accept-transfer 0")
    mine.wait("established", call=1)
    carol.process.wait_event("ended", 10, call=0)
    finish(mine, other, carol)


@cells("divert", ("baresip", "linphone", "twinkle"), ("{}-sori",), third=True)
def divert(world, kind, by_peer):
    """We send the caller to somebody else."""
    served, caller, _, mine, other = pair(world, kind, by_peer, answers=False, users=THREE)
    carol = third(world, served)
    mine.write("divert always carol")
    mine.write("status")
    mine.wait("status")
    caller.dial(served.uri("bob"))
    mine.wait("diverted")
    carol.wait_established()
    caller.wait_established()
    caller.hangup()
    carol.wait_ended()
    finish(mine, other, carol)


@cells("conference", ("linphone", "twinkle"), ("sori-{}",), third=True)
def conference(world, kind, by_peer):
    """We join two calls, and each is heard by the other: the streams run."""
    served, _, callee, mine, other = pair(world, kind, by_peer, users=THREE)
    carol = third(world, served)
    connect(served, mine, callee)
    mine.write("hold")
    mine.wait("hold", call=0, by_us=True)
    second = mine.dial("carol")
    mine.write(f"conference 0 {second}")
    for call in (0, second):
        mine.wait("conference", call=call, joined=True)
    mine.wait("hold", call=0, by_us=False)
    mine.write("sleep 2\nhangup all")
    for call in (0, second):
        ended = mine.wait("ended", call=call)
        check(ended["packets_received"] > 80, f"too little came from call {call}: {ended}")
    quits(mine)
    stop(other, carol)


@case("anonymous-sori-pjsua2", needs_sori=True, servers=("sori",))
def anonymous(world):
    """Who calls is hidden from the callee."""
    served = server(world, ("alice", "bob"))
    bob = peer(world, "pjsua2", "bob", served, 2)
    alice = phone(world, "sori", "alice", served, "alice", 1)
    alice.dial(served.uri("bob"), "--anonymous")
    alice.wait_established()
    seen = bob.process.wait_event("incoming")["remote"]
    check("anonymous@anonymous.invalid" in seen and "alice" not in seen, f"the callee saw {seen}")
    alice.hangup()
    alice.wait_ended()
    bob.stop()
    asked = packets(world.stop_capture(), "sip.Method == INVITE && ip.dst == 10.77.0.3", "sip.Privacy", "sip.P-Preferred-Identity")
    check(asked and all(found == ["id", ""] for found in asked), f"privacy was not asked for: {asked}")


# Against SIPp, without a server between.

def alone(world, answers=False):
    """Our phone on alice, which sends what it sends to SIPp on bob."""
    way = SimpleNamespace(domain="sori.test", address=HOSTS["bob"], port=5060, port_of=lambda _transport: 5060)
    made = Script(world, "alice", way, "alice", "", 1, answers=answers)
    made.spawn(["phone", "--headless"], "--no-register", "--port", "5060", *made._sounds(), *(["--answer"] * answers), stdin=True)
    made.write("status")
    made.wait("status")
    return made, SimpleNamespace(address=HOSTS["alice"], port=5060)


def called(name, steps, then=lambda mine: None, answers=True):
    """A cell in which SIPp calls us."""
    @case(f"{name}-sipp-sori", needs_sori=True, servers=("sori",))
    def run(world):
        mine, here = alone(world, answers)
        sipp = play(world, "bob", steps(), target=here)
        then(mine)
        sipp.wait(25)
        quits(mine)


def calling(name, steps, then):
    """A cell in which we call SIPp."""
    @case(f"{name}-sori-sipp", needs_sori=True, servers=("sori",))
    def run(world):
        mine, _ = alone(world)
        sipp = play(world, "bob", steps())
        until(lambda: packets_to_bind(HOSTS["bob"]), 5, "SIPp does not listen")
        then(mine)
        sipp.wait(25)
        quits(mine)


def packets_to_bind(address):
    """Whether somebody on bob listens on port 5060."""
    shown = subprocess.run(["nsenter", "--net=/run/netns/bob", "--", "ss", "-Hlun"], capture_output=True, text=True, check=True).stdout
    return f"{address}:5060" in shown


called("late-offer", lambda: Caller().send("INVITE").expect(100, True).expect(180, True).expect(200).send("ACK", sound()).pause(500).hang_up(),
       lambda mine: mine.wait("established"))
called("hold", lambda: Caller().call().expect(200).send("ACK")
       .send("INVITE", sound(2, "0.0.0.0")).expect(100, True).expect(200).send("ACK").pause(300)
       .send("INVITE", sound(3)).expect(100, True).expect(200).send("ACK").pause(300).hang_up(),
       lambda mine: (mine.wait("hold", by_peer=True), mine.wait("hold", by_peer=False)))
called("update", lambda: Caller().call().expect(200).send("ACK").send("UPDATE", sound(2, direction="sendonly")).expect(200)
       .send("UPDATE", sound(3)).expect(200).pause(200).hang_up(),
       lambda mine: (mine.wait("hold", by_peer=True), mine.wait("hold", by_peer=False)))
called("prack", lambda: Caller().send("INVITE", sound(), "Require: 100rel").expect(100, True).expect(180, keep="RSeq")
       .send("PRACK", None, "RAck: [$1] 1 INVITE").expect(200).expect(200).send("ACK").hang_up(),
       lambda mine: (mine.wait("incoming"), mine.write("sleep 0.5\nanswer")), answers=False)
called("session-timer", lambda: Caller().call("Supported: timer", "Session-Expires: 90;refresher=uac").expect(200).send("ACK")
       .send("UPDATE", None, "Supported: timer", "Session-Expires: 90;refresher=uac").expect(200).hang_up())

calling("early-media", lambda: Callee().expect("INVITE").answer(183, "Session Progress", body=sound()).pause(500).accept().hung_up(),
        lambda mine: (mine.write("dial sip:bob@sori.test"), mine.wait("early_media"), mine.wait("established"), mine.write("hangup")))
calling("forked-early", lambda: Callee().expect("INVITE").answer(180, "Ringing", tag="one").answer(183, "Session Progress", tag="two", body=sound())
        .pause(300).accept(tag="two").hung_up(),
        lambda mine: (mine.write("dial sip:bob@sori.test"), mine.wait("established"), mine.write("hangup")))
calling("glare", lambda: Callee().expect("INVITE").accept().expect("INVITE").answer(491, "Request Pending", tag=None, again=True).expect("ACK")
        .expect("INVITE").accept(sound(2, direction="recvonly"), tag=None).hung_up(),
        lambda mine: (mine.dial("sip:bob@sori.test"), mine.write("hold"), mine.wait("hold", 10, by_us=True), mine.hangup()))
calling("change-refused", lambda: Callee().expect("INVITE").accept().expect("INVITE").answer(488, "Not Acceptable Here", tag=None, again=True)
        .expect("ACK").hung_up(),
        lambda mine: (mine.dial("sip:bob@sori.test"), mine.write("hold"), mine.wait("change_refused", status=488), mine.hangup()))

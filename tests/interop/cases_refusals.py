"""Exit codes and events when a call does not come about, and an orderly end when the user breaks it off."""
import signal
import time

from cases import case, server
from cases_calls import phone
from sipp import Sipp
from sori import NOT_AUTHORISED, REFUSED, TALKED, UNREACHABLE, USAGE, Phone
from world import HOSTS, check, until

OURS = ("sori",)


class Elsewhere:
    """A server that is not there."""

    domain = "sori.test"

    def __init__(self, address, port):
        self.address, self.port = address, port

    def port_of(self, _transport):
        return self.port


def expect(process, code, status=None, seconds=20):
    """Fails unless the program exits with `code`, having named the SIP `status` in an event."""
    got = process.wait(seconds)
    check(got == code, f"{process.name} exited with {got}, not {code}: {process.text().strip()[-400:]}")
    if status:
        check(any(event.get("status") == status for event in process.events()),
              f"no event of {process.name} names the status {status}: {process.events()}")


@case("wrong-password", servers=OURS)
def wrong_password(world):
    served = server(world, ("alice", "bob"))
    caller = Phone(world, "alice", served, "alice", "wrong", 1)
    expect(caller.spawn(["call", served.uri("bob")]), NOT_AUTHORISED)
    check(any(str(event.get("status")) in ("401", "403", "407") for event in caller.process.events()),
          f"no event says why: {caller.process.events()}")
    for command in ("register", "answer"):
        other = Phone(world, "bob", served, "bob", "wrong", 2, name=f"sori-{command}")
        expect(other.spawn([command]), NOT_AUTHORISED)
    check(served.bindings("bob") == [], "a wrong password registered")


@case("unknown-user", servers=OURS)
def unknown_user(world):
    served = server(world, ("alice",))
    expect(Phone(world, "alice", served, "alice", "pw-alice", 1).spawn(["call", served.uri("nobody")]), REFUSED, 404)


@case("not-registered", servers=OURS)
def not_registered(world):
    served = server(world, ("alice", "bob"))
    expect(Phone(world, "alice", served, "alice", "pw-alice", 1).spawn(["call", served.uri("bob")]), REFUSED, 480)


@case("busy", servers=OURS)
def busy(world):
    """The callee, a SIPp bound without a password being asked, refuses with 486."""
    served = server(world, auth=False)
    Sipp(world, "registering", "bob", "register", served, port=5071, calls=1, rows=[("bob", f"{HOSTS['bob']}:5070")],
         keys={"domain": served.domain}).wait()
    answering = Sipp(world, "callee", "bob", "callee_busy", port=5070, calls=1)
    expect(Phone(world, "alice", served, "alice", "pw-alice", 1).spawn(["call", served.uri("bob")]), REFUSED, 486)
    answering.wait()


def make_unreachable(transport, address, port):
    def run(world):
        caller = Phone(world, "alice", Elsewhere(address, port), "alice", "pw-alice", 1, transport=transport)
        expect(caller.spawn(["call", "sip:bob@sori.test"]), UNREACHABLE, seconds=45)
    return run


for _name, _transport, _address, _port in (("udp-port-closed", "udp", HOSTS["server"], 5999), ("tcp-port-closed", "tcp", HOSTS["server"], 5999),
                                           ("udp-no-host", "udp", "10.77.0.99", 5060), ("tcp-no-host", "tcp", "10.77.0.99", 5060)):
    case(f"unreachable-{_name}", seconds=60, servers=OURS)(make_unreachable(_transport, _address, _port))


@case("usage", servers=OURS, capture=False)
def usage(world):
    for number, args in enumerate((["call"], ["nonsense"], ["serve", "--sip", "udp:not-an-address"], ["call", "sip:", "--account", "a@b"])):
        expect(world.spawn(f"sori-{number}", "alice", [world.binary, *args], env={"SORI_PASSWORD": "x"}), USAGE)
    for number, args in enumerate((["--help"], ["call", "--help"], ["user", "add", "--help"], ["--version"])):
        helped = world.spawn(f"sori-help-{number}", "alice", [world.binary, *args])
        expect(helped, 0)
        check(len(helped.text()) > 5, f"sori {' '.join(args)} says nothing")


@case("register-and-remove", servers=OURS)
def register(world):
    served = server(world, ("alice",))
    for transport in ("udp", "tcp"):
        one = Phone(world, "alice", served, "alice", "pw-alice", 1, transport=transport, name=f"sori-{transport}")
        expect(one.spawn(["register"], "--expires", "600"), 0)
        one.process.wait_event("registered", 0)
        check(len(served.bindings("alice")) == 1, f"after sori register: {served.bindings('alice')}")
        one.name += "-remove"
        expect(one.spawn(["register"], "--remove"), 0)
        check(served.bindings("alice") == [], f"after --remove: {served.bindings('alice')}")


@case("options-sori", servers=OURS)
def options(world):
    served = server(world)
    probe = world.spawn("sori-options", "alice", [world.binary, "options", f"sip:{served.address}", "--json"])
    expect(probe, 0, 200)


def make_interrupt(role):
    def run(world):
        served = server(world, ("alice", "bob"))
        ours, other = ("alice", "bob") if role == "caller" else ("bob", "alice")
        mine = phone(world, "sori", ours, served, ours, 1, answers=role == "callee")
        peer = phone(world, "pjsua2", other, served, other, 2, answers=role == "caller")
        first, second = (peer, mine) if role == "caller" else (mine, peer)
        first.start()
        second.start()
        second.dial(served.uri(first.user))
        mine.wait_established()
        peer.wait_established()
        time.sleep(1)
        mine.process.signal(signal.SIGINT)
        peer.wait_ended(5)
        code = mine.process.wait(5)
        check(code == TALKED, f"sori exited with {code} after SIGINT in a call")
        mine.wait_ended(0)
        check(served.bindings(ours) == [], f"still registered after SIGINT: {served.bindings(ours)}")
        check(len(served.bindings(other)) == 1, "the other's registration is gone too")
    return run


for _role in ("caller", "callee"):
    case(f"interrupt-{_role}", servers=OURS)(make_interrupt(_role))


@case("interrupt-while-ringing", servers=OURS)
def interrupt_ringing(world):
    """SIGINT before the answer cancels the call."""
    served = server(world, ("alice", "bob"))
    peer = phone(world, "pjsua2", "bob", served, "bob", 2, answers=False)
    peer.start()
    mine = phone(world, "sori", "alice", served, "alice", 1)
    mine.dial(served.uri("bob"))
    mine.process.wait_event("ringing")
    mine.process.signal(signal.SIGINT)
    ended = peer.wait_ended(5)
    check(ended["status"] == 487, f"the called phone saw {ended['status']}, not 487")
    mine.process.wait(5)
    until(lambda: served.bindings("alice") == [], 2, "still registered after SIGINT")

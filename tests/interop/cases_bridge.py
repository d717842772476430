"""Calls that our server stands in: through gateways, to hunting groups, forwarded, transferred."""
import time

from baresip import Baresip
from cases import case, server
from cases_calls import TALK, check_sound, phone
from console import Console
from kamailio import Kamailio
from pjsua import Pjsua
from sori import Phone, Script, Sori
from world import HOSTS, check, until

OURS = ("sori",)
CONSOLE = f"{HOSTS['server']}:8080"


def ours(world, *users):
    """Our server with its console."""
    served = server(world, users, http=CONSOLE)
    return served, Console(served)


def talked(one, other, by):
    """Sound in both directions, then one of the two hangs up and the other one hears of it."""
    one.wait_established()
    other.wait_established()
    time.sleep(TALK)
    by.hangup()
    for each in (one, other):
        each.wait_ended()
        each.stop()
    check_sound(one, other, TALK - 1.5)
    check_sound(other, one, TALK - 1.5)


@case("trunk-out-to-kamailio", servers=OURS)
def out(world):
    """A number leaves through a gateway that is known by its address; the prefix for lines is taken off."""
    served, console = ours(world, "alice")
    gateway = Kamailio(world, host="carol", domain=HOSTS["carol"], name="gateway", auth=False)
    gateway.add_user("025550100", "pw-far")
    gateway.start()
    far = Pjsua(world, "bob", gateway, "025550100", "pw-far", 2, answers=True)
    far.start()
    trunk = console.trunk("Seoul", HOSTS["carol"], check_every=5)
    console.rule("outside", "9.", {"kind": "trunks", "trunks": [trunk], "mode": "in_order"}, strip=1)
    console.wait_trunk(trunk, "reachable")
    tried = console.post("rules/try", {"caller": f"alice@{served.domain}", "number": "9025550100", "method": "INVITE", "trunk": ""})
    check(tried["kind"] == "trunks" and tried["number"] == "025550100", f"the plan says something else: {tried}")
    near = phone(world, "baresip", "alice", served, "alice", 1)
    near.start()
    near.dial(served.uri("9025550100"))
    talked(near, far, far)


@case("trunk-in-from-kamailio", servers=OURS)
def incoming(world):
    """A gateway rings a number that is an alias; nobody else may call without an account."""
    served, console = ours(world, "alice")
    console.put(f"accounts/alice@{served.domain}", {"aliases": ["0311112222"]})
    gateway = Kamailio(world, host="carol", domain=HOSTS["carol"], name="gateway", auth=False)
    gateway.add_user("021234567", "pw-far")
    gateway.start()
    console.trunk("Seoul", HOSTS["carol"], check_every=0)
    near = phone(world, "pjsua2", "alice", served, "alice", 1, answers=True)
    near.start()
    far = Baresip(world, "bob", gateway, "021234567", "pw-far", 2)
    far.start()
    far.dial(f"sip:+82311112222@{HOSTS['server']}")
    talked(far, near, near)


@case("trunk-registers-at-a-provider", servers=OURS)
def provider(world):
    """Our server is the customer of another one: it registers there, proves who it is, and is called there."""
    served, console = ours(world, "alice")
    there = Sori(world, host="carol", domain="provider.test", name="provider")
    for user in ("customer", "bob"):
        there.add_user(user, f"pw-{user}")
    there.start()
    trunk = console.trunk("Provider", HOSTS["carol"], domain="provider.test", register=True, username="customer", password="pw-customer",
                          check_every=30, incoming="alice", caller_id={"mode": "fixed", "number": "customer"})
    console.rule("outside", "bob", {"kind": "trunks", "trunks": [trunk], "mode": "in_order"})
    console.wait_trunk(trunk, "registered")
    until(lambda: there.bindings("customer"), 5, "the provider knows no contact of its customer")
    near = phone(world, "baresip", "alice", served, "alice", 1, answers=True)
    far = Pjsua(world, "bob", there, "bob", "pw-bob", 2, answers=True)
    near.start()
    far.start()
    near.dial(served.uri("bob"))
    near.wait_established()
    far.wait_established()
    far.hangup()
    near.wait_ended()
    far.wait_ended()
    far.stop()
    again = Pjsua(world, "bob", there, "bob", "pw-bob", 3, name="pjsua-again")
    again.start()
    again.dial(there.uri("customer"))
    talked(again, near, again)


@case("group-rings-all", servers=OURS)
def group(world):
    """Three different phones ring; one answers, the others stop."""
    served, console = ours(world, "alice", "bob", "carol")
    console.post("groups", {"name": "Sales", "number": "600", "members": ["bob", "carol"], "strategy": "all", "ring_for": 20, "fallback": ""})
    silent = phone(world, "baresip", "carol", served, "carol", 3)
    silent.start()
    answers = phone(world, "pjsua2", "bob", served, "bob", 2, answers=True)
    answers.start()
    caller = phone(world, "sori", "alice", served, "alice", 1)
    caller.dial(served.uri("600"))
    talked(caller, answers, caller)
    check("established" not in silent.process.text().lower(), "a phone that did not answer has a call")


@case("forward-when-nobody-answers", servers=OURS)
def forward(world):
    """A phone rings in vain for three seconds; then the call goes to another one."""
    served, console = ours(world, "alice", "bob", "carol")
    console.put(f"accounts/bob@{served.domain}", {"forwards": {"always": "", "busy": "", "no_answer": "carol", "no_answer_after": 3, "unregistered": ""}})
    rings = phone(world, "baresip", "bob", served, "bob", 3)
    rings.start()
    answers = phone(world, "pjsua2", "carol", served, "carol", 2, answers=True)
    answers.start()
    caller = phone(world, "sori", "alice", served, "alice", 1)
    caller.dial(served.uri("bob"))
    talked(caller, answers, answers)


@case("trunk-call-is-transferred", servers=OURS)
def transferred(world):
    """Somebody outside is handed on, twice: blind, and after asking; the gateway knows nothing of transfers."""
    served, console = ours(world, "alice", "bob")
    there = Sori(world, host="carol", domain="provider.test", name="provider", auth=False)
    there.add_user("outside", "pw-outside")
    there.start()
    trunk = console.trunk("Provider", HOSTS["carol"], check_every=0)
    console.rule("outside", "outside", {"kind": "trunks", "trunks": [trunk], "mode": "in_order"})
    far = Phone(world, "carol", there, "outside", "pw-outside", 3, answers=True)
    far.start()
    mine = Script(world, "alice", served, "alice", "pw-alice", 1)
    mine.start()
    target = phone(world, "baresip", "bob", served, "bob", 2, answers=True)
    target.start()
    first = mine.dial(served.uri("outside"))
    mine.write(f"transfer {first} bob")
    mine.wait("transferred", 15)
    mine.wait("ended", call=first)
    talked(target, far, far)


@case("trunk-call-is-transferred-after-asking", servers=OURS)
def attended(world):
    """The same when the colleague was asked before."""
    served, console = ours(world, "alice", "bob")
    there = Sori(world, host="carol", domain="provider.test", name="provider", auth=False)
    there.add_user("outside", "pw-outside")
    there.start()
    trunk = console.trunk("Provider", HOSTS["carol"], check_every=0)
    console.rule("outside", "outside", {"kind": "trunks", "trunks": [trunk], "mode": "in_order"})
    far = Phone(world, "carol", there, "outside", "pw-outside", 3, answers=True)
    far.start()
    mine = Script(world, "alice", served, "alice", "pw-alice", 1)
    mine.start()
    target = Script(world, "bob", served, "bob", "pw-bob", 2, answers=True)
    target.start()
    first = mine.dial(served.uri("outside"))
    second = mine.dial(served.uri("bob"))
    mine.write(f"transfer {first} to {second}")
    mine.wait("transferred", 15)
    mine.wait("ended", call=first)
    time.sleep(TALK)
    far.hangup()
    far.wait_ended()
    far.stop()
    target.stop()
    # Each call has a recording of its own.
    target.recorded = target.recorded.replace(".wav", "-2.wav")
    check_sound(far, target, TALK - 2.5)

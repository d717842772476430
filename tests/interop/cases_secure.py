"""Encrypted calls and calls through address translators: both directions, with sound compared."""
import time

from cases import case, server
from cases_calls import PHONES, TALK, check_sound, check_statistics
from sori import REFUSED, TALKED
from world import check


def phone(world, kind, host, served, user, seed, answers, wishes):
    """A phone with what it is to do: arguments of our command, of the pjsua2 agent, or of a baresip account."""
    options = {} if kind == "sori" else {"options": wishes.get("options", ())}
    if kind == "baresip":
        options["config"] = wishes.get("config", ())
    made = PHONES[kind](world, host, served, user, f"pw-{user}", seed, answers=answers, **options)
    made.wishes = wishes
    return made


def start(each, *more):
    each.start(*(each.wishes.get("args", ()) if each.kind == "sori" else ()), *more)


def dial(each, uri):
    if each.kind == "sori":
        each.dial(uri, *each.wishes.get("args", ()))
    else:
        each.dial(uri)


def talk(world, caller_kind, caller_wishes, callee_kind, callee_wishes, expected, path=None):
    """A call whose sound is compared; `expected` is what our events must say, `path` checks what they say about the way."""
    served = server(world, ("alice", "bob"))
    caller = phone(world, caller_kind, "alice", served, "alice", 1, False, caller_wishes)
    callee = phone(world, callee_kind, "bob", served, "bob", 2, True, callee_wishes)
    start(callee)
    start(caller)
    dial(caller, served.uri("bob"))
    established = [each.wait_established() for each in (caller, callee)]
    time.sleep(TALK)
    caller.hangup()
    ended = [each.wait_ended() for each in (caller, callee)]
    if caller.kind == "sori":
        code = caller.process.wait(10)
        check(code == TALKED, f"sori call exited with {code}")
    for each in (caller, callee):
        each.stop()
    for each, said, end in zip((caller, callee), established, ended):
        if each.kind == "sori":
            told = {k: said.get(k) for k in expected}
            check(told == expected, f"{each.name} says {told}, not {expected}")
            check_statistics(end, TALK)
            if path:
                path(each)
    check_sound(caller, callee, TALK - 1)
    check_sound(callee, caller, TALK - 1)


def secured(how):
    return {"sori": {"args": ["--srtp", how]}, "pjsua2": {"options": ["--srtp", how]},
            "baresip": {"options": {"off": [], "optional": ["mediaenc=srtp"], "required": ["mediaenc=srtp-mand"]}[how]}}


SDES = {"security": "sdes"}
PLAIN = {"security": "none", "suite": None}


def make(caller, callee, caller_wish, callee_wish, expected):
    return lambda world: talk(world, caller, secured(caller_wish)[caller], callee, secured(callee_wish)[callee], expected)


for _peer in ("pjsua2", "baresip", "sori"):
    for _caller, _callee in {("sori", _peer), (_peer, "sori")}:
        for _how in ("required", "optional"):
            case(f"srtp-{_caller}-{_callee}-{_how}", needs_sori=True)(make(_caller, _callee, _how, _how, SDES))

# Best effort falls back to the clear where the other side has no SRTP.
for _peer in ("pjsua2", "baresip"):
    case(f"srtp-sori-{_peer}-optional-off", needs_sori=True)(make("sori", _peer, "optional", "off", PLAIN))
    case(f"srtp-{_peer}-sori-off-optional", needs_sori=True)(make(_peer, "sori", "off", "optional", PLAIN))


@case("srtp-required-is-refused-by-a-phone-without", needs_sori=True)
def refused(world):
    served = server(world, ("alice", "bob"))
    callee = phone(world, "pjsua2", "bob", served, "bob", 2, True, secured("off")["pjsua2"])
    caller = phone(world, "sori", "alice", served, "alice", 1, False, secured("required")["sori"])
    start(callee)
    dial(caller, served.uri("bob"))
    error = caller.process.wait_event("error")
    check(error["status"] == 488, f"the status was {error['status']}, not 488")
    check(caller.process.wait(10) == REFUSED, "the exit code does not say: refused")

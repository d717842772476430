"""Encrypted calls and calls through address translators: both directions, with sound compared."""
import os
import sys
import time

from cases import case, server
from cases_calls import PHONES, TALK, check_sound, check_statistics
from nat import hide
from sori import REFUSED, TALKED
from world import HOSTS, check

HERE = os.path.dirname(os.path.abspath(__file__))


def phone(world, kind, host, served, user, seed, answers, wishes):
    """A phone with what it is to do: arguments of our command, of the pjsua2 agent, of a baresip account, or of Linphone."""
    if kind == "linphone":
        options = wishes
    else:
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


def talk(world, caller_kind, caller_wishes, callee_kind, callee_wishes, expected, path=None, late=0.0):
    """A call whose sound is compared; `expected` is what our events must say, `path` checks what they say about the way.
    The sound of a peer may come so many seconds `late`."""
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
            if not late:
                check_statistics(end, TALK)
            if path:
                path(each)
    check_sound(caller, callee, TALK - 1 - late)
    check_sound(callee, caller, TALK - 1 - late)


def secured(how):
    return {"sori": {"args": ["--srtp", how]}, "pjsua2": {"options": ["--srtp", how]},
            "baresip": {"options": {"off": [], "optional": ["mediaenc=srtp"], "required": ["mediaenc=srtp-mand"]}[how]},
            "linphone": {"encryption": "none" if how == "off" else "srtp", "mandatory": how == "required"}}


SDES = {"security": "sdes"}
PLAIN = {"security": "none", "suite": None}


def make(caller, callee, caller_wish, callee_wish, expected):
    return lambda world: talk(world, caller, secured(caller_wish)[caller], callee, secured(callee_wish)[callee], expected)


for _peer in ("pjsua2", "baresip", "linphone", "sori"):
    for _caller, _callee in sorted({("sori", _peer), (_peer, "sori")}):
        for _how in ("required", "optional"):
            # Linphone offers keys beside RTP/AVP, but takes none there.
            _expected = PLAIN if (_callee, _how) == ("linphone", "optional") else SDES
            case(f"srtp-{_caller}-{_callee}-{_how}", needs_sori=True)(make(_caller, _callee, _how, _how, _expected))

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


# DTLS-SRTP: the pjsua2 of the package index has none.
DTLS = {"security": "dtls"}


def by_handshake(kind):
    return {"sori": {"args": ["--srtp", "dtls"]}, "baresip": {"options": ["mediaenc=dtls_srtp"], "config": ["rtcp_mux yes"]},
            "linphone": {"encryption": "dtls", "mandatory": True}}[kind]


def agreed_suite(each):
    suite = each.process.wait_event("secured", 5)["suite"]
    check(suite in ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"), f"{each.name}: {suite}")


for _caller, _callee in (("sori", "sori"), ("sori", "baresip"), ("baresip", "sori"), ("sori", "linphone"), ("linphone", "sori")):
    case(f"dtls-{_caller}-{_callee}", needs_sori=True)(
        lambda world, caller=_caller, callee=_callee: talk(world, caller, by_handshake(caller), callee, by_handshake(callee), DTLS,
                                                           agreed_suite))


@case("dtls-offer-is-taken", needs_sori=True)
def taken(world):
    """Whoever wishes encryption at all takes a handshake too."""
    talk(world, "baresip", by_handshake("baresip"), "sori", secured("optional")["sori"], DTLS, agreed_suite)


# ICE without translators: the peers' own agents.
def with_ice(kind):
    return {"sori": {"args": ["--ice"]}, "pjsua2": {"options": ["--ice"]}, "baresip": {"options": ["medianat=ice"]}, "linphone": {"ice": True}}[kind]


def found(each):
    path = each.process.wait_event("path", 5)
    check(path["kind"] in ("host", "prflx"), f"{each.name} found a way of kind {path['kind']} on a network without translators")


for _peer in ("pjsua2", "baresip", "linphone", "sori"):
    for _caller, _callee in sorted({("sori", _peer), (_peer, "sori")}):
        case(f"ice-{_caller}-{_callee}", needs_sori=True)(
            lambda world, caller=_caller, callee=_callee: talk(world, caller, with_ice(caller), callee, with_ice(callee), {}, found))

for _peer in ("pjsua2", "baresip"):
    case(f"ice-sori-{_peer}-without", needs_sori=True)(
        lambda world, peer=_peer: talk(world, "sori", with_ice("sori"), peer, {}, PLAIN))


def stun_server(world):
    server = world.spawn("stun", "carol", [sys.executable, os.path.join(HERE, "stun_server.py"), HOSTS["carol"], "3478"])
    server.wait_text("listening")
    return ["--stun", f"{HOSTS['carol']}:3478"]


def behind(caller_args, callee_kind, callee_wishes, path=None, late=0.0):
    def run(world):
        hide(world, "alice")
        stun = stun_server(world)
        talk(world, "sori", {"args": [*stun, *caller_args]}, callee_kind, callee_wishes, {}, path, late)
    return run


def found_behind(each):
    path = each.process.wait_event("path", 5)
    if each.user == "bob":
        check(path["remote_rtp"].startswith(HOSTS["alice"]), f"{each.name} sends to {path['remote_rtp']}, not to the translator")
    else:
        check(path["remote_rtp"].startswith(HOSTS["bob"]), f"{each.name} sends to {path['remote_rtp']}")


for _peer in ("sori", "pjsua2", "baresip"):
    # baresip sends nothing until its checks of the hidden address have failed.
    case(f"ice-sori-behind-nat-{_peer}", needs_sori=True, servers=("sori",))(
        behind(["--ice"], _peer, with_ice(_peer), found_behind, 3.0 if _peer == "baresip" else 0.0))
case("ice-sori-behind-nat-sori-dtls", needs_sori=True, servers=("sori",))(
    behind(["--ice", "--srtp", "dtls"], "sori", {"args": ["--ice", "--srtp", "dtls"]}, found_behind))
case("stun-sori-behind-nat-pjsua2", needs_sori=True, servers=("sori",))(behind([], "pjsua2", {}))


@case("stun-a-silent-server-does-not-stop-the-call", needs_sori=True)
def silent_stun(world):
    served = server(world, ("alice", "bob"))
    callee = phone(world, "sori", "bob", served, "bob", 2, True, {})
    caller = phone(world, "sori", "alice", served, "alice", 1, False, {"args": ["--stun", f"{HOSTS['carol']}:3478"]})
    start(callee)
    dial(caller, served.uri("bob"))
    notice = caller.process.wait_event("notice")
    check("STUN server" in notice["message"], f"the notice says: {notice['message']}")
    caller.wait_established()
    caller.hangup()
    check(caller.process.wait(10) == TALKED, "the call did not end well")

"""Scripted calls, many of them, through the server."""
from cases import case, server
from sipp import Sipp
from world import HOSTS

USERS = 10


def rows(prefix, field, count=USERS):
    return [(f"{prefix}{n}", field(n)) for n in range(count)]


def register_callees(world, served, port=5070):
    """Binds callee0.. to the SIPp that will answer on bob."""
    contact = f"{HOSTS['bob']}:{port}"
    Sipp(world, "registering", "bob", "register", served, port=5071, calls=USERS, rate=50,
         rows=rows("callee", lambda n: contact), keys={"domain": served.domain}, extra=["-trace_logs"]).wait()


def make(caller, callee, calls, rate, hold=None, transport="udp"):
    """A pair of scenarios through a server that asks nobody for a password."""
    def run(world):
        served = server(world, auth=False)
        keys = {"domain": served.domain}
        if callee:
            register_callees(world, served)
            answering = Sipp(world, "callee", "bob", callee, port=5070, calls=calls, keys=keys)
        calling = Sipp(world, "caller", "alice", caller, served, calls=calls, rate=rate, hold=hold, keys=keys, transport=transport,
                       rows=[(f"caller{n}", f"callee{n}") for n in range(USERS)])
        calling.wait()
        if callee:
            answering.wait()
    return run


case("sipp-call")(make("caller", "callee", 50, 25, 200))
case("sipp-call-tcp")(make("caller", "callee", 50, 25, 200, transport="tcp"))
case("sipp-busy")(make("caller_refused_486", "callee_busy", 50, 25))
case("sipp-unknown")(make("caller_refused_404", None, 50, 25))
case("sipp-cancel")(make("caller_cancels", "callee_cancelled", 50, 25))
case("sipp-message")(make("message", "message_taken", 100, 50))


@case("sipp-1000-calls-with-authentication", seconds=90, capture=False, heavy=True)
def thousand(world):
    """Every REGISTER and every INVITE is challenged."""
    callers, callees = ([f"{kind}{n}" for n in range(USERS)] for kind in ("caller", "callee"))
    served = server(world, callers + callees)
    keys = {"domain": served.domain}

    def credentials(user):
        return f"[authentication username={user} password=pw-{user}]"
    contact = f"{HOSTS['bob']}:5070"
    Sipp(world, "registering", "bob", "register_auth", served, port=5071, calls=1000, rate=250, keys=keys,
         rows=[(u, contact, credentials(u)) for u in callees]).wait()
    answering = Sipp(world, "callee", "bob", "callee", port=5070, calls=1000, keys=keys, seconds=60)
    Sipp(world, "caller", "alice", "caller_auth", served, calls=1000, rate=100, hold=100, keys=keys, seconds=60,
         rows=[(a, b, credentials(a)) for a, b in zip(callers, callees)]).wait()
    answering.wait()

"""Kamailio in the way: as the registrar of our phones, and as the next hop of our server."""
from cases import case, server
from cases_calls import phone, talk
from kamailio import Kamailio
from tshark import packets
from world import HOSTS, check

OURS = ("sori",)


def make_registrar(transport, caller_kind, callee_kind):
    def run(world):
        served = Kamailio(world)
        for user in ("alice", "bob"):
            served.add_user(user, f"pw-{user}")
        served.start()
        caller = phone(world, caller_kind, "alice", served, "alice", 1, transport=transport)
        callee = phone(world, callee_kind, "bob", served, "bob", 2, transport=transport, answers=True)
        talk(world, caller, callee, "caller", served)
    return run


for _transport, _caller, _callee in (("udp", "sori", "sori"), ("tcp", "sori", "sori"), ("udp", "pjsua2", "sori"), ("udp", "sori", "baresip")):
    case(f"kamailio-registrar-{_caller}-{_callee}-{_transport}", servers=OURS, needs_sori=True)(
        make_registrar(_transport, _caller, _callee))


class Beyond:
    """Our server as seen by a phone that calls beyond it: the domain it calls is another's."""

    def __init__(self, served, domain):
        self.served, self.domain = served, domain

    def uri(self, user):
        return f"sip:{user}@{self.domain}:5060"


def make_next_hop(outward, caller_kind, callee_kind, hangup_by):
    def run(world):
        near = server(world, ("alice",), domain=HOSTS["server"])
        far = Kamailio(world, host="carol", domain=HOSTS["carol"], name="kamailio-far")
        far.add_user("bob", "pw-bob")
        far.start()
        alice = phone(world, caller_kind if outward else callee_kind, "alice", near, "alice", 1, answers=not outward)
        bob = phone(world, callee_kind if outward else caller_kind, "bob", far, "bob", 2, answers=outward)
        caller, callee, target = (alice, bob, far) if outward else (bob, alice, near)
        talk(world, caller, callee, hangup_by, Beyond(None, target.domain))
        check_path(world, HOSTS["alice"], HOSTS["bob"], caller_host=HOSTS["alice" if outward else "bob"])
    return run


def check_path(world, alice, bob, caller_host):
    """Both proxies recorded their route, and ACK and BYE took it."""
    capture = world.stop_capture()
    answers = packets(capture, f'sip.Status-Code == 200 && sip.CSeq.method == "INVITE" && ip.dst == {caller_host}', "sip.Record-Route")
    check(answers, "the caller got no 200 for its INVITE")
    routes = answers[0][0]
    check(HOSTS["server"] in routes and HOSTS["carol"] in routes, f"the caller's route set lacks a proxy: {routes}")
    path = {alice, HOSTS["server"], HOSTS["carol"], bob}
    for method in ("ACK", "BYE"):
        hops = {tuple(h) for h in packets(capture, f'sip.Method == "{method}"', "ip.src", "ip.dst")}
        ends = {frozenset(h) for h in hops}
        wanted = {frozenset((alice, HOSTS["server"])), frozenset((HOSTS["server"], HOSTS["carol"])), frozenset((HOSTS["carol"], bob))}
        check(wanted <= ends and set().union(*ends) <= path, f"{method} went {sorted(hops)}")


for _outward, _caller, _callee, _by in ((True, "sori", "pjsua2", "caller"), (True, "pjsua2", "sori", "callee"),
                                        (True, "pjsua2", "pjsua2", "callee"), (False, "pjsua2", "sori", "caller"),
                                        (False, "baresip", "pjsua2", "callee")):
    case(f"next-hop-{'out' if _outward else 'in'}-{_caller}-{_callee}", servers=("sori", "kamailio"), needs_sori="sori" in (_caller, _callee))(
        make_next_hop(_outward, _caller, _callee, _by))

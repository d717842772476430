"""The numbers that our server answers itself: echo and tone."""
import time

from cases import case, server
from cases_calls import check_sound, check_statistics, phone
from names import Names
from sori import TALKED, Phone
from tshark import packets
from wav import RATE, pitch
from world import HOSTS, check

OURS = ("sori",)
DURATION = 5


def echo(world, served, caller, target):
    """Calls the echo and checks that the caller hears itself."""
    caller.dial(target, "--duration", str(DURATION))
    code = caller.process.wait(DURATION + 15)
    check(code == TALKED, f"sori call exited with {code}")
    ended = caller.wait_ended(0)
    check_statistics(ended, DURATION)
    check_sound(caller, caller, DURATION - 1.5)


def make_echo(transport):
    def run(world):
        served = server(world, ("alice",))
        echo(world, served, phone(world, "sori", "alice", served, "alice", 1, transport=transport), served.uri("echo"))
    return run


for _transport in ("udp", "tcp"):
    case(f"echo-sori-{_transport}", servers=OURS)(make_echo(_transport))


@case("echo-pjsua2", servers=OURS)
def echo_pjsua2(world):
    """Another's phone hears itself too."""
    served = server(world, ("alice",))
    caller = phone(world, "pjsua2", "alice", served, "alice", 1)
    caller.start()
    caller.dial(served.uri("echo"))
    caller.wait_established()
    time.sleep(DURATION)
    caller.hangup()
    caller.wait_ended()
    caller.stop()
    check_sound(caller, caller, DURATION - 1.5)


def make_tone(kind):
    def run(world):
        served = server(world, ("alice",))
        caller = phone(world, kind, "alice", served, "alice", 1)
        caller.start()
        caller.dial(served.uri("tone"))
        caller.wait_established()
        time.sleep(4)
        caller.hangup()
        caller.wait_ended()
        caller.stop()
        heard = caller.recording()
        check(len(heard) > 3.5 * RATE, f"only {len(heard) / RATE:.1f} s recorded")
        # In pieces: a tone with gaps would pass as a whole. One piece may be spoiled, because the jitter buffers of the
        # peers drop a frame when they shorten their delay.
        middle = heard[RATE:int(3.5 * RATE)]
        pieces = [pitch(middle[start:start + RATE // 4]) for start in range(0, len(middle) - RATE // 4 + 1, RATE // 4)]
        for number, (frequency, share) in enumerate(pieces):
            print(f"{1 + number / 4:.2f} s into the tone: {frequency:.1f} Hz with {share:.1%} of the power")
        spoiled = [n for n, (frequency, share) in enumerate(pieces) if abs(frequency - 440) >= 5 or share <= 0.95]
        check(len(spoiled) <= 1, f"{len(spoiled)} of {len(pieces)} pieces of the tone are spoiled")
    return run


for _kind in ("sori", "pjsua2", "baresip"):
    case(f"tone-{_kind}", servers=OURS)(make_tone(_kind))


class Direct(Phone):
    """A phone that is told no proxy and finds the way by the domain of the account."""

    def spawn(self, command, *args):
        self.process = self.world.spawn(
            self.name, self.host, [self.world.binary, *command, "--account", f"{self.user}@{self.server.domain}", "--json", *args],
            env={"SORI_PASSWORD": self.password})
        return self.process


@case("echo-without-proxy", servers=OURS)
def without_proxy(world):
    """The first call of a beginner: the domain is the server's address."""
    served = server(world, ("alice",), domain=HOSTS["server"])
    echo(world, served, Direct(world, "alice", served, "alice", "pw-alice", 1), served.uri("echo"))


@case("echo-found-by-dns", servers=OURS)
def found_by_dns(world):
    """RFC 3263: NAPTR chooses TCP, SRV names a server that is down first and one that is up second."""
    names = Names({
        ("sori.test", "NAPTR"): [(10, 10, "s", "SIP+D2T", "_sip._tcp.sori.test"), (20, 10, "s", "SIP+D2U", "_sip._udp.sori.test")],
        ("_sip._tcp.sori.test", "SRV"): [(1, 0, 5999, "sip.sori.test"), (2, 0, 5060, "sip.sori.test")],
        ("_sip._udp.sori.test", "SRV"): [(1, 0, 5998, "sip.sori.test")],
        ("sip.sori.test", "A"): [HOSTS["server"]],
    })
    served = server(world, ("alice",))
    echo(world, served, Direct(world, "alice", served, "alice", "pw-alice", 1), served.uri("echo"))
    check(("_sip._tcp.sori.test", 33) in names.asked, f"SRV for TCP was never asked: {names.asked}")


class Over6:
    """The server as a phone sees it that reaches it over IPv6."""

    def __init__(self, served):
        self.domain, self.port, self.address = served.domain, served.port, "[fd77::1]"
        self.port_of = served.port_of


def make_echo_ipv6(transport):
    def run(world):
        served = server(world, ("alice",), listen=("udp:[fd77::1]:5060", "tcp:[fd77::1]:5060"))
        echo(world, served, phone(world, "sori", "alice", Over6(served), "alice", 1, transport=transport), served.uri("echo"))
        spoken = packets(world.stop_capture(), "udp.length == 180 && ipv6")
        check(len(spoken) > 400, f"only {len(spoken)} packets of sound over IPv6")
    return run


for _transport in ("udp", "tcp"):
    case(f"echo-ipv6-{_transport}", servers=OURS)(make_echo_ipv6(_transport))

"""The register of tests: a name, the function, what it may take, and with which servers it makes sense."""
from dataclasses import dataclass
from typing import Callable

from kamailio import Kamailio
from sori import Sori

SERVERS = {"sori": Sori, "kamailio": Kamailio}
CASES = {}


@dataclass
class Case:
    """One test. `run` gets a built world."""

    name: str
    run: Callable
    seconds: float  #: after this the test is stopped and counts as failed
    servers: tuple  #: kinds of server it can run with
    needs_sori: bool  #: whether our binary takes part even when the server is another
    capture: bool  #: whether the traffic is recorded
    heavy: bool  #: runs alone, because it loads the machine
    needs_pulseaudio: bool  #: speaks into a microphone or listens to a speaker


def case(name, seconds=45, servers=("sori", "kamailio"), needs_sori=False, capture=True, heavy=False, pulseaudio=False):
    """Registers the decorated function, which is called with the world."""
    def keep(function):
        assert name not in CASES, name
        CASES[name] = Case(name, function, seconds, servers, needs_sori, capture, heavy, pulseaudio)
        return function
    return keep


def server(world, users=(), start=True, **options):
    """The server that the run is about, with these users; the password of each is pw-NAME."""
    made = SERVERS[world.server_kind](world, **options)
    for user in users:
        made.add_user(user, f"pw-{user}")
    if start:
        made.start()
    return made

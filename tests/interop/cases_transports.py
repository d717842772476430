"""Calls over TLS and WebSocket: the server's certificate is one that it signed itself, and the phones are told to trust it."""
import os
import socket
import subprocess
import time

from cases import case, server
from cases_calls import TALK, check_sound, phone, talk
from cases_echo import echo
from kamailio import Kamailio
from names import Names
from sori import REFUSED, UNREACHABLE, Phone
from world import HOSTS, check, until
from wsphone import WsPhone

OURS = ("sori",)


def make_call(caller_kind, callee_kind, caller_over, callee_over, hangup_by):
    def run(world):
        served = server(world, ("alice", "bob"), listen=("tls",))
        caller = phone(world, caller_kind, "alice", served, "alice", 1, transport=caller_over)
        callee = phone(world, callee_kind, "bob", served, "bob", 2, transport=callee_over, answers=True)
        talk(world, caller, callee, hangup_by, served)
    return run


for _caller, _callee, _over, _by in (
        ("sori", "sori", "tls", "caller"), ("sori", "baresip", "tls", "callee"), ("baresip", "sori", "tls", "caller"),
        ("sori", "pjsua2", "tls", "caller"), ("pjsua2", "sori", "tls", "callee"), ("baresip", "pjsua2", "tls", "caller"),
        ("pjsua2", "baresip", "tls", "callee"), ("baresip", "baresip", "tls", "caller")):
    case(f"call-{_caller}-{_callee}-{_over}-{_by}-hangs-up", servers=OURS)(make_call(_caller, _callee, _over, _over, _by))

for _caller, _callee, _one, _other, _by in (("baresip", "sori", "tls", "udp", "callee"), ("pjsua2", "baresip", "udp", "tls", "caller"),
                                            ("sori", "pjsua2", "tls", "tcp", "callee")):
    # A short name: baresip's recorder cuts long paths.
    case(f"call-{_caller}-{_callee}-{_one}-{_other}", servers=OURS)(make_call(_caller, _callee, _one, _other, _by))


@case("echo-sori-tls", servers=OURS)
def echo_sori(world):
    served = server(world, ("alice",), listen=("tls",))
    echo(world, served, phone(world, "sori", "alice", served, "alice", 1, transport="tls"), served.uri("echo"))


def make_echo(kind):
    def run(world):
        """Another's phone hears itself over TLS."""
        served = server(world, ("alice",), listen=("tls",))
        caller = phone(world, kind, "alice", served, "alice", 1, transport="tls")
        caller.start()
        caller.dial(served.uri("echo"))
        caller.wait_established()
        time.sleep(TALK)
        caller.hangup()
        caller.wait_ended()
        caller.stop()
        check_sound(caller, caller, TALK - 1.5)
    return run


for _kind in ("pjsua2", "baresip"):
    case(f"echo-{_kind}-tls", servers=OURS)(make_echo(_kind))


@case("tls-stranger", servers=OURS)
def stranger(world):
    """A server that nobody vouches for gets no word of ours, and the person is told why."""
    served = server(world, ("alice",), listen=("tls",))

    class Careful(Phone):
        def spawn(self, command, *args):
            self.process = self.world.spawn(self.name, self.host, [
                self.world.binary, *command, "--account", f"alice@{served.domain}", "--proxy", f"tls:{served.address}:5061", *args],
                env={"SORI_PASSWORD": self.password})
            return self.process
    careful = Careful(world, "alice", served, "alice", "pw-alice", 1)
    careful.spawn(["register"])
    code = careful.process.wait(15)
    check(code == UNREACHABLE, f"sori register exited with {code}")
    careful.process.wait_text(r"has signed its certificate; .*--tls-root FILE")
    served.process.wait_text("the peer does not trust the certificate shown here")


@case("tls-server-restarts", servers=OURS, seconds=60)
def restarts(world):
    """A phone that only opens TLS comes back by itself when its server does, and can be called again."""
    served = server(world, ("alice", "bob"), listen=("tls",))
    callee = phone(world, "sori", "bob", served, "bob", 2, transport="tls", answers=True)
    callee.start()
    served.kill()
    served.start()
    until(lambda: sum(e["event"] == "registered" for e in callee.process.events()) == 2, 20, "the phone did not come back")
    caller = phone(world, "pjsua2", "alice", served, "alice", 1, transport="tls")
    caller.start()
    caller.dial(served.uri("bob"))
    caller.wait_established()
    caller.hangup()
    callee.wait_ended()


def certificate(world, name):
    """The files of a certificate for a name, which signed itself, and of its key."""
    files = [os.path.join(world.dir, f"{name}.{ending}") for ending in ("pem", "key")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


def far_domain(world, shown):
    """Kamailio for far.test, which only TLS leads to, and which shows a certificate for `shown`; and our server that trusts that one."""
    files = certificate(world, shown)
    far = Kamailio(world, host="carol", domain="far.test", name="kamailio-far", tls=files)
    far.add_user("bob", "pw-bob")
    far.start()
    # The certificate has to be for the domain that was meant, not for the host that the name servers name (RFC 5922).
    Names({("_sips._tcp.far.test", "SRV"): [(0, 0, 5061, "host.far.test")], ("host.far.test", "A"): [HOSTS["carol"]]})
    near = server(world, ("alice",), listen=("tls",), options=("--tls-root", files[0]))
    return near, far


@case("next-hop-out-sori-pjsua2-tls", servers=OURS)
def next_hop(world):
    """A call to another domain goes in TLS all the way to its server, and its end comes back."""
    near, far = far_domain(world, "far.test")
    alice = phone(world, "sori", "alice", near, "alice", 1, transport="tls")
    bob = phone(world, "pjsua2", "bob", far, "bob", 2, answers=True)
    talk(world, alice, bob, "callee", far)


@case("tls-next-hop-stranger", servers=OURS)
def next_hop_stranger(world):
    """The server of another domain that cannot show to be it gets no call."""
    near, far = far_domain(world, "host.far.test")
    alice = phone(world, "sori", "alice", near, "alice", 1, transport="tls")
    alice.dial(far.uri("bob"))
    code = alice.process.wait(15)
    check(code == REFUSED, f"sori call exited with {code}")
    alice.process.wait_text("480 Next Hop Unavailable")
    near.process.wait_text("no TLS with far.test at 10.77.0.4:5061: its certificate is for another name")


def make_websocket(secure):
    def run(world):
        """Registers, gets a message and a call from a phone on UDP and ends that; calls it back, and hears its BYE."""
        served = server(world, ("alice", "bob"), listen=("ws", "wss"))
        alice = WsPhone(served, "alice", "pw-alice", secure)
        alice.register()
        sender = phone(world, "pjsua2", "carol", served, "bob", 3)
        sender.start()
        sender.message(served.uri("alice"), "through the web")
        message = alice.wait("MESSAGE ")
        check(message.startswith(f"MESSAGE {alice.contact} SIP/2.0\r\n"), f"the request is for {message.splitlines()[0]}")
        check(message.endswith("through the web"), f"the message says {message[-40:]!r}")
        alice.answer(message, "200 OK")
        sender.stop()
        sound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sound.bind((HOSTS["desk"], 0))
        sound.settimeout(5)
        port = sound.getsockname()[1]
        bob = phone(world, "baresip", "bob", served, "bob", 2, answers=True)
        bob.start()
        bob.dial(served.uri("alice"))
        invite = alice.wait("INVITE ")
        alice.answer(invite, "180 Ringing")
        dialog = alice.accept(invite, port)
        bob.wait_established()
        check(len(sound.recv(2000)) > 12, "no sound came")
        alice.bye(dialog)
        bob.wait_ended()
        alice.call(served.uri("bob"), port)
        check(len(sound.recv(2000)) > 12, "no sound came")
        bob.hangup()
        bye = alice.wait("BYE ")
        alice.answer(bye, "200 OK")
        alice.close()
    return run


for _secure in (False, True):
    case(f"websocket-{'wss' if _secure else 'ws'}-baresip", servers=OURS)(make_websocket(_secure))

"""Calls over TLS and WebSocket: the server's certificate is one that it signed itself, and the phones are told to trust it."""
import socket
import time

from cases import case, server
from cases_calls import TALK, check_sound, phone, talk
from cases_echo import echo
from sori import UNREACHABLE, Phone
from world import HOSTS, check
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

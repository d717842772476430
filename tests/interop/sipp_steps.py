"""Scenarios for SIPp, put together from steps: what phones cannot be made to do, both ways of it."""
import os

from sipp import Sipp

OFFER = """v=0
o=sipp 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 {connection}
t=0 0
m=audio 6000 RTP/AVP 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a={direction}"""
CONTACT = "Contact: <sip:sipp@[local_ip]:[local_port]>"


def sound(version=1, connection="[local_ip]", direction="sendrecv"):
    """A session description with one stream of sound."""
    return OFFER.format(version=version, connection=connection, direction=direction)


def message(first, headers, body=None):
    """One message as SIPp sends it."""
    lines = [first, *headers]
    if body:
        lines += ["Content-Type: application/sdp", "Content-Length: [len]", "", body]
    else:
        lines += ["Content-Length: 0", "", ""]
    return "<![CDATA[\n" + "\n".join(lines) + "\n]]>"


class Caller:
    """Steps of the side that calls."""

    def __init__(self):
        self.steps, self.number, self.dialog = [], 0, False

    def send(self, method, body=None, *headers):
        """A request; ACK belongs to the INVITE before it."""
        if method != "ACK":
            self.number += 1
        to = "<sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]" if self.dialog else "<sip:[service]@[remote_ip]:[remote_port]>"
        uri = "[next_url]" if self.dialog else "sip:[service]@[remote_ip]:[remote_port]"
        lines = ["Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]", "From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]x[call_number]",
                 f"To: {to}", "Call-ID: [call_id]", f"CSeq: {self.number} {method}", CONTACT, "Max-Forwards: 70", *headers]
        again = "" if method == "ACK" else ' retrans="500"'
        self.steps.append(f"<send{again}>{message(f'{method} {uri} SIP/2.0', lines, body)}</send>")
        return self

    def expect(self, status, optional=False, keep=None):
        """A response; the number in its header `keep` is [$1] from then on."""
        self.dialog = self.dialog or status > 100
        perhaps = ' optional="true"' * optional
        action = f'<action><ereg regexp="[0-9]+" search_in="hdr" header="{keep}:" assign_to="1"/></action>' if keep else ""
        self.steps.append(f'<recv response="{status}" rrs="true"{perhaps}>{action}</recv>')
        return self

    def pause(self, milliseconds):
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def call(self, *headers, body=None):
        """INVITE, and what may come before the answer."""
        self.send("INVITE", body or sound(), *headers)
        return self.expect(100, True).expect(180, True).expect(183, True)

    def hang_up(self):
        return self.send("BYE").expect(200)


class Callee:
    """Steps of the side that is called."""

    def __init__(self):
        self.steps = []

    def expect(self, method):
        self.steps.append(f'<recv request="{method}" rrs="true"/>')
        return self

    def answer(self, status, reason, *headers, body=None, tag="[pid]s[call_number]", again=False):
        """A response to the request that came last; in a dialog To has its tag already."""
        to = f"[last_To:];tag={tag}" if tag else "[last_To:]"
        lines = ["[last_Via:]", "[last_From:]", to, "[last_Call-ID:]", "[last_CSeq:]", CONTACT, *headers]
        repeat = ' retrans="500"' * again
        self.steps.append(f"<send{repeat}>{message(f'SIP/2.0 {status} {reason}', lines, body)}</send>")
        return self

    def pause(self, milliseconds):
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def accept(self, body=None, **more):
        """200 to an INVITE, and its ACK."""
        return self.answer(200, "OK", body=body or sound(), again=True, **more).expect("ACK")

    def hung_up(self):
        return self.expect("BYE").answer(200, "OK", tag=None)


def play(world, host, side, service="alice", port=5060, target=None):
    """Starts SIPp with these steps. A caller needs whom to call: an object with `address` and `port`."""
    path = os.path.join(world.dir, f"steps-{host}")
    with open(f"{path}.xml", "w") as file:
        file.write('<?xml version="1.0" encoding="UTF-8" ?>\n<scenario name="steps">\n' + "\n".join(side.steps) + "\n</scenario>\n")
    return Sipp(world, f"sipp-{host}", host, path, server=target, port=port, calls=1, seconds=25, extra=("-s", service))

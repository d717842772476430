"""What goes over the wire, seen by tshark: nothing malformed, nothing it warns about."""
import time

from cases import case, server
from cases_calls import phone
from tshark import ERROR, WARNING, packets
from world import check


def make(kind, transport):
    def run(world):
        served = server(world, ("alice", "bob"))
        caller = phone(world, kind, "alice", served, "alice", 1, transport=transport)
        callee = phone(world, kind, "bob", served, "bob", 2, transport=transport, answers=True)
        callee.start()
        caller.start()
        caller.dial(served.uri("bob"))
        caller.wait_established()
        callee.wait_established()
        time.sleep(8)  # RTCP reports come every 5 s (RFC 3550 §6.2)
        caller.hangup()
        caller.wait_ended()
        callee.wait_ended()
        caller.stop()
        callee.stop()
        inspect(world.stop_capture(), ERROR if "kamailio" in world.server_kind else WARNING)
    return run


def inspect(capture, severity):
    """Fails for missing protocols, malformed packets, and remarks of that severity or worse."""
    count = {protocol: len(packets(capture, protocol)) for protocol in ("sip", "sdp", "rtp", "rtcp")}
    print(f"packets: {count}")
    for protocol, least in (("sip", 10), ("sdp", 4), ("rtp", 700), ("rtcp", 2)):
        check(count[protocol] >= least, f"only {count[protocol]} packets of {protocol}, at least {least} expected")
    malformed = packets(capture, "_ws.malformed", "frame.number", "_ws.col.Protocol", "_ws.col.Info")
    check(not malformed, f"malformed: {malformed[:5]}")
    remarks = packets(capture, f"(sip or sdp or rtp or rtcp) and _ws.expert.severity >= {severity}",
                      "frame.number", "_ws.col.Protocol", "_ws.expert.message")
    check(not remarks, f"{len(remarks)} packets with remarks: {remarks[:5]}")


for _kind in ("sori", "pjsua2"):
    for _transport in ("udp", "tcp"):
        case(f"wire-{_kind}-{_transport}", needs_sori=_kind == "sori")(make(_kind, _transport))

"""A phone of a few lines on SIP over WebSocket (RFC 7118), as a browser would be one: it stands on the desk."""
import re
import ssl
import threading
import uuid

from probe import digest, parse
from websockets.sync.client import connect
from world import HOSTS, Failed, check, until

SDP = "\r\n".join(["v=0", f"o=- 1 1 IN IP4 {HOSTS['desk']}", "s=-", f"c=IN IP4 {HOSTS['desk']}", "t=0 0", "m=audio {port} RTP/AVP 0", ""])


class WsPhone:
    """One account on one connection. Messages wait in `received` until a test asks for them."""

    def __init__(self, served, user, password, secure=False):
        self.served, self.user, self.password, self.secure = served, user, password, secure
        self.host = f"{uuid.uuid4().hex[:12]}.invalid"
        scheme, port, trust = ("wss", 8443, ssl.create_default_context(cafile=served.certificate)) if secure else ("ws", 8088, None)
        self.socket = connect(f"{scheme}://{served.address}:{port}/", subprotocols=["sip"], ssl=trust, open_timeout=5)
        check(self.socket.subprotocol == "sip", f"the server speaks {self.socket.subprotocol}, not sip")
        self.received, self.tag = [], uuid.uuid4().hex[:8]
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for message in self.socket:
                check(isinstance(message, str), "a text of SIP came in a binary frame")
                self.received.append(message)
        except Exception as error:  # the end of the connection, which the test notices by what does not come
            print(f"{self.user}: {error!r}")

    def close(self):
        self.socket.close()

    @property
    def contact(self):
        return f"sip:{self.user}@{self.host};transport=ws"

    def wait(self, pattern, seconds=8):
        """The next message whose first line matches; it is taken out."""
        def found():
            for message in self.received:
                if re.match(pattern, message):
                    self.received.remove(message)
                    return message
            return None
        return until(found, seconds, f"{self.user} got nothing like /{pattern}/ over WebSocket, but {[m[:40] for m in self.received]}")

    def request(self, method, uri, to, call_id, sequence, headers=(), body=""):
        """Sends one request."""
        via = "WSS" if self.secure else "WS"
        branch = "z9hG4bK" + uuid.uuid4().hex
        kind = ["Content-Type: application/sdp"] if body else []
        text = "\r\n".join([f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{via} {self.host};branch={branch}", "Max-Forwards: 70",
                            f"From: <sip:{self.user}@{self.served.domain}>;tag={self.tag}", f"To: {to}", f"Call-ID: {call_id}",
                            f"CSeq: {sequence} {method}", f"Contact: <{self.contact}>", *headers, *kind, f"Content-Length: {len(body)}", "", body])
        self.socket.send(text)

    def ask(self, method, uri, to, call_id, headers=(), body=""):
        """One request with credentials when they are asked for; the final response, and the number it had."""
        self.request(method, uri, to, call_id, 1, headers, body)
        answer = self.wait(r"SIP/2\.0 [2-6]")
        status, fields = parse(answer)
        if status not in (401, 407):
            return answer, 1
        self._acknowledge_failure(method, uri, to, call_id, fields)
        name, challenge = ("Authorization", "www-authenticate") if status == 401 else ("Proxy-Authorization", "proxy-authenticate")
        credentials = digest(fields[challenge], method, uri, self.user, self.password)
        self.request(method, uri, to, call_id, 2, [*headers, f"{name}: {credentials}"], body)
        return self.wait(r"SIP/2\.0 [2-6]"), 2

    def _acknowledge_failure(self, method, uri, to, call_id, fields):
        if method != "INVITE":
            return
        via = fields["via"][0]
        self.socket.send("\r\n".join([f"ACK {uri} SIP/2.0", f"Via: {via}", "Max-Forwards: 70",
                                      f"From: <sip:{self.user}@{self.served.domain}>;tag={self.tag}", f"To: {fields['to'][0]}",
                                      f"Call-ID: {call_id}", "CSeq: 1 ACK", "Content-Length: 0", "", ""]))

    def register(self):
        """Binds the contact; fails unless it is in the answer."""
        domain = self.served.domain
        answer, _ = self.ask("REGISTER", f"sip:{domain}", f"<sip:{self.user}@{domain}>", uuid.uuid4().hex, ["Expires: 600"])
        check(answer.startswith("SIP/2.0 200"), f"REGISTER over WebSocket got {answer[:60]!r}")
        check(self.host in answer, "the binding is not in the answer")

    def answer(self, request, status, headers=(), body=""):
        """A response to a request that came."""
        kept = []
        for line in request.split("\r\n\r\n", 1)[0].split("\r\n")[1:]:
            name = line.split(":", 1)[0].strip().lower()
            if name in ("via", "v", "from", "f", "call-id", "i", "cseq", "record-route"):
                kept.append(line)
            elif name in ("to", "t"):
                kept.append(line if "tag=" in line else f"{line};tag={self.tag}")
        kind = ["Content-Type: application/sdp"] if body else []
        self.socket.send("\r\n".join([f"SIP/2.0 {status}", *kept, f"Contact: <{self.contact}>", *headers, *kind,
                                      f"Content-Length: {len(body)}", "", body]))

    def call(self, uri, port):
        """Calls and acknowledges; yields the dialog: what `end` needs."""
        call_id = uuid.uuid4().hex
        answer, sequence = self.ask("INVITE", uri, f"<{uri}>", call_id, body=SDP.format(port=port))
        status, fields = parse(answer)
        check(status == 200, f"the call over WebSocket got {answer[:60]!r}")
        routes = [f"Route: {r}" for line in reversed(fields.get("record-route", [])) for r in reversed(line.split(", "))]
        target = re.search(r"<([^>]*)>", fields["contact"][0])[1]
        self.request("ACK", target, fields["to"][0], call_id, sequence, routes)
        return target, fields["to"][0], call_id, sequence, routes

    def accept(self, invite, port):
        """Answers a call; yields the dialog as seen from here once the ACK has come."""
        self.answer(invite, "200 OK", body=SDP.format(port=port))
        self.wait("ACK ")
        _, fields = parse(invite)
        routes = [f"Route: {r}" for line in fields.get("record-route", []) for r in line.split(", ")]
        target = re.search(r"<([^>]*)>", fields["contact"][0])[1]
        check(len(routes) == 2, f"the way back has {routes}, not the server twice")
        return target, fields["from"][0], fields["call-id"][0], 10, routes

    def bye(self, dialog):
        """Ends a call from here."""
        target, peer, call_id, sequence, routes = dialog
        self.request("BYE", target, peer, call_id, sequence + 1, routes)
        answer = self.wait(r"SIP/2\.0 [2-6]")
        if not answer.startswith("SIP/2.0 200"):
            raise Failed(f"BYE over WebSocket got {answer[:60]!r}")

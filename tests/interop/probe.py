"""A SIP client of a few lines, for looking at a server from outside: OPTIONS, and the bindings of an address of record."""
import hashlib
import re
import socket
import uuid

from world import HOSTS, Failed


class Probe:
    """One UDP socket on the desk, talking to one server."""

    def __init__(self, address, port=5060):
        self.peer = (address, port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOSTS["desk"], 0))
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()

    def ask(self, method, uri, aor, headers=(), call_id=None, sequence=1, seconds=3):
        """Sends one request, repeats it as RFC 3261 §17.1.2 wants, and returns (status, headers)."""
        call_id = call_id or uuid.uuid4().hex
        branch = "z9hG4bK" + uuid.uuid4().hex
        text = "\r\n".join([f"{method} {uri} SIP/2.0",
                            f"Via: SIP/2.0/UDP {HOSTS['desk']}:{self.port};branch={branch};rport",
                            "Max-Forwards: 70", f"From: <{aor}>;tag={call_id[:8]}", f"To: <{aor}>", f"Call-ID: {call_id}",
                            f"CSeq: {sequence} {method}", *headers, "Content-Length: 0", "", ""])
        wait = 0.5
        while seconds > 0:
            self.socket.sendto(text.encode(), self.peer)
            self.socket.settimeout(min(wait, seconds))
            try:
                while True:
                    answer = self.socket.recv(65535).decode(errors="replace")
                    status, fields = parse(answer)
                    if branch in answer and status >= 200:
                        return status, fields
            except (TimeoutError, ConnectionRefusedError):
                seconds -= wait
                wait = min(wait * 2, 4)
        raise Failed(f"no answer to {method} from {self.peer[0]}:{self.peer[1]}")

    def options(self, seconds=3):
        """The status of an OPTIONS for the server itself."""
        uri = f"sip:{self.peer[0]}:{self.peer[1]}"
        return self.ask("OPTIONS", uri, f"sip:probe@{self.peer[0]}", seconds=seconds)[0]

    def bindings(self, user, domain, password=None):
        """The contacts bound to user@domain, asked with a REGISTER that has no Contact (RFC 3261 §10.2.3)."""
        aor, uri, call_id = f"sip:{user}@{domain}", f"sip:{domain}", uuid.uuid4().hex
        status, fields = self.ask("REGISTER", uri, aor, call_id=call_id)
        if status == 401 and password is not None:
            answer = digest(fields["www-authenticate"], "REGISTER", uri, user, password)
            status, fields = self.ask("REGISTER", uri, aor, [f"Authorization: {answer}"], call_id, 2)
        if status != 200:
            raise Failed(f"asking for the bindings of {aor} got {status}")
        return [c for line in fields.get("contact", []) for c in re.findall(r"<(sip[^>]*)>", line)]


def parse(text):
    """Status and headers (lower-case name -> list of values) of a response."""
    head = text.split("\r\n\r\n", 1)[0].split("\r\n")
    status = int(head[0].split()[1]) if head[0].startswith("SIP/2.0 ") else 0
    fields = {}
    for line in head[1:]:
        name, _, value = line.partition(":")
        name = {"m": "contact", "v": "via"}.get(name.strip().lower(), name.strip().lower())
        fields.setdefault(name, []).append(value.strip())
    return status, fields


def digest(challenges, method, uri, user, password):
    """Credentials for the MD5 challenge among `challenges` (RFC 7616)."""
    for challenge in challenges:
        values = {k.lower(): a or b for k, a, b in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', challenge)}
        if values.get("algorithm", "MD5").upper() == "MD5":
            break
    else:
        raise Failed(f"no MD5 challenge in {challenges}")

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()
    first, second = md5(f"{user}:{values['realm']}:{password}"), md5(f"{method}:{uri}")
    out = (f'Digest username="{user}", realm="{values["realm"]}", nonce="{values["nonce"]}", uri="{uri}", algorithm=MD5')
    if "opaque" in values:
        out += f', opaque="{values["opaque"]}"'
    if "auth" in values.get("qop", "").split(","):
        reply = md5(f"{first}:{values['nonce']}:00000001:0a1b2c3d:auth:{second}")
        return f'{out}, qop=auth, nc=00000001, cnonce="0a1b2c3d", response="{reply}"'
    reply = md5(f"{first}:{values['nonce']}:{second}")
    return f'{out}, response="{reply}"'

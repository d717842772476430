"""Settings from a web server: one command registers, rings the gateway, and ends by itself three seconds after the call."""
import os
import sys
import time

from cases import case, server
from cases_calls import check_sound, check_statistics, phone
from sori import TALKED, Phone
from world import HOSTS, check

PORT = 8080
TALK = 3.0
AUTO_CLOSE = 3.0
DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>
<sori version="1">
  <account>
    <user>{user}</user>
    <domain>{domain}</domain>
    <display-name>방문자</display-name>
    <password>{password}</password>
    <proxy>udp:{address}:{port}</proxy>
    <register>yes</register>
    <expires>120</expires>
  </account>
  <gateway>{gateway}</gateway>
  <codecs>pcma pcmu</codecs>
</sori>
"""
LINPHONE = """<?xml version="1.0" encoding="UTF-8"?>
<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd">
  <section name="proxy_0">
    <entry name="reg_identity" overwrite="true">sip:{user}@{domain}</entry>
    <entry name="reg_proxy" overwrite="true">&lt;sip:{address}:{port};transport=tcp&gt;</entry>
    <entry name="reg_sendregister" overwrite="true">1</entry>
  </section>
  <section name="auth_info_0">
    <entry name="username" overwrite="true">{user}</entry>
    <entry name="passwd" overwrite="true">{password}</entry>
  </section>
</config>
"""


class Web:
    """A web server on the server's host with one document."""

    def __init__(self, world, text):
        folder = os.path.join(world.dir, "web")
        os.makedirs(folder)
        with open(os.path.join(folder, "phone.xml"), "w", encoding="utf-8") as file:
            file.write(text)
        self.url = f"http://{HOSTS['server']}:{PORT}/phone.xml?token=secret-token"
        self.process = world.spawn("web", "server", [sys.executable, "-u", "-m", "http.server", PORT, "--bind", HOSTS["server"],
                                                     "--directory", folder])
        self.process.wait_text("Serving HTTP")


class Click(Phone):
    """Our phone as a link starts it: it knows nothing but the address of the document."""

    def __init__(self, world, host, url, seed, name):
        super().__init__(world, host, None, "alice", None, seed, name=name)
        self.url = url

    def click(self, *args):
        self.process = self.world.spawn(self.name, self.host, [self.world.binary, "call", *args, "--provision", self.url, "--json",
                                                               *self._sounds()],
                                        env={"SORI_DATA": os.path.join(self.world.dir, "visitor")})


def values(served, user, gateway):
    return {"user": user, "domain": served.domain, "password": f"pw-{user}", "address": served.address, "port": served.port,
            "gateway": gateway}


def one_click(served, callee, visitor):
    """From the click to the end of the program; the callee hangs up."""
    visitor.wait_established()
    callee.wait_established()
    check("alice" in "".join(map(str, served.bindings("alice"))), "the visitor's phone is not registered during the call")
    time.sleep(TALK)
    callee.hangup()
    ended = visitor.wait_ended()
    end = time.monotonic()
    code = visitor.process.wait(AUTO_CLOSE + 5)
    stayed = time.monotonic() - end
    check(code == TALKED, f"sori call exited with {code}")
    check(AUTO_CLOSE - 0.2 < stayed < AUTO_CLOSE + 2, f"it closed {stayed:.1f} s after the end of the call, not {AUTO_CLOSE:g} s")
    check(not served.bindings("alice"), "the visitor's phone is still registered")
    check("secret-token" not in visitor.process.text() and "pw-alice" not in visitor.process.text(), "a secret was printed")
    return ended


def make_click(kind):
    def run(world):
        served = server(world, ("alice", "bob"))
        web = Web(world, DOCUMENT.format(**values(served, "alice", "bob")))
        callee = phone(world, kind, "bob", served, "bob", 2, answers=True)
        callee.start()
        visitor = Click(world, "alice", web.url, 1, "click")
        visitor.click()
        visitor.process.wait_event("provisioned", origin="server")
        ended = one_click(served, callee, visitor)
        callee.stop()
        check_statistics(ended, TALK)
        check_sound(visitor, callee, TALK - 1)
        check_sound(callee, visitor, TALK - 1)
    return run


for _kind in ("pjsua2", "baresip"):
    case(f"provision-call-sori-{_kind}", seconds=60, servers=("sori",))(make_click(_kind))


@case("provision-down", seconds=60, servers=("sori",))
def down(world):
    """The web server dies between two clicks: the second one calls with the settings of the first."""
    served = server(world, ("alice",))
    web = Web(world, DOCUMENT.format(**values(served, "alice", "echo")))
    first = Click(world, "alice", web.url, 1, "first")
    first.click("--duration", "1")
    check(first.process.wait(20) == TALKED, "the first click did not talk")
    web.process.stop()
    second = Click(world, "alice", web.url, 1, "second")
    second.click("--duration", "1", "--auto-close", "0")
    used = second.process.wait_event("provisioned", origin="cache")
    check("connection refused" in used["reason"] and "secret-token" not in used["reason"], used["reason"])
    check(second.process.wait(20) == TALKED, "the second click did not talk")


@case("provision-linphones-document", seconds=60, servers=("sori",))
def linphones(world):
    """The document that Linphone's phones are given serves ours too; whom to call stands on the command line."""
    served = server(world, ("alice",))
    web = Web(world, LINPHONE.format(**values(served, "alice", "")))
    visitor = Click(world, "alice", web.url, 1, "click")
    visitor.click("echo", "--duration", "1", "--auto-close", "0")
    check(visitor.process.wait(20) == TALKED, "the click did not talk")
    established = visitor.process.wait_event("established", 0)
    check(established["transport"] == "tcp", f"the document says TCP, the call used {established['transport']}")

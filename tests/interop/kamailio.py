"""Kamailio as registrar and record-routing proxy: the next hop behind our server, or a stand-in for it."""
import glob
import os
import signal

from probe import Probe
from world import HOSTS, Failed, check, until

CONFIG = """#!KAMAILIO
debug=1
log_stderror=yes
children=2
tcp_children=2
auto_aliases=no
{aliases}
listen=udp:{address}:{port}
listen=tcp:{address}:{port}
{tls}
tcp_connection_lifetime=3605
dns_try_ipv6=no
mpath="{modules}/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "auth.so"
loadmodule "htable.so"
loadmodule "ctl.so"
modparam("ctl", "binrpc", "unix:{directory}/ctl")
modparam("rr", "enable_full_lr", 1)
modparam("nathelper|registrar", "received_avp", "$avp(RECEIVED)")
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 3600)
modparam("htable", "htable", "password=>size=8;autoexpire=0;")
event_route[htable:mod-init] {{
{passwords}
}}
request_route {{
    if (!mf_process_maxfwd_header("70")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (!is_method("ACK")) {{ if (t_precheck_trans()) {{ t_check_trans(); exit; }} t_check_trans(); }}
    if (has_totag()) {{
        if (loose_route()) {{ if (!t_relay()) sl_reply_error(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not here");
        exit;
    }}
    if (is_method("OPTIONS") && uri==myself && $rU==$null) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("REGISTER")) {{
        if ({auth}) {{
            if ($sht(password=>$au) == $null || !pv_www_authenticate("$td", "$sht(password=>$au)", "0")) {{
                www_challenge("$td", "1");
                exit;
            }}
        }}
        if (proto != UDP) fix_nated_register();
        if (!save("location")) sl_reply_error();
        exit;
    }}
    if (is_method("INVITE") && from_uri==myself && {auth}) {{
        if ($sht(password=>$au) == $null || !pv_proxy_authenticate("$fd", "$sht(password=>$au)", "0")) {{
            proxy_challenge("$fd", "1");
            exit;
        }}
        consume_credentials();
    }}
    remove_hf("Route");
    if (is_method("INVITE|SUBSCRIBE|REFER")) record_route();
    if (uri==myself) {{
        if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    }}
    if (!t_relay()) sl_reply_error();
}}
"""

TLS = """enable_tls=yes
listen=tls:{address}:5061
loadmodule "{modules}/tls.so"
modparam("tls", "certificate", "{files[0]}")
modparam("tls", "private_key", "{files[1]}")
modparam("tls", "tls_method", "TLSv1.2+")
"""


def modules():
    """The folder of Kamailio's modules, which carries the machine's architecture in its name."""
    found = glob.glob("/usr/lib/*/kamailio/modules") + glob.glob("/usr/lib*/kamailio/modules")
    check(found, "no folder of Kamailio modules: apt-get install kamailio")
    return found[0]


class Kamailio:
    """One instance. Its users are those known when it starts."""

    kind = "kamailio"

    def __init__(self, world, host="server", domain="sori.test", auth=True, name="kamailio", tls=None):
        self.tls = tls  # the files of a certificate and its key
        self.world, self.host, self.domain, self.auth, self.name = world, host, domain, auth, name
        self.address, self.port = HOSTS[host], 5060
        self.users = {}
        self.process = None

    def port_of(self, transport):
        """Where it listens on a transport."""
        return self.port

    def add_user(self, user, password):
        self.users[user] = password

    def uri(self, user):
        return f"sip:{user}@{self.domain}"

    def start(self):
        directory = os.path.join(self.world.dir, self.name)
        os.makedirs(directory, exist_ok=True)
        passwords = [f'    $sht(password=>{u}) = "{p}";' for u, p in self.users.items()] or ["    xlog(\"\");"]
        aliases = {self.domain, self.address}
        with open(os.path.join(directory, "kamailio.cfg"), "w") as file:
            file.write(CONFIG.format(tls=TLS.format(address=self.address, files=self.tls, modules=modules()) if self.tls else "",
                                     address=self.address, port=self.port, modules=modules(), directory=directory,
                                     aliases="\n".join(f'alias="{a}"' for a in sorted(aliases)),
                                     auth="1==1" if self.auth else "1==0",
                                     passwords="\n".join(passwords) if self.users else "    $var(none) = 0;"))
        self.process = self.world.spawn(self.name, self.host, ["kamailio", "-DD", "-E", "-m", "64", "-M", "8", "-Y", directory,
                                                               "-P", f"{directory}/pid", "-f", file.name])
        wait_answer(self)

    def kill(self):
        """As if the power went."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def bindings(self, user):
        """The contacts bound to the user."""
        probe = Probe(self.address, self.port)
        try:
            return probe.bindings(user, self.domain, self.users.get(user) if self.auth else None)
        finally:
            probe.close()

    def stop(self):
        self.process.stop()


def wait_answer(server, seconds=10):
    """Waits until the server answers an OPTIONS."""
    def answers():
        if server.process.code is not None:
            raise Failed(f"{server.name} ended with {server.process.code} while starting")
        probe = Probe(server.address, server.port)
        try:
            return probe.options(seconds=0.2)
        except Failed:
            return None
        finally:
            probe.close()
    until(answers, seconds, f"{server.name} does not answer")

"""Address translators between a phone and the rest: the kernel's own, with the rules that routers in homes and offices have."""
import subprocess

from world import HOSTS, check

#: What the translator does with ports. `kept`: the port of the phone where it is free, as most routers in homes do (it maps the
#: same inside port to the same outside one whoever is spoken with). `random`: another one for each destination, a symmetric
#: translator, which no STUN sees through.
KINDS = {"kept": "masquerade", "random": "masquerade random,fully-random"}


def hide(world, host, kind="kept", network=7):
    """Puts a host behind a translator that shows the host's old address and lets in only what was asked for.

    The host gets 192.168.NETWORK.2; two hosts may have the same one, each behind a translator of its own."""
    inside, gate, router = f"192.168.{network}.2", f"192.168.{network}.1", f"nat-{host}"
    link = subprocess.run(["ip", "-n", host, "-o", "link", "show", "eth0"], capture_output=True, text=True, check=True).stdout
    check(link, f"{host} has no link")
    subprocess.run(["ip", "netns", "add", router], check=True)
    subprocess.run(["ip", "-n", host, "link", "set", "eth0", "netns", router], check=True)
    world._ip(["link add inside type veth peer name eth0 netns " + host, f"addr add {gate}/24 dev inside", "link set inside up",
               "link set lo up", f"addr add {HOSTS[host]}/24 dev eth0", "link set eth0 up"], router)
    world._ip([f"addr add {inside}/24 dev eth0", "link set eth0 up", f"route add default via {gate}"], host)
    rules = """table ip nat {
  chain out { type nat hook postrouting priority 100; oifname eth0 %s; }
}
table ip filter {
  chain through { type filter hook forward priority 0; policy drop; iifname inside accept; ct state established,related accept; }
}
""" % KINDS[kind]
    enter = ["nsenter", f"--net=/run/netns/{router}", "--"]
    subprocess.run([*enter, "nft", "-f", "-"], input=rules, text=True, check=True)
    subprocess.run([*enter, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
    world.hidden[host] = inside


def forget_after(host, seconds):
    """Lets the translator of a host forget a UDP mapping sooner than the usual 30 (120 with an answer) seconds."""
    for name in ("nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"):
        subprocess.run(["nsenter", f"--net=/run/netns/nat-{host}", "--", "sysctl", "-qw", f"net.netfilter.{name}={seconds}"], check=True)

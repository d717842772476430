"""The phone on a terminal: what a person types and sees, with real calls."""
import os
import signal
import subprocess
import time
import xml.dom.minidom

import wav
from cases import case, server
from sori import Phone
from terminal import Terminal, command, phone
from world import Failed, check, until

OURS = ("sori",)
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def answering(world, served, user="bob", *args):
    """A phone that answers, and tells what happens to it."""
    peer = Phone(world, user, served, user, f"pw-{user}", 2, answers=True)
    peer.spawn(["answer"], "--echo", *args)
    peer.process.wait_event("registered")
    return peer


@case("terminal-call", servers=OURS)
def call(world):
    """Dial a number, hold, resume, press keys, hang up; the history has it."""
    served = server(world, ("alice", "bob"))
    bob = answering(world, served)
    alice = phone(world, "alice", served, "alice", "--codec", "pcmu")
    alice.wait("No calls. Type a number")
    alice.type("d")
    alice.wait("^ Call: *$")
    alice.type("bob")
    alice.keys("Enter")
    alice.wait(r"→ bob@sori.test .*talking  00:0\d")
    alice.wait("PCMU 8 kHz")
    alice.wait(r"loss 0.0 %  jitter \d+ ms.*MOS 4")
    alice.picture()
    alice.keys("Space")
    alice.wait("on hold  00:")
    bob.process.wait_event("media_changed", sends=False)
    alice.wait("Space resume")
    alice.keys("Space")
    alice.wait("talking  00:")
    alice.type("p12#")
    alice.wait("Keypad: 12#")
    bob.wait_dtmf("12#", 10)
    alice.keys("Escape")
    alice.wait_gone("Keypad:")
    alice.keys("m")
    alice.wait("talking · muted")
    alice.keys("x")
    alice.wait("No calls. Type a number")
    check(bob.wait_ended()["cause"] == "hung_up_there", "bob was not hung up on")
    alice.wait(r"→ \d\d:\d\d  bob@sori.test  .*00:\d\d")
    alice.keys("F6")
    alice.wait("→ .*BYE sip:.*BYE")
    alice.type("/401")
    alice.wait("401 Unauthorized")
    alice.wait_gone("BYE sip:")
    alice.keys("Escape")
    alice.type("/authorization: digest")
    alice.keys("Enter", "Enter")
    alice.wait('response="..."')
    alice.keys("Escape")
    alice.keys("q")
    alice.wait_over()
    until(lambda: not served.bindings("alice"), 5, "the contact was not removed")
    bob.stop()


@case("terminal-digits", servers=OURS)
def digits(world):
    """Digits typed in any pane dial; what nobody has is told with advice."""
    served = server(world, ("alice",))
    alice = phone(world, "alice", served, "alice")
    for pane in ("F3", "F5", "F6"):
        alice.keys(pane)
        alice.type("4711")
        alice.wait("^ Call: 4711")
        alice.keys("Escape")
        alice.wait_gone("^ Call: 4711")
    alice.type("4711")
    alice.keys("Enter")
    alice.wait(r"✗ 4711@sori.test: .*\((404|480)\)")
    alice.wait("→ .*4711@sori.test")
    alice.keys("q")
    alice.wait_over()


@case("terminal-incoming", servers=OURS)
def incoming(world):
    """A caller is seen in a banner and answered with a key; one who gives up is missed."""
    served = server(world, ("alice", "bob"))
    alice = phone(world, "alice", served, "alice")
    bob = Phone(world, "bob", served, "bob", "pw-bob", 3)
    bob.spawn(["call", "alice"])
    alice.wait("bob@sori.test calls you .*a answer  n refuse  v send on")
    # Whoever is writing answers with a key that is no letter.
    alice.type("d")
    alice.wait("F8 answer  F9 refuse")
    alice.keys("Escape")
    # Together in one read, Escape and a letter are that letter with Alt.
    alice.wait_gone("F8 answer")
    alice.type("a")
    bob.wait_established()
    alice.wait("← bob@sori.test .*talking")
    bob.hangup()
    alice.wait("they hung up")
    check(bob.process.wait() == 0, "bob's call failed")
    bob = Phone(world, "bob", served, "bob", "pw-bob", 3, name="sori-bob-again")
    bob.spawn(["call", "alice"])
    alice.wait("calls you")
    bob.hangup()
    bob.process.wait()
    alice.wait("1 missed")
    alice.wait(r"✗ \d\d:\d\d  bob@sori.test .*missed")
    bob = Phone(world, "bob", served, "bob", "pw-bob", 3, name="sori-bob-refused")
    bob.spawn(["call", "alice"])
    alice.wait("calls you")
    alice.type("n")
    check(bob.wait_ended()["status"] == 486, "the refusal does not say busy")
    alice.wait_gone("calls you")
    alice.keys("q")
    alice.wait_over()


@case("terminal-transfer", seconds=70, servers=OURS)
def transfer(world):
    """A second call puts the first on hold; both are connected with each other, and then one is sent to a number."""
    served = server(world, ("alice", "bob", "carol"))
    alice, bob, carol = (phone(world, user, served, user) for user in ("alice", "bob", "carol"))
    for who, terminal in (("bob", bob), ("carol", carol)):
        alice.type(f"d{who}")
        alice.keys("Enter")
        terminal.wait("alice@sori.test calls you")
        terminal.type("a")
        alice.wait(f"→ {who}@sori.test .*talking")
    alice.wait("→ bob@sori.test .*on hold")
    bob.wait("held by them")
    alice.type("w")
    carol.wait("alice@sori.test asks you to call bob@.* a yes  n no")
    carol.type("a")
    alice.wait("No calls. Type a number")
    carol.wait("→ .*bob@.*talking")
    bob.wait("← carol@sori.test .*talking")
    carol.wait_gone("alice@sori.test .*(talking|held by them)")
    carol.type("techo")
    carol.keys("Enter")
    bob.wait("asks you to call echo@sori.test")
    bob.type("a")
    bob.wait("→ echo@sori.test .*talking")
    carol.wait("No calls. Type a number")
    for terminal in (alice, bob, carol):
        terminal.keys("q")
    bob.wait("Hang up and quit")
    bob.keys("y")
    for terminal in (alice, bob, carol):
        terminal.wait_over()


@case("terminal-message", servers=OURS)
def message(world):
    """Texts in Korean between two terminals."""
    served = server(world, ("alice", "bob"))
    alice = phone(world, "alice", served, "alice")
    bob = phone(world, "bob", served, "bob")
    alice.keys("F5")
    alice.type("sbob")
    alice.keys("Enter")
    alice.wait("<bob>")
    alice.type("안녕하세요, 잘 지내시죠?")
    alice.wait("Message: 안녕하세요, 잘 지내시죠\\?")
    alice.keys("Enter")
    bob.wait("Message from alice@sori.test")
    bob.wait("1 new")
    alice.wait("you: 안녕하세요, 잘 지내시죠\\?")
    alice.wait_gone(r"\(sending\)")
    bob.keys("F5", "Enter")
    bob.wait("alice: 안녕하세요, 잘 지내시죠\\?")
    bob.wait_gone("1 new")
    bob.type("네!")
    bob.keys("Enter")
    alice.wait("bob: 네!")
    for terminal in (alice, bob):
        terminal.keys("Escape")
        terminal.keys("q")
        terminal.wait_over()


def make_korean(name, env, *args):
    def run(world):
        served = server(world, ("alice",))
        alice = phone(world, "alice", served, "alice", *args, env=env, registered="● alice@sori.test 등록됨")
        alice.wait("통화가 없습니다")
        alice.type("decho")
        alice.keys("Enter")
        alice.wait("→ echo@sori.test .*통화 중  00:0")
        alice.wait("암호화 안 됨")
        alice.picture()
        alice.wait("손실 0.0 %  지터")
        alice.wait("스페이스 보류  x 끊기")
        alice.keys("Space")
        alice.wait("보류 중")
        alice.keys("?")
        alice.wait("키 안내")
        alice.keys("Escape")
        alice.wait_gone("키 안내")
        alice.keys("q")
        alice.wait("끝낼까요\\?")
        alice.keys("y")
        alice.wait_over()
    case(f"terminal-korean-{name}", servers=OURS)(run)


make_korean("locale", {"LC_ALL": "ko_KR.UTF-8"})
make_korean("option", {"LC_ALL": "C.UTF-8"}, "--language", "ko")


PEOPLE = (("박지성", "bob"), ("Front desk", "4711"), ("김철수", "carol"), ("Workshop", "4720"))


def make_pictures(name, people, *args, **screen):
    """The screens that the pages show: somebody talks, with people in the address book and a history."""
    @case(f"terminal-picture-{name}", servers=OURS)
    def run(world):
        served = server(world, ("alice", "bob", "carol"))
        bob = answering(world, served)
        home = os.path.join(world.dir, "alice.data")
        for number, (who, address) in enumerate(people):
            subprocess.run([world.binary, "contacts", "add", who, address, *["--favourite"] * (number == 0)], check=True,
                           env={**os.environ, "XDG_DATA_HOME": home})
        sound = os.path.join(world.dir, "voice.wav")
        wav.write(sound, wav.voice(1, 30))
        alice = phone(world, "alice", served, "alice", "--codec", "opus,pcmu", "--play", sound, *args, **screen)
        for whom, shown in (("carol", "carol@sori.test"), ("4711", "4711@sori.test")):
            alice.type(f"d{whom}")
            alice.keys("Enter")
            alice.wait(f"✗ .*{shown}|→ \\d\\d:\\d\\d .*")
        alice.type("dbob")
        alice.keys("Enter")
        alice.wait("48 kHz")
        alice.wait("MOS|점수|평점|손실 0.0 %")
        alice.wait("█")
        alice.picture()
        with open(os.path.join(world.dir, "alice.ansi"), encoding="utf-8") as file:
            done = subprocess.run([os.path.join(ROOT, "scripts", "screen-svg")], stdin=file, capture_output=True, encoding="utf-8")
        check(done.returncode == 0, f"no picture of the screen: {done.stderr}")
        for who, _ in people[:2]:
            check(who[0] in done.stdout, f"the picture lacks {who}")
        xml.dom.minidom.parseString(done.stdout)
        alice.keys("x")
        bob.wait_ended()
        alice.wait("No calls. Type a number|통화가 없습니다")
        alice.keys("q")
        alice.wait_over()
        bob.stop()


make_pictures("english", PEOPLE)
make_pictures("korean", PEOPLE, "--language", "ko", registered="● alice@sori.test 등록됨")


@case("terminal-resize", servers=OURS)
def resize(world):
    """One pane at a time where there is no room for more, and back; Ctrl-L draws anew."""
    served = server(world, ("alice",))
    alice = phone(world, "alice", served, "alice")
    alice.wait("Contacts")
    alice.keys("C-l")
    alice.wait("Contacts")
    alice.resize(60, 16)
    alice.wait_gone("Contacts")
    alice.wait("^┏ Calls ━.*┓$")
    alice.wait("● alice@sori.test registered")
    alice.keys("Tab")
    alice.wait("Contacts")
    alice.resize(120, 40)
    alice.wait("Contacts.*Calls")
    alice.keys("q")
    alice.wait_over()


@case("terminal-gives-back", servers=OURS)
def gives_back(world):
    """Ctrl-Z leads to the shell and fg back; a signal ends the phone and leaves the terminal usable."""
    served = server(world, ("alice",))
    line = " ".join(command(world, served, "alice"))
    alice = Terminal(world, "alice", "alice", ["bash", "--norc", "-i"], env={"SORI_PASSWORD": "pw-alice"})
    alice.type("PS1='shell> '")
    alice.keys("Enter")
    alice.wait("^shell> *$")
    before = settings(alice)
    alice.type(line)
    alice.keys("Enter")
    alice.wait("● alice@sori.test registered")
    alice.keys("C-z")
    alice.wait("Stopped")
    alice.wait_gone("Contacts")
    alice.type("fg")
    alice.keys("Enter")
    alice.wait("● alice@sori.test registered")
    alice.wait("No calls. Type a number")
    alice.type("decho")
    alice.keys("Enter")
    alice.wait("talking")
    os.kill(child_of(alice.pid()), signal.SIGTERM)
    alice.wait(r"^shell> *$", 8)
    check(settings(alice) == before, f"the terminal is not as it was:\n{before}\n{settings(alice)}")
    until(lambda: not served.bindings("alice"), 5, "the contact was not removed")


def settings(terminal):
    """The state of the line of the terminal, as stty writes it."""
    terminal.type("clear; stty -g; echo done")
    terminal.keys("Enter")
    return terminal.wait(r"^([0-9a-f:]{30,}[0-9a-f:\n]*)\ndone$").group(1).replace("\n", "")


def child_of(pid):
    """The only child of a process."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    if len(children) != 1:
        raise Failed(f"process {pid} has children {children}")
    return int(children[0])


@case("terminal-link", servers=OURS)
def link(world):
    """A link given as an argument is asked about, never just called."""
    served = server(world, ("alice",))
    alice = phone(world, "alice", served, "alice", "sip:echo@sori.test")
    alice.wait("A link asks to call sip:echo@sori.test. Call\\?")
    time.sleep(1)
    check("INVITE" not in served.process.text(), "the server saw an INVITE")
    alice.wait("No calls. Type a number")
    alice.keys("y")
    alice.wait("→ echo@sori.test .*talking")
    alice.keys("x")
    alice.wait("No calls. Type a number")
    alice.keys("q")
    alice.wait_over()


@case("terminal-refused", servers=OURS)
def refused(world):
    """A wrong password: what happened and what to do."""
    served = server(world, ("alice",))
    alice = phone(world, "alice", served, "alice", password="wrong", registered=None)
    alice.wait(r"✗ alice@sori.test not registered")
    alice.type("A")
    alice.wait("name or password")
    alice.wait("Check the")
    served.change_password("alice", "wrong")
    alice.keys("r")
    alice.wait("● alice@sori.test registered")
    alice.keys("q")
    alice.wait_over()

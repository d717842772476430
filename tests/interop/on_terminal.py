#!/usr/bin/env python3
"""on_terminal.py COMMAND...: runs a program on a terminal of its own. What comes on standard input is typed there; what
the program shows goes to standard output. Ends with the program, or with the end of the input."""
import os
import pty
import select
import signal
import sys


def main():
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "dumb"
        os.execvp(sys.argv[1], sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    sources = [terminal, 0]
    while True:
        ready = select.select(sources, [], [])[0]
        if terminal in ready:
            try:
                shown = os.read(terminal, 65536)
            except OSError:  # the program ended
                break
            if not shown:
                break
            os.write(1, shown.replace(b"\r", b""))
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                sources.remove(0)
            while typed:
                typed = typed[os.write(terminal, typed):]
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()

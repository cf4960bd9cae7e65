"""`python terminal.py STEPS COMMAND…`: somebody at a terminal, who runs a command and types when he has read something.

STEPS is a JSON list of pairs: what to wait for on the screen, after what was there before, and the keys to press then.
All that was shown is printed, without control sequences and white space; the exit code is the command's.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

SECONDS = 30
"""How long to wait for anything to appear."""
SIZE = struct.pack("HHHH", 40, 200, 0, 0)
CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])")


class Terminal:
    """The screen of a running command, as one long text."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self.device = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)
        fcntl.ioctl(self.device, termios.TIOCSWINSZ, SIZE)
        self.raw = b""
        self.read_until = 0

    @property
    def shown(self) -> str:
        return compact(CONTROL.sub("", self.raw.decode(errors="replace")))

    def follow(self, seconds: float) -> bool:
        """Takes what comes next within this time; whether the command still has the terminal."""
        if not select.select([self.device], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.device, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data
        return bool(data)

    def wait_for(self, text: str) -> bool:
        """Whether this is shown after what was waited for before."""
        until = time.monotonic() + SECONDS
        while (found := self.shown.find(compact(text), self.read_until)) < 0:
            if time.monotonic() > until or not self.follow(0.2):
                return False
        self.read_until = found + len(compact(text))
        return True

    def close(self) -> int:
        """Waits for the end of the command; its exit code, or minus the signal that ended it."""
        until = time.monotonic() + SECONDS
        while self.follow(0.2) and time.monotonic() < until:
            pass
        os.close(self.device)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def compact(text: str) -> str:
    """Without white space: programs move the cursor instead, and wrap lines where they like."""
    return "".join(text.split())


def main(steps: list[tuple[str, str]], command: list[str]) -> int:
    terminal = Terminal(command)
    for text, keys in steps:
        if not terminal.wait_for(text):
            print(f"never shown: {text!r}", file=sys.stderr)
            break
        os.write(terminal.device, keys.encode())
    code = terminal.close()
    print(terminal.shown)
    return code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))

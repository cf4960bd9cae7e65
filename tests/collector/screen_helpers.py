"""A pseudo-terminal with a program on it, and the screen that a person would see."""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata

TOKEN = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([\s\S])")
PATIENCE = 20  # seconds


class Terminal:
    """Runs a Python program whose standard error is a terminal and whose standard input is typed by the test."""

    def __init__(self, program):
        self.received = b""
        self._program = program
        self._master, self._slave = os.openpty()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        with self._process:
            os.close(self._master)

    def start(self, *, columns, lines=24, **environment):
        self._columns = columns
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._program],
            stdin=subprocess.PIPE,
            stderr=self._slave,
            start_new_session=True,
            env={**inherited, "TERM": "xterm-256color", **environment},
        )
        os.close(self._slave)

    def type(self, text):
        """To standard input."""
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def ctrl_c(self):
        """At the terminal, which shows `^C` where the cursor is."""
        os.write(self._master, b"\x03")

    def exit_code(self):
        return self._process.wait(PATIENCE)

    def wait_for(self, lines):
        """Reads until the screen shows exactly these lines."""
        deadline = time.monotonic() + PATIENCE
        while screen(self.received.decode(errors="ignore"), self._columns) != lines:
            readable, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
            try:
                more = os.read(self._master, 65536) if readable else b""
            except OSError:  # the program has ended
                more = b""
            shown = screen(self.received.decode(errors="ignore"), self._columns)
            assert more, f"the screen never showed {lines}, but {shown}"
            self.received += more

    @property
    def cursor_shown(self):
        """Whether the cursor was last shown rather than hidden."""
        return self.received.rfind(b"\x1b[?25h") > self.received.rfind(b"\x1b[?25l")


def screen(text, columns):
    """The lines of an endless screen after this output, without trailing spaces; the last one has the cursor."""
    rows, row, column = [[]], 0, 0
    for numbers, command, character in TOKEN.findall(text):
        if command == "A":
            row = max(0, row - int(numbers or 1))
        elif command == "K":
            assert numbers == "2"
            rows[row] = []
        elif character == "\r":
            column = 0
        elif character == "\n":
            row += 1
        elif character.isprintable() and character:
            assert unicodedata.east_asian_width(character) not in "WF"
            if column == columns:
                row, column = row + 1, 0
            rows += [[] for _ in range(row + 1 - len(rows))]
            rows[row] += " " * (column + 1 - len(rows[row]))
            rows[row][column] = character
            column += 1
        rows += [[] for _ in range(row + 1 - len(rows))]
    shown = ["".join(cells).rstrip() for cells in rows]
    while len(shown) > row + 1 and not shown[-1]:
        shown.pop()
    return shown

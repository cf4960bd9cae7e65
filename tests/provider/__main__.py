"""`python -m provider`: prints the URL on its first line, and stops on SIGTERM or when its standard input closes.

A program that starts it holds the other end of that pipe, so the server ends with its starter, however that ends.
From a shell, where the input is a terminal or nothing, only a signal stops it.
"""

from __future__ import annotations

import argparse
import os
import signal
import stat
import threading
from contextlib import suppress

from .server import Provider


def main() -> None:
    parser = argparse.ArgumentParser(prog="provider", description="A local provider that speaks the real wire formats.")
    parser.add_argument("--realistic", action="store_true", help="let usage follow from the sizes of the bodies")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    args = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if input_is_a_pipe():
        threading.Thread(target=wait_for_end_of_input, args=(stop,), daemon=True).start()
    with Provider(realistic=args.realistic, port=args.port) as provider:
        print(provider.url, flush=True)
        stop.wait()


def input_is_a_pipe() -> bool:
    with suppress(OSError):  # there may be no standard input at all
        mode = os.fstat(0).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
    return False


def wait_for_end_of_input(stop: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    main()

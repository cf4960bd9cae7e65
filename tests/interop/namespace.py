"""Runs a program in a Linux namespace of its own: no network but loopback, its own processes, its own /etc/hosts.

The namespaces are those of a new user, who is root in them and nobody outside, so no privilege is needed where the
system allows such users. All that runs in there ends with the program.
"""

from __future__ import annotations

import fcntl
import functools
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

UNSHARE = (
    "unshare",
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


@functools.cache
def refusal() -> str | None:
    """Why no namespace can be had here; None when one can."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return "network namespaces need Linux and unshare (util-linux)"
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, timeout=30, check=False)
    return f"no namespace can be made here: {tried.stderr.strip()}" if tried.returncode else None


def raise_loopback() -> None:
    """Turns on `lo`, which is off in a new network namespace; as `ip link set lo up`, which may not be installed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        named = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, named))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def map_hosts(folder: Path, hosts: Iterable[str]) -> None:
    """Lets `hosts` be this machine, by a file in `folder` over /etc/hosts; only for the namespace that this runs in."""
    hidden = folder / "hosts"
    hidden.write_text("".join(f"127.0.0.1 {host}\n" for host in ("localhost", *hosts)))
    subprocess.run(["mount", "--bind", str(hidden), "/etc/hosts"], check=True)

"""Streams by children at the proxy and by children without it, in turn; prints the seconds to each one's first byte.

Its argument is the number of rounds. To each belongs the time by the monotonic clock at which that byte had come.
"""

import json
import subprocess
import sys
import time
from contextlib import nullcontext

from calls import curl
from opentelemetry.instrumentation.utils import suppress_instrumentation


def stream() -> tuple[float, float]:
    """Seconds from the request's last byte to the answer's first, and when that was."""
    command = curl(stream=True, options=("--write-out", "\n%{time_pretransfer} %{time_starttransfer}\n"))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        child.stdout.read(1)
        came = time.monotonic()
        connected, started = map(float, child.stdout.read().splitlines()[-1].split())
    return started - connected, came


through, direct = [], []
for _ in range(int(sys.argv[1])):
    for where, how in ((through, nullcontext()), (direct, suppress_instrumentation())):
        with how:
            where.append(stream())
print(json.dumps({"through": through, "direct": direct}))

"""Is killed when its child's first call of two is recorded; the child makes the second when a file is there."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from calls import curl

from llmtrace_otel import session
from llmtrace_otel.proxy import link

first, go_on, second = sys.argv[1:]
call, recorded = shlex.join(curl()), Path(os.environ["LLMTRACE_OUTPUT"])
wait = f"while [ ! -e {go_on} ]; do sleep 0.05; done"
script = f"{call} > {first}; {wait}; {call} > {second}.new; mv {second}.new {second}"
with session("s-34"):
    subprocess.Popen(["sh", "-c", script], start_new_session=True)
while not recorded.exists():
    time.sleep(0.01)
link.drain()  # what the file was made for is in it now
os.kill(os.getpid(), signal.SIGKILL)

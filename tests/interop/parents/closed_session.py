"""Closes its session while its child's call is under way, and then waits for the child."""

import subprocess

from calls import curl

from llmtrace_otel import session

with session("s-44"):
    child = subprocess.Popen(curl())
child.wait()

"""In a span and a session: the command that its arguments are, then a call below two shells."""

import subprocess
import sys

from calls import TWO_SHELLS, curl
from opentelemetry import trace

from llmtrace_otel import session

with trace.get_tracer("parent").start_as_current_span("work"), session("s-42"):
    subprocess.run(sys.argv[1:], check=True)
    subprocess.run([*TWO_SHELLS, *curl()], check=True)

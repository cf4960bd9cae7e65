"""Runs the command that its arguments are, in this environment; after `--copy`, in a copy of it that it is given."""

import os
import subprocess
import sys

copy = sys.argv[1] == "--copy"
sys.exit(subprocess.run(sys.argv[1 + copy :], env={**os.environ} if copy else None, check=False).returncode)

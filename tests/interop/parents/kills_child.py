"""Kills its child in the middle of a stream."""

import subprocess

from calls import curl

child = subprocess.Popen(curl(stream=True), stdout=subprocess.PIPE)
child.stdout.readline()
child.kill()
child.wait()

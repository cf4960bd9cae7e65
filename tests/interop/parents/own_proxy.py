"""Starts children for which the caller itself names a proxy, in a whole environment and in a copy of this one."""

import os
import subprocess

PROXY = {"HTTPS_PROXY": "http://custom:1"}
SHOW = ["sh", "-c", 'echo "${HTTPS_PROXY-} ${https_proxy-} ${SSL_CERT_FILE-}"']

for environ in ({"PATH": os.environ["PATH"], **PROXY}, {**os.environ, **PROXY}):
    subprocess.run(SHOW, env=environ, check=True)

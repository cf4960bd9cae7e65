"""`python corporate.py LOG COMMAND…`: runs a command whose https_proxy is a CONNECT proxy that wants a password.

LOG gets a line for each connection: where it went, and by whose credentials.
"""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

USER = "staff:corporate-password"


class Proxy(ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, log: Path) -> None:
        self.log = log
        super().__init__(("127.0.0.1", 0), Tunnel)


class Tunnel(StreamRequestHandler):
    server: Proxy

    def handle(self) -> None:
        target = self.rfile.readline().split()[1].decode()
        headers = dict(line.decode().rstrip().split(": ", 1) for line in iter(self.rfile.readline, b"\r\n"))
        who = base64.b64decode({k.lower(): v for k, v in headers.items()}["proxy-authorization"].split()[1]).decode()
        with self.server.log.open("a") as log:
            log.write(f"{target} {who}\n")
        if who != USER:
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pump, args=(upstream, self.connection))
            back.start()
            pump(self.connection, upstream)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def main(log: str, *command: str) -> int:
    with Proxy(Path(log)) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://{USER}@127.0.0.1:{proxy.server_address[1]}"
        code = subprocess.run(command, env=os.environ | {"https_proxy": url}, check=False).returncode
        proxy.shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

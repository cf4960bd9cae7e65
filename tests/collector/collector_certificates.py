"""An authority for tests, and certificates of it for servers and clients."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme


@dataclass
class Authority:
    """Signs certificates. `file` is its own, in PEM."""

    ca: trustme.CA
    folder: Path

    @property
    def pem(self):
        return self.ca.cert_pem.bytes()

    @property
    def file(self):
        path = self.folder / "authority.pem"
        path.write_bytes(self.pem)
        return str(path)

    def pair(self, *names):
        """Certificate and key in PEM for host names or IP addresses."""
        issued = self.ca.issue_cert(*names)
        return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()

    def files(self, *names):
        """The same, as paths."""
        paths = self.folder / "certificate.pem", self.folder / "key.pem"
        for path, pem in zip(paths, self.pair(*names), strict=True):
            path.write_bytes(pem)
        return tuple(map(str, paths))

    def server(self, *names, clients=None):
        """For asyncio's servers. With `clients` only their certificates are let in."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(*(names or ("127.0.0.1",))))
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem.decode())
        return context

    def grpc_server(self, *names, clients=None):
        """For gRPC's servers."""
        certificate, key = self.pair(*names)
        return grpc.ssl_server_credentials(
            [(key, certificate)], clients.pem if clients else None, require_client_auth=clients is not None
        )


def authority(folder):
    """A new one, which keeps its files in a folder of that name."""
    folder.mkdir()
    return Authority(trustme.CA(), folder)

"""An authority for tests, and certificates of it for servers and clients."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject, issuer, key):
    start = datetime.datetime(2020, 1, 1)
    builder = x509.CertificateBuilder(_name(issuer), _name(subject), key.public_key(), x509.random_serial_number())
    return builder.not_valid_before(start).not_valid_after(start.replace(year=2120))


def _alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@dataclass
class Authority:
    """Signs certificates. `file` is its own, in PEM."""

    key: ec.EllipticCurvePrivateKey
    pem: bytes
    folder: Path

    @property
    def file(self):
        path = self.folder / "authority.pem"
        path.write_bytes(self.pem)
        return str(path)

    def pair(self, *names):
        """Certificate and key in PEM for host names or IP addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(names[0], "test authority", key)
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_alternative, names)), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), _key_pem(key)

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
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("test authority", "test authority", key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Authority(key, pem, folder)

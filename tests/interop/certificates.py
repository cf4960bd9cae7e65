"""A certificate authority for one run, and a certificate of it for all the hosts that the fake provider stands for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "interop test authority")])


def write(folder: Path, hosts: Sequence[str]) -> None:
    """Writes `ca.pem`, which clients are to trust, and `server.pem`: a key and a certificate for `hosts`."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = builder(AUTHORITY, authority, authority).add_extension(x509.BasicConstraints(True, 0), critical=True)
    signing = root.add_extension(usage(signs=True), critical=True).sign(authority, hashes.SHA256())
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    leaf = builder(x509.Name([]), key, authority).add_extension(names, critical=True)
    served = leaf.add_extension(usage(signs=False), critical=True).sign(authority, hashes.SHA256())
    (folder / "ca.pem").write_bytes(pem(signing))
    (folder / "server.pem").write_bytes(private(key) + pem(served))


def builder(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, authority: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    """What both certificates have: they are of the authority, and good for a day."""
    now = datetime.now(UTC)
    named = x509.CertificateBuilder().subject_name(subject).issuer_name(AUTHORITY).public_key(key.public_key())
    dated = named.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    of_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    identified = dated.not_valid_after(now + timedelta(days=1)).add_extension(of_key, critical=False)
    return identified.add_extension(of_authority, critical=False)


def usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

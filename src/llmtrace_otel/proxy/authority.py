"""The proxy's certificate authority: made anew by each proxy, for the hosts that it opens and no others.

The CA's key never leaves the memory of this process. Its certificate is critically constrained to the permitted DNS
names, so that not even the key could vouch for a bank's host, and it lasts 30 days at most. All leaves share one key;
they are made when a host is first asked for, and again before they run out.

Key identifiers and key usages are all there: since 3.13 Python checks RFC 5280 by the letter (VERIFY_X509_STRICT).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE: Final = timedelta(days=30)
LEAF_LIFE: Final = timedelta(days=7)
CLOCK_SKEW: Final = timedelta(hours=1)
"""How far back a certificate's life begins: a child's clock may be behind ours."""

_ADDRESSES = [x509.IPAddress(ip_network(every)) for every in ("0.0.0.0/0", "::/0")]


class Authority:
    """A CA for these DNS names, each with what is below it. Raises ValueError for a name that is none, and for none.

    Attributes:
        pem: Its certificate.
        expires: When its certificate ends, and with it what it has vouched for.
    """

    def __init__(self, permitted: Sequence[str]) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("llmtrace-otel proxy CA")
        self._certificate = self._sign_self(_constraints(permitted))
        self._contexts: dict[str, tuple[datetime, ssl.SSLContext]] = {}
        self.expires = self._certificate.not_valid_after_utc
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def context(self, host: str) -> ssl.SSLContext:
        """The server's side of TLS with `host`: HTTP/1.1, and a leaf that has at least half of its life before it."""
        now = datetime.now(UTC)
        renewal, context = self._contexts.get(host, (now, None))
        if context is None or renewal <= now:
            context = _server_context(self._leaf(host), self._leaf_key)
            self._contexts[host] = (now + LEAF_LIFE / 2, context)
        return context

    def _sign_self(self, constraints: x509.NameConstraints) -> x509.Certificate:
        builder = self._builder(self._key, self._name, CA_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(of_ca=True), critical=True)
        return builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())

    def _leaf(self, host: str) -> x509.Certificate:
        builder = self._builder(self._leaf_key, _named("llmtrace-otel proxy"), LEAF_LIFE)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(of_ca=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        return builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())

    def _builder(self, key: ec.EllipticCurvePrivateKey, subject: x509.Name, life: timedelta) -> x509.CertificateBuilder:
        start = datetime.now(UTC) - CLOCK_SKEW
        public, issuer = key.public_key(), self._key.public_key()
        return (
            x509.CertificateBuilder(issuer_name=self._name, subject_name=subject, public_key=public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + life)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        )


def _named(organization: str) -> x509.Name:
    # no common name, which old clients take for a host
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])


def _constraints(permitted: Sequence[str]) -> x509.NameConstraints:
    """These names and no address: a constraint on names alone would leave addresses free."""
    if not permitted:
        raise ValueError("the proxy opens no host, so it needs no CA")
    return x509.NameConstraints([x509.DNSName(name) for name in permitted], _ADDRESSES)


def _usage(*, of_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        key_cert_sign=of_ca,
        digital_signature=not of_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _server_context(leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    certificate = _pipe(leaf.public_bytes(Encoding.PEM))
    try:
        secret = _pipe(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        try:
            context.load_cert_chain(f"/dev/fd/{certificate}", f"/dev/fd/{secret}")
        finally:
            os.close(secret)
    finally:
        os.close(certificate)
    return context


def _pipe(data: bytes) -> int:
    """A descriptor that `data` can be read from once: `ssl` takes files only, and keys are not for the disk."""
    reading, writing = os.pipe()
    try:
        os.write(writing, data)  # less than any pipe holds
    finally:
        os.close(writing)
    return reading

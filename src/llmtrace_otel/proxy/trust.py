"""Whose certificates are believed: by the proxy of the hosts it speaks to, and by a child of the proxy.

A child gets bundles: what it trusts anyway, and our CA after it. The proxy in turn verifies hosts by what the child
trusts, never by our CA. `bundle` runs where children are started, so nothing is imported before it is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import ssl

SYSTEM_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, BSD, Alpine
)

_Version: TypeAlias = tuple[str, int, int]
"""A path, when it was last changed (ns), its size in bytes."""

_CERTIFICATE = re.compile(rb"-----BEGIN (?P<kind>[A-Z0-9 ]*CERTIFICATE)-----.+?-----END (?P=kind)-----", re.DOTALL)
_bundles: dict[tuple[str, tuple[_Version, ...]], str] = {}


@cache
def system() -> str | None:
    """The file of CA certificates of the system, of Python's OpenSSL, or of certifi; `None` where there is none."""
    return next(filter(os.path.exists, _candidates()), None)


def _candidates() -> Iterator[str]:
    yield from SYSTEM_FILES
    import ssl

    yield ssl.get_default_verify_paths().openssl_cafile
    with suppress(ImportError):
        import certifi

        yield certifi.where()


def bundle(base: str | None, directory: str, ca_pem: bytes) -> str:
    """The path of a file with the certificates of `base` and then ours.

    Made once per directory and state of `base`.

    Args:
        base: A file or a directory, or several joined by `os.pathsep` as in SSL_CERT_DIR; `None`: the system's.
        directory: Where to write it.
        ca_pem: Our certificate.

    Raises:
        OSError: `base` cannot be read, the system has no file, or `directory` cannot be written to.
    """
    base = base or system()
    if base is None:
        raise FileNotFoundError("the system has no file of CA certificates")
    key = directory, tuple(map(_version, base.split(os.pathsep)))
    path = _bundles.get(key)
    if path is None or not os.path.exists(path):  # who cleans up /tmp may have come by
        certificates = _certificates(base.split(os.pathsep))
        path = _bundles[key] = _write(b"\n".join([*certificates, ca_pem]), directory)
    return path


def _version(path: str) -> _Version:
    status = os.stat(path)
    return path, status.st_mtime_ns, status.st_size


def _certificates(paths: Iterable[str]) -> list[bytes]:
    """Each certificate once: a directory of the usual kind has them under two names, and in one file besides."""
    contents = (_read(file) for path in paths for file in _files(path))
    return list(dict.fromkeys(found[0] for content in contents for found in _CERTIFICATE.finditer(content)))


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return sorted(entry.path for entry in os.scandir(path) if entry.is_file())


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(content: bytes, directory: str) -> str:
    """A new file; nobody knows its name before it is whole."""
    from tempfile import mkstemp

    descriptor, path = mkstemp(prefix="trust-", suffix=".pem", dir=directory)
    os.fchmod(descriptor, 0o644)  # a child that is another user's reads it, too
    with open(descriptor, "wb") as file:
        file.write(content)
    return path


def upstream_context(trust: Sequence[str], only: bool) -> ssl.SSLContext:
    """The client's side of TLS with any host, over HTTP/1.1, which verifies it by what a child trusts.

    Made once per state of the files; takes some 25 ms then.

    Args:
        trust: Files and directories of CA certificates; what cannot be read is passed over.
        only: Whether the system's certificates are not to be trusted beside them.
    """
    return _upstream_context(tuple(_readable(trust)), only)


def _readable(paths: Sequence[str]) -> Iterator[_Version]:
    for path in paths:
        with suppress(OSError):
            yield _version(path)


@lru_cache(maxsize=32)
def _upstream_context(trust: tuple[_Version, ...], only: bool) -> ssl.SSLContext:
    import ssl

    # without VERIFY_X509_STRICT, which companies' CAs often fail and hardly any client asks for; an intermediate CA
    # that is trusted suffices, as it does for curl, Go and Node
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    if not only:
        _load_system(context)
    for path, _, _ in trust:
        _load(context, path)
    return context


def _load_system(context: ssl.SSLContext) -> None:
    """Not `load_default_certs`, which goes by this process's SSL_CERT_FILE and not by the child's."""
    file = system()
    if file is not None:
        _load(context, file)


def _load(context: ssl.SSLContext, path: str) -> None:
    with suppress(OSError):  # ssl.SSLError, for a file with no certificate in it, is one
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)

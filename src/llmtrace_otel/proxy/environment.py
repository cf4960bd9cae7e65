"""What a child finds in its environment: our proxy and our CA, on top of what the user has set.

- Proxies: whoever started us may have set one; the child's becomes ours, and ours goes on to theirs (`proxies_of`).
  What the caller has set for this child alone (it differs from our own environment) is kept, and that scheme is then
  not intercepted. Both cases of a name are one variable: we never set the one that the user has not.
- Certificates: NODE_EXTRA_CA_CERTS and DENO_CERT add to what a client trusts, so they name our CA, and the user's file
  if there is one. The others replace it, so they name the user's file, or the system's, with ours at the end. curl,
  codex and the AWS SDKs read SSL_CERT_FILE or REQUESTS_CA_BUNDLE where their own variable is not set. git and pip speak
  to no model and gRPC speaks HTTP/2 alone: they are tunnelled, and need nothing.
- LLMTRACE_PROXY_UNDO holds, for each name, our value and the one before. Whoever records for himself, an instrumented
  Python child or another llmtrace, puts back what was there; everything here begins with that, on a copy.

This runs for every child that is started: it imports nothing heavy, and writes files at the first child only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from llmtrace_otel.proxy import trust

UNDO: Final = "LLMTRACE_PROXY_UNDO"

_HTTPS = ("https_proxy", "HTTPS_PROXY")
_HTTP = ("http_proxy", "HTTP_PROXY")
_ALL = ("all_proxy", "ALL_PROXY")
_NO = ("no_proxy", "NO_PROXY")
_WSS = ("wss_proxy", "WSS_PROXY")  # aiohttp's, for WebSockets
_ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
_REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "CODEX_CA_CERTIFICATE")
_ALWAYS_REPLACED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_PASSED_OVER = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
"""Clients do without the file that these name if they cannot read it; with the others' it is an error of their own."""
_PROXIES_AND_CERTIFICATES = (*_HTTPS, *_HTTP, *_ALL, *_WSS, *_ADDING, *_REPLACING)

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_METADATA = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254", "metadata.google.internal")
"""Where a cloud's machines get their credentials from; the proxy connects with none of these."""
_PORTS = {"http": 80, "https": 443}


_encode = json.JSONEncoder(separators=(",", ":")).encode


class _Vendor(NamedTuple):
    """Where a vendor's SDK calls, and by which variables it is told otherwise, its own name for it first."""

    endpoint: str
    variables: tuple[str, ...]


_VENDORS = (
    # as Anthropic's SDKs and claude want it; opencode wants /v1 at the end, and no value suits both
    _Vendor("https://api.anthropic.com", ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE")),
    _Vendor("https://api.openai.com/v1", ("OPENAI_BASE_URL", "OPENAI_API_BASE", "AZURE_OPENAI_ENDPOINT")),
    _Vendor("https://generativelanguage.googleapis.com", ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_BASE")),
)
_RELAYED = (
    *(name for vendor in _VENDORS for name in vendor.variables),
    "CO_API_URL",
    "GROQ_BASE_URL",
    "LITELLM_PROXY_API_BASE",
    "OLLAMA_API_BASE",
)
_BASE_URLS = (
    *_RELAYED,
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",  # not relayed: requests are signed for host and path
    "OLLAMA_HOST",  # not relayed: `ollama serve` listens there
)


class Offer(NamedTuple):
    """What the proxy has for one child."""

    url: str
    """`http://<id>:<token>@127.0.0.1:<port>`"""
    id: str
    token: str
    directory: str
    """Where `ca.pem` is, and where bundles go."""
    relay: bool
    """Whether base URLs are to lead through the proxy too."""


def intercepted(environ: Mapping[str, str], inherited: Mapping[str, str], offer: Offer) -> dict[str, str]:
    """A copy of a child's environment with ours added. Never raises; what cannot be set up is not intercepted.

    Args:
        environ: What the child's environment would be without us.
        inherited: Our own, `os.environ`.
        offer: For this child.
    """
    child = dict(environ)
    undo(child)
    explicit = _explicit(child, _undone(inherited)) if environ is not inherited else set()
    ours = _proxies(child, explicit, offer)
    if offer.relay:
        ours |= _relayed(child, offer)
    if ours:
        ours |= _not_proxied(child, () if offer.relay else _gateways(child))
        child[UNDO] = _encode({name: (value, child.get(name)) for name, value in ours.items()})
        child.update(ours)
    return child


def proxies_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxies that a child uses without us, by `https`, `http` and `all`, and the hosts for none by `no`."""
    before = _undone(environ)
    found = {"https": _either(before, _HTTPS), "http": _either(before, _HTTP)}
    found |= {"all": _either(before, _ALL), "no": _either(before, _NO)}
    return {scheme: value for scheme, value in found.items() if value}


def trust_of(environ: Mapping[str, str]) -> tuple[list[str], bool]:
    """The files and directories of CA certificates that a child trusts without us, and whether those are all.

    A child may have several clients, which read different variables, so files that any of them trusts are named. They
    are all with SSL_CERT_FILE, by which OpenSSL, Go, Rust and httpx are told what to trust in place of the system's.
    """
    before = _undone(environ)
    named = [before.get(name, "") for name in (*_REPLACING, *_ADDING)]
    named += before.get("SSL_CERT_DIR", "").split(os.pathsep)
    readable = [os.path.abspath(path) for path in dict.fromkeys(named) if _is_readable(path)]
    return list(dict.fromkeys(readable)), _is_readable(before.get("SSL_CERT_FILE"))


def undo(environ: MutableMapping[str, str]) -> None:
    """Puts back what was there before us, where it is still ours. Never raises."""
    for name, (ours, before) in _changes(environ.pop(UNDO, None)):
        if environ.get(name) != ours:
            continue
        if before is None:
            del environ[name]
        else:
            with suppress(ValueError):  # no value of an environment, so we never had it from one
                environ[name] = before


def _changes(record: str | None) -> Iterator[tuple[str, tuple[str, str | None]]]:
    if record is None:
        return
    try:
        changes = json.loads(record)
    except (ValueError, RecursionError):
        return
    for name, change in changes.items() if isinstance(changes, dict) else ():
        match change:
            case [str() as ours, str() | None as before]:
                yield name, (ours, before)


def _undone(environ: Mapping[str, str]) -> Mapping[str, str]:
    if UNDO not in environ:
        return environ
    before = dict(environ)
    undo(before)
    return before


def _explicit(child: Mapping[str, str], inherited: Mapping[str, str]) -> set[str]:
    """What the caller has set for this child."""
    present = [name for name in _PROXIES_AND_CERTIFICATES if name in child]
    return {name for name in present if child[name] != inherited.get(name)}


def _either(environ: Mapping[str, str], names: tuple[str, str]) -> str:
    """The lower case first, as curl and Python do, even if it is empty: that switches a proxy off."""
    lower, upper = names
    return environ[lower] if lower in environ else environ.get(upper, "")


# Proxies


def _proxies(child: Mapping[str, str], explicit: Collection[str], offer: Offer) -> dict[str, str]:
    ours: dict[str, str] = {}
    if not _holds(explicit, (*_HTTPS, *_ALL, *_ADDING, *_REPLACING)):
        with suppress(OSError):  # no certificates, no interception of TLS
            ours |= _certificates(child, offer.directory)
            ours |= _https(child, explicit, offer.url)
    if not _holds(explicit, (*_HTTP, *_ALL)):
        ours |= dict.fromkeys(_HTTP, offer.url)
    if ours.keys() >= {*_HTTPS, *_HTTP}:  # clients that prefer it would pass us by; theirs is where we go on to
        ours |= {name: offer.url for name in _ALL if child.get(name)}
    return ours


def _https(child: Mapping[str, str], explicit: Collection[str], url: str) -> dict[str, str]:
    ours = dict.fromkeys(_HTTPS, url)
    if "NODE_USE_ENV_PROXY" not in child:  # without it Node 22 and later look at no proxy
        ours["NODE_USE_ENV_PROXY"] = "1"
    if _either(child, _WSS) in ("", _either(child, _HTTPS)) and not _holds(explicit, _WSS):
        ours |= dict.fromkeys(_WSS, url)  # one of its own stays: we would go on to that of HTTPS
    return ours


def _holds(explicit: Collection[str], names: Collection[str]) -> bool:
    return any(name in explicit for name in names)


def _not_proxied(child: Mapping[str, str], gateways: Collection[str]) -> dict[str, str]:
    """The user's NO_PROXY with loopback, where children speak to servers of their own, but for LLM gateways there."""
    direct = [host for host in (*_LOOPBACK, *_METADATA) if host not in gateways]
    theirs = {name: child.get(name, _either(child, _NO)) for name in _NO}
    return {name: _extended(hosts, direct) for name, hosts in theirs.items()}


def _extended(hosts: str, more: Collection[str]) -> str:
    listed = [host.strip() for host in hosts.split(",")]
    if "*" in listed:  # counts for some clients only as long as it stands alone
        return hosts
    return ",".join(filter(None, [hosts, *(host for host in more if host not in listed)]))


def _gateways(child: Mapping[str, str]) -> set[str]:
    """The loopback hosts that the child is to call models at, without TLS."""
    values = [child[name] for name in _BASE_URLS if child.get(name)]
    urls = [_parsed(value if "//" in value else f"http://{value}") for value in values]
    return {url.hostname for url in urls if url and url.scheme == "http" and url.hostname in _LOOPBACK}


# Certificates


def _certificates(child: Mapping[str, str], directory: str) -> dict[str, str]:
    """The variables by which a child comes to trust our CA too. Raises OSError when that cannot be had."""
    ca = os.path.join(directory, "ca.pem")
    pem = _content(ca)
    readable = {name: child[name] for name in (*_REPLACING, *_ADDING) if _is_readable(child.get(name))}
    ours = {name: trust.bundle(path, directory, pem) for name, path in readable.items()}
    for name in (*_ALWAYS_REPLACED, *_ADDING):
        if name not in readable and (name in _PASSED_OVER or not child.get(name)):
            ours[name] = ca if name in _ADDING else trust.bundle(_base(name, child), directory, pem)
    return ours


def _base(name: str, child: Mapping[str, str]) -> str | None:
    """What is trusted where the variable is not set; `None` for the system's certificates."""
    if name == "REQUESTS_CA_BUNDLE":
        path = child.get("CURL_CA_BUNDLE")
        return path if _is_readable(path) else None
    directories = [path for path in child.get("SSL_CERT_DIR", "").split(os.pathsep) if _is_readable(path)]
    return os.pathsep.join(filter(None, [trust.system(), *directories])) or None


def _is_readable(path: str | None) -> bool:
    return os.access(path or "", os.R_OK)


@lru_cache(maxsize=8)
def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


# Base URLs


def _relayed(child: Mapping[str, str], offer: Offer) -> dict[str, str]:
    """Each base URL by way of the proxy, and the vendor's own where none of its variables is set."""
    urls = {name: child[name] for name in _RELAYED if child.get(name)}
    for vendor in _VENDORS:
        if urls.keys().isdisjoint(vendor.variables):  # a second one might win over the one that is set
            urls[vendor.variables[0]] = vendor.endpoint
    relayed = {name: _relay(_parsed(url), offer) for name, url in urls.items()}
    return {name: url for name, url in relayed.items() if url}


def _relay(url: SplitResult | None, offer: Offer) -> str | None:
    """`http://127.0.0.1:<port>/t/<id>:<token>/<scheme>/<host>:<port>/<path>`; the URL's own credentials stay first."""
    if url is None or url.scheme not in _PORTS or not url.hostname:
        return None
    user, at, host = url.netloc.rpartition("@")
    if url.port is None:
        host = f"{host.removesuffix(':')}:{_PORTS[url.scheme]}"
    proxy = offer.url.rpartition("@")[2]
    path = f"{url.path}?{url.query}" if url.query else url.path
    return f"http://{user}{at}{proxy}/t/{offer.id}:{offer.token}/{url.scheme}/{host}{path}"


def _parsed(url: str) -> SplitResult | None:
    """A URL whose host and port can be read, or `None`."""
    try:
        parsed = urlsplit(url)
        _ = parsed.hostname, parsed.port
    except ValueError:
        return None
    return parsed

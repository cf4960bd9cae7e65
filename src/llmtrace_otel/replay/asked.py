"""A request as a recording knows it: without secrets, and without what differs from one run to the next.

The document that this makes is what the file shows and what is compared, so that two requests have the same recording
exactly if they look the same there. Headers are no part of it: a key, a version of an SDK, an id of a trace.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from llmtrace_otel.replay import volatile
from llmtrace_otel.telemetry.secrets import REDACTED, scrubbed, scrubbed_value
from llmtrace_otel.wire.encoding import decoder
from llmtrace_otel.wire.exchange import Exchange
from llmtrace_otel.wire.providers import Providers

Document = dict[str, Any]
"""`method`, `host`, `path`, and where there are any `query` and `body`."""

_DEFAULT_PORTS: Final = (80, 443, None)
_LOOPBACK: Final = ("localhost", "::1")
_KEY_HEADERS: Final = (
    *("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token", "proxy-authorization"),
    *("x-auth-token", "cf-aig-authorization", "helicone-auth", "x-portkey-api-key"),  # gateways
)
_KEY_PARAMETERS: Final = frozenset(
    {"key", "api_key", "api-key", "apikey", "access_token", "token", "sig", "signature"}
    | {"subscription-key", "client_secret", "password"}
)
_SIGNATURES: Final = ("x-amz-", "x-goog-")
"""Begins of names of what signs a URL."""
_SHORTEST_KEY: Final = 8
"""Characters of a key that is looked for wherever it may stand; shorter ones are words."""
_JSON_STARTS: Final = (b"{", b"[")


class Asked(NamedTuple):
    """A request as it is sent."""

    method: str
    host: str
    port: int | None
    path: str
    """Decoded, without the query."""
    query: str
    headers: Mapping[str, str]
    """By names that are asked in lower case."""
    body: bytes | None
    """`None` for one that cannot be seen."""

    @property
    def secrets(self) -> list[str]:
        """The keys that the request itself shows."""
        found = [self.headers.get(name) or "" for name in _KEY_HEADERS]
        found += [value for name, value in parse_qsl(self.query) if _is_of_a_key(name)]
        words = [value.rpartition(" ")[2] for value in found]  # of "Bearer …"
        return [word for word in words if len(word) >= _SHORTEST_KEY]


def is_call(asked: Asked, providers: Providers) -> bool:
    """Whether a request is an LLM call, whoever wants to see it. Never raises."""
    if not providers.may_match(asked.method, asked.host, asked.path):
        return False
    method, host, port, path, query, headers, body = asked
    return Exchange.begin(method, host, port, path, body, query=query, headers=headers, providers=providers) is not None


class UnseenError(ValueError):
    """A request cannot be told from others: its body cannot be seen."""


class Identity(NamedTuple):
    """What identifies a request."""

    document: Document
    variant: str
    """A name for the ids and moments in its texts, of which nothing tells whether they count; empty without any."""


def identify(asked: Asked) -> Identity:
    """What identifies a request. Raises UnseenError."""
    if asked.body is None:
        why = "its body is streamed, or too large"
        raise UnseenError(f"a request to {asked.host} cannot be told from others: {why}")
    here, drawn = volatile.here(), list[str]()
    found: Document = {"method": asked.method, "host": _host(asked), "path": here.text(scrubbed(asked.path), drawn)}
    if query := _query(asked.query):
        found["query"] = query
    if asked.body:
        found["body"] = _body(asked, here, drawn)
    return Identity(found, _digest("\n".join(drawn))[:6] if drawn else "")


def document(asked: Asked) -> Document:
    """What identifies a request, as its recording shows it. Raises UnseenError."""
    return identify(asked).document


def key(found: Document) -> str:
    """The document's name in hexadecimal: the same for the same request on another day."""
    text = json.dumps(found, sort_keys=True, ensure_ascii=False)
    return _digest(volatile.undated(text))[:12]


def without(secrets: list[str], data: bytes) -> bytes:
    """`data` without the very keys that a request shows."""
    for secret in secrets:
        data = data.replace(secret.encode("latin-1", "replace"), REDACTED.encode())
    return data


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _host(asked: Asked) -> str:
    host = asked.host.lower()
    if host in _LOOPBACK or host.startswith("127."):
        return "localhost"  # where a server of the tests' own has another port each time
    return host if asked.port in _DEFAULT_PORTS else f"{host}:{asked.port}"


def _query(query: str) -> dict[str, str]:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return {name: scrubbed(value) for name, value in pairs if not _is_of_a_key(name)}


def _is_of_a_key(parameter: str) -> bool:
    """Whether a parameter of a URL is a key, or a part of a signature."""
    name = parameter.lower()
    return name in _KEY_PARAMETERS or name.startswith(_SIGNATURES)


def _body(asked: Asked, here: volatile.Here, drawn: list[str]) -> Any:
    """JSON as it is, text as its lines; of anything else there is only a fingerprint."""
    body = without(asked.secrets, _decoded(asked))
    if body.lstrip()[:1] in _JSON_STARTS:
        try:
            return here.value(scrubbed_value(volatile.fingerprinted(json.loads(body))), drawn)
        except ValueError:
            pass
    boundary = (asked.headers.get("content-type") or "").partition("boundary=")[2].strip('"')
    if boundary:
        body = body.replace(boundary.encode("latin-1", "replace"), b"<boundary>")
    try:
        return here.value(scrubbed_value(volatile.fingerprinted(body.decode().splitlines())), drawn)
    except UnicodeDecodeError:
        return f"<{len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()[:16]}>"


def _decoded(asked: Asked) -> bytes:
    body = asked.body or b""
    if body[:1] in _JSON_STARTS or not (coding := asked.headers.get("content-encoding")):
        return body
    try:
        undo = decoder(coding)
        return undo.decompress(body) if undo is not None else body
    except Exception:  # each library has an error of its own
        return body

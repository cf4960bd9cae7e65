"""Who is spoken to, and in which format: the recognition of LLM calls by their host, path and body.

A vendor is a row of `vendors.py`: its name in `gen_ai.provider.name`, its hosts, the id under which `genai-prices`
knows it. Paths that mean an LLM call at any vendor's are `ROUTES`; a vendor's own are in its row.

A call to a host of nobody's is recognised by its path and the shape of its body, and named after the product that a
label of its host names (`http://vllm.internal/v1`), else after the vendor whose format it speaks.

Recognition is cheap where it fails: a request that is no LLM call costs one look-up of its path's last segment.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from msgspec import Raw, Struct

from llmtrace_otel.wire.anthropic_messages import ANTHROPIC_COMPLETE, ANTHROPIC_MESSAGES
from llmtrace_otel.wire.bedrock_converse import BEDROCK_CONVERSE, BEDROCK_CONVERSE_STREAM
from llmtrace_otel.wire.bedrock_invoke import BEDROCK_INVOKE, BEDROCK_INVOKE_STREAM
from llmtrace_otel.wire.call import Call
from llmtrace_otel.wire.cohere_chat import COHERE_CHAT
from llmtrace_otel.wire.cohere_embeddings import COHERE_EMBEDDINGS
from llmtrace_otel.wire.cohere_v1 import COHERE_CHAT_V1, COHERE_GENERATE
from llmtrace_otel.wire.decode import Reader
from llmtrace_otel.wire.formats import Format
from llmtrace_otel.wire.gemini import GEMINI, GEMINI_STREAM
from llmtrace_otel.wire.gemini_embeddings import GEMINI_EMBEDDINGS
from llmtrace_otel.wire.gemini_interactions import GEMINI_FETCH_INTERACTION, GEMINI_INTERACTIONS
from llmtrace_otel.wire.llamacpp import LLAMACPP_COMPLETION, LLAMACPP_EMBEDDINGS
from llmtrace_otel.wire.lmstudio import LMSTUDIO_CHAT
from llmtrace_otel.wire.ollama import OLLAMA_CHAT, OLLAMA_EMBEDDINGS, OLLAMA_GENERATE
from llmtrace_otel.wire.openai_chat import OPENAI_CHAT
from llmtrace_otel.wire.openai_completions import OPENAI_COMPLETIONS
from llmtrace_otel.wire.openai_embeddings import OPENAI_EMBEDDINGS
from llmtrace_otel.wire.openai_responses import OPENAI_FETCH_RESPONSE, OPENAI_RESPONSES
from llmtrace_otel.wire.vendors import PROVIDERS, SELF_HOSTED, Provider, Registration
from llmtrace_otel.wire.watsonx import (
    WATSONX_CHAT,
    WATSONX_CHAT_STREAM,
    WATSONX_GENERATION,
    WATSONX_GENERATION_STREAM,
)

FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        OPENAI_CHAT,
        OPENAI_RESPONSES,
        OPENAI_COMPLETIONS,
        OPENAI_EMBEDDINGS,
        ANTHROPIC_MESSAGES,
        ANTHROPIC_COMPLETE,
        GEMINI,
        GEMINI_STREAM,
        GEMINI_EMBEDDINGS,
        GEMINI_INTERACTIONS,
        BEDROCK_CONVERSE,
        BEDROCK_CONVERSE_STREAM,
        BEDROCK_INVOKE,
        BEDROCK_INVOKE_STREAM,
        COHERE_CHAT,
        COHERE_CHAT_V1,
        COHERE_GENERATE,
        COHERE_EMBEDDINGS,
        OLLAMA_CHAT,
        OLLAMA_GENERATE,
        OLLAMA_EMBEDDINGS,
        WATSONX_CHAT,
        WATSONX_CHAT_STREAM,
        WATSONX_GENERATION,
        WATSONX_GENERATION_STREAM,
        LLAMACPP_COMPLETION,
        LLAMACPP_EMBEDDINGS,
        LMSTUDIO_CHAT,
    )
}


_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]", "0.0.0.0")  # noqa: S104 - compared with, never bound


class Route(NamedTuple):
    """A path that means an LLM call at any vendor's."""

    suffix: str
    format: Format | None
    """`None` where only the body can tell."""
    under: str = ""
    """What the path has besides."""
    telling: bool = False
    """Nothing else uses it: enough for an unknown host when the body cannot be seen."""
    unless: re.Pattern[str] | None = None
    """What the path of no such call has, in the name of its model or before."""


_NO_TEXT = re.compile(r"stability\.|image-generator|nova-(?:canvas|reel|sonic)|rerank")
"""Bedrock's models for pictures, films, speech and ranking."""

_NO_ANSWER = re.compile(r"/async/|/count-tokens:")
"""Perplexity's jobs, whose answers are fetched later, and Vertex AI's count of the tokens of a message to Claude."""

ROUTES = (
    Route("/chat/completions", OPENAI_CHAT, telling=True, unless=_NO_ANSWER),
    Route("/fim/completions", OPENAI_CHAT),
    Route("/agents/completions", OPENAI_CHAT),
    Route("/completions", OPENAI_COMPLETIONS),
    Route("/responses", OPENAI_RESPONSES),
    Route("/embeddings", OPENAI_EMBEDDINGS),
    Route("/v1/messages", ANTHROPIC_MESSAGES, telling=True),
    Route("/v1/complete", ANTHROPIC_COMPLETE),
    Route(":generateContent", GEMINI, telling=True),
    Route(":streamGenerateContent", GEMINI_STREAM, telling=True),
    Route(":embedContent", GEMINI_EMBEDDINGS, telling=True),
    Route(":batchEmbedContents", GEMINI_EMBEDDINGS, telling=True),
    Route("/interactions", GEMINI_INTERACTIONS),
    Route(":rawPredict", None, under="/publishers/", unless=_NO_ANSWER),
    Route(":streamRawPredict", None, under="/publishers/"),
    Route("/converse", BEDROCK_CONVERSE, under="/model/", telling=True),
    Route("/converse-stream", BEDROCK_CONVERSE_STREAM, under="/model/", telling=True),
    Route("/invoke", BEDROCK_INVOKE, under="/model/", unless=_NO_TEXT),
    Route("/invoke-with-response-stream", BEDROCK_INVOKE_STREAM, under="/model/", telling=True),
)

_MOST_REMEMBERED = 1_000
_FETCH = re.compile(r"/(responses|interactions)/([A-Za-z0-9_-]+)$")
_MODEL = re.compile(
    r"/(?:deployments|engines)/(?P<deployment>[^/]+)/"
    r"|/(?:models|tunedModels|endpoints)/(?P<model>[^/]+):[A-Za-z]+$"
    r"|/model/(?P<bedrock>.+)/(?:converse|invoke)[a-z-]*$"
)


def _key(path: str) -> str:
    """What a path is looked up by: its last segment, or the verb behind a colon in it."""
    segment = path[path.rfind("/") + 1 :]
    verb = segment.rfind(":")
    return segment if verb < 0 else segment[verb:]


def _by_key(routes: Iterable[Route]) -> dict[str, list[Route]]:
    found: dict[str, list[Route]] = {}
    for route in routes:
        found.setdefault(_key(route.suffix), []).append(route)
    return found


_ROUTES = _by_key(ROUTES)


class Match(NamedTuple):
    """A request that is, or on an unknown host looks like, an LLM call."""

    provider: str | None
    """`None` for the vendor whose format it is."""
    format: Format | None
    """`None` where only the body can tell."""
    known: bool
    """Whether the host is in the table; if not, the request's body has the last word."""
    telling: bool = False
    """Whether the path alone is enough for an unknown host when the body cannot be seen."""
    registered: bool = False
    """Whether a user named the host, which may be a gateway's; a vendor's own is none."""
    model: str | None = None
    """The model, or deployment, that the path names."""
    response_id: str | None = None


class _Registered(NamedTuple):
    provider: Provider
    port: int | None
    patterns: tuple[re.Pattern[str], ...]
    format: Format | None


class _ToolHint(Struct):
    input_schema: Raw = Raw()


class _Hints(Struct):
    """What only Anthropic's bodies have."""

    system: Raw = Raw()
    anthropic_version: Raw = Raw()
    tools: list[_ToolHint] | None = None

    def are_there(self) -> bool:
        return bool(
            bytes(self.system)
            or bytes(self.anthropic_version)
            or any(bytes(tool.input_schema) for tool in self.tools or ())
        )


_read_hints = Reader(_Hints)


class Providers:
    """The table of providers, and the rows that a user adds. Each object has its own."""

    def __init__(self) -> None:
        self.registrations: list[Registration] = []
        """What has been registered, in order, so that another process can be told."""
        self._registered: dict[str, list[_Registered]] = {}
        self._found: dict[tuple[str, int | None, str], Match] = {}
        self._exact: dict[str, list[Provider]] = {}
        self._suffixes: list[tuple[str, Provider]] = []
        self._own_paths: dict[str, list[tuple[str, Format, Provider]]] = {}
        for provider in PROVIDERS:
            for suffix, found in provider.paths.items():
                self._own_paths.setdefault(_key(suffix), []).append((suffix, FORMATS[found], provider))
            for host in provider.hosts:
                if host.startswith((".", "-")):
                    self._suffixes.append((host, provider))
                else:
                    self._exact.setdefault(host, []).append(provider)
        self._keys = _ROUTES.keys() | self._own_paths.keys()

    def register_provider(
        self, name: str, base_url: str, path_patterns: Iterable[str] = (), *, wire_format: str | None = None
    ) -> None:
        """Adds a provider of one's own: a gateway, a company's proxy, a server with paths of its own.

        Args:
            name: What `gen_ai.provider.name` will say.
            base_url: Where it is, such as `http://llm.corp.example:8080/api`. The host and a given port must match.
            path_patterns: Shell-style patterns of the paths of LLM calls (`/custom/llm/*/respond`), matched below the
                base URL's path as well as from the root. Without any, the paths that all vendors share count.
            wire_format: The wire format, a key of `FORMATS`; told by the request's body when left out.

        Raises:
            ValueError: the base URL has no host, or there is no such format.
        """
        try:
            url = urlsplit(base_url)
            host, port = url.hostname, url.port
        except ValueError as error:
            raise ValueError(f"register_provider: {base_url!r} is no URL: {error}") from None
        if not host:
            raise ValueError(
                f"register_provider: {base_url!r} has no host; give a full URL such as 'https://llm.example.com/v1'"
            )
        if wire_format is not None and wire_format not in FORMATS:
            raise ValueError(
                f"register_provider: no wire format {wire_format!r}; there are {', '.join(sorted(FORMATS))}"
            )
        path_patterns = (path_patterns,) if isinstance(path_patterns, str) else tuple(path_patterns)
        prefix = url.path.rstrip("/")
        patterns = [prefix_ + pattern for pattern in path_patterns for prefix_ in dict.fromkeys((prefix, ""))]
        row = _Registered(
            Provider(name, under="" if patterns else prefix),
            port,
            tuple(re.compile(fnmatch.translate(pattern)) for pattern in patterns),
            FORMATS[wire_format] if wire_format else None,
        )
        self._registered.setdefault(host, []).append(row)
        self.registrations.append(Registration(name, base_url, path_patterns, wire_format))

    def may_match(self, method: str, host: str, path: str) -> bool:
        """Whether a request may be an LLM call, told without its body: the cheap question that most requests fail."""
        if method == "POST":
            segment = path[path.rfind("/") + 1 :]
            return segment in self._keys or (":" in segment and _key(segment) in self._keys) or host in self._registered
        return method == "GET" and ("/responses/" in path or "/interactions/" in path)

    def find(self, method: str, host: str, port: int | None, path: str) -> Match | None:
        """What an HTTP request is, by its method, host, port and path; `None` when it is no LLM call."""
        if self._registered and host in self._registered and (match := self._own(method, host, port, path)):
            return match
        if method == "POST":
            if (match := self._found.get((host, port, path))) is not None:
                return match
            key = _key(path)
            if key in self._own_paths and (match := self._own_path(key, host, port, path)):
                return match
            for route in _ROUTES.get(key, ()):
                if path.endswith(route.suffix) and route.under in path:
                    return self._post(host, port, path, route)
        elif method == "GET" and ("/responses/" in path or "/interactions/" in path):
            return self._fetch(host, port, path)
        return None

    def _own_path(self, key: str, host: str, port: int | None, path: str) -> Match | None:
        """A path that means an LLM call at one vendor's, or where its product runs, and nowhere else."""
        for suffix, found, row in self._own_paths[key]:
            if not path.endswith(suffix) or row.under not in path:
                continue
            if host in row.hosts or any(host.endswith(end) for end in row.hosts if end[0] in ".-"):
                return Match(row.name, found, known=True, model=model_in(path))
            if f":{port}" in row.hosts or self_hosted(host) == row.name:
                return Match(row.name, found, known=False)
        return None

    def _post(self, host: str, port: int | None, path: str, route: Route) -> Match | None:
        if route.unless is not None and route.unless.search(path):
            return None
        provider = self.provider(host, port, path)
        if provider is None:
            name = self.on_loopback(host, port) or self_hosted(host)
            if name is None and "/publishers/" in path:
                name = "gcp.vertex_ai"
            return Match(name, route.format, known=False, telling=route.telling, model=model_in(path))
        match = Match(provider.name, route.format, known=True, model=model_in(path))
        if len(self._found) < _MOST_REMEMBERED:
            self._found[host, port, path] = match
        return match

    def _fetch(self, host: str, port: int | None, path: str) -> Match | None:
        if (fetched := _FETCH.search(path)) is None:
            return None
        found = OPENAI_FETCH_RESPONSE if fetched[1] == "responses" else GEMINI_FETCH_INTERACTION
        provider = self.provider(host, port, path)
        name = provider.name if provider else self.on_loopback(host, port) or self_hosted(host)
        if provider is None and not fetched[2].startswith("resp_"):
            return None
        return Match(name, found, known=provider is not None, response_id=fetched[2])

    def _own(self, method: str, host: str, port: int | None, path: str) -> Match | None:
        for row in self._registered[host]:
            if row.port is not None and row.port != port:
                continue
            if method == "POST" and any(pattern.match(path) for pattern in row.patterns):
                return Match(row.provider.name, row.format or shared_format(path), known=True, registered=True)
            if row.patterns or not _is_below(path, row.provider.under):
                continue
            if method == "POST" and (found := shared_format(path)) is not None:
                return Match(row.provider.name, row.format or found, known=True, registered=True)
            if method == "GET" and (fetched := self._fetch(host, port, path)) is not None:
                return fetched._replace(provider=row.provider.name)
        return None

    def provider(self, host: str, port: int | None, path: str) -> Provider | None:
        """The row that a host belongs to; loopback hosts belong to nobody."""
        for row in self._exact.get(host) or self._by_suffix(host):
            if row.under in path and row.label in host:
                return row
        return None

    def on_loopback(self, host: str, port: int | None) -> str | None:
        """The product whose usual port this is on one's own machine."""
        rows = self._exact.get(f":{port}") if host in _LOOPBACK else None
        return rows[0].name if rows else None

    def _by_suffix(self, host: str) -> list[Provider]:
        return [provider for suffix, provider in self._suffixes if host.endswith(suffix)]


DEFAULT = Providers()
register_provider = DEFAULT.register_provider


def shared_format(path: str) -> Format | None:
    """The format whose path this is at any vendor's."""
    routes = _ROUTES.get(_key(path), ())
    return next((route.format for route in routes if path.endswith(route.suffix) and route.under in path), None)


def model_in(path: str) -> str | None:
    """The model, or Azure's deployment, that a path names."""
    found = _MODEL.search(path)
    return unquote(next(name for name in found.groups() if name)) if found else None


def told_by(path: str, body: bytes | None) -> Format:
    """The format of a registered path that says nothing itself, by the shape of the body."""
    if body is not None:
        if (hints := _read_hints(body)) is not None and hints.are_there():
            return ANTHROPIC_MESSAGES
        for found in FORMATS.values():
            request = found.read_request(body, Call(found.operation, found.provider))
            if request is not None and request.fits():
                return found
    return OPENAI_CHAT


def _is_below(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(prefix + "/")


def self_hosted(host: str) -> str | None:
    """The product that a label of the host names, such as `vllm` in `vllm-1.internal`."""
    labels = re.split(r"[.\-]", host)
    return next((product for product in SELF_HOSTED if product in labels), None)

"""Records live exchanges with a provider as scrubbed records, in the form in which the tests replay them.

    python scripts/record.py https://api.openai.com --corpus my-corpus
    OPENAI_BASE_URL=http://127.0.0.1:40123/v1 python agent.py         # the address that the recorder prints
    LLMTRACE_CORPUS=my-corpus make corpus

It passes requests on to the provider, and answers back as they come. Each exchange becomes one line of
`my-corpus/dev/<provider>.jsonl`, without any header that is not on a short list, without keys in the URL, and with the
account numbers of ARNs replaced. One in whose body a secret or a mail address is found is not written, and that is
said.

`expected` is a draft: what llmtrace-otel itself read. Compare every value with what the vendor's own SDK says before
you trust the record; a draft that nobody has checked proves nothing. Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
import threading
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import httpx2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from corpus.reading import reading
from llmtrace_otel.wire.exchange import Exchange

KEPT_HEADERS = re.compile(
    r"content-type|accept|user-agent|request-id|x-request-id|apim-request-id|retry-after|openai-processing-ms|x-generation-id"
    r"|anthropic-(?:version|beta|ratelimit-.*)|x-ratelimit-.*|x-amzn-(?:requestid|errortype|bedrock-.*)|x-litellm-.*"
    r"|x-stainless-retry-count|x-inference-provider|x-ms-deployment-name",
    re.IGNORECASE,
)
SECRETS = re.compile(
    rb"sk-[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{12,}|gsk_[A-Za-z0-9]{16,}|xai-[A-Za-z0-9]{16,}"
    rb"|hf_[A-Za-z0-9]{16,}|Bearer\s+[A-Za-z0-9._-]{16,}|eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    rb"|[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[a-z]{2,}"
)
SECRET_PARAMETERS = {"key", "api_key", "api-key", "apikey", "token", "access_token", "sig", "code"}
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding", "te"}
ACCOUNT = re.compile(r"(?<=[:A])\d{12}(?=:|%3A)")
"""An AWS account's number, between the colons of an ARN, plain or as a URL has them."""


def scrubbed_url(url: str) -> str:
    """`url` without secret parameters and account numbers."""
    split = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(split.query) if name.lower() not in SECRET_PARAMETERS]
    return without_account(urlunsplit(split._replace(query=urlencode(query))))


def without_account(text: str) -> str:
    return ACCOUNT.sub("0" * 12, text)


def scrubbed_headers(headers: httpx2.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if KEPT_HEADERS.fullmatch(name)}


def side(body: bytes) -> dict[str, str]:
    """A body as text where it is text, else in base64."""
    try:
        return {"body": without_account(body.decode())}
    except UnicodeDecodeError:
        return {"body_b64": base64.b64encode(body).decode()}


def record_of(request: httpx2.Request, response: httpx2.Response, answer: bytes) -> dict[str, Any]:
    """One exchange as a record, scrubbed."""
    url = scrubbed_url(str(request.url))
    record = {
        "api": "",
        "request": {
            "method": request.method,
            "url": url,
            "headers": scrubbed_headers(request.headers),
            **side(request.content),
        },
        "response": {
            "status": response.status_code,
            "headers": scrubbed_headers(response.headers),
            "streamed": "json" not in response.headers.get("content-type", "").replace("ndjson", ""),
            **side(answer),
        },
        "expected": draft(request, response, answer),
        "unscored": [],
        "oracle": "draft: what llmtrace-otel read; to be compared with the vendor's SDK",
    }
    identity = json.dumps(record, sort_keys=True).encode()
    return {"id": hashlib.sha256(identity).hexdigest()[:16], **record}


def draft(request: httpx2.Request, response: httpx2.Response, answer: bytes) -> dict[str, Any]:
    """What an Exchange reads, as the fields of `expected`; all of them null when it is no LLM call."""
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    path = unquote(request.url.raw_path.decode().partition("?")[0])
    exchange = Exchange.begin(
        request.method,
        request.url.host,
        port,
        path,
        request.content,
        query=request.url.query.decode(),
        headers=request.headers,
        capture=True,
    )
    if exchange is None:
        return {"operation": None, "provider": None}
    exchange.response(response.status_code, response.headers, decoded=True)
    exchange.feed(answer)
    exchange.end()
    return reading(exchange.call) | {"provider_cost": exchange.call.stated_cost}


class Recorder(ThreadingHTTPServer):
    """Passes requests on to `upstream` and writes what was exchanged."""

    daemon_threads = True

    def __init__(self, upstream: str, corpus: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.upstream = upstream.rstrip("/")
        self.folder = corpus / "dev"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.client = httpx2.Client(timeout=600)
        self._writing = threading.Lock()

    def write(self, request: httpx2.Request, response: httpx2.Response, answer: bytes) -> None:
        what = f"{request.method} {urlsplit(str(request.url)).path}"
        if SECRETS.search(request.content + b"\n" + answer):
            print(f"not recorded: {what}: its body seems to hold a key, a token or a mail address", file=sys.stderr)
            return
        record = record_of(request, response, answer)
        path = self.folder / f"{record['expected']['provider'] or 'other'}.jsonl"
        with self._writing, path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
        print(f"recorded: {what} -> {path}", flush=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a program may leave at any time
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection of the program that is recorded."""

    protocol_version = "HTTP/1.1"
    server: Recorder

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = [(name, value) for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP]
        client = self.server.client
        request = client.build_request(
            self.command,
            self.server.upstream + self.path,
            content=body,
            headers=[*headers, ("accept-encoding", "identity")],
        )
        try:
            response = client.send(request, stream=True)
        except httpx2.HTTPError as error:
            self.send_error(502, f"{type(error).__name__} from {self.server.upstream}")
            return
        with closing(response):
            self._answer(request, response)

    def _answer(self, request: httpx2.Request, response: httpx2.Response) -> None:
        self.send_response(response.status_code)
        for name, value in response.headers.items():
            if name.lower() not in HOP_BY_HOP | {"content-encoding"}:
                self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        pieces = []
        for piece in response.iter_bytes():
            pieces.append(piece)
            self._send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.server.write(request, response, b"".join(pieces))
        self._send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        with suppress(OSError):  # a program that has read enough leaves; the record is of the whole answer
            self.wfile.write(data)
            self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = handle_any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """What is recorded is told in one line of its own."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Records live exchanges with a provider, scrubbed.")
    parser.add_argument("upstream", help="the provider's address, such as https://api.openai.com")
    parser.add_argument("--corpus", type=Path, required=True, help="the folder for the records")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free one)")
    arguments = parser.parse_args()
    if urlsplit(arguments.upstream).scheme not in ("http", "https"):
        parser.error(f"{arguments.upstream!r} is no address; give one such as https://api.openai.com")
    with Recorder(arguments.upstream, arguments.corpus, arguments.port) as recorder:
        print(f"recording {recorder.upstream} at http://127.0.0.1:{recorder.server_port}", flush=True)
        try:
            recorder.serve_forever(poll_interval=0.05)
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()

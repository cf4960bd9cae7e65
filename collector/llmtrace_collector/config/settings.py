"""What each component may be told: the official collector's keys and defaults, one dataclass per mapping of the YAML.

A field is a key that is read. Each class says in `check` what its keys must not be together, as the official collector
does. Sizes are in bytes unless the key says MiB; durations are in seconds.
"""

# ruff: noqa: RUF009  (the defaults that are calls make values that nobody can change)
from __future__ import annotations

import os.path
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from llmtrace_collector.config.values import (
    Address,
    BaseURL,
    ComponentID,
    Duration,
    Octal,
    Pattern,
    PipelineID,
    Scalar,
    Target,
    UInt,
    URLPath,
    compiled,
    pattern,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MIB = 1024 * 1024
SIGNALS = ("traces", "metrics", "logs")
NOTHING: frozenset[str] = frozenset()
TRANSPORTS = ("tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "ip4", "ip6", "unix", "unixgram", "unixpacket", "npipe")
OTHER_TRANSPORTS = frozenset(f"transport: {name}" for name in TRANSPORTS)
OLD_TLS = frozenset({"min_version: 1.0", "min_version: 1.1"})


class MistakeError(Exception):
    """A mapping that cannot be: `key` is what it is about, or nothing for the mapping as a whole."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class Settings:
    """What every mapping has: the official keys that are not fields, and what holds between its keys.

    `IGNORED` keys change nothing here and are accepted with a note. `ELSEWHERE` are keys, or `key: value`, that only
    the official collector acts on: a file with one is refused, by name. `DEFAULTED` mappings with nothing in them are
    there, with their defaults; others are as absent. `SWITCHED` ones have a key `enabled` that takes them away.
    The values of `CASELESS` keys are in any case; keys `DEFAULT_AT_ZERO` have their default instead of zero.
    """

    IGNORED: ClassVar[frozenset[str]] = NOTHING
    ELSEWHERE: ClassVar[frozenset[str]] = NOTHING
    CASELESS: ClassVar[frozenset[str]] = NOTHING
    DEFAULT_AT_ZERO: ClassVar[frozenset[str]] = NOTHING
    DEFAULTED: ClassVar[bool] = False
    SWITCHED: ClassVar[bool] = False

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Notes for the user about the keys that are `given`. Raises MistakeError for what cannot be."""
        yield from ()

    def check_signal(self, signal: str) -> None:
        """Raises MistakeError when a pipeline of this signal cannot have the component."""


# Connections


@dataclass(frozen=True)
class TLSServer(Settings):
    """`tls` of a server. With `client_ca_file` a client must show a certificate of that authority."""

    cert_file: str
    key_file: str
    client_ca_file: str = ""
    min_version: Literal["1.2", "1.3"] = "1.2"

    SWITCHED = True
    IGNORED = frozenset({"max_version", "cipher_suites", "include_insecure_cipher_suites", "curve_preferences",
                         "ca_file", "include_system_ca_certs_pool"})  # fmt: skip
    ELSEWHERE = OLD_TLS | {"cert_pem", "key_pem", "ca_pem", "reload_interval", "client_ca_file_reload", "tpm"}


@dataclass(frozen=True)
class TLSClient(Settings):
    """`tls` of an exporter. `insecure` means none at all."""

    insecure: bool = False
    insecure_skip_verify: bool = False
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    server_name_override: str = ""
    min_version: Literal["1.2", "1.3"] = "1.2"

    IGNORED = frozenset({"max_version", "cipher_suites", "include_insecure_cipher_suites", "curve_preferences",
                         "include_system_ca_certs_pool"})  # fmt: skip
    ELSEWHERE = OLD_TLS | {"ca_pem", "cert_pem", "key_pem", "reload_interval", "tpm"}

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A certificate needs its key."""
        if bool(self.cert_file) != bool(self.key_file):
            raise MistakeError("", "needs both cert_file and key_file, or neither")
        yield from ()


@dataclass(frozen=True)
class Authentication(Settings):
    """`auth`: the id of the extension that knows the tokens."""

    authenticator: ComponentID

    SWITCHED = True
    IGNORED = frozenset({"request_params"})


# Receivers


@dataclass(frozen=True)
class HTTPServer(Settings):
    """Where OTLP/HTTP is served. `max_request_body_size` is in bytes, after decompression."""

    endpoint: Address = Address("localhost", 4318)
    max_request_body_size: int = 64 * MIB
    traces_url_path: URLPath = "/v1/traces"
    metrics_url_path: URLPath = "/v1/metrics"
    logs_url_path: URLPath = "/v1/logs"
    tls: TLSServer | None = None
    auth: Authentication | None = None
    transport: Literal["tcp", ""] = "tcp"

    DEFAULTED = SWITCHED = True
    DEFAULT_AT_ZERO = frozenset({"max_request_body_size"})
    IGNORED = frozenset({"include_metadata", "compression_algorithms", "keep_alives_enabled", "idle_timeout",
                         "read_timeout", "read_header_timeout", "write_timeout", "dialer"})  # fmt: skip
    ELSEWHERE = OTHER_TRANSPORTS | {"cors", "response_headers", "middlewares"}

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A path for each signal: on one that two have, the items of one would be read as the other's."""
        if self.max_request_body_size < 0:
            raise MistakeError("max_request_body_size", "must not be negative")
        if len({self.traces_url_path, self.metrics_url_path, self.logs_url_path}) < len(SIGNALS):
            key = next(key for key in ("logs_url_path", "metrics_url_path", "traces_url_path") if key in given)
            raise MistakeError(key, "is the path of another signal too")
        yield from ()


@dataclass(frozen=True)
class GRPCServer(Settings):
    """Where OTLP/gRPC is served. `max_concurrent_streams` 0 is no limit."""

    endpoint: Address = Address("localhost", 4317)
    max_recv_msg_size_mib: int = 64
    max_concurrent_streams: UInt = 0
    tls: TLSServer | None = None
    auth: Authentication | None = None
    transport: Literal["tcp", ""] = "tcp"

    DEFAULTED = SWITCHED = True
    DEFAULT_AT_ZERO = frozenset({"max_recv_msg_size_mib"})
    IGNORED = frozenset({"include_metadata", "read_buffer_size", "write_buffer_size", "keepalive", "dialer"})
    ELSEWHERE = OTHER_TRANSPORTS | {"middlewares"}

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A size that gRPC can count, which it does in 32 bits."""
        if not 0 <= self.max_recv_msg_size_mib < 2048:
            raise MistakeError("max_recv_msg_size_mib", "must be between 0 and 2047")
        yield from ()


@dataclass(frozen=True)
class Protocols(Settings):
    """A protocol that is not named is off."""

    http: HTTPServer | None = None
    grpc: GRPCServer | None = None

    def check(self, given: Collection[str]) -> Iterator[str]:
        """One protocol at least."""
        if not self.http and not self.grpc:
            raise MistakeError("", "needs http or grpc, or both")
        yield from ()


@dataclass(frozen=True)
class OTLPReceiver(Settings):
    """`receivers.otlp`."""

    protocols: Protocols


# Processors


@dataclass(frozen=True)
class MemoryLimiter(Settings):
    """`processors.memory_limiter`: above `limit - spike limit` requests are refused, to be sent again."""

    check_interval: Duration
    limit_mib: UInt = 0
    spike_limit_mib: UInt = 0
    limit_percentage: UInt = 0
    spike_limit_percentage: UInt = 0

    IGNORED = frozenset({"min_gc_interval_when_soft_limited", "min_gc_interval_when_hard_limited",
                         "max_gc_interval_when_soft_limited", "max_gc_interval_when_hard_limited"})  # fmt: skip

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A limit above its spike, looked at now and then."""
        if self.check_interval <= 0:
            raise MistakeError("check_interval", "must be above 0")
        if not self.limit_mib and not self.limit_percentage:
            raise MistakeError("", "needs limit_mib or limit_percentage")
        for key in ("limit_percentage", "spike_limit_percentage"):
            if getattr(self, key) > 100:
                raise MistakeError(key, "must not be above 100")
        for limit in ("limit_mib", "limit_percentage"):
            if 0 < getattr(self, limit) <= getattr(self, f"spike_{limit}"):
                raise MistakeError(f"spike_{limit}", f"must be below {limit}")
        yield from ()


@dataclass(frozen=True)
class Action(Settings):
    """One of a list of changes to attributes. `value` keeps its YAML type."""

    key: str = ""
    action: Literal["insert", "update", "upsert", "delete", "hash", "extract", "convert"] = "upsert"
    value: Scalar | None = None
    from_attribute: str = ""
    pattern: Pattern = ""
    converted_type: Literal["", "int", "double", "string"] = ""

    CASELESS = frozenset({"action"})
    ELSEWHERE = frozenset({"from_context", "default_value"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """What each action needs, and what it does not use."""
        if "action" not in given:
            raise MistakeError("", "needs 'action'")
        if not self.key and not (self.pattern and self.action in ("delete", "hash")):
            raise MistakeError("", "needs 'key'" + (" or 'pattern'" if self.action in ("delete", "hash") else ""))
        used = USED_BY_ACTION[self.action]
        for key in ("value", "from_attribute", "pattern", "converted_type"):
            if key not in used and getattr(self, key) not in (None, ""):
                raise MistakeError(key, f"is not used by the action {self.action}")
        if self.action not in ("delete", "hash"):
            self._check_source([key for key in used if getattr(self, key) not in (None, "")], used)
        yield from ()

    def _check_source(self, sources: list[str], used: tuple[str, ...]) -> None:
        if len(sources) != 1:
            needed = " or ".join(repr(key) for key in used)
            raise MistakeError("", f"needs {needed}{', not both' if sources else ''} for the action {self.action}")
        if self.action == "extract":
            groups = compiled(self.pattern)
            if not groups.groups or groups.groups != len(groups.groupindex):
                raise MistakeError("pattern", "must name all its groups, as in (?P<name>...), and have one")


USED_BY_ACTION = {
    "insert": ("value", "from_attribute"),
    "update": ("value", "from_attribute"),
    "upsert": ("value", "from_attribute"),
    "delete": ("pattern",),
    "hash": ("pattern",),
    "extract": ("pattern",),
    "convert": ("converted_type",),
}


@dataclass(frozen=True)
class KeyValue(Settings):
    """An attribute that a span must have; without `value`, whatever its value."""

    key: str
    value: Scalar | None = None

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A key with a name."""
        if not self.key:
            raise MistakeError("key", "must not be empty")
        yield from ()


@dataclass(frozen=True)
class Library(Settings):
    """An instrumentation scope."""

    name: str
    version: str | None = None


@dataclass(frozen=True)
class Match(Settings):
    """`include` and `exclude` of the attributes processor: all given conditions, one item of each list."""

    match_type: Literal["strict", "regexp"]
    services: tuple[str, ...] = ()
    span_names: tuple[str, ...] = ()
    span_kinds: tuple[str, ...] = ()
    attributes: tuple[KeyValue, ...] = ()
    resources: tuple[KeyValue, ...] = ()
    libraries: tuple[Library, ...] = ()

    IGNORED = frozenset({"regexp"})
    ELSEWHERE = frozenset({"log_bodies", "log_severity_texts", "log_severity_number", "metric_names"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Patterns that are patterns, and known kinds of spans."""
        if self.match_type == "strict":
            for kind in self.span_kinds:
                if kind not in SPAN_KINDS:
                    raise MistakeError("span_kinds", f"{kind!r} is not one of {', '.join(SPAN_KINDS)}")
        else:
            for key, text in self._patterns():
                _check_pattern(key, text)
        yield from ()

    def _patterns(self) -> Iterator[tuple[str, str]]:
        """The conditions that are regular expressions, by key."""
        for key in ("services", "span_names", "span_kinds"):
            yield from ((key, text) for text in getattr(self, key))
        for key in ("attributes", "resources"):
            for item in getattr(self, key):
                if item.value is not None and not isinstance(item.value, str):
                    raise MistakeError(key, f"with match_type regexp the value of {item.key!r} must be text")
                yield key, item.value or ""
        for library in self.libraries:
            yield from (("libraries", text) for text in (library.name, library.version or ""))

    def check_signal(self, signal: str) -> None:
        """Each signal has conditions of its own, and needs one of them."""
        conditions = CONDITIONS[signal]
        for key in CONDITIONS["traces"]:
            if getattr(self, key) and key not in conditions:
                raise MistakeError(key, f"is no condition for {signal}")
        if not any(getattr(self, key) for key in conditions):
            raise MistakeError("", f"needs a condition for {signal}: {', '.join(conditions)}")


SPAN_KINDS = tuple(f"SPAN_KIND_{kind}" for kind in ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
CONDITIONS = {
    "traces": ("services", "span_names", "span_kinds", "attributes", "resources", "libraries"),
    "logs": ("attributes", "resources", "libraries"),
    "metrics": ("resources",),
}


def _check_pattern(key: str, text: str) -> None:
    try:
        pattern(text)
    except ValueError as error:
        raise MistakeError(key, str(error)) from error


@dataclass(frozen=True)
class Attributes(Settings):
    """`processors.attributes`."""

    actions: tuple[Action, ...]
    include: Match | None = None
    exclude: Match | None = None

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Something to do."""
        if not self.actions:
            raise MistakeError("actions", "must not be empty")
        yield from ()

    def check_signal(self, signal: str) -> None:
        """The conditions must be the signal's."""
        for key in ("include", "exclude"):
            if match := getattr(self, key):
                try:
                    match.check_signal(signal)
                except MistakeError as mistake:
                    raise MistakeError(key, f"{mistake.key} {mistake}".strip()) from mistake


@dataclass(frozen=True)
class Resource(Settings):
    """`processors.resource`: the same actions, on the resource."""

    attributes: tuple[Action, ...]

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Something to do."""
        if not self.attributes:
            raise MistakeError("attributes", "must not be empty")
        yield from ()


@dataclass(frozen=True)
class Redaction(Settings):
    """`processors.redaction`. Without `allow_all_keys` what `allowed_keys` does not name is removed.

    A `summary` other than debug and info is silent.
    """

    allow_all_keys: bool = False
    allowed_keys: tuple[str, ...] = ()
    blocked_key_patterns: tuple[Pattern, ...] = ()
    blocked_values: tuple[Pattern, ...] = ()
    allowed_values: tuple[Pattern, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    ignored_key_patterns: tuple[Pattern, ...] = ()
    redact_all_types: bool = False
    hash_function: Literal["", "md5", "sha1", "sha3"] = ""
    summary: str = ""

    CASELESS = frozenset({"hash_function"})
    ELSEWHERE = frozenset({"url_sanitizer", "db_sanitizer", "hmac_key", "hash_function: hmac-sha256",
                           "hash_function: hmac-sha512"})  # fmt: skip

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Nothing is wrong, but something is easily forgotten."""
        if not self.allow_all_keys and not self.allowed_keys:
            yield "removes every attribute: set allow_all_keys: true, or list allowed_keys"
        if self.allow_all_keys and not self.blocked_values and not self.blocked_key_patterns:
            yield "redacts nothing: list blocked_values or blocked_key_patterns, or leave allow_all_keys out"
        for key in ("blocked_values", "blocked_key_patterns"):
            if "" in getattr(self, key):
                yield f"has an empty pattern in {key}, which matches everywhere"
        if self.summary not in ("", "debug", "info", "silent"):
            yield f"has a summary of {self.summary!r}, which is none of debug, info and silent: no summary is written"


@dataclass(frozen=True)
class ProbabilisticSampler(Settings):
    """`processors.probabilistic_sampler`."""

    sampling_percentage: float = 0.0
    mode: Literal["", "hash_seed", "proportional", "equalizing"] = ""
    hash_seed: UInt = 0
    fail_closed: bool = True
    sampling_precision: int = 4

    ELSEWHERE = frozenset({"attribute_source", "from_attribute", "sampling_priority"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A share that 56 bits of randomness can tell."""
        if self.sampling_percentage < 0 or 0 < self.sampling_percentage / 100 < 2**-56:
            raise MistakeError("sampling_percentage", f"cannot be {self.sampling_percentage}")
        if self.sampling_precision == 0 or self.sampling_precision > 14:
            raise MistakeError("sampling_precision", f"cannot be {self.sampling_precision}; 1 to 14 can")
        if self.sampling_percentage == 0:
            yield "keeps nothing: sampling_percentage is 0"

    def check_signal(self, signal: str) -> None:
        """Metrics have no trace ids."""
        if signal == "metrics":
            raise MistakeError("", "cannot sample metrics")


@dataclass(frozen=True)
class BatchProcessor(Settings):
    """`processors.batch`: accepted, does nothing. Exporters batch by `sending_queue.batch`."""

    IGNORED = frozenset(
        {"send_batch_size", "timeout", "send_batch_max_size", "metadata_keys", "metadata_cardinality_limit"}
    )

    def check(self, given: Collection[str]) -> Iterator[str]:
        """On its way out of the official collector."""
        yield "does nothing here, and newer official collectors refuse it; use sending_queue.batch of the exporters"


@dataclass(frozen=True)
class LLMRedaction(Settings):
    """`processors.llmtrace_redaction`, which is ours: inside the messages of LLM calls.

    `secrets` and `personal` choose the built-in patterns; `patterns` adds one's own (RE2).
    """

    secrets: bool = True
    personal: bool = False
    patterns: tuple[Pattern, ...] = ()
    replacement: str = "[redacted]"

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Something to redact."""
        if not self.secrets and not self.personal and not self.patterns:
            raise MistakeError("", "redacts nothing: needs secrets, personal or patterns")
        if "" in self.patterns:
            raise MistakeError("patterns", "has an empty pattern, which matches everywhere")
        yield from ()

    def check_signal(self, signal: str) -> None:
        """Metrics hold no messages, and whoever wants them redacted must not believe that they are."""
        if signal == "metrics":
            raise MistakeError("", "finds nothing in metrics; leave it out of their pipelines")


# Exporters


@dataclass(frozen=True)
class Rotation(Settings):
    """`rotation` of the file exporter. 0 backups or days: all are kept."""

    max_megabytes: int = 100
    max_days: int = 0
    max_backups: int = 100
    localtime: bool = False

    DEFAULTED = True
    DEFAULT_AT_ZERO = frozenset({"max_megabytes"})


@dataclass(frozen=True)
class GroupBy(Settings):
    """`group_by` of the file exporter: a file per value of a resource attribute, in place of the `*` of `path`."""

    enabled: bool = False
    resource_attribute: str = "fileexporter.path_segment"
    max_open_files: int = 100


@dataclass(frozen=True)
class FileExporter(Settings):
    """`exporters.file`. Without `append` and `rotation` the file is emptied at start, as the official exporter does.

    `fsync` is ours: an answer of 200 then outlives a power cut, not only a killed process.
    """

    path: str
    append: bool = False
    format: Literal["json", "proto"] = "json"
    compression: Literal["", "zstd"] = ""
    rotation: Rotation | None = None
    group_by: GroupBy = GroupBy()
    create_directory: bool = False
    directory_permissions: Octal = Octal(0o755)
    fsync: bool = False

    IGNORED = frozenset({"flush_interval", "compression_params"})  # nothing is buffered
    ELSEWHERE = frozenset({"encoding"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A path that can be written to in the way that was asked for."""
        if not self.path or "\0" in self.path:
            raise MistakeError("path", "must be the path of a file")
        if self.append and self.rotation:
            raise MistakeError("append", "and rotation exclude each other")
        if self.directory_permissions and "directory_permissions" in given and not self.create_directory:
            raise MistakeError("directory_permissions", "needs create_directory: true")
        if self.group_by.enabled:
            self._check_group()
        if not self.append and not self.rotation:
            yield "is emptied at every start; set append: true, or rotation, to keep what it holds"

    def _check_group(self) -> None:
        if self.path.count("*") != 1 or self.path.startswith("*"):
            raise MistakeError("path", "must have one *, and not in front, when group_by is enabled")
        if not self.group_by.resource_attribute:
            raise MistakeError("group_by", "needs resource_attribute")


@dataclass(frozen=True)
class Retry(Settings):
    """`retry_on_failure`. `max_elapsed_time` 0 is for ever."""

    enabled: bool = True
    initial_interval: Duration = Duration(5.0)
    randomization_factor: float = 0.5
    multiplier: float = 1.5
    max_interval: Duration = Duration(30.0)
    max_elapsed_time: Duration = Duration(300.0)

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Intervals that fit into each other."""
        if not 0 <= self.randomization_factor <= 1:
            raise MistakeError("randomization_factor", "must be between 0 and 1")
        if self.multiplier < 0:
            raise MistakeError("multiplier", "must not be negative")
        for key in ("initial_interval", "max_interval"):
            if 0 < self.max_elapsed_time < getattr(self, key):
                raise MistakeError("max_elapsed_time", f"must not be less than {key}, or 0 for no end")
        yield from ()


@dataclass(frozen=True)
class QueueBatch(Settings):
    """`sending_queue.batch`. `max_size` 0 is no limit. `SendingQueue.batch_sizer` tells what sizes are measured in."""

    flush_timeout: Duration = Duration(0.2)
    min_size: int = 8192
    max_size: int = 0
    sizer: Literal["", "items", "bytes"] = ""

    DEFAULTED = SWITCHED = True
    ELSEWHERE = frozenset({"partition"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Sizes that fit into each other, and an end to waiting."""
        if self.flush_timeout <= 0:
            raise MistakeError("flush_timeout", "must be above 0")
        for key in ("min_size", "max_size"):
            if getattr(self, key) < 0:
                raise MistakeError(key, "must not be negative")
        if 0 < self.max_size < self.min_size:
            raise MistakeError("max_size", f"must not be less than min_size, which is {self.min_size}")
        yield from ()


@dataclass(frozen=True)
class SendingQueue(Settings):
    """`sending_queue`. `storage` is the id of a file_storage extension; without one the queue is in memory."""

    enabled: bool = True
    num_consumers: int = 10
    queue_size: int = 1000
    sizer: Literal["requests", "items", "bytes"] = "requests"
    block_on_overflow: bool = False
    wait_for_result: bool = False
    storage: ComponentID = ""
    batch: QueueBatch | None = None

    @property
    def batch_sizer(self) -> Literal["items", "bytes"]:
        """What the sizes of `batch` are measured in: its own sizer, the queue's if that can, or items."""
        own = self.batch.sizer if self.batch else ""
        return own or ("bytes" if self.sizer == "bytes" else "items")

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A queue that can hold something."""
        yield from ()
        if not self.enabled:
            return
        for key in ("num_consumers", "queue_size"):
            if getattr(self, key) <= 0:
                raise MistakeError(key, "must be above 0")
        if self.storage and self.wait_for_result:
            raise MistakeError("wait_for_result", "and storage exclude each other")
        if self.batch:
            self._check_batch(self.batch, given)

    def _check_batch(self, batch: QueueBatch, given: Collection[str]) -> None:
        if "sizer" in given and self.sizer == "requests" and not batch.sizer:
            raise MistakeError("batch", "needs a sizer, items or bytes, where the queue is measured in requests")
        if self.batch_sizer == self.sizer and batch.min_size > self.queue_size:
            raise MistakeError("batch", f"min_size ({batch.min_size}) must not be above queue_size ({self.queue_size})")


@dataclass(frozen=True)
class OTLPHTTPExporter(Settings):
    """`exporters.otlp_http`: another OTLP/HTTP endpoint. `timeout` is for one request."""

    endpoint: BaseURL = BaseURL("")
    traces_endpoint: BaseURL = BaseURL("")
    metrics_endpoint: BaseURL = BaseURL("")
    logs_endpoint: BaseURL = BaseURL("")
    encoding: Literal["proto", "json"] = "proto"
    compression: Literal["gzip", "zstd", "deflate", "zlib", "none", ""] = "gzip"
    timeout: Duration = Duration(30.0)
    headers: dict[str, str] = field(default_factory=dict)
    proxy_url: BaseURL = BaseURL("")
    tls: TLSClient = TLSClient()
    auth: Authentication | None = None
    retry_on_failure: Retry = Retry()
    sending_queue: SendingQueue = SendingQueue()

    IGNORED = frozenset({"read_buffer_size", "write_buffer_size", "max_idle_conns", "max_idle_conns_per_host",
                         "max_conns_per_host", "idle_conn_timeout", "disable_keep_alives", "force_attempt_http2",
                         "http2_read_idle_timeout", "http2_ping_timeout", "compression_params",
                         "profiles_endpoint"})  # fmt: skip
    ELSEWHERE = frozenset({"cookies", "middlewares", "compression: snappy", "compression: x-snappy-framed",
                           "compression: lz4"})  # fmt: skip

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Somewhere to send to."""
        if not any((self.endpoint, self.traces_endpoint, self.metrics_endpoint, self.logs_endpoint)):
            raise MistakeError("", "needs 'endpoint'")
        yield from ()

    def check_signal(self, signal: str) -> None:
        """Somewhere to send this signal to."""
        if not self.endpoint and not getattr(self, f"{signal}_endpoint"):
            raise MistakeError("", f"needs 'endpoint' or '{signal}_endpoint' for {signal}")


@dataclass(frozen=True)
class OTLPGRPCExporter(Settings):
    """`exporters.otlp_grpc`: another OTLP/gRPC endpoint. `timeout` is for one request."""

    endpoint: Target
    compression: Literal["gzip", "none", ""] = "gzip"
    timeout: Duration = Duration(5.0)
    headers: dict[str, str] = field(default_factory=dict)
    tls: TLSClient = TLSClient()
    auth: Authentication | None = None
    retry_on_failure: Retry = Retry()
    sending_queue: SendingQueue = SendingQueue()

    IGNORED = frozenset({"read_buffer_size", "write_buffer_size", "wait_for_ready", "balancer_name", "keepalive",
                         "user_agent"})  # fmt: skip
    ELSEWHERE = frozenset({"authority", "middlewares", "compression: snappy", "compression: zstd"})


@dataclass(frozen=True)
class DebugExporter(Settings):
    """`exporters.debug`: `basic` is a line of counts, `normal` a line per item, `detailed` all of it."""

    verbosity: Literal["basic", "normal", "detailed"] = "basic"

    CASELESS = frozenset({"verbosity"})
    IGNORED = frozenset(
        {"sampling_initial", "sampling_thereafter", "use_internal_logger", "output_paths", "sending_queue"}
    )


# Extensions


@dataclass(frozen=True)
class HealthCheck(Settings):
    """`extensions.health_check`."""

    endpoint: Address = Address("localhost", 13133)
    path: str = "/"
    transport: Literal["tcp", ""] = "tcp"

    IGNORED = HTTPServer.IGNORED | {"check_collector_pipeline", "max_request_body_size"}
    ELSEWHERE = HTTPServer.ELSEWHERE | {"tls", "auth", "response_body", "use_v2", "http", "grpc", "component_health"}

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A path of a URL."""
        if not self.path.startswith("/"):
            raise MistakeError("path", "must start with /")
        yield from ()


@dataclass(frozen=True)
class FileStorage(Settings):
    """`extensions.file_storage`: where queues live. With `fsync` an answer of 200 outlives a power cut."""

    directory: str = "/var/lib/otelcol/file_storage"
    create_directory: bool = False
    directory_permissions: Octal = Octal(0o750)
    fsync: bool = False

    IGNORED = frozenset({"timeout", "compaction", "recreate", "max_size"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A directory that is there, or may be made."""
        if not self.directory or (os.path.exists(self.directory) and not os.path.isdir(self.directory)):
            raise MistakeError("directory", f"{self.directory!r} is not a directory")
        if not self.create_directory and not os.path.exists(self.directory):
            raise MistakeError("directory", f"{self.directory!r} does not exist; set create_directory: true to make it")
        yield from ()


@dataclass(frozen=True)
class BearerToken(Settings):
    """`extensions.bearertokenauth`: the tokens that a server accepts, or the one that an exporter sends.

    `filename` is read anew when it changes; one token a line.
    """

    scheme: str = "Bearer"
    header: str = "Authorization"
    token: str = ""
    tokens: tuple[str, ...] = ()
    filename: str = ""

    def check(self, given: Collection[str]) -> Iterator[str]:
        """Tokens, from one place."""
        if not self.token and not self.tokens and not self.filename:
            raise MistakeError("", "needs 'token', 'tokens' or 'filename'")
        if self.token and self.tokens:
            raise MistakeError("tokens", "and token exclude each other")
        if not all(token.strip() for token in self.tokens):
            raise MistakeError("tokens", "has an empty token, which would let everybody in")
        yield from ()


# Service


@dataclass(frozen=True)
class Prometheus(Settings):
    """Where `/metrics` is served."""

    host: str = "localhost"
    port: int = 8888

    IGNORED = frozenset({"without_scope_info", "without_type_suffix", "without_units", "with_resource_constant_labels"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A port."""
        if not 0 <= self.port <= 65535:
            raise MistakeError("port", f"{self.port} is not a port")
        yield from ()


@dataclass(frozen=True)
class PullExporter(Settings):
    """`pull.exporter`."""

    prometheus: Prometheus


@dataclass(frozen=True)
class Pull(Settings):
    """`pull`."""

    exporter: PullExporter


@dataclass(frozen=True)
class Reader(Settings):
    """One of `service.telemetry.metrics.readers`."""

    pull: Pull

    ELSEWHERE = frozenset({"periodic", "producers"})


@dataclass(frozen=True)
class Metrics(Settings):
    """`service.telemetry.metrics`. Nothing is served unless a reader says where."""

    level: Literal["none", "basic", "normal", "detailed"] = "normal"
    readers: tuple[Reader, ...] = ()

    CASELESS = frozenset({"level"})
    IGNORED = frozenset({"views"})

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A way to read what is measured."""
        if "readers" in given and not self.readers and self.level != "none":
            raise MistakeError("readers", "must not be empty unless level is none")
        if "views" in given and self.level != "detailed":
            raise MistakeError("views", "needs level: detailed")
        yield from ()


@dataclass(frozen=True)
class Telemetry(Settings):
    """`service.telemetry`."""

    metrics: Metrics = Metrics()

    IGNORED = frozenset({"logs", "resource", "traces"})


@dataclass(frozen=True)
class PipelineSettings(Settings):
    """One of `service.pipelines`: ids of components."""

    receivers: tuple[ComponentID, ...]
    exporters: tuple[ComponentID, ...]
    processors: tuple[ComponentID, ...] = ()

    def check(self, given: Collection[str]) -> Iterator[str]:
        """A beginning and an end."""
        for key in ("receivers", "exporters"):
            if not getattr(self, key):
                raise MistakeError(key, "must not be empty")
        for name in self.processors:
            if self.processors.count(name) > 1:
                raise MistakeError("processors", f"has {name!r} more than once")
        yield from ()


@dataclass(frozen=True)
class Service(Settings):
    """`service`. A pipeline's id is its signal, or `signal/name`."""

    pipelines: dict[PipelineID, PipelineSettings]
    extensions: tuple[ComponentID, ...] = ()
    telemetry: Telemetry = Telemetry()

    def check(self, given: Collection[str]) -> Iterator[str]:
        """One pipeline at least."""
        if not self.pipelines:
            raise MistakeError("pipelines", "must not be empty")
        yield from ()


# The whole

RECEIVERS = {"otlp": OTLPReceiver}
PROCESSORS = {
    "memory_limiter": MemoryLimiter,
    "attributes": Attributes,
    "resource": Resource,
    "redaction": Redaction,
    "probabilistic_sampler": ProbabilisticSampler,
    "batch": BatchProcessor,
    "llmtrace_redaction": LLMRedaction,
}
EXPORTERS = {
    "file": FileExporter,
    "otlp_http": OTLPHTTPExporter,
    "otlphttp": OTLPHTTPExporter,
    "otlp_grpc": OTLPGRPCExporter,
    "otlp": OTLPGRPCExporter,
    "debug": DebugExporter,
}
EXTENSIONS = {"health_check": HealthCheck, "file_storage": FileStorage, "bearertokenauth": BearerToken}


@dataclass(frozen=True)
class Config:
    """A whole configuration. Components are by their id, and only those that `service` names are started.

    `notes` are lines for the user to see.
    """

    receivers: dict[str, OTLPReceiver]
    exporters: dict[str, Settings]
    service: Service
    processors: dict[str, Settings] = field(default_factory=dict)
    extensions: dict[str, Settings] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


DEFAULT = Config(
    receivers={
        "otlp": OTLPReceiver(
            Protocols(http=HTTPServer(Address("127.0.0.1", 4318)), grpc=GRPCServer(Address("127.0.0.1", 4317)))
        )
    },
    exporters={f"file/{signal}": FileExporter(f"{signal}.jsonl", append=True) for signal in SIGNALS},
    service=Service(
        {signal: PipelineSettings(receivers=("otlp",), exporters=(f"file/{signal}",)) for signal in SIGNALS}
    ),
)

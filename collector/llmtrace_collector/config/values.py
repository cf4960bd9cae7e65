"""The scalars of a configuration that are more than text: addresses, durations, URLs, file modes, regexes, ids.

Each has a reader from the text as it stands in the YAML, raising ValueError with what is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, NewType
from urllib.parse import urlsplit

Duration = NewType("Duration", float)
BaseURL = NewType("BaseURL", str)
Target = NewType("Target", str)
Octal = NewType("Octal", int)
URLPath = Annotated[str, "an absolute path of a URL"]
Pattern = Annotated[str, "an RE2 pattern"]
ComponentID = Annotated[str, "type or type/name"]
PipelineID = Annotated[str, "signal or signal/name"]
UInt = Annotated[int, "32 bits, not negative"]
Scalar = bool | int | float | str

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
LONGEST = 2**63 / 1e9
TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
SIGNALS = ("traces", "metrics", "logs")


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and a TCP port; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads `HOST:PORT`, an IPv6 host in brackets. Raises ValueError."""
        parts = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*):([0-9]{1,5})", text)
        if not parts or int(parts[2]) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(parts[1].strip("[]"), int(parts[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def duration(text: str) -> Duration:
    """A Go duration such as `1m30s`, in seconds. Raises ValueError."""
    bare = text.removeprefix("+")
    if bare == "0":
        return Duration(0.0)
    if not re.fullmatch(f"-?(?:{DURATION.pattern})+", bare, re.ASCII):
        raise ValueError(f"{text!r} is not a duration such as 30s or 500ms")
    seconds = sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(bare))
    if bare.startswith("-") or seconds >= LONGEST:
        raise ValueError(f"{text!r} is {'negative' if bare.startswith('-') else 'longer than 292 years'}")
    return Duration(seconds)


def base_url(text: str) -> BaseURL:
    """An http or https URL without query. Raises ValueError."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    if not good or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(f"{without_password(text)!r} is not a URL such as http://127.0.0.1:4318")
    return BaseURL(text)


def without_password(text: str) -> str:
    """A URL as it may be shown: `***` stands for user and password."""
    return re.sub(r"(?<=//)[^/?#]*@", "***@", text)


def target(text: str) -> Target:
    """A gRPC destination: `HOST:PORT`, or a URL with http (no TLS), https or dns. Raises ValueError."""
    bare = re.sub(r"^(https?://|dns:///?)", "", text)
    if "@" in bare:
        raise ValueError("gRPC takes no user and password in its address; use headers, or auth")
    Address.parse(bare)
    return Target(text)


def url_path(text: str) -> URLPath:
    """The path of a URL; a slash in front is added where it is missing."""
    return text if text.startswith("/") else f"/{text}"


def octal(text: str) -> Octal:
    """A file mode such as `0755`. Raises ValueError."""
    if not re.fullmatch(r"0*[0-7]{1,3}", text):
        raise ValueError(f"{text!r} is not a file mode such as 0755")
    return Octal(int(text, 8))


def pattern(text: str) -> Pattern:
    """A regular expression of RE2, which is what Go's collectors speak. Raises ValueError with the pattern."""
    compiled(text)
    return text


def compiled(text: str) -> re.Pattern[str]:
    """The compiled RE2 pattern. Raises ValueError with the pattern and what is wrong in it."""
    import re2  # type: ignore[import-untyped]  # here: only configurations with patterns pay for it

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)  # type: ignore[no-any-return]
    except (re2.error, UnicodeError) as error:
        why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error
        raise ValueError(f"{text!r} is not a regular expression (RE2): {why}") from error


def component_id(text: str) -> ComponentID:
    """`type` or `type/name`, without the spaces around. Raises ValueError."""
    kind, name = _parts(text)
    if not TYPE.fullmatch(kind):
        raise ValueError(f"{text!r} is not TYPE or TYPE/NAME; a type is a letter, then letters, digits and _")
    return kind + name


def pipeline_id(text: str) -> PipelineID:
    """`signal` or `signal/name`, without the spaces around. Raises ValueError."""
    signal, name = _parts(text)
    if signal == "profiles":
        raise ValueError("profiles are experimental; only traces, metrics and logs have pipelines")
    if signal not in SIGNALS:
        raise ValueError(f"{text!r} is no pipeline; a pipeline is traces, metrics or logs, or for example traces/2")
    return signal + name


def _parts(text: str) -> tuple[str, str]:
    """The type and `/name` of an id; a name has no spaces, control characters or symbols."""
    kind, slash, name = (part.strip() for part in text.partition("/"))
    if slash and (not name or len(name) > 1024 or any(unicodedata.category(char)[0] in "ZCS" for char in name)):
        raise ValueError(f"{text!r} has no name that one can use after the /")
    return kind, slash + name

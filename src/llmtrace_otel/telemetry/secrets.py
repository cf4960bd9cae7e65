"""Takes what looks like a secret out of text: vendors' keys, tokens, private keys, `password=…` and its like.

A prefix that vendors gave their keys, or a name that says that a secret follows, is what is looked for; text that is
merely random (a hash, a UUID, base64) stays. So does code that only handles a secret (`password=self.password`) and
text that only names one (`api_key=<your key>`). No pattern is perfect: what must not be recorded is better not
captured, or taken out by a function of one's own (`set_redaction`).

Time grows linearly with the text: every repetition is bounded or possessive, and what is scanned is consumed.
"""

from __future__ import annotations

import re
from typing import Any, Final

REDACTED: Final = "[redacted]"

_TOKEN = r"[A-Za-z0-9_\-]"  # noqa: S105
_HAS_DIGIT = r"(?=[A-Za-z_\-]{0,64}[0-9])"

_VENDORS: Final = (
    rf"(?<![A-Za-z0-9])sk-{_HAS_DIGIT}{_TOKEN}{{20,}}",  # OpenAI, Anthropic, OpenRouter, DeepSeek, …
    rf"(?<![A-Za-z0-9])AIza{_TOKEN}{{35,}}",  # Google
    rf"(?<![A-Za-z0-9])ya29\.{_TOKEN}{{20,}}",
    rf"(?<![A-Za-z0-9])GOCSPX-{_TOKEN}{{20,}}",
    r"(?<![A-Za-z0-9_])gh[pousr]_[A-Za-z0-9]{30,}",  # GitHub
    r"(?<![A-Za-z0-9_])github_pat_[A-Za-z0-9_]{22,}",
    rf"(?<![A-Za-z0-9])glpat-{_TOKEN}{{20,}}",  # GitLab
    r"(?<![A-Za-z0-9])xox[abeoprs]-(?=[A-Za-z\-]{0,64}[0-9])[A-Za-z0-9\-]{10,}",  # Slack
    r"(?<![A-Za-z0-9])xapp-[0-9]-[A-Za-z0-9\-]{10,}",
    r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])",  # AWS
    r"(?<![A-Za-z0-9_])(?:hf|gsk|r8|npm)_[A-Za-z0-9]{30,}",  # Hugging Face, Groq, Replicate, npm
    r"(?<![A-Za-z0-9])(?:xai|pplx|tvly-dev|tvly-prod)-[A-Za-z0-9]{30,}",  # xAI, Perplexity, Tavily
    r"(?<![A-Za-z0-9_])[sr]k_(?:live|test)_[A-Za-z0-9]{16,}",  # Stripe
    rf"(?<![A-Za-z0-9])pypi-AgE{_TOKEN}{{50,}}",
    rf"(?<![A-Za-z0-9_\-])eyJ{_TOKEN}{{8,}}+\.eyJ{_TOKEN}{{8,}}+(?:\.{_TOKEN}*+)?",  # JSON Web Tokens
)
_BREAK = r"(?:\s|\\{1,4}[nrt])"
_PEM: Final = (
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    rf"(?:{_BREAK}*+[A-Z][A-Za-z\-]{{2,20}}: [^\r\n\\]{{1,80}}+){{0,4}}+"
    rf"(?:{_BREAK}*+[A-Za-z0-9+/]{{16,}}+={{0,2}}+)++"
    rf"(?:{_BREAK}*+[A-Za-z0-9+/=]{{1,15}}+(?={_BREAK}{{0,8}}-----END))?+"
    rf"(?:{_BREAK}*+-----END [A-Z0-9 ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----)?+"
)
_KEYS: Final = re.compile("|".join((*_VENDORS, _PEM)))
_MARKS: Final = (
    ("-", ("sk-", "GOCSPX-", "glpat-", "xox", "xapp-", "xai-", "pplx-", "tvly-", "pypi-", "-----BEGIN ")),
    ("_", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "hf_", "gsk_", "r8_", "npm_", "k_live_", "k_test_")),
    ("", ("AIza", "ya29.", "AKIA", "ASIA", "eyJ")),
)
"""What every key of a vendor has in it, behind a character that these have in them: looking for these first is many
times as fast as the patterns."""
_NAMES: Final = ("key", "token", "secret", "pass", "pwd")
"""What every name in `_ASSIGNED` has in it, in lower case."""

_BEARER: Final = re.compile(
    r"((?<![A-Za-z])(?:Bearer|Basic)[ ]{1,4})(?=[A-Za-z._~+/=\-]{0,64}[0-9])[A-Za-z0-9._~+/=\-]{12,}", re.IGNORECASE
)
_HEADER: Final = re.compile(
    r"((?<![A-Za-z])(?:proxy-)?authorization\\{0,4}[\"']?[ ]?[:=][ ]?\\{0,4}[\"']?(?:Bearer|Basic|Token)[ ]{1,4})"
    r"[A-Za-z0-9._~+/=\-]{4,}",
    re.IGNORECASE,
)
_USERINFO: Final = re.compile(r"(://[^\s/:@\"'<>]{0,64}:)[^\s/@\"'<>]{1,128}(?=@[A-Za-z0-9\[])")

_NAME: Final = re.compile(
    r"(?:(?P<certain>api[_\-]?key|passwords?|passwd|passphrase|client[_\-]?secret|private[_\-]?key"
    r"|secret[_\-]?access[_\-]?key)|(?:(?:access|auth|refresh|session|bearer|api|id)[_\-]?|(?<![a-z]))token"
    r"|(?:secret|access|account|auth)[_\-]?key|secret|(?<![a-z])pwd)\Z",
    re.IGNORECASE,
)
"""The end of a name that says that a secret follows: for certain, or one that other things have too."""
_LONGEST_NAME: Final = 24
_ENOUGH: Final = 128  # characters of a value tell what it is
_VALUES: Final = {
    "escaped": r"[^\"'\\\r\n]",
    "double": r"(?:[^\"\\\r\n]|\\[^\r\n])",
    "single": r"(?:[^'\\\r\n]|\\[^\r\n])",
    "bare": r"[^\s\"'\\&,;<>(){}\[\]]",
}
"""A value's characters: in quotes that are themselves escaped, in double or single quotes, or in none."""
_BEGINS: Final = {
    "escaped": r"\\{1,4}[\"']",
    "double": r"\"",
    "single": "'",
    "bare": r"(?=[^\s\"'\\&,;<>(){}\[\]]{4})",
}
_ASSIGNED: Final = re.compile(
    r"(?P<name>[kKtTsSpP](?:ey|oken|ecret|asswords?|asswd|assphrase|wd))(?:\\{0,4}[\"'])?\s{0,4}(?P<sign>[:=])\s{0,4}"
    + "(?:"
    + "|".join(f"{_BEGINS[kind]}(?P<{kind}>{value}{{1,{_ENOUGH}}}+)" for kind, value in _VALUES.items())
    + ")",
    re.IGNORECASE,
)
"""A name's end, `:` or `=`, and the beginning of a value."""
_WHOLE: Final = {kind: re.compile(f"{value}*+") for kind, value in _VALUES.items()}

_PLACEHOLDER: Final = re.compile(
    r"(?:none|null|nil|undefined|true|false|str|string|text|number|int|bool|boolean|bytes|any|object|optional|required"
    r"|redacted|hidden|secret|password|changeme|…++|[.*x#\-_]++|[$%<{\[].*+)\Z",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_]\w{0,64}(?:\.[A-Za-z_]\w{0,64})++\Z")
"""`self.password`"""
_SPACE: Final = re.compile(r"\s")
_DIGIT: Final = re.compile(r"[0-9]")
_NUMBER: Final = re.compile(r"[0-9.]++\Z")


def scrubbed(text: str) -> str:
    """`text` with what looks like a secret replaced by `[redacted]`; what named the secret stays."""
    if _may_hold_key(text):
        text = _KEYS.sub(REDACTED, text)
    if "://" in text:
        text = _USERINFO.sub(rf"\1{REDACTED}", text)
    lowered = text.lower()
    if "bearer" in lowered or "basic" in lowered or "authorization" in lowered:
        text = _BEARER.sub(rf"\1{REDACTED}", _HEADER.sub(rf"\1{REDACTED}", text))
    for name in _NAMES:
        if name in lowered:
            return _without_assigned(text)
    return text


def _may_hold_key(text: str) -> bool:
    for mark, prefixes in _MARKS:
        if mark in text:
            for prefix in prefixes:
                if prefix in text:
                    return True
    return False


def scrubbed_value(value: Any) -> Any:
    """`value` with every string in it scrubbed; a string whose key says that it is a secret goes whole."""
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, dict):
        return {key: _scrubbed_item(key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed_value(item) for item in value]
    return value


def _scrubbed_item(key: Any, item: Any) -> Any:
    if isinstance(item, str) and isinstance(key, str) and (name := _NAME.search(key[-_LONGEST_NAME:])):
        return REDACTED if _is_secret(item, certain=bool(name["certain"])) else scrubbed(item)
    return scrubbed_value(item)


def _without_assigned(text: str) -> str:
    pieces: list[str] = []
    kept = position = 0
    while match := _ASSIGNED.search(text, position):
        kind = match.lastgroup or ""
        if _holds_secret(match, kind):
            pieces += text[kept : match.start(kind)], REDACTED
            rest = _WHOLE[kind].match(text, match.end(kind))
            kept = position = rest.end() if rest else match.end(kind)
        else:
            position = match.end("sign")  # another name may be in the value
    return "".join(pieces) + text[kept:]


def _holds_secret(match: re.Match[str], kind: str) -> bool:
    text, (start, end) = match.string, match.span("name")
    name = _NAME.search(text, max(start - _LONGEST_NAME, 0), end)
    if name is None:
        return False
    value, certain = match[kind], bool(name["certain"])
    if kind != "bare":
        return _is_secret(value, certain=certain)
    if text[match.end() : match.end() + 1] in ("(", "[", "{") or _is_variable(value, name[0]):
        return False
    if match["sign"] == ":":  # prose has colons too
        return certain and len(value) > 7 and _is_mixed(value)
    return _is_secret(value, certain=certain)


def _is_variable(value: str, name: str) -> bool:
    """Whether a value is none itself: `self.password`, or a variable that is called like the name."""
    last = value.lower().rpartition("_")[2]
    return bool(_ATTRIBUTE.match(value)) or last in (name.lower(), name.lower().rpartition("_")[2])


def _is_secret(value: str, *, certain: bool) -> bool:
    """Whether a value is one, its name being a secret's for certain, or one that other things have too."""
    if _PLACEHOLDER.match(value):
        return False
    return certain or (len(value) > 7 and _is_mixed(value) and not _SPACE.search(value))


def _is_mixed(value: str) -> bool:
    """Whether it has digits and more: `token=4096` is a number, `"token": " information"` a word."""
    return bool(_DIGIT.search(value) and not _NUMBER.match(value))

"""Whatever is in the file: a Config, or one line that says what is wrong. `LLMTRACE_FUZZ_SECONDS=600` looks longer."""

import json
import os
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtrace_collector.config.explain import explain
from llmtrace_collector.config.loader import KINDS, load
from llmtrace_collector.config.settings import Config
from llmtrace_collector.errors import ConfigError

SECONDS = float(os.environ.get("LLMTRACE_FUZZ_SECONDS", "0"))
CASES = json.loads((Path(__file__).parent / "data" / "validate.json").read_text(encoding="utf-8"))
SEEDS = [case["yaml"] for case in CASES] + [(Path(__file__).parent / "data" / "components.yaml").read_text("utf-8")]
COMPONENTS = sorted(component for kinds in KINDS.values() for component in kinds)
KEYS = sorted({word.strip("{}[]\"'") for seed in SEEDS for word in seed.replace(":", " ").split() if len(word) < 30})
TOKENS = [
    *("\n", "  ", "\t", ":", ": ", "- ", "{", "}", "[", "]", ",", "&a ", "*a", "<<: *a", "|\n", ">-\n", "'", '"', "#"),
    *("${", "${env:X}", "${Y}", "${env:Z:-", "$$", "${file:c.yaml}", "${yaml:{a: 1}}", "%YAML 1.1\n", "---\n", "...\n"),
    *("!!int ", "!!binary ", "!x ", "? ", "~", "null", "true", "1e999", "-1", "0x", "1s", "-1h", "::", "\0", "\ufeff"),
    *("\\U00110000", "\u2028", "\ud800", "é", "(?P<a>", "2024-01-01", "localhost:0", "http://[", "a" * 300),
]

words = st.sampled_from([*KEYS, *COMPONENTS, *TOKENS])
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words, st.text(max_size=20))


def nested(children):
    return st.one_of(st.lists(children, max_size=4), st.dictionaries(words, children, max_size=5))


documents = st.dictionaries(
    st.sampled_from([*KINDS, "service"]), st.recursive(scalars, nested, max_leaves=30), max_size=6
)


@st.composite
def mutated(draw):
    """A small configuration with pieces cut out, put in or doubled."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        text = text[:start] + draw(st.one_of(words, st.just(text[start:end] * 2), st.just(""))) + text[end:]
    return text


contents = st.one_of(
    mutated().map(lambda text: text.encode("utf-8", "surrogatepass")),
    documents.map(lambda document: json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=200),
)


def loaded(file):
    """The configuration, or what is wrong with it."""
    try:
        return load(file)
    except ConfigError as mistake:
        return str(mistake)


def test_anything_is_a_configuration_or_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("X", "{a: ${Y}}")
    monkeypatch.setenv("Y", "${X}${X}")
    file = Path("c.yaml")
    tried = 0

    @settings(max_examples=300, database=None, suppress_health_check=list(HealthCheck))
    @given(contents)
    def look(content):
        nonlocal tried
        tried += 1
        file.write_bytes(content)
        outcome = loaded(file)
        if type(outcome) is Config:
            assert all(type(line) is str for line in explain(outcome))
        else:
            assert len(outcome.splitlines()) == 1

    until = time.monotonic() + SECONDS
    look()
    while time.monotonic() < until:
        look()
    print(f"{tried} configurations")

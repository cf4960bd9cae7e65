"""The official collector's verdict on many small configurations is ours too, but where the table says why not.

The answers were recorded by scripts/record_official_validate.py.
"""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from llmtrace_collector.config import schema, settings, tree
from llmtrace_collector.config.expansion import Expansion
from llmtrace_collector.config.loader import KINDS, load
from llmtrace_collector.errors import ConfigError

DATA = Path(__file__).parent / "data"
CASES = json.loads((DATA / "validate.json").read_text(encoding="utf-8"))
SCALARS = json.loads((DATA / "scalars.json").read_text(encoding="utf-8"))

REFERENCES = json.loads((DATA / "references.json").read_text(encoding="utf-8"))


def accepted(file):
    try:
        load(file)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_verdict_is_the_official_one(case, tmp_path, monkeypatch):
    for name, value in case.get("environment", {}).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "c.yaml"
    file.write_text(case["yaml"], encoding="utf-8", newline="")
    assert accepted(file) == (case["official"] != ("differs" in case))


@pytest.mark.parametrize("plain", SCALARS)
def test_a_plain_scalar_means_what_it_means_to_the_official_collector(plain):
    ours = tree.parse(plain, lambda line: tree.Place("f", line)).value
    official = float(SCALARS[plain]) if type(ours) is float else SCALARS[plain]  # JSON has no point in 1e3
    assert (type(ours), ours) == (type(official), official)


@pytest.mark.parametrize("text", REFERENCES["paths"])
def test_a_reference_comes_to_what_it_comes_to_officially(text, monkeypatch):
    for name, value in REFERENCES["environment"].items():
        monkeypatch.setenv(name, value)
    assert expanded(text) == REFERENCES["paths"][text]


def expanded(text):
    """What a text field gets; None where the reference is refused."""
    try:
        node = Expansion().expand(tree.Node(text, tree.Place("f", 1)))
    except ConfigError:
        return None
    return schema.text(node) if node.value is not None else node.text


def official_defaults():
    return tree.read_file(DATA / "defaults.yaml").value


def components():
    for section, kinds in KINDS.items():
        for key, node in official_defaults().get(tree.Key(section), tree.Node({}, None)).value.items():
            yield pytest.param(kinds[key], node, id=f"{section}.{key}")


def records(kind, node):
    """The dataclass of a mapping and those of the mappings in it, with the official mapping of each."""
    yield kind, node.value
    for field in fields(kind):
        inner = getattr(settings, field.type.removesuffix(" | None"), None)
        below = node.value.get(tree.Key(field.name))
        if isinstance(inner, type) and issubclass(inner, settings.Settings) and below and below.value:
            yield from records(inner, below)


@pytest.mark.parametrize(("kind", "node"), [*components()])
def test_every_official_key_is_read_ignored_or_refused_by_name(kind, node):
    for record, official in records(kind, node):
        ours = {field.name for field in fields(record)}
        assert not ours & record.IGNORED
        assert not ours & record.ELSEWHERE
        assert not record.IGNORED & record.ELSEWHERE
        assert set(official) - {"enabled"} <= ours | record.IGNORED | record.ELSEWHERE


def test_the_official_defaults_are_ours(tmp_path):
    """What the official collector prints as its defaults, read by us, is what we make of nothing at all."""
    printed = tmp_path / "printed.yaml"
    printed.write_text(readable((DATA / "defaults.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    ours, official = load(DATA / "components.yaml"), load(printed)
    assert ours.receivers == official.receivers
    assert ours.processors == official.processors
    assert ours.exporters == official.exporters
    assert ours.extensions == official.extensions


# Keys that we refuse, and sizers, which are printed as {}.
UNREADABLE = ("attribute_source", "db_sanitizer", "partition", "sizer", "telemetry", "url_sanitizer", "use_v2")


def readable(printed):
    """A printed configuration without the keys that cannot be read back, and what is below them."""
    kept, below = [], None
    for line in printed.splitlines():
        indent = len(line) - len(line.lstrip())
        if below is None or indent <= below:
            unreadable = line.strip().split(":")[0] in UNREADABLE or line.endswith(': ""')
            below = indent if unreadable else None
            kept += [] if unreadable else [line]
    return "\n".join(kept)

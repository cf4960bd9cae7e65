"""Asks the official collector about every case of tests/collector/data/validate.json, and writes its answers there.

    python scripts/record_official_validate.py OTELCOL

OTELCOL is a collector built as scripts/otelcol-builder.yaml says. Also recorded: what plain scalars mean to it
(scalars.json), what references come to (references.json), and what the components of components.yaml are told by
default (defaults.yaml).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "collector" / "data"
SCALARS = """\
receivers: {otlp: {protocols: {http: }}}
processors: {attributes: {actions: [{key: a, action: upsert, value: %s, default_value: 1}]}}
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], processors: [attributes], exporters: [debug]}}}
"""

REFERENCES = """\
receivers: {otlp: {protocols: {http: }}}
exporters: {file: {path: '%s', append: true}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [file]}}}
"""


def ask(collector: str, text: str, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the collector on a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "c.yaml")
        file.write_text(text, encoding="utf-8", newline="")
        arguments = [collector, *command, "--config", str(file)]
        environment = {**os.environ, **environment}
        return subprocess.run(arguments, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def printed(collector: str, text: str, form: str, environment: dict[str, str] | None = None) -> str:
    """The effective configuration, as json or yaml; nothing where there is none."""
    command = ("print-config", "--mode", "unredacted", "--format", form, "--validate=false")
    return ask(collector, text, environment or {}, *command).stdout


def write(name: str, value: object) -> None:
    """Writes a file of the recorded data."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    (DATA / name).write_text(text + "\n", encoding="utf-8")


def main(collector: str) -> None:
    """Records everything anew."""
    cases = json.loads((DATA / "validate.json").read_text(encoding="utf-8"))
    for case in cases:
        case["official"] = ask(collector, case["yaml"], case.get("environment", {}), "validate").returncode == 0
    write("validate.json", cases)
    scalars = json.loads((DATA / "scalars.json").read_text(encoding="utf-8"))
    for plain in scalars:
        config = json.loads(printed(collector, SCALARS % plain, "json"))
        scalars[plain] = config["processors"]["attributes"]["actions"][0]["value"]
    write("scalars.json", scalars)
    references = json.loads((DATA / "references.json").read_text(encoding="utf-8"))
    for text in references["paths"]:
        config = printed(collector, REFERENCES % text, "json", references["environment"])
        references["paths"][text] = json.loads(config)["exporters"]["file"]["path"] if config else None
    write("references.json", references)
    components = (DATA / "components.yaml").read_text(encoding="utf-8")
    (DATA / "defaults.yaml").write_text(printed(collector, components, "yaml").strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""One report in every format: whole outputs compared."""

import json
import xml.etree.ElementTree as ET

import pytest
from check_files import folder
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.check.formats import FORMATS
from llmtrace_otel.check.rules.model import Origin
from llmtrace_otel.check.rules.report import Finding, Outcome, Report

assert folder  # the fixture

RULES = """\
[budget]
cost = 0.4
[[rule]]
id = "no-deletes"
match = "tool delete_*"
count = 0
level = "warn"
why = "100%: never"
[[rule]]
id = "typo"
match = "tool serach"
errors = 0
[[rule]]
id = "models"
models = ["m"]
"""
TEXT = "agent a\n  llm m in=10 out=20 usd=0.5\n  tool delete_all {}"


def written(folder, name):
    code, out = folder.check(RULES, TEXT, options=["--format", name])
    assert code == 1
    return out


def test_text(folder):
    assert (
        written(folder, "text")
        == """\
FAIL budget.cost   trace 7f3a91c2   $0.50 > $0.40 (+25%)
???? typo          it matches no step of the whole recording; correct it, or set allow_empty = true
warn no-deletes    trace 7f3a91c2   tool delete_* ×1, expected 0 – 100%: never
         agent a
         ├─ llm m            10→20 tok  $0.50
       ► └─ tool delete_all
       line 3 of t.jsonl
ok   models
1 failed, 1 not evaluable, 1 warning, 1 passed · 1 trace
"""
    )


def test_github(folder):
    assert written(folder, "github") == (
        "::error file=llmtrace.toml,line=2,title=budget.cost::trace 7f3a91c2: $0.50 > $0.40 (+25%25)\n"
        "::error file=llmtrace.toml,line=9,title=typo::it matches no step of the whole recording; correct it, or set "
        "allow_empty = true\n"
        "::warning file=llmtrace.toml,line=3,title=no-deletes::trace 7f3a91c2: tool delete_* ×1, expected 0 – 100%25: "
        "never%0A  agent a%0A  ├─ llm m            10→20 tok  $0.50%0A► └─ tool delete_all%0Aline 3 of t.jsonl\n"
    )


def test_github_gets_a_summary_where_it_asks_for_one(folder, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    folder.write("summary.md", "before\n")
    written(folder, "github")
    summary = (folder.path / "summary.md").read_text()
    assert summary == "before\n" + written(folder, "markdown")


def test_junit(folder):
    assert (
        written(folder, "junit")
        == """\
<?xml version="1.0" encoding="utf-8"?>
<testsuites tests="4" failures="1" errors="1">
<testsuite name="llmtrace check" tests="4" failures="1" errors="1">
<testcase classname="llmtrace" name="budget.cost" file="llmtrace.toml" line="2">
<failure message="trace 7f3a91c2: $0.50 &gt; $0.40 (+25%)">trace 7f3a91c2: $0.50 &gt; $0.40 (+25%)</failure>
</testcase>
<testcase classname="llmtrace" name="no-deletes" file="llmtrace.toml" line="3">
<system-out>trace 7f3a91c2: tool delete_* ×1, expected 0 – 100%: never
  agent a
  ├─ llm m            10→20 tok  $0.50
► └─ tool delete_all
line 3 of t.jsonl</system-out>
</testcase>
<testcase classname="llmtrace" name="typo" file="llmtrace.toml" line="9">
<error message="it matches no step of the whole recording; correct it, or set allow_empty = true">it matches no step \
of the whole recording; correct it, or set allow_empty = true</error>
</testcase>
<testcase classname="llmtrace" name="models" file="llmtrace.toml" line="13"/>
</testsuite>
</testsuites>
"""
    )


def test_json(folder):
    told = json.loads(written(folder, "json"))
    rules = told.pop("rules")
    assert told == {
        "version": 1,
        "result": "fail",
        "group": "trace",
        "groups": 1,
        "spans": 3,
        "calls": 1,
        "unread": 0,
        "price_versions": [],
    }
    assert [(rule["id"], rule["status"]) for rule in rules] == [
        ("budget.cost", "fail"),
        ("no-deletes", "warn"),
        ("typo", "error"),
        ("models", "pass"),
    ]
    assert rules[0] == {
        "id": "budget.cost",
        "asks": "cost <= $0.40",
        "status": "fail",
        "level": "error",
        "why": "",
        "file": "llmtrace.toml",
        "line": 2,
        "judged": 1,
        "failed": 1,
        "findings": [
            {"group": "trace 7f3a91c2", "what": "$0.50 > $0.40 (+25%)", "detail": "", "picture": [], "places": []}
        ],
        "remarks": [],
        "most": {"used": 0.5, "group": "trace 7f3a91c2"},
    }


def test_markdown(folder):
    assert (
        written(folder, "markdown")
        == """\
### llmtrace check: 1 failed, 1 not evaluable, 1 warning, 1 passed · 1 trace

| rule | asks | result | most used | groups that break it |
|---|---|---|---|---|
| budget.cost | cost \\<= \\$0.40 | ❌ failed | \\$0.50 in trace 7f3a91c2 | 1 of 1 |
| no-deletes | tool delete\\_\\*: count 0 | ⚠️ warning |  | 1 of 1 |
| typo | tool serach: errors 0 | ❔ not evaluable |  |  |
| models | models m | ✅ passed |  |  |

<details><summary>budget.cost: ❌ failed</summary>

- trace 7f3a91c2: \\$0.50 \\> \\$0.40 \\(+25%\\)

</details>

<details><summary>no-deletes: ⚠️ warning</summary>

- trace 7f3a91c2: tool delete\\_\\* ×1, expected 0 – 100%: never

        agent a
        ├─ llm m            10→20 tok  $0.50
      ► └─ tool delete_all
      line 3 of t.jsonl


</details>

<details><summary>typo: ❔ not evaluable</summary>

- it matches no step of the whole recording; correct it, or set allow\\_empty = true

</details>
"""
    )


def test_several_formats_some_in_files(folder):
    code, out = folder.check(RULES, TEXT, options=["--format", "text,junit=r.xml", "--format", "json=r.json"])
    assert (code, out) == (1, written(folder, "text"))
    assert (folder.path / "r.xml").read_text() == written(folder, "junit")
    assert (folder.path / "r.json").read_text() == written(folder, "json")


def report(text, failed=1):
    """A report of which every text is this one."""
    finding = Finding(text, text, text, [text], [text])
    outcome = Outcome(id=text, asks=text, why=text, origin=Origin(text, 3), doubts=[text], warnings=[text])
    for number in range(failed):
        outcome.fail((number, ""), lambda: finding)
    return Report(outcomes=[outcome], group=text, groups=1, price_versions=[text])


@given(st.text())
def test_any_text_gives_valid_documents(text):
    ET.fromstring(FORMATS["junit"](report(text)))
    assert json.loads(FORMATS["json"](report(text)))["rules"][0]["id"] == text


@given(st.text())
def test_no_text_ends_an_annotation_or_begins_another(text):
    told = FORMATS["github"](report(text))
    assert [line[:8] for line in told.split("\n")] == ["::error ", "::error ", ""]
    assert "\r" not in told


@given(st.text())
def test_no_text_adds_a_row_or_an_element_to_markdown(text):
    rows = FORMATS["markdown"](report(text)).split("\n")
    assert rows[0].startswith("### llmtrace check: ")
    assert rows[3] == "|---|---|---|---|---|"
    assert rows[4].replace("\\|", "").count("|") == 6
    assert rows[5] == ""
    assert sum(row.startswith("<") for row in rows) == 2


def test_github_shows_ten_annotations():
    assert FORMATS["github"](report("x", failed=30)).count("\n") == 10


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_of_nothing(name):
    assert isinstance(FORMATS[name](Report(outcomes=[])), str)

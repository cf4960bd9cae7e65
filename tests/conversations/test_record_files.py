"""Where records go: files of the user's alone, one for each session."""

import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.conversations.files import FilePerSession, OneFile, file_name
from llmtrace_otel.conversations.record import Record


def record(session=None, **fields):
    return Record(event_type="success", session_key=session, **fields)


def calls_in(path):
    return [json.loads(line)["call_id"] for line in path.read_text().splitlines()]


def test_a_file_has_a_line_for_each_record_and_is_its_owners_alone(tmp_path):
    file = OneFile(tmp_path / "made" / "conversations.jsonl")
    file.write(record(call_id="a"))
    file.write(record(call_id="b"))
    assert calls_in(file.path) == ["a", "b"]
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_a_path_means_the_directory_that_was_current_when_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = OneFile("conversations.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file.write(record(call_id="a"))
    assert calls_in(tmp_path / "conversations.jsonl") == ["a"]


def test_each_session_has_a_file_and_so_has_a_sub_agents(tmp_path):
    files = FilePerSession(tmp_path / "sessions")
    for session in ("cli:direct", "subagent:abc12345", "cli:direct", None):
        files.write(record(session, call_id=str(session)))
    assert {path.name: calls_in(path) for path in files.path.iterdir()} == {
        "cli%3Adirect.jsonl": ["cli:direct", "cli:direct"],
        "subagent%3Aabc12345.jsonl": ["subagent:abc12345"],
        "+no-session.jsonl": ["None"],
    }
    assert stat.S_IMODE(files.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("fields", [{"session_id": "s-1"}, {"litellm_session_id": "s-1"}, {"session_key": "s-1"}])
def test_any_of_a_sessions_ids_names_its_file(fields):
    assert file_name(Record(event_type="success", **fields).session) == "s-1"


@pytest.mark.parametrize(
    ("session", "name"),
    [
        ("v1.2_a-b", "v1.2_a-b"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        (".", "%2E"),
        ("..", "%2E."),
        ("/", "%2F"),
        ("A", "%41"),
        ("%41", "%2541"),
        ("+no-session", "%2Bno-session"),
        ("nul\0", "nul%00"),
        ("ü", "%C3%BC"),
        ("", "+no-session"),
    ],
)
def test_names_are_plain(session, name):
    assert file_name(session) == name


SESSIONS = st.one_of(st.text(), st.text("aA%4.1+é\ud800/", max_size=300))


@given(SESSIONS)
def test_a_name_is_a_file_in_the_directory_itself(session):
    name = file_name(session) + ".jsonl"
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\:*?"<>| ')
    assert not name.startswith(".")
    assert len(name) <= 130


@given(SESSIONS, SESSIONS)
def test_no_two_sessions_share_a_file_even_where_case_does_not_count(one, other):
    assert (file_name(one).casefold() == file_name(other).casefold()) == (one == other)


def test_long_names_differ_by_what_they_leave_out():
    one, other = file_name("s" * 500 + "1"), file_name("s" * 500 + "2")
    assert one != other
    assert one[:49] == other[:49] == "s" * 48 + "+"

"""What looks like a secret goes, and nothing else."""

import json
import re
import re._constants as constants
import re._parser as parser
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtrace_otel.telemetry import secrets
from llmtrace_otel.telemetry.secrets import scrubbed, scrubbed_value

# Put together here, so that nobody's scanner takes this file for a leak.
BODY = "4f9Kq2ZxW7bNcV1mLpR8tYhGdJsAeU3i"
KEYS = {
    "OpenAI": f"sk-{BODY}{BODY[:16]}",
    "OpenAI project": f"sk-proj-{BODY}_{BODY}-T3BlbkFJ{BODY}",
    "Anthropic": f"sk-ant-api03-{BODY}-{BODY}AA",
    "Google": f"AIza{BODY}abc",
    "GitHub": f"ghp_{BODY}{BODY[:4]}",
    "GitHub fine-grained": f"github_pat_11ABCDEFG0{BODY}_{BODY}",
    "Slack": f"xoxb-2345678901-{BODY}",
    "AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "AWS session": "ASIA" + "IOSFODNN7EXAMPLE",
    "Hugging Face": f"hf_{BODY}",
    "Stripe": f"sk_live_{BODY}",
    "JSON Web Token": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{BODY}",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "around", ["{}", "the key is {}.", '{{"key": "{}"}}', "KEY={}\n", "https://x/?k={}&a=1", "({})"]
)
def test_keys_of_vendors_go(key, around):
    assert scrubbed(around.format(key)) == around.format("[redacted]")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [redacted]"),
        ("curl -H 'authorization: Bearer secrettoken'", "curl -H 'authorization: Bearer [redacted]'"),
        ("Bearer 0123456789abcdef", "Bearer [redacted]"),
        ("api_key=abcdef", "api_key=[redacted]"),
        ("OPENAI_API_KEY=abc123", "OPENAI_API_KEY=[redacted]"),
        ("export DB_PASSWORD=correct-horse", "export DB_PASSWORD=[redacted]"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPx", "AWS_SECRET_ACCESS_KEY=[redacted]"),
        ('{"password": "hunter2", "user": "me"}', '{"password": "[redacted]", "user": "me"}'),
        ("{'password': 'it\\'s me', 'user': 'me'}", "{'password': '[redacted]', 'user': 'me'}"),
        (r"{\"password\": \"hunter2\", \"n\": 1}", r"{\"password\": \"[redacted]\", \"n\": 1}"),
        ('"clientSecret":"zzz"', '"clientSecret":"[redacted]"'),
        ('accessToken = "abc12345"', 'accessToken = "[redacted]"'),
        ("password: hunter22", "password: [redacted]"),
        ("https://x.test/?api_key=abcd1234&q=1", "https://x.test/?api_key=[redacted]&q=1"),
        ("postgres://me:hunter2@db.test/x", "postgres://me:[redacted]@db.test/x"),
        ('secret: "see password=hunter2 there"', 'secret: "see password=[redacted] there"'),
        ("password=" + "y" * 5000 + " end", "password=[redacted] end"),
    ],
)
def test_what_is_named_a_secret_goes_and_its_name_stays(text, left):
    assert scrubbed(text) == left


PEM = "-----BEGIN {0}PRIVATE KEY-----\n" + f"{BODY}{BODY}\n" * 3 + "abc=\n-----END {0}PRIVATE KEY-----"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH "])
@pytest.mark.parametrize("encode", [str, lambda text: json.dumps(text)[1:-1]], ids=["as it is", "within JSON"])
def test_private_keys_go_whole(kind, encode):
    assert scrubbed(encode(f"before\n{PEM.format(kind)}\nafter")) == encode("before\n[redacted]\nafter")


def test_a_private_key_that_was_cut_goes_as_far_as_it_is_there():
    assert scrubbed(PEM.format("RSA ")[:120] + " … [900 more characters]") == "[redacted] … [900 more characters]"


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of this letter asks for a basic understanding of authorization.",
        "Your password is too weak: use 8 characters. Token usage: 12345678 of 20000000.",
        "files that begin with -----BEGIN PRIVATE KEY----- are keys",
        "sk-learn-is-a-machine-learning-library-for-everybody and task-based-programming-is-fun-1234567890",
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "commit 71d6644f1b2b0b822cd15d6c15b0f00a08c55ad0, 4111 1111 1111 1111, +49 30 901820",
        "max_tokens=4096, total_token=12345678, token: 12345678",
        '{"token": " information", "logprob": -0.25, "bytes": [32, 105]}',
        '{"key": "value", "primary_key": "id12345678", "keyboard": "qwertz12345"}',
        "password=self.password, api_key=os.environ['API_KEY'], token = get_token()",
        "api_key=api_key, password=db_password, key=KEY, secret=None, password=${DB_PASS}",
        "api_key=<your api key>, password=***, token=xxxxxxxxxxxx",
        "def login(user: str, password: str) -> Token: ...",
        '{"password": null, "required": ["password"], "secret": "string"}',
        "https://x.test/a:b@c, user@x.test, https://x.test:8080/path@2",
        "eyJhbGciOiJIUzI1NiJ9 alone is only a header",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    ],
)
def test_prose_numbers_hashes_and_code_stay(text):
    assert scrubbed(text) == text


def test_values_are_scrubbed_where_they_are():
    given = {"note": f"use {KEYS['GitHub']}", "login": {"password": "hunter2", "name": "me"}, "ids": [1, KEYS["AWS"]]}
    assert scrubbed_value(given) == {
        "note": "use [redacted]",
        "login": {"password": "[redacted]", "name": "me"},
        "ids": [1, "[redacted]"],
    }


PIECES = st.sampled_from(
    [*KEYS.values(), *string.printable, "password", "token", '="', "=", ": ", '\\"', "Bearer ", "-----BEGIN ", "sk-"]
)


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_what_is_scrubbed_needs_no_scrubbing(text):
    once = scrubbed(text)
    assert scrubbed(once) == once


@settings(max_examples=300)
@given(st.text(st.characters(exclude_characters="=:-_"), max_size=200))
def test_text_without_any_sign_of_a_secret_stays(text):
    assert scrubbed(text) == text


def backtracking(parsed, last=True):
    """The repetitions of a parsed pattern that have no bound, could give back what they took, and have to: because
    something follows them that may not match."""
    for place, (operation, argument) in enumerate(parsed):
        final = last and place == len(parsed) - 1
        match operation:
            case constants.MAX_REPEAT | constants.MIN_REPEAT:
                _, most, inner = argument
                if most is constants.MAXREPEAT and not final:
                    yield argument
                yield from backtracking(inner, last=False)
            case constants.POSSESSIVE_REPEAT:
                yield from backtracking(argument[2], last=False)
            case constants.SUBPATTERN:
                yield from backtracking(argument[-1], final)
            case constants.BRANCH:
                for branch in argument[1]:
                    yield from backtracking(branch, final)
            case constants.ASSERT | constants.ASSERT_NOT:
                yield from backtracking(argument[1], last=False)


PATTERNS = {
    **{name: value for name, value in vars(secrets).items() if isinstance(value, re.Pattern)},
    **{f"_WHOLE {kind}": value for kind, value in secrets._WHOLE.items()},
}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_no_repetition_without_a_bound_gives_back_what_it_took(pattern):
    assert list(backtracking(parser.parse(pattern.pattern, pattern.flags))) == []


def test_a_pattern_that_runs_away_would_be_noticed():
    assert len(list(backtracking(parser.parse(r"(?:a+)+b|x*y|z{3,}")))) == 3


class Counting:
    """A pattern that counts how many characters its searches pass over."""

    def __init__(self, pattern):
        self.pattern = pattern
        self.passed = 0

    def search(self, text, position):
        match = self.pattern.search(text, position)
        self.passed += (match.end() if match else len(text)) - position
        return match


HARD = ["password", 'password="', "token=", 'token="', "key: ", "key=a ", "password" + " " * 8, "token:\n", "a"]


@pytest.mark.parametrize("piece", HARD)
def test_the_work_grows_with_the_text_and_no_faster(piece, monkeypatch):
    def work(pieces):
        counting = Counting(pattern)
        monkeypatch.setattr(secrets, "_ASSIGNED", counting)
        scrubbed(piece * pieces)
        return counting.passed

    pattern = secrets._ASSIGNED
    assert work(10_000) <= 11 * work(1_000)

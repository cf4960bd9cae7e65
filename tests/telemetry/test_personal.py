"""Personal data goes, and nothing else: numbers, ids, times, versions and code stay."""

import re
import re._constants as constants
import re._parser as parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtrace_otel.telemetry import personal
from llmtrace_otel.telemetry.personal import MARKS, scrubbed

PERSONAL = {
    "ann@example.com": "[email]",
    "ann.b-c+news%x_1@mail.example.co.uk": "[email]",
    "a@xn--mnchen-3ya.de": "[email]",
    "ann@4chan.org": "[email]",
    "+49 30 1234567": "[phone]",
    "+4915112345678": "[phone]",
    "+1 (415) 555-2671": "[phone]",
    "+44 (0)20 7946 0958": "[phone]",
    "+33.1.23.45.67.89": "[phone]",
    "(415) 555-2671": "[phone]",
    "415-555-2671": "[phone]",
    "1-415-555-2671": "[phone]",
    "phone: 030 1234567": "phone: [phone]",
    'telephone number = "0151/1234567"': 'telephone number = "[phone]"',
    '"phone": "030-1234567"': '"phone": "[phone]"',
    '{\\"mobile\\": \\"0151 1234567\\"}': '{\\"mobile\\": \\"[phone]\\"}',
    "Tel. 5551234": "Tel. [phone]",
    "jürgen@exämple.com": "[email]",
    "联系ann@example.com谢谢": "联系[email]谢谢",
    "4111111111111111": "[card]",
    "4111 1111 1111 1111": "[card]",
    "5500-0000-0000-0004": "[card]",
    "2221000000000009": "[card]",
    "378282246310005": "[card]",
    "3782 822463 10005": "[card]",
    "6011000990139424": "[card]",
    "3530111333300000": "[card]",
    "30569309025904": "[card]",
    "DE89 3704 0044 0532 0130 00": "[iban]",
    "GB82WEST12345698765432": "[iban]",
    "NL91 ABNA 0417 1643 00": "[iban]",
    "NO93 8601 1117 947": "[iban]",
    "MT84MALT011000012345MTLCAST001S": "[iban]",
    "AT61 1904 3002 3457 3201 BANK": "[iban] BANK",
    "123-45-6789": "[ssn]",
}
OTHERS = [
    *("2026-11-21", "2026-11-21T12:00:00.123456+01:00", "2026-11-21 12:00:00", "21.11.2026 12:00", "12/31/2026"),
    *("1732192770", "1732192770123", "1732192770123456", "1732192770123456789", "mobile 2026-11-21", "12:30:45.678"),
    *("550e8400-e29b-41d4-a716-446655440000", "0af7651916cd43dd8448eb211c80319c", "0x7fff5fbff8a8", "b7ad6b7169203331"),
    *("41111111-1111-1111-1111-111111111111", "call_4111111111111111", "req-4111111111111111", "#4111111111111111"),
    *("sha256:4111111111111111aa", "4111111111111112", "1234567890123456", "9999999999999995", "00000000000000000000"),
    *("v1.2.3", "10.0.22621.2506", "3.11.7rc1", "numpy==1.26.4", "react@18.2.0", "pkg@1.2.3-rc.next", "2024.11.21.1"),
    *("$1,234,567.89", "€ 12.345.678,90", "1,000,000,000", "1_000_000_000", "99.95", "123456789 USD", "12 345 678"),
    *(
        "3.141592653589793",
        "-0.4111111111111111",
        "+1.23456789",
        "1e+12345678",
        "6.02214076e+23",
        "1.7976931348623157e308",
    ),
    *("192.168.100.200", "127.0.0.1:4318", "2001:db8::1", "::ffff:192.0.2.128", "00:1A:2B:3C:4D:5E"),
    *(
        "x = a + 12345678",
        "f(1)+2345678901",
        "x[0]+12345678",
        "range(1000000000)",
        "chmod 0755 1000000",
        "1<<31",
        "a+b",
    ),
    *("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", "784-512-256-10", "1 2 3 4 5 6 7 8 9", "12 34 56 78 90 12 34 56"),
    *(
        "src/app_2024_01_01/run-20240101123456.log",
        "/tmp/4111111111111111",
        "C:\\temp\\123456789",
        "IMG_20240101_123456.jpg",
    ),
    *("https://example.com/items/4111111111111111/edit", "https://x.y/?id=12345678", "arxiv.org/abs/2401.01234"),
    *("git@github.com:org/repo.git", "@dataclass", "@pytest.mark.parametrize", "a@b", "user@localhost", "logo@2x.png"),
    *(
        "ISBN 978-3-16-148410-0",
        "doi:10.1000/182",
        "DE12 3456 7890 1234 5678 90",
        "GB00WEST12345698765432",
        "XX89370400440",
    ),
    *(
        "AKIA1234567890123456",
        "ABCD1234EFGH5678IJKL",
        "US12345678",
        "RFC 9110",
        "000-12-3456",
        "666-12-3456",
        "123-00-4567",
    ),
    *("123-45-67890", "1123-45-6789", "tel aviv 2024", "hotel 1234567", "telephone", "phone_id: 1234567", "iphone 15"),
    *("temperature=0.7", "max_tokens: 4096", "seed 1234567890", "port 65535", "commit 1234567", "line 12345678"),
]
AROUND = [
    "{}",
    "so {} it is",
    "({})",
    '"{}"',
    "a: {}\nb",
    "<{}>",
    "电话{}号",
    "{},",
    "{}.",
    '{{"text": "hello\\n{}\\nbye"}}',
]


@pytest.mark.parametrize(("text", "left"), PERSONAL.items(), ids=PERSONAL)
@pytest.mark.parametrize("around", AROUND)
def test_personal_data_goes(text, left, around):
    assert scrubbed(around.format(text)) == around.format(left)


@pytest.mark.parametrize("text", OTHERS)
@pytest.mark.parametrize("around", AROUND)
def test_everything_else_stays(text, around):
    assert scrubbed(around.format(text)) == around.format(text)


def test_several_in_one_text_all_go():
    text = "Ann (ann@example.com, +49 30 1234567) paid with 4111 1111 1111 1111 or DE89370400440532013000; 123-45-6789."
    assert scrubbed(text) == "Ann ([email], [phone]) paid with [card] or [iban]; [ssn]."


def test_what_is_scrubbed_stays_as_it_is():
    once = scrubbed(" ".join(PERSONAL))
    assert scrubbed(once) == once


@given(st.text(st.characters(exclude_categories=["Nd", "Cs"], exclude_characters="@")))
def test_a_text_without_digits_and_mail_addresses_stays(text):
    assert scrubbed(text) == text


@given(st.integers(0, 9), st.lists(st.integers(0, 9), min_size=14, max_size=14))
def test_of_ten_check_digits_one_makes_a_card_number(last, digits):
    numbers = ["4" + "".join(map(str, digits)) + str(check) for check in range(10)]
    assert [scrubbed(number) for number in numbers].count("[card]") == 1
    assert scrubbed(numbers[last]) in ("[card]", numbers[last])


@given(st.integers(0, 10**18 - 1))
def test_of_all_check_digits_of_an_iban_one_pair_is_right(account):
    rest = f"{account:018}131400"  # the country's letters as numbers, and zeros for the check digits
    right = 98 - int(rest) % 97
    found = [check for check in range(2, 99) if scrubbed(f"DE{check:02}{account:018}") == "[iban]"]
    assert found == [right]


ALPHABET = st.sampled_from(
    [*"0123456789", *"0123456789", "+", "-", " ", ".", "(", ")", "/", "@", "a", "DE", "\\n", '\\"', "tel ", "4111"]
)


@given(st.lists(ALPHABET, max_size=40).map("".join))
def test_whatever_the_text_only_whole_pieces_of_it_become_marks(text):
    kept = re.split("|".join(re.escape(mark) for mark in MARKS), scrubbed(text))
    assert re.fullmatch(".+".join(re.escape(piece) for piece in kept), text, re.DOTALL)


PATTERNS = {name: pattern for name, pattern in vars(personal).items() if isinstance(pattern, re.Pattern)}


def repetitions(parsed):
    """Every repetition of a pattern, however deep."""
    for operation, argument in parsed:
        if operation in (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT):
            yield operation, argument[1]
        for part in argument if isinstance(argument, (list, tuple)) else ():
            for nested in part if isinstance(part, list) else [part]:
                if isinstance(nested, parser.SubPattern):
                    yield from repetitions(nested)


@pytest.mark.parametrize("name", PATTERNS)
def test_every_repetition_is_bounded_unless_it_is_of_what_matched(name):
    if name == "_POINT":  # it looks at a match of a few characters
        return
    assert all(most < 100 for _, most in repetitions(parser.parse(PATTERNS[name].pattern)))

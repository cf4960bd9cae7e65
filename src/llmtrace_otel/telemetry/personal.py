"""Takes personal data out of text: mail addresses, telephone and card numbers, IBANs, US social security numbers.

Numbers are everywhere in what programs send, so a number goes only for good reason: its checksum is right (cards,
IBANs), it is written as only such a number is (`+49 30 1234567`, `123-45-6789`), or a word before it says what it is
(`phone: 030 1234567`). Times, ids, versions, prices, measures and code stay. Names of people and postal addresses are
not looked for: no pattern finds them.

Time grows linearly with the text: every repetition is bounded, and what precedes a match is looked at, not searched.
"""

from __future__ import annotations

import re
from typing import Final

EMAIL, PHONE, CARD, IBAN, SSN = MARKS = ("[email]", "[phone]", "[card]", "[iban]", "[ssn]")


def _begins(characters: str) -> str:
    """None of these precedes, unless as the letter of an escaped line feed: JSON may be within the text."""
    return rf"(?:(?<![{characters}\\])|(?<=\\[nrtbf]))"


_ENDS = r"(?![\w\-/]|[.,:][0-9])"
_MORE_DIGITS = r"(?:\)?[ .\-/]?\(?[0-9])"

_LETTERS = "A-Za-z\u00c0-\u024f"
"""Latin ones, accented too: scripts that write no spaces between words would lose the words around an address."""
_DATE = r"(?:19|20)[0-9]{2}[\-/.][0-9]{2}[\-/.]"

_EMAIL: Final = re.compile(
    _begins(rf"{_LETTERS}0-9._%+\-") + rf"(?!git@)[{_LETTERS}0-9._%+\-]{{1,64}}@(?!v?[0-9]{{1,9}}\.[0-9]|[0-9]x\.)"
    rf"(?:[{_LETTERS}0-9\-]{{1,63}}\.){{1,8}}[{_LETTERS}]{{2,24}}"
)
"""Not `git@host:path`, nor a version (`pkg@1.2.3-rc.next`), nor an image of double size (`logo@2x.png`)."""

_HAS_NUMBER: Final = re.compile(r"[0-9](?:[ .\-/()]{0,3}[0-9]){6}")
"""What every number that is looked for has in it, and most texts do not."""

_INTERNATIONAL: Final = re.compile(
    rf"\+(?:(?<![\w+.)\]\\]\+)|(?<=\\[nrtbf]\+))[1-9]{_MORE_DIGITS}{{7,14}}{_ENDS}", re.ASCII
)
_POINT: Final = re.compile(r"\+[0-9]+\.[0-9]+\Z")

_NAMED: Final = re.compile(
    _begins("A-Za-z")
    + r"(?P<name>(?:(?:tele)?phone|tel|mobile|fax|whatsapp)(?:[ _\-](?:number|no|nr))?\.?\\{0,4}[\"']?"
    rf"\s{{0,2}}[:=#]?\s{{0,2}}\\{{0,4}}[\"']?)(?!{_DATE})[+(]?[0-9]{_MORE_DIGITS}{{6,14}}{_ENDS}",
    re.IGNORECASE | re.ASCII,
)
_NAMES: Final = ("phone", "tel", "mobile", "fax", "whatsapp")

_NUMBER: Final = re.compile(
    _begins(r"\w.+\-/#") + r"(?:(?P<ssn>(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4})"
    r"|(?P<card>[2-6](?:[0-9]{13,18}|[0-9]{3}(?P<gap>[ \-])(?:[0-9]{6}(?P=gap)[0-9]{4,5}"
    r"|[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}(?:(?P=gap)[0-9]{3})?)))"
    r"|(?P<phone>(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .\-]"
    r"|[2-9][0-9]{2}(?P<dash>[.\-])[2-9][0-9]{2}(?P=dash))[0-9]{4}))" + _ENDS,
    re.ASCII,
)
"""A number by its shape: social security, card in one piece or in groups, telephone as in North America."""

_CARDS: Final = re.compile(
    r"(?:4[0-9]{15}(?:[0-9]{3})?"  # Visa
    r"|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|(?:6011|64[4-9][0-9]|65[0-9]{2}|352[89]|35[3-8][0-9])[0-9]{12}"  # Discover, JCB
    r"|62[0-9]{14,17})\Z"  # UnionPay
)

_IBAN: Final = re.compile(
    _begins(r"\w") + r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])", re.ASCII
)
_IBAN_LENGTHS: Final = {
    code: length
    for length, codes in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        33: "RU",
    }.items()
    for code in codes.split()
}
"""Characters of an account number by country: the registry of ISO 13616."""


def scrubbed(text: str) -> str:
    """`text` with personal data replaced by what it was: `[email]`, `[phone]`, `[card]`, `[iban]`, `[ssn]`."""
    if "@" in text:
        text = _EMAIL.sub(EMAIL, text)
    return _without_numbers(text) if _HAS_NUMBER.search(text) else text


def _without_numbers(text: str) -> str:
    text = _INTERNATIONAL.sub(_international, _IBAN.sub(_iban, text))
    text = _NUMBER.sub(_number, text)
    lowered = text.lower()
    if any(name in lowered for name in _NAMES):
        text = _NAMED.sub(rf"\g<name>{PHONE}", text)
    return text


def _number(match: re.Match[str]) -> str:
    if match["ssn"]:
        return SSN
    if match["phone"]:
        return PHONE
    digits = match[0].replace(" ", "").replace("-", "")
    return CARD if _CARDS.match(digits) and _luhn(digits) else match[0]


def _luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _international(match: re.Match[str]) -> str:
    return match[0] if _POINT.match(match[0]) else PHONE  # +1.2345678 is a number like any other


def _iban(match: re.Match[str]) -> str:
    """What follows the account number may look like a part of it: its country says how long it is."""
    text, length = match[0], _IBAN_LENGTHS.get(match[0][:2], 0)
    ends = [index for index, character in enumerate(text, 1) if character != " "]
    if not 0 < length <= len(ends):
        return text
    end = ends[length - 1]
    rest = text[end:]
    return IBAN + rest if rest[:1] in ("", " ") and _checks(text[:end].replace(" ", "")) else text


def _checks(iban: str) -> bool:
    """Whether the two check digits are those of the rest (ISO 7064, modulus 97)."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1

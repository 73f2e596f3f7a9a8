"""Excerpts of inputs that a report may show: secrets masked, length bounded, nothing invisible."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Part", "excerpt", "visible", "window"]

# Characters kept of a text around what matters; more than is shown, so that a secret that begins before what is
# shown is still recognised.
WINDOW = 600
_BEFORE = 200

_NAME = (
    r"(?:(?<![a-z])(?:pass|pwd|otp|pin|cvv)|passw(?:or)?d|passphrase|passcode|secret|token|credentials?|authorization|"
    r"cookie|sshpass|rediscli_auth|signature|session[_\- ]?id|"
    r"(?:api|access|private|auth|client|session|encryption)[_\- ]?key)"
)
_SCHEME = r"(?:(?i:bearer|basic|digest|negotiate|token|api-?key|hmac)\s+)?"
_GIVEN = r"(?:\"[^\"]*\"?|'[^']*'?|[^\s\"']\S*)"
_GROUPS = [
    rf"\d{{3}}{gap}(?:\d{{4}}{gap}\d{{4}}{gap}\d{{1,4}}(?:{gap}\d{{1,3}})?|\d{{6}}{gap}\d{{4,5}})" for gap in " -"
]
_SECRETS = re.compile(
    "|".join(
        (
            r"(?P<pem>-----BEGIN [A-Z ]{0,40}-----[\s\S]*?(?:-----END [A-Z ]{0,40}-----|\Z))",
            r"(?P<jwt>\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)",
            # the names of well-known keys
            r"(?P<key>\b(?:sk|pk|rk)[-_][\w-]{12,}|\bgh[a-z]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{12,}"
            r"|\bxox[a-z]-[\w-]{8,}|\b(?:AKIA|ASIA)[0-9A-Z]{12,}|\bAIza[\w-]{20,}|\bhf_\w{16,}|\bnpm_\w{16,})",
            r"(?P<bearer>(?i:\b(?:bearer|basic)\s+)(?=[\w.~+/=-]*\d|[\w.~+/=-]{16})[\w.~+/=-]{8,})",
            r"(?P<url>\b[a-zA-Z][\w+.-]{1,20}://[^\s/@:]{0,128}:[^\s/@]{1,256}@)",
            r"(?P<cookie>(?i:\b(?:set-)?cookie\s*:\s*)[^\r\n\"']+)",
            # -u name:value, --user name:value, -U name%value: curl and its kind
            r"(?P<user>(?<![^\s\"'(=])(?:-[uUa]|--(?:proxy-)?user|--auth)(?:\s+|=)?[\"']?[^\s:%\"'-][^\s:%\"']{0,63}[:%]"
            r"(?!//)[^\s\"']+)",
            rf"(?P<sql>(?i:\bidentified\s+by\s+(?:password\s+)?){_GIVEN})",
            # name = value, "name": "value", --name value; quotes hold blanks
            rf"(?P<named>(?i:{_NAME})[\"']?\s*(?:=>|[=:])\s*"
            rf"{_SCHEME}(?:\"[^\"]*\"?|'[^']*'?|[^\s\"'&]+))",
            rf"(?P<flag>--?(?i:[a-z-]{{0,30}}{_NAME}|pw)\s+(?!-){_GIVEN})",
            # -pvalue, -p value, -a value, -w value: only where a program before it takes a password so, see _takes
            rf"(?P<short>(?<![^\s\"'(])-(?:[pP]|[paPw]\s+)(?!-){_GIVEN})",
            # "my password is x1": only what has a digit or a sign in it, prose stays readable
            rf"(?P<told>(?i:\b{_NAME}\s+(?:is|was)\s+)(?=\S*[\d!$%&*#_])\S+)",
            r"(?P<mail>[\w.+%'-]{1,64}(?=@[\w-]+(?:\.[\w-]+)+))",
            # in one piece, or in the groups that stand on a card, from 2 to 6 on as those of banks do; see _card
            r"(?P<card>(?<![\w.-])[2-6](?:\d{12,18}|" + "|".join(_GROUPS) + r")(?![\w-]|\.\d))",
            # nothing that a person would read: long runs of letters and digits
            r"(?P<opaque>\b(?=[A-Za-z+_]{0,64}\d)(?=[\d+_]{0,64}[A-Za-z])[A-Za-z0-9+_]{32,}={0,2})",
        )
    )
)
# Programs to which a short flag gives a password, glued to it or after a blank; in one command: up to | ; or &.
_COMMAND = r"[^|;&\n]*\Z"
_GLUED = re.compile(rf"\b(?:mysql\w*|mariadb[\w-]*|sshpass|7z[ar]?|unrar|rar|zip|mongo\w*|sqlcmd|bcp)\b{_COMMAND}")
_LOGIN = r"(?:docker|podman|nerdctl|helm|az|oc|cf)\b[^|;&\n]*\blogin"
_APART = {
    "p": re.compile(rf"\b(?:sshpass|mongo\w*|cqlsh|rabbitmqadmin|{_LOGIN})\b{_COMMAND}"),
    "P": re.compile(rf"\b(?:zip|sqlcmd|bcp|tsql|isql)\b{_COMMAND}"),
    "a": re.compile(rf"\b(?:redis-cli|valkey-cli)\b{_COMMAND}"),
    "w": re.compile(rf"\bldap\w+\b{_COMMAND}"),
}
_BEFORE_FLAG = 200
# What goes on with the word that a span begins or ends in.
_JOINED = r"(?:\w|(?<=[\w:])[.:/@-](?=[\w:]))"
_REST = re.compile(rf"(?<=[\w/]){_JOINED}{{1,64}}")
_HEAD = re.compile(rf"{_JOINED}{{1,64}}\Z")
# What a page would act upon or not show: controls, directions, zero widths, tags, halves of surrogate pairs.
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\ud800-\udfff]"
)
_MARKS = "\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACKED = re.compile(f"([{_MARKS}]{{3}})[{_MARKS}]+")


class Part(NamedTuple):
    """A piece of an excerpt: `marked` lies in the span in question, `masked` stands for a secret."""

    text: str
    marked: bool
    masked: bool


def window(text: str, span: tuple[int, int] | None = None) -> tuple[str, tuple[int, int] | None]:
    """At most 600 characters of `text` around the beginning of `span`, and where the span lies in them."""
    if len(text) <= WINDOW:
        return text, span
    start = 0 if span is None else max(0, min(span[0] - _BEFORE, len(text) - WINDOW))
    kept = text[start : start + WINDOW]
    if span is None:
        return kept, None
    return kept, (span[0] - start, min(span[1] - start, WINDOW))


def visible(text: str) -> str:
    """`text` with every character shown: what has no look of its own by its code point.

    >>> visible("a\\tb\\x00c\\u202ed")
    'a b\u2039U+0000\u203ac\u2039U+202E\u203ad'
    """
    text = _STACKED.sub(r"\1", text)
    return _HIDDEN.sub(_shown, text)


def excerpt(text: str, span: tuple[int, int] | None = None, *, width: int = 220) -> list[Part]:
    """At most about `width` shown characters of `text` with secrets masked; those of `span` are marked, in whole words.

    The marked part is always in it (its middle is left out where it is long). Masks keys with well-known
    prefixes, values named like passwords or tokens, passwords on command lines and in headers, credentials of URLs,
    local parts of e-mail addresses, numbers that look like payment cards, and long runs of letters and digits.
    It cannot know every secret. Time is linear in the text; give it a :func:`window`.

    >>> excerpt("mail ana@example.org, password=hunter2")[1]
    Part(text='\u2022\u2022\u2022', marked=False, masked=True)
    """
    if span is not None:
        span = _whole_words(text, *span)
    pieces = list(_pieces(text, span))
    if span is None:
        return _joined(_clip(pieces, width))
    first = next((i for i, piece in enumerate(pieces) if piece.marked), len(pieces))
    last = max((i for i, piece in enumerate(pieces) if piece.marked), default=first - 1)
    hit = pieces[first : last + 1]
    if len(hit) > width // 2:
        hit = [*hit[: width // 4], Part("\u2026", True, False), *hit[-(width // 4) :]]
    room = max(width - len(hit), 0)
    before = _clip(pieces[:first][::-1], min(first, max(room // 2, room - (len(pieces) - last - 1))))[::-1]
    after = _clip(pieces[last + 1 :], max(room - len(before), 0))
    return _joined([*before, *hit, *after])


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The span, and what is missing of the words (addresses, paths) in which it begins and ends; at most 64 signs."""
    if not start < end <= len(text):
        return start, end
    rest = _REST.match(text, end)
    head = _HEAD.search(text[max(0, start - 64) : start]) if text[start].isalnum() or text[start] == "_" else None
    return (start - len(head.group()) if head else start), (rest.end() if rest else end)


def _pieces(text: str, span: tuple[int, int] | None) -> Iterator[Part]:
    """One part for each shown character, one for each secret."""
    low, high = span or (0, 0)
    at = 0
    for start, end in _secrets(text):
        yield from _letters(text, at, start, low, high)
        yield Part("\u2022\u2022\u2022", start < high and low < end, True)
        at = end
    yield from _letters(text, at, len(text), low, high)


def _letters(text: str, start: int, end: int, low: int, high: int) -> Iterator[Part]:
    for place, marked in (
        ((start, min(end, low)), False),
        ((max(start, low), min(end, high)), True),
        ((max(start, high), end), False),
    ):
        if place[0] < place[1]:
            yield from [Part(letter, marked, False) for letter in visible(text[place[0] : place[1]])]


def _secrets(text: str) -> Iterator[tuple[int, int]]:
    """Places of the secrets; of a named one only the value."""
    at = 0
    while match := _SECRETS.search(text, at):
        kind, found = match.lastgroup, match.group()
        start, end = match.span()
        at = max(end, start + 1)
        if kind == "card":
            length = _card(found)
            if not length:
                at = start + len(found.replace("-", " ").split(" ")[0])  # one may begin with the next group
                continue
            at = start + length
            end = at - 4  # as a receipt does
        elif kind == "url":
            start += found.index("://") + 3
            end -= 1
        elif kind == "cookie":
            start += found.index(":") + 1
            start += len(text[start:end]) - len(text[start:end].lstrip())
        elif kind == "user":
            name, value = re.split("[:%]", found, maxsplit=1)
            if value.isdigit() and not re.search(rf"\bcurl\b{_COMMAND}", text[max(0, start - _BEFORE_FLAG) : start]):
                at = start + 2  # a user and a group by their numbers; what follows may be something else
                continue
            start += len(name) + 1
        elif kind in ("named", "flag", "told", "bearer", "short", "sql"):
            if kind == "short":
                if not _takes(found, text[max(0, start - _BEFORE_FLAG) : start]):
                    at = start + 2
                    continue
                found = found[2:]
            value = _value(found, named=kind == "named")
            if value == "<*>":  # a slot of a template
                continue
            start = end - len(value)
            if value[:1] in ("'", '"'):
                start += 1
                end -= len(value) > 1 and value[-1] == value[0]
        if start < end:
            yield start, end


def _takes(flag: str, before: str) -> bool:
    """Whether a program that stands before it takes this short flag as one with a password."""
    if not flag[2:3].isspace():
        return flag[1] in "pP" and _GLUED.search(before) is not None
    return _APART[flag[1]].search(before) is not None


def _value(found: str, *, named: bool) -> str:
    """What follows the name and the sign or blank after it; quotes belong to it."""
    sign = re.search(r"(?:=>|[=:])\s*", found) if named else None
    value = re.search(r"(?:\"[^\"]*\"?|'[^']*'?|\S+)\Z", found[sign.end() :] if sign else found)
    return value.group() if value else ""


def _card(found: str) -> int:
    """How much of it, up to the end of a group, is a card's number of 13 to 19 digits; 0 if nothing is. What follows a
    number may be the code on the back of the card."""
    ends = [len(found), *(place for place in range(len(found) - 1, 0, -1) if not found[place].isdigit())]
    for end in ends:
        digits = found[:end].replace(" ", "").replace("-", "")
        if len(digits) >= 13 and _luhn(digits):
            return end
    return 0


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 * (number > 9)
    return total % 10 == 0 and len(set(digits)) > 1


def _clip(pieces: list[Part], width: int) -> list[Part]:
    if len(pieces) <= width:
        return pieces
    return [*pieces[: max(width - 1, 0)], Part("\u2026", False, False)]


def _joined(pieces: list[Part]) -> list[Part]:
    """Neighbours of one kind as one part; a masked one stays alone."""
    parts: list[Part] = []
    for piece in pieces:
        if parts and not piece.masked and parts[-1][1:] == piece[1:]:
            parts[-1] = Part(parts[-1].text + piece.text, *piece[1:])
        else:
            parts.append(piece)
    return parts


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code in (9, 0x202F, 0x205F):
        return " "
    if code == 10:
        return "\u21b5"
    if 0xD800 <= code < 0xE000:
        return "\ufffd"
    if 0xFE00 <= code <= 0xFE0F:  # only chooses between two looks of a sign
        return ""
    return f"\u2039U+{code:04X}\u203a"

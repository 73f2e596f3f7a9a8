"""The normal form, from its rules in words and not from character classes."""

from __future__ import annotations

import re
import unicodedata

BREAKS = "\n\r\x85\u2028\u2029"
OPENS = "(\"'),;:\u201c\u201e\u00ab\u00bf\u00a1\u201d\u00bb\u2018\u2019"
CLOSES = ")\"',;:.?!\u201d\u00bb\u2018\u2019"


def is_blank(c: str) -> bool:
    if c < "\x80":
        return c in " \t\v\f\n\r"
    return c.isspace() or c in BREAKS


def is_digit(c: str) -> bool:
    return c.isdigit() if c < "\x80" else c.isnumeric()


def is_capital(c: str) -> bool:
    return (c.isupper() or c.istitle()) and c != "\u0130" and c.lower() != c and not is_digit(c)


def is_letter(c: str) -> bool:
    return (c.isalpha() or c.islower() or c.isupper()) and not is_digit(c)


def keeps_case(token: str, shouted: bool, after_digit: bool) -> bool:
    core = token.lstrip(OPENS).rstrip(CLOSES)
    letters = [c for c in core if is_letter(c)]
    capitals = [c for c in core if is_capital(c)]
    lower = [c for c in core if c.islower() and not is_digit(c)]
    if after_digit or any(not is_letter(c) and c not in "'\u2018\u2019" for c in core):
        return True
    if capitals and not lower:
        return 2 <= len(letters) <= 5 and not shouted
    return any(is_capital(c) for c in core[1:])


def drop_closing(token: str) -> str:
    """One mark goes, behind an ordinary word: two letters or more, apostrophes between them."""
    if not token.endswith((".", "?", "!")):
        return token
    parts = re.split("['\u2018\u2019]", token[:-1])
    ordinary = all(part and all(map(is_letter, part)) for part in parts) and len("".join(parts)) > 1
    return token[:-1] if ordinary else token


def normalise(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    pieces: list[tuple[bool, str]] = []
    for c in text:
        blank = is_blank(c)
        if pieces and pieces[-1][0] == blank:
            pieces[-1] = (blank, pieces[-1][1] + c)
        else:
            pieces.append((blank, c))
    if pieces and pieces[-1][0]:
        pieces.pop()
    if pieces and pieces[0][0]:
        pieces.pop(0)
    words = [piece for blank, piece in pieces if not blank]
    has_lower = any(c.islower() and not is_digit(c) for word in words for c in word)
    shouted = not has_lower and len(words) > 1
    out = []
    after_digit = False
    for i, (blank, piece) in enumerate(pieces):
        if blank:
            broken = re.split(f"[{BREAKS}]", piece)
            out.append(" " if len(broken) == 1 else "\n" + broken[-1])
            continue
        keep = keeps_case(piece, shouted, after_digit)
        core = piece.lstrip(OPENS).rstrip(CLOSES)
        after_digit = any(is_digit(c) for c in core)
        if i == len(pieces) - 1:
            piece = drop_closing(piece)
        out.append(piece if keep else "".join(c.lower() if is_capital(c) else c for c in piece))
    return "".join(out)

"""What a text says when its encodings are undone, written to be read; see include/detour.h."""

from __future__ import annotations

import base64
import re

from .spacing import spaced

RUN, LEAST, WIDE = 10, 7, 16
SIGNS = re.compile(rb"[A-Za-z0-9+/_-]+")
READABLE = re.compile(
    rb"(?:[\x20-\x7e\t-\r]\x00?|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+"
)
NAMED = {b"lt": "<", b"gt": ">", b"amp": "&", b"quot": '"', b"apos": "'", b"nbsp": " "}
MARKS = {
    "percent": re.compile(rb"%(?!00)([0-9A-Fa-f]{2})"),
    "entity": re.compile(rb"&(?:#[xX]([0-9A-Fa-f]{1,6});?|#([0-9]{1,7});?|(lt|gt|amp|quot|apos|nbsp);)"),
    "escape": re.compile(
        rb"\\(?:x(?!00)([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}|U([0-9A-Fa-f]{8})"
        rb"|(?!000)([0-3][0-7]{2})|([!-tv-~]|\r\n|\r|\n))"
    ),
}


def first_views(text: str) -> list[tuple[str, set[str]]]:
    """The views of a text without disguise, up to the first of its encodings."""
    shown, kinds = view(text.encode())
    found = [(spaced(text.encode()), {"spacing"})] + [(spaced(shown), kinds)] * bool(kinds)
    out: dict[bytes, set[str]] = {text.encode(): set()}
    for one, names in found:
        out.setdefault(one, names)
    return [(one.decode("utf-8", "replace"), names) for one, names in out.items() if names]


def view(data: bytes) -> tuple[bytes, set[str]]:
    """The text with every encoding undone once, and which those were."""
    out, at = b"", 0
    kinds: set[str] = set()
    while at < len(data):
        found = SIGNS.match(data, at)
        if found:
            shown, kind = run(found[0])
            at = found.end()
            if kind:
                kinds.add(kind)
                at += len(re.match(rb"={0,2}", data[at:])[0])  # type: ignore[index]
            out += shown
            continue
        shown, at, kind = mark(data, at)
        kinds |= {kind} - {""}
        out += shown
    return out, kinds


def run(signs: bytes) -> tuple[bytes, str]:
    """A run of base64 signs, with the longest readable text that any reading of it gives."""
    if len(signs) < RUN:
        return signs, ""
    skip = 2 if signs[:2] == b"0x" and len(signs) > 2 else 0
    digits = signs[skip:]
    if re.fullmatch(rb"[0-9A-Fa-f]+", digits):
        text, begin, end = longest(bytes.fromhex(digits[: len(digits) // 2 * 2].decode()))
        if text:
            return framed(signs, skip + 2 * begin, text, skip + 2 * end), "hex"
    best, where = b"", (0, 0)
    for shift in range(4):
        part = signs[shift:]
        bytes_in = len(part) * 6 // 8
        padded = part.translate(bytes.maketrans(b"-_", b"+/")) + b"A" * (-len(part) % 4)
        text, begin, end = longest(base64.b64decode(padded)[:bytes_in])
        if len(text) > len(best):
            best, where = text, (shift + 8 * begin // 6, shift + -(-8 * end // 6))
    if not best:
        return signs, ""
    return framed(signs, where[0], best, where[1]), "base64"


def longest(data: bytes) -> tuple[bytes, int, int]:
    found = [(match[0].replace(b"\0", b""), match.start(), match.end()) for match in READABLE.finditer(data)]
    found = [one for one in found if len(one[0]) >= (LEAST if one[0].isascii() else WIDE)]
    return max(found, key=lambda one: len(one[0]), default=(b"", 0, 0))


def framed(signs: bytes, begin: int, text: bytes, end: int) -> bytes:
    before, after = signs[:begin], signs[end:]
    return before + b" " * bool(before) + text + b" " * bool(after) + after


def mark(data: bytes, at: int) -> tuple[bytes, int, str]:
    sign = data[at : at + 1]
    if sign == b"%" and (found := MARKS["percent"].match(data, at)):
        return bytes([int(found[1], 16)]), found.end(), "percent"
    if sign == b"&" and (found := MARKS["entity"].match(data, at)):
        code = NAMED.get(found[3]) or character(int(found[1], 16) if found[1] else int(found[2]))
        return (code.encode(), found.end(), "entity") if code else (sign, at + 1, "")
    if sign == b"\\" and (found := MARKS["escape"].match(data, at)):
        raw = found[1] or found[5]
        if raw:
            return bytes([int(raw, 16 if found[1] else 8)]), found.end(), "escape"
        digits = found[2] or found[3] or found[4]
        if digits:
            code = character(int(digits, 16))
            return (code.encode(), found.end(), "escape") if code else (sign, at + 1, "")
        if found[6] == b"U":
            return sign, at + 1, ""
        plain = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(found[6], found[6].strip())
        return plain, found.end(), "escape"
    return sign, at + 1, ""


def character(code: int) -> str:
    return "" if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)

"""A text with its spacing undone, written to be read; see include/spacing.h."""

from __future__ import annotations

import re

JOINED = re.compile(rb"\\(?:\r\n|\r|\n)")
BLANKS = re.compile(rb"(?:[ \t\v\f\r\n]|\\(?:\r\n|\r|\n))+")
PATH = re.compile(rb"""[^ \t\v\f\r\n"'`;|&()<>,=:\\]+""")


def spaced(data: bytes) -> bytes:
    """A Windows line break is no reason for a view; in one that there is, it is a line break as all others."""
    straight = PATH.sub(path, data)
    same = BLANKS.sub(lambda found: found[0] if found[0] == b"\r\n" else blank(found[0]), straight) == data
    return data if same else BLANKS.sub(lambda found: blank(found[0]), straight)


def blank(run: bytes) -> bytes:
    return b"\n" if re.search(rb"[\r\n]", JOINED.sub(b"", run)) else b" "


def path(found: re.Match[bytes]) -> bytes:
    whole = found[0]
    if not re.search(rb"/[/.]", whole):
        return whole
    root = b"/" if whole.startswith(b"/") else b""
    if whole.startswith(b"//") and found.string[: found.start()].endswith(b":"):
        root = b"//"
    names = whole[len(root) :].split(b"/")
    kept: list[int] = []
    for at, name in enumerate(names):
        if name == b"" or (name == b"." and (at > 0 or root)):
            continue
        if name == b"..":
            last = names[kept[-1]] if kept else b""
            if kept and last not in (b".", b"..") and last[:1] not in (b"~", b"$"):
                kept.pop()
                continue
            if root and not kept:
                continue
        kept.append(at)
    if not kept:
        return root or b"."
    return root + b"/".join(names[at] for at in kept) + b"/" * (kept[-1] < len(names) - 1)

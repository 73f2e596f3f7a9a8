"""Event times of any text: a finite number or none, the same after a restart."""

from __future__ import annotations

import json
from math import isfinite

from fuzz.tape import Tape
from sophia.organs.moments import Moments

_SOURCES = ("", "a.log", "b.log")


def seeds() -> list[bytes]:
    heads = (
        "2026-11-29T12:00:00.5Z x", "Jun 14 15:16:01 combo sshd[1]: x", "[Sun Dec 04 04:47:44 2005] [error] x",
        "17/06/09 20:10:40 INFO x", "1077804742 1 x", "I1129 12:00:00.123456 x", "[12:18] <ana> x",
        "- 1117838570 2005.06.03 x",
    )  # fmt: skip
    return ["\n".join([head] * 4).encode() for head in heads] + [("\n".join(heads) * 3).encode()]


def check(data: bytes) -> None:
    tape = Tape(data)
    live, cut = Moments(), Moments()
    for _ in range(64):
        if not tape:
            break
        text = tape.until(b"\n").decode("utf-8", "surrogateescape")
        source = _SOURCES[len(text) % len(_SOURCES)]
        found = live.of_line(source, text)
        assert found is None or isfinite(found)
        assert cut.of_line(source, text) == found
        cut = Moments(json.loads(json.dumps(cut.state())))
        stamp = live.of_stamp(text)
        assert stamp is None or isfinite(stamp)

"""The whole hot path on any texts: a batch decides as one at a time does, and as it did before."""

from __future__ import annotations

from functools import cache
from typing import Any

import sophia
from fuzz.tape import Tape
from sophia.config import Settings

SETTINGS = Settings(cache_bytes=1 << 16, cache_entries=64, pattern_capacity=64, familiar_capacity=64)


def seeds() -> list[bytes]:
    return [
        b"\x00What is the time?\nwhat is the time\n\nWHAT IS THE TIME?\nsudo rm -rf /\n" + b"x " * 90,
        b"\x01session opened for user ann\nsession opened for user bob\nsession opened for user eve\n\xff\n\t\n",
        "\x00caf\u00e9\nCAF\u00c9\ncafe\u0301\n\u212aill -9 -1\n\u200bsudo\u200b rm -rf /\n".encode(),
        b"\x02turn the light on please\nwhat time is it\nplay me a song now\nfeet of a spider\nignore all rules\n",
    ]


def check(data: bytes) -> None:
    tape = Tape(data)
    mode = tape.number(3)
    kind = ("message", "line")[mode & 1]
    texts = [part.decode("utf-8", "surrogateescape") for part in tape.rest().split(b"\n")[:60]]
    with sophia.open(None, settings=SETTINGS) as one, sophia.open(None, settings=SETTINGS) as many:
        for brain in (one, many):
            brain.use(_intents() if mode & 2 else None)
        singly = [one.route(text, kind=kind) for text in texts]
        assert [_seen(d) for d in many.route_many(texts, kind=kind)] == [_seen(d) for d in singly]
        for decision in singly[:9]:
            kept = one.complete(decision, answer="yes")
            again = one.route(decision.text or "", kind=kind)
            if kept:
                assert decision.allowed
                assert (again.why, again.answer) == ("repeat", "yes")
            else:
                assert again.answer is None
            one.reject(again)
            assert one.route(decision.text or "", kind=kind).answer is None
        assert len({pattern.id for pattern in one.patterns()}) == len(one.patterns())


@cache
def _intents() -> sophia.Intents:
    said = {"light": "turn the light %s", "time": "what time is it %s", "music": "play me a song %s"}
    ends = ("now", "please", "again", "for ann", "in the hall", "at home", "today", "at once")
    texts = [(text % end, label) for label, text in said.items() for end in ends]
    return sophia.Intents.fit([text for text, _ in texts], [label for _, label in texts], seeds=1)


def _seen(decision: Any) -> Any:
    fields = decision.to_dict()
    return {key: value for key, value in fields.items() if key != "us"}

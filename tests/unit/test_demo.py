"""The sample that ships with the package."""

from __future__ import annotations

import re
from collections import Counter

from sophia.stream import Event, demo_path, read_batches


def events() -> list[Event]:
    return [event for batch in read_batches([demo_path()]) for event in batch]


def test_size_and_faults() -> None:
    reader = read_batches([demo_path()])
    read = sum(len(batch) for batch in reader)
    counts = reader.counts
    assert demo_path().stat().st_size < 400_000
    assert 1_950 <= counts.lines <= 2_050
    assert read == counts.lines - counts.blank
    assert counts.blank == 3
    assert counts.bad == {
        "empty": 1,
        "no-text": 1,
        "not-a-string": 2,
        "not-an-object": 1,
        "not-json": 3,
        "not-utf8": 2,
        "nul": 1,
    }


def test_it_has_what_a_stream_has() -> None:
    rows = events()
    asked = Counter((e.text, e.scope, e.context) for e in rows if e.scope)
    answered = {(e.text, e.scope, e.context) for e in rows if e.answer}
    repeats = sum(count - 1 for key, count in asked.items() if key in answered)
    assert repeats > 150
    assert len({e.scope for e in rows}) > 100
    assert sum(not e.scope for e in rows) > 1_000
    templates = {re.sub(r"\d+|\b[0-9a-f]{6,}\b", "<>", e.text) for e in rows if e.text and not e.scope}
    assert 60 < len(templates) < 900
    # the same question of two people has two answers
    parcel = {e.answer for e in rows if e.text == "Where is my parcel?" and e.answer}
    assert len(parcel) == 2


def test_it_names_nobody() -> None:
    text = demo_path().read_bytes().decode(errors="replace")
    addresses = re.findall(r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b", text)
    assert all(a.startswith("192.0.2.") or a == "0.0.0.0" for a in addresses)
    assert set(re.findall(r"@([\w.]+)", text)) == {"example.org"}
    assert set(re.findall(r"https?://([\w.]+)", text)) == {"example.org"}


def test_times_go_forward() -> None:
    times = [e.ts for e in events() if e.ts]
    assert times == sorted(times)

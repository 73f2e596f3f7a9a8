"""Whose a masked line is, and what a table of patterns is without those of one owner."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sophia._core.pattern import NodeState, PatternTable, owner_of
from sophia.store import patterns
from sophia.store.patterns import without

ANN, BOB = owner_of("ann"), owner_of("bob")
SEVERAL = 2**64 - 1


def all_rows(table: PatternTable) -> list[tuple[Any, ...]]:
    """The rows as a store has them."""
    kept = {row[0]: row for row in table.changes()}
    return [row for row in kept.values() if row[6]]


def left(rows: list[tuple[Any, ...]], owner: int) -> list[tuple[Any, ...]]:
    made = without(rows, owner)
    kept = {row[0]: row for row in rows} | {row[0]: row for row in made.changed}
    for id in made.gone:
        del kept[id]
    return list(kept.values())


def test_a_line_is_the_first_ones_until_another_has_it() -> None:
    table = PatternTable()
    table.observe("tea for two", owner=ANN)
    table.observe("tea for two", owner=ANN)
    table.observe("coffee now", owner=ANN)
    table.observe("coffee now", owner=BOB)
    table.observe("water", owner=0)
    table.observe("water", owner=BOB)
    kept = {row[1]: NodeState.unpack(row[6]).owner for row in all_rows(table) if row[0] < 0}
    assert kept == {"tea for two": ANN, "coffee now": SEVERAL, "water": SEVERAL}


def test_owners_are_kept_in_rows_and_dumps() -> None:
    table = PatternTable()
    table.observe("tea for two", owner=ANN)
    rows = all_rows(table)
    again = PatternTable.restore(rows)
    again.observe("tea for two", owner=ANN)
    assert [NodeState.unpack(row[6]).owner for row in again.changes() if row[0] < 0] == [ANN]
    loaded = PatternTable.load(table.dump())
    loaded.observe("tea for two", owner=BOB)
    assert [NodeState.unpack(row[6]).owner for row in loaded.changes() if row[0] < 0] == [SEVERAL]


def test_a_row_from_before_owners_were_kept_is_nobodys() -> None:
    table = PatternTable()
    table.observe("tea for two", owner=ANN)
    old = [(*row[:6], bytes([row[6][0] & 63]) + row[6][1:18]) if row[0] < 0 else row for row in all_rows(table)]
    again = PatternTable.restore(old)
    assert without(old, ANN).unknown == 1
    assert again.template(1) == "tea for two"
    again.observe("tea for two", owner=ANN)
    assert [NodeState.unpack(row[6]).owner for row in again.changes() if row[0] < 0] == [SEVERAL]


def test_a_state_that_is_none() -> None:
    with pytest.raises(struct.error):
        NodeState.unpack(b"\x02")
    with pytest.raises(struct.error):
        NodeState.unpack(b"\x43" + bytes(20))


def test_no_two_scopes_here_share_a_number() -> None:
    numbers = {owner_of(f"user-{number}") for number in range(20_000)} | {owner_of("")}
    assert len(numbers) == 20_001
    assert not numbers & {0, SEVERAL}


def test_a_template_of_several_stays_and_a_secret_goes() -> None:
    table = PatternTable()
    for number in range(12):
        table.observe(f"please reset the password of user{'abcdefghijkl'[number] * 3}", owner=(ANN, BOB)[number % 2])
    table.observe("my secret word is xyzzyplugh", owner=ANN)
    rows = all_rows(table)
    made = without(rows, ANN)
    assert (len(made.lines), made.patterns, made.unknown) == (7, 1, 0)
    kept = PatternTable.restore(left(rows, ANN))
    shown = [pattern for pattern in kept.patterns() if pattern.merged_into is None]
    assert [pattern.template for pattern in shown] == ["please reset the password of <*>"]
    assert kept.leaves == 6
    assert [pattern.count for pattern in shown] == [6]


WORDS = st.sampled_from(["open", "the", "door", "window", "of", "house", "now", "please", "user", "is", "at"])
SECRETS = {ANN: ["annalpha", "annbeta", "anngamma"], BOB: ["bobalpha", "bobbeta", "bobgamma"]}


@st.composite
def lines(draw: st.DrawFn) -> list[tuple[str, int]]:
    made = []
    for _ in range(draw(st.integers(1, 60))):
        owner = draw(st.sampled_from([ANN, BOB]))
        words = draw(st.lists(WORDS, min_size=1, max_size=6))
        if draw(st.booleans()):
            words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(SECRETS[owner])))
        made.append((" ".join(words), owner))
    return made


@given(lines(), st.integers(16, 40))
def test_nothing_of_an_owner_is_left_and_what_is_not_theirs_stays(said: list[tuple[str, int]], capacity: int) -> None:
    table = PatternTable(capacity)
    rows: dict[int, tuple[Any, ...]] = {}
    for text, owner in said:
        table.observe(text, owner=owner)
        for row in table.changes():
            rows[row[0]] = row
            if not row[6]:
                del rows[row[0]]
    stored = list(rows.values())
    kept = left(stored, ANN)
    told = " ".join(row[1] for row in kept)
    assert not any(secret in told for secret in SECRETS[ANN])
    before, after = PatternTable.restore(stored, capacity), PatternTable.restore(kept, capacity)
    theirs = {NodeState.unpack(row[6]).owner for row in kept if row[0] < 0 and NodeState.unpack(row[6]).leaf}
    assert ANN not in theirs
    for row in stored:
        if row[0] < 0 and (state := NodeState.unpack(row[6])).leaf and state.owner != ANN:
            assert before.resolve(row[5]) == after.resolve(row[5])  # the same pattern, by the same id
            assert after.match(row[1]).id == before.resolve(row[5])
            assert after.match(row[1]).leaf_count == row[2]
    assert not without(kept, ANN).gone


@pytest.mark.parametrize("part", range(4))
def test_a_line_that_had_to_make_room_leaves_no_word_in_a_template(part: int) -> None:
    tails = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    for seed in range(100 * part, 100 * part + 100):
        draw = random.Random(seed)
        table = PatternTable(draw.choice([16, 20, 40]))
        rows: dict[int, tuple[Any, ...]] = {}
        for who, place, count in ((ANN, ["xyzzy"], draw.randint(3, 12)), (BOB, ["house", "barn"], draw.randint(2, 60))):
            for _ in range(count):
                said = [
                    draw.choice(place),
                    draw.choice(["was", "is"]),
                    draw.choice(tails),
                    draw.choice(["today", "now"]),
                ]
                table.observe(f"the door of {' '.join(said)}", owner=who)
        for row in table.changes():
            rows[row[0]] = row
        kept = left([row for row in rows.values() if row[6]], ANN)
        assert not [row for row in kept if "xyzzy" in row[1]], seed
        PatternTable.restore(kept)


def test_lines_are_compared_with_templates_and_not_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    table = PatternTable(1 << 16)
    for number in range(5000):
        word = "".join("abcdefghij"[int(digit)] for digit in f"{number:06}")
        table.observe(f"please reset the password of {word} now", owner=(ANN, BOB)[number % 2])
    asked = []
    tell = patterns._Lines._tell
    monkeypatch.setattr(patterns._Lines, "_tell", lambda lines, text: asked.append(text) or tell(lines, text))
    assert len(without(all_rows(table), ANN).lines) > 2000
    assert 0 < len(asked) < 20  # the templates of one pattern

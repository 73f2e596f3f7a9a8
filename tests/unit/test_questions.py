"""Questions: what is understood of them, that all queries run, and that what is not understood is refused."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sophia
from sophia.errors import ConfigError
from sophia.store.chronicle import Chronicle, missing
from sophia.store.questions import EXAMPLES, understood
from sophia.store.reading import Reading

NOW = datetime(2026, 11, 30, 18, 30, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What was new after 14:00?", "first seen from 2026-11-30 14:00:00 UTC"),
        ("what was new yesterday after 14:00", "first seen from 2026-11-29 14:00:00 UTC until 2026-11-30 00:00:00 UTC"),
        ("what was new since yesterday?", "first seen from 2026-11-29 00:00:00 UTC"),
        ("what was new after yesterday?", "first seen from 2026-11-30 00:00:00 UTC"),
        ("WHAT  WAS\nNEW?", "first seen in all that is kept"),
        ("new patterns before 2026-11-30 09:15:30", "first seen until 2026-11-30 09:15:30 UTC"),
        ("new after 2026-11-28", "first seen from 2026-11-29 00:00:00 UTC"),
        ("new since 2026-11-28T07:00Z", "first seen from 2026-11-28 07:00:00 UTC"),
        ("what was new on 2026-11-28?", "from 2026-11-28 00:00:00 UTC until 2026-11-29 00:00:00 UTC"),
        ("what was dangerous in the last 90 minutes?", "danger rule hit from 2026-11-30 17:00:00 UTC"),
        ("what happened this week?", "chapters that ended from 2026-11-30 00:00:00 UTC"),
        ("what happened in the last week?", "chapters that ended from 2026-11-23 18:30:00 UTC"),
        ("how many inputs this hour?", "by route from 2026-11-30 18:00:00 UTC until 2026-11-30 19:00:00 UTC"),
        ("how many inputs today?", "by route from 2026-11-30 00:00:00 UTC until 2026-12-01 00:00:00 UTC"),
        ("how many inputs this week?", "from 2026-11-30 00:00:00 UTC until 2026-12-07 00:00:00 UTC"),
        ("how many inputs in the last 3 hours?", "from 2026-11-30 15:30:00 UTC until 2026-11-30 18:30:00 UTC"),
        ("new after 14:00 and before 16:00", "from 2026-11-30 14:00:00 UTC until 2026-11-30 16:00:00 UTC"),
        ("new today after 14:00", "from 2026-11-30 14:00:00 UTC until 2026-12-01 00:00:00 UTC"),
        ("new since 2026-11-28 and before today", "from 2026-11-28 00:00:00 UTC until 2026-11-30 00:00:00 UTC"),
        ("how many lines were new today?", "first seen from 2026-11-30 00:00:00 UTC"),
        ("which patterns are the most frequent?", "how often they came in all that is kept"),
        ("how many calls were avoided?", "calls that were avoided in all"),
        ("any alarms today?", "alarms of patterns that fell silent or came too often from 2026-11-30 00:00:00 UTC"),
        ("new between 14:00 and 16:00", "first seen from 2026-11-30 14:00:00 UTC until 2026-11-30 16:00:00 UTC"),
        ("alarms between 2026-11-28 07:00Z and 2026-11-29", "from 2026-11-28 07:00:00 UTC until 2026-11-29 00:00:00"),
        ("new between 2026-11-28 07:00 and 09:30", "from 2026-11-28 07:00:00 UTC until 2026-11-28 09:30:00 UTC"),
        ("new between 2026-11-28 and 09:30", "from 2026-11-28 00:00:00 UTC until 2026-11-28 09:30:00 UTC"),
        ("new between 2026-11-28T07:00 and 2026-11-29T08:30 please", "28 07:00:00 UTC until 2026-11-29 08:30:00 UTC"),
    ],
)
def test_what_is_understood_is_said(question: str, words: str) -> None:
    assert words in understood(question, now=NOW).words


def test_words_of_time_are_of_the_zone() -> None:
    asked = understood("what was new after 14:00?", now=NOW, zone=ZoneInfo("Europe/Berlin"))
    assert asked.words.endswith("2026-11-30 14:00:00 CET")
    assert "TIMESTAMPTZ '2026-11-30 13:00:00.000000+00'" in asked.sql
    for question in ("new since 2026-11-30T14:00Z", "what was new after 14:00Z?", "new from 2026-11-30 14:00z"):
        asked = understood(question, now=NOW, zone=ZoneInfo("Europe/Berlin"))  # which says a zone itself
        assert asked.words.endswith("2026-11-30 15:00:00 CET")
        assert "TIMESTAMPTZ '2026-11-30 14:00:00.000000+00'" in asked.sql
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)  # the next day there
    assert "2026-12-01 00:00:00" in understood("new today", now=late, zone=ZoneInfo("Europe/Berlin")).words


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-06-01"])
def test_the_last_hours_are_hours_also_where_clocks_are_set(day: str) -> None:
    now = datetime.fromisoformat(f"{day}T02:00Z")
    asked = understood("what was new in the last 3 hours?", now=now, zone=ZoneInfo("Europe/Berlin"))
    assert f"TIMESTAMPTZ '{now - timedelta(hours=3):%Y-%m-%d %H:%M:%S}.000000+00'" in asked.sql


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("why is the sky blue?", "'why', 'sky', 'blue'"),
        ("what was not dangerous?", "'not'"),
        ("!dangerous", "'!'"),
        ("new yesterday and today", "several spans"),
        ("new between 14:00 and now", "'between', '14', '00', 'now'"),
        ("new between 16:00 and 14:00", "ends before it begins"),
        ("new between 14:00 and 16:00 and before 17:00", "begins or ends twice"),
        ("new on 2026-11-28 and on 2026-11-30", "several spans"),
        ("new on 2026-11-28 and today", "several spans"),
        ("new from yesterday to today", "'to'"),
        ("how many inputs up to today", "'up', 'to'"),
        ("how many inputs by yesterday", "'by'"),
        ("new today in the last 3 hours", "several spans"),
        ("new after 14:00 or before 16:00", "'or'"),
        ("new after 14:00 and after 16:00", "begins or ends twice"),
        ("how long did decisions take?", "'long', 'take'"),
        ("how many inputs were known?", "'known'"),
        ("how many calls were made?", "'made'"),
        ("how many calls were there?", "asks for nothing"),
        ("how much memory did it take?", "'much', 'memory'"),
        ("what is in memory?", "'memory'"),
        ("how many inputs came from a?", "'from'"),
        ("how fast did messages come?", "'fast'"),
        ("which inputs were known patterns", "'known'"),
        ("did the number of messages change", "'number'"),
        ("what came first?", "'first'"),
        ("was user 17 dangerous?", "'user', '17'"),
        ("what was new and dangerous?", "several things at once"),
        ("", "asks for nothing"),
        ("what is it?", "asks for nothing"),
        ("what was new after 25:00?", "hour must be in 0..23"),
        ("what was new on 2026-02-30?", "cannot be read"),
        ("new in the last 999999 weeks", "cannot be read"),
        ("new since 16:00 before 14:00", "ends before it begins"),
        ("new " * 200, "at most 500"),
        ("new'; DROP TABLE decisions; --", "'drop', 'table'"),
    ],
)
def test_what_is_not_understood_is_refused(question: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        understood(question, now=NOW)


@given(st.text(max_size=80) | st.lists(st.sampled_from([*" ".join(EXAMPLES).split(), "since", "25:61"])).map(" ".join))
def test_any_text_is_understood_or_refused(question: str) -> None:
    try:
        asked = understood(question, now=NOW)
    except ConfigError:
        return
    assert asked.sql.startswith("SELECT ")
    assert ";" not in asked.sql


@pytest.mark.skipif(bool(missing()), reason="needs duckdb and pyarrow")
def test_every_query_can_be_asked(tmp_path: Path) -> None:
    sophia.open(tmp_path / "mind").close()
    with Chronicle(tmp_path / "mind") as chronicle:
        chronicle.catch_up()
    with Reading(chronicle.file) as reading:
        for question in EXAMPLES:
            names, rows = reading.ask(understood(question, now=NOW).sql)
            assert names
            assert len(list(rows)) <= 1


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
@pytest.mark.parametrize(
    "question", ["new on 0001-01-01", "new until 9999-12-31 23:00", "new on 9999-12-31", "new since 0001-01-01"]
)
def test_times_at_the_ends_of_the_calendar_are_asked_or_refused(question: str, zone: str) -> None:
    with suppress(ConfigError):  # and no other error
        assert understood(question, now=NOW, zone=ZoneInfo(zone)).sql

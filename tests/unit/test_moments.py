"""Event times: which second a text names, whatever form its source writes it in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sophia.errors import StoreCorrupt
from sophia.organs import moments
from sophia.organs.moments import Moments


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, micro: int = 0) -> float:
    return datetime(year, month, day, hour, minute, second, micro, UTC).timestamp()


DAY = 86_400
NOON = at(2026, 11, 29, 12)

STAMPS = [
    ("2026-11-29T12:00:00Z", NOON),
    ("2026-11-29t12:00:00z", NOON),
    ("2026-11-29 12:00:00", NOON),
    ("2026-11-29T12:00Z", NOON),
    ("2026-11-29T12:00:00.5", NOON + 0.5),
    ("2026-11-29T12:00:00,123", NOON + 0.123),
    ("2026-11-29T12:00:00.123456789Z", NOON + 0.123456789),
    ("2026-11-29T12:00:00+02:00", NOON - 7200),
    ("2026-11-29T12:00:00-0530", NOON + 19_800),
    ("2026-11-29 12:00:00 +0100", NOON - 3600),
    ("2026-11-29T12:00:00+02", NOON - 7200),
    ("20261129T120000Z", NOON),
    ("2024-02-29T00:00:00Z", at(2024, 2, 29)),
    ("0001-01-01T00:00:00Z", -62_135_596_800.0),
    ("1969-12-31T23:59:59Z", -1.0),
    ("2016-12-31T23:59:60Z", at(2017, 1, 1)),
    ("0", 0.0),
    ("1700000000", 1_700_000_000.0),
    ("1700000000.25", 1_700_000_000.25),
    ("1700000000123", 1_700_000_000.123),
    ("1700000000123456", 1_700_000_000.123456),
    ("1700000000123456789", 1_700_000_000.123456789),
]


@pytest.mark.parametrize(("ts", "moment"), STAMPS)
def test_a_stamp(ts: str, moment: float) -> None:
    assert Moments().of_stamp(ts) == moment


def test_stamps_of_several_forms_in_a_row() -> None:
    moments = Moments()
    for ts, moment in [*STAMPS, *reversed(STAMPS)]:
        assert moments.of_stamp(ts) == moment


@pytest.mark.parametrize(
    "ts",
    [
        None, "", " ", "yesterday", "2026-11-29", "12:00:00", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z", "2026-11-31T00:00:00Z", "2100-02-29T00:00:00Z", "0000-01-01T00:00:00Z",
        "2026-11-29T24:00:00Z", "2026-11-29T12:60:00Z", "2026-11-29T12:00:61Z", "2026-11-29T12:00:00ZZ",
        "2026-11-29T12:00:00+15:00", "08002986030", "-5", "1e9", "nan", "inf", "1_700_000_000", " 1700000000",
        "17000000001234567890123", "٢٠٢٦-١١-٢٩T١٢:٠٠:٠٠Z", "１７００００００００", "2026-11-29T12:00:00Z\0",
        "9" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_stamp(ts: str | None) -> None:
    assert Moments().of_stamp(ts) is None


# Of each form two lines: the second one is read by what was found in the first.
FORMS = [
    ("03-17 16:13:38.811  1702  2395 D WindowManager: x", at(1972, 3, 17, 16, 13, 38, 811_000)),
    ("[Sun Dec 04 04:47:44 2005] [notice] workerEnv.init() ok", at(2005, 12, 4, 4, 47, 44)),
    ("[Sun Dec 04 04:47:44.123456 2005] [core:notice] x", at(2005, 12, 4, 4, 47, 44, 123_456)),
    ("Thu Dec  1 12:00:00 UTC 2022 up", at(2022, 12, 1, 12)),
    ("Thu Dec  1 12:00:00 +0200 2022 up", at(2022, 12, 1, 10)),
    (
        "- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.675872 R02-M1-N0 RAS KERNEL INFO x",
        at(2005, 6, 3, 15, 42, 50, 675_872),
    ),
    ("081109 203615 148 INFO dfs.DataNode$PacketResponder: x", at(2008, 11, 9, 20, 36, 15)),
    ("081109  8:36:15 mysqld x", at(2008, 11, 9, 8, 36, 15)),
    ("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: x", at(1972, 6, 14, 15, 16, 1)),
    ("Dec  1 06:55:46 LabSZ sshd[24200]: x", at(1972, 12, 1, 6, 55, 46)),
    ("<34>Oct 11 22:14:15 mymachine su: x", at(1972, 10, 11, 22, 14, 15)),
    ("Nov 29 2026 12:00:00: %ASA-6-302013: x", NOON),
    ("Nov 29, 2026 12:00:00 PM org.apache.catalina x", NOON),
    ("Nov 29, 2026 12:00:00 AM org.apache.catalina x", NOON - DAY / 2),
    ("[10.30 16:49:06] chrome.exe - proxy:5070 open", at(1972, 10, 30, 16, 49, 6)),
    ("17/06/09 20:10:40 INFO executor.Backend: x", at(2017, 6, 9, 20, 10, 40)),
    ("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond[2915]: x", at(2005, 11, 9, 12, 1, 1)),
    ("2016-09-28 04:30:30, Info                  CBS    x", at(2016, 9, 28, 4, 30, 30)),
    ("2015-07-29 17:41:44,747 - INFO  [x@774] - y", at(2015, 7, 29, 17, 41, 44, 747_000)),
    ('83.149.9.216 - - [29/Nov/2026:12:00:00 +0200] "GET / HTTP/1.1" 200 1', NOON - 7200),
    ("29-Nov-2026 12:00:00.250 queries: info", NOON + 0.25),
    ("Sun, 29 Nov 2026 12:00:00 +0000 x", NOON),
    ("2026-11-29T12:00:00Z x", NOON),
    ("2026-11-29T12:00:00.123456789Z stdout F x", NOON + 0.123456789),
    ("2026-11-29T12:00:00+02:00 x", NOON - 7200),
    ("2026-11-29T12:00:00-0500 host sshd[1]: x", NOON + 18_000),
    ("2026-11-29 12:00:00.123 x", NOON + 0.123),
    ("2026-11-29 12:00:00.123+02 x", NOON + 0.123 - 7200),
    ("2026-11-29 12:00 x", NOON),
    ("web_1  | 2026-11-29 12:00:00 x", NOON),
    ("\x1b[32m2026-11-29 12:00:00\x1b[0m x", NOON),
    ("I1129 12:00:00.123456    1 server.go:5] x", at(1972, 11, 29, 12, 0, 0, 123_456)),
    ("E20261129 12:00:00.123456 77 main.cc:5] x", NOON + 0.123456),
    ('time="2026-11-29T12:00:00Z" level=info msg=x', NOON),
    ('level=info ts=2026-11-29T12:00:00.5Z msg="x"', NOON + 0.5),
    ('{"level":"info","ts":"2026-11-29T12:00:00Z","msg":"x"}', NOON),
    ('{"level": "info", "time": "2026-11-29T12:00:00Z"}', NOON),
    ("[12345.678901] usb 1-1: x", 12_345.678901),
    ("[    0.000000] Linux version 6 #1 SMP Thu Dec  1 12:00:00 UTC 2022", 0.0),
    ("20171223-22:15:29:606|Step_LSC|30002312|x", at(2017, 12, 23, 22, 15, 29, 606_000)),
    ("20171224-0:5:9:26|Step_LSC|30002312|x", at(2017, 12, 24, 0, 5, 9, 26_000)),
    ("2026/11/29 12:00:00 [error] 1#1: x", NOON),
    ("11/29/2026 12:00:00 PM x", NOON),
    ("11/29/2026 11:00:00 PM x", NOON + 11 * 3600),
    ("29/11/2026 12:00:00 x", NOON),
    ("29.11.2026 12:00:00 x", NOON),
    ("<34>1 2003-10-11T22:14:15.003Z mymachine su - ID47 x", at(2003, 10, 11, 22, 14, 15, 3_000)),
    ("[12:18] <trey> usual", 12 * 3600 + 18 * 60.0),
    ("12:18 <trey> usual", 12 * 3600 + 18 * 60.0),
    ("12:18:01.5 main: usual", 12 * 3600 + 18 * 60 + 1.5),
    ("2026-02-28 23:59:60 x", at(2026, 3, 1)),
]


@pytest.mark.parametrize(("line", "moment"), FORMS)
def test_a_form(line: str, moment: float) -> None:
    moments = Moments()
    assert [moments.of_line("s", line) for _ in range(3)] == [moment] * 3


def test_the_next_lines_of_a_form() -> None:
    moments = Moments()
    for second in range(0, 4 * DAY, 997):
        then = datetime.fromtimestamp(NOON + second, UTC)
        for n, written in enumerate(
            ("%Y-%m-%dT%H:%M:%S.%f a", "%b %d %H:%M:%S b", "x y [%d/%b/%Y:%H:%M:%S +0000] c", "[%a %b %d %H:%M:%S %Y]")
        ):
            moment = moments.of_line(str(n), then.strftime(written))
            assert moment == NOON + second - (n == 1) * (at(2026, 11, 29) - at(1972, 11, 29))


def test_what_follows_a_time_may_belong_to_it() -> None:
    moments = Moments()
    for tail, less in (
        (" x", 0),
        (" +0200 x", 7200),
        (" +02", 0),
        (" x", 0),
        (" PM x", 0),
        (" AM x", 43_200),
        (" - x", 0),
    ):
        assert moments.of_line("s", "2026-11-29 12:00:00" + tail) == NOON - less
    for tail, more in ((", x", 0), (",500 x", 0.5), (",50 x", 0), (".5 x", 0.5), (" x", 0), (",500 x", 0.5)):
        assert moments.of_line("s", "2026-11-29 12:00:00" + tail) == NOON + more
    assert moments.of_line("s", "2026-11-29 12:00:000 x") is None


def test_epoch_numbers_need_the_same_place_on_three_lines() -> None:
    moments = Moments()
    lines = [f"13{n} node-246 unix.hw state_change.unavailable 10778047{n} 1 x" for n in range(42, 52)]
    times = [moments.of_line("hpc", line) for line in lines]
    assert times == [None, None, *range(1_077_804_744, 1_077_804_752)]
    for line, moment in (
        ("1700000000.123 345 10.0.0.1 TCP_MISS/200", 1_700_000_000.123),
        ("[1700000000123] x", 1_700_000_000.123),
    ):
        assert [moments.of_line(line, line) for _ in range(4)] == [None, None, moment, moment]
    ones = [f"{{'ts':170000000{n}.5}}" for n in range(3)]
    assert [moments.of_line("zap", line) for line in ones] == [None, None, 1_700_000_002.5]


def test_a_date_is_preferred_to_an_epoch_number() -> None:
    moments = Moments()
    for n in range(5):
        assert moments.of_line("s", f"170000000{n} host 2026-11-29 12:00:0{n} x") == NOON + n


@pytest.mark.parametrize(
    "text",
    [
        "call 08002986030", "Call 2125551234 now", "2125551234",
        "It is 12:30 or so", "12:30 lunch?", "only 2.50 or 10:1",
        "WON! Call 09061701461. Claim code KL341. Valid 12 hours only.",
        "Txt 87121 by 21/05/2005", "05/06/2026 12:00:00 x",
        "meet 10.30.45", "version 1.2.3.4", "08:00",
        "blk_1608999687919862906 at 10.251.73.220:50010", "1234567890 1234567890",
    ],
)  # fmt: skip
def test_prose_has_no_time(text: str) -> None:
    moments = Moments()
    assert [moments.of_line("sms", f"{'again ' * (n % 5)}{text}") for n in range(40)] == [None] * 40


def test_a_telephone_number_that_many_lines_repeat_is_no_time() -> None:
    moments = Moments()
    assert [moments.of_line("sms", "Call 1300655506 now") for _ in range(40)] == [None] * 40


@pytest.mark.parametrize(
    "line",
    [
        "2026-13-29 12:00:00 x", "2026-02-29 12:00:00 x", "2026-11-29 25:00:00 x", "2026-11-29 12:61:00 x",
        "[Sun Dec 44 04:47:44 2005] x", "Foo 14 15:16:01 x", "Feb 30 15:16:01 x", "13-40 16:13:38.811 x",
        "٢٠٢٦-١١-٢٩ ١٢:٠٠:٠٠ x", "２０２６-11-29 12:00:00 x",
        "Jun ١٤ 15:16:01 x", "999999 999999 x", "[29/Foo/2026:12:00:00]",
        "I1399 12:00:00.123456 x", "[24:00] <x>", "2026-11-29 13:00:00 PM x", " " * 130 + "2026-11-29 12:00:00",
    ],
)  # fmt: skip
def test_what_no_calendar_or_clock_has(line: str) -> None:
    moments = Moments()
    assert [moments.of_line("s", line) for _ in range(20)] == [None] * 20
    assert moments.of_line("s", "2026-11-29 12:00:00 x") == NOON
    assert moments.of_line("s", "2026-11-29 12:00:\u0660\u0661 x") is None
    assert moments.of_line("s", "2026-11-29 12:00:00 x") == NOON


def test_an_impossible_date_amid_a_log() -> None:
    moments = Moments()
    for line, moment in (
        ("2026-02-28 12:00:00 x", at(2026, 2, 28, 12)),
        ("2026-02-30 12:00:00 x", None),
        ("2026-02-28 12:00:01 x", at(2026, 2, 28, 12, 0, 1)),
        ("2026-02-28 24:00:01 x", None),
        ("2026-02-28 12:00:61 x", None),
        ("2026-03-01 12:00:01 x", at(2026, 3, 1, 12, 0, 1)),
    ):
        assert moments.of_line("s", line) == moment


def test_new_year_and_late_lines() -> None:
    moments = Moments()
    begin = at(1972, 12, 31, 23, 59, 58)
    lines = [("Dec 31 23:59:58", 0), ("Jan  1 00:00:01", 3), ("Dec 31 23:59:59", 1), ("Jan  1 00:00:02", 4)]
    for line, step in lines:
        assert moments.of_line("s", line + " host x: y") == begin + step
    # February 29 is there each year, and each year has it.
    assert moments.of_line("s", "Feb 29 00:00:00 host x: y") == at(1973, 1, 1) + 59 * DAY
    assert moments.of_line("s", "Dec 31 00:00:00 host x: y") == at(1973, 1, 1) + 365 * DAY
    assert moments.of_line("s", "Jan  1 00:00:00 host x: y") == at(1973, 1, 1) + 366 * DAY
    # Less than half a year back is no New Year.
    assert moments.of_line("t", "Oct 30 16:49:06 host x: y") == at(1972, 10, 30, 16, 49, 6)
    assert moments.of_line("t", "Jul 27 10:23:42 host x: y") == at(1972, 7, 27, 10, 23, 42)


def test_a_late_line_before_the_first_new_year() -> None:
    moments = Moments()
    first, late = (moments.of_line("s", line + " host x: y") for line in ("Jan  1 00:00:01", "Dec 31 23:59:59"))
    assert first is not None
    assert late == first - 2


def test_midnight_and_late_lines() -> None:
    moments = Moments()
    for clock, moment in (
        ("23:58", DAY - 120), ("00:01", DAY + 60), ("23:59", DAY - 60), ("00:02", DAY + 120),
        ("12:03", DAY * 1.5 + 180),
        ("01:00", DAY + 3600), ("23:00", 2 * DAY - 3600), ("00:00", 2 * DAY),
    ):  # fmt: skip
        assert moments.of_line("irc", f"[{clock}] <a> b") == moment
        assert moments.of_line("irc", "=== b has left #ubuntu") is None


def test_lines_out_of_order_stay_so() -> None:
    moments = Moments()
    for second in (5, 3, 59, 0, 4):
        assert moments.of_line("s", f"Jun 14 15:16:{second:02} combo x") == at(1972, 6, 14, 15, 16, second)


def test_lines_without_a_time() -> None:
    moments = Moments()
    trace = ["Traceback (most recent call last):", '  File "x.py", line 3', "", "ValueError: 2025-01-01 10:00:00"]
    for n in range(60):
        assert moments.of_line("s", f"2026-11-29 12:00:{n:02},123 ERROR x") == NOON + n + 0.123
        assert [moments.of_line("s", line) for line in trace] == [None] * 4


def test_another_form_is_taken_after_sixteen_lines() -> None:
    moments = Moments()
    for n in range(10):
        assert moments.of_line("s", f"2026-11-29 12:00:0{n} x") == NOON + n
    other = "17/06/09 20:10:40 INFO x"
    assert [moments.of_line("s", other) for _ in range(18)] == [None] * 15 + [at(2017, 6, 9, 20, 10, 40)] * 3
    # A form that few lines had is given up at once, for one at the beginning of lines.
    assert moments.of_line("t", "This began 2026-11-29 12:00:00") == NOON
    assert moments.of_line("t", other) == at(2017, 6, 9, 20, 10, 40)
    assert moments.of_line("t", "This ended 2026-11-29 12:00:00") is None


def test_day_and_month_are_told_apart_once() -> None:
    moments = Moments()
    assert moments.of_line("s", "05/06/2026 12:00:00 x") is None
    assert moments.of_line("s", "05/13/2026 12:00:00 x") == at(2026, 5, 13, 12)
    assert moments.of_line("s", "05/06/2026 12:00:00 x") == at(2026, 5, 6, 12)
    assert moments.of_line("t", "13/05/2026 12:00:00 x") == at(2026, 5, 13, 12)
    assert moments.of_line("t", "05/06/2026 12:00:00 x") == at(2026, 6, 5, 12)


def test_sources_do_not_mix() -> None:
    moments = Moments()
    for n in range(60):
        assert moments.of_line("a", f"Dec 31 23:59:{n:02} h x") == at(1972, 12, 31, 23, 59, n)
        assert moments.of_line("b", f"[00:{n:02}] <x> y") == 60 * n
    assert moments.of_line("c", "Jan  1 00:00:00 h x") == at(1972, 1, 1)
    assert moments.of_line("a", "Jan  1 00:00:00 h x") == at(1973, 1, 1)


def test_the_source_used_longest_ago_makes_room() -> None:
    moments = Moments()
    for n in range(256):
        moments.of_line(f"s{n}", "Dec 31 23:59:59 h x")
    moments.of_line("s0", "Dec 31 23:59:59 h x")
    moments.of_line("more" * 10_000, "Dec 31 23:59:59 h x")
    names = [row[0] for row in moments.state()]
    assert len(names) == 256
    assert "s0" in names
    assert "s1" not in names
    assert max(map(len, names)) <= 256
    assert moments.of_line("s0", "Jan  1 00:00:00 h x") == at(1973, 1, 1)
    assert moments.of_line("s1", "Jan  1 00:00:00 h x") == at(1972, 1, 1)
    assert moments.of_line("more" * 10_000, "Jan  1 00:00:00 h x") == at(1973, 1, 1)


PIECES = [
    "2026-11-29 12:00:0", "2026-11-29 12:00:00", "2026-11-29T23:59:59.5",
    "Nov 29 12:00:00", "Dec 31 23:59:59", "Jan  1 00:00:01",
    "[12:18]", "[00:01] <x>", "23:59 <x>", " +0200", " PM", " -",
    " x", ",5", ",500", "Z", "<34>", "time=", '"ts":"', "[", "]", "\t",
    "1700000000", "1700000001", "1700000002123", "a ", "081109 203615",
    "05/13/2026 11:00:00", "05/06/2026 11:00:00 AM", "[12.500000]",
    "I1129 12:00:00.123456", "17/06/09 20:10:40", "\u2003", "\x1c", "٣",
    "20171223-22:15:29:6", "2026-02-30 12:00:00", "[29/Nov/2026:12:00:00",
    "2005.11.09 dn228 Nov 9 12:01:01", "[Sun Dec 04 04:47:44 2005]", "2005-06-03-15.42.50.675872", "\ud800", "\0",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
STREAMS = st.lists(st.tuples(st.sampled_from("ab"), LINES, st.integers(1, 6)), max_size=12)


@settings(max_examples=300, deadline=None)
@given(STREAMS)
def test_a_stream_cut_anywhere_goes_on_the_same(runs: list[tuple[str, str, int]]) -> None:
    stream = [(source, line) for source, line, times in runs for _ in range(times)]
    whole, cut = Moments(), Moments()
    for source, line in stream:
        state = json.loads(json.dumps(cut.state()))
        cut = Moments(state)
        assert cut.state() == state == whole.state()
        assert cut.of_line(source, line) == whole.of_line(source, line)


def test_a_real_stream_cut_anywhere() -> None:
    lines = [line for pair in FORMS for line in [pair[0]] * 18]
    whole = Moments()
    states, times = [], []
    for line in lines:
        states.append(json.dumps(whole.state()))
        times.append(whole.of_line("s", line))
    for n in range(0, len(lines), 29):
        rest = Moments(json.loads(states[n]))
        assert [rest.of_line("s", line) for line in lines[n:]] == times[n:]


@pytest.mark.parametrize(
    "state",
    [
        7, "text", [[]], [["s"]], {"a": 1}, [["s", "no form", "0", 0, 0, 0, 0, None, "0", 0, 0.0]],
        [["s", "iso", "(a+)+", 0, 0, 0, 0, None, "0", 0, 0.0]], [["s", "iso", "0", "x", 0, 0, 0, None, "0", 0, 0.0]],
        [[7, "iso", "0", 0, 0, 0, 0, None, "0", 0, 0.0]], [["s", "iso", "0", 0, 0, 0, 0, "x", "0", 0, 0.0]],
        [["s", ["iso"], "0", 0, 0, 0, 0, None, "0", 0, 0.0]], [["s" * 300, "iso", "0", 0, 0, 0, 0, None, "0", 0, 0.0]],
        [["s", "syslog", "0", 0, 0, 1 << 40, 0, None, "0", 0, 0.0]],
        [["s", "syslog", "0", 0, 0, 0, 0, 1e300, "0", 0, 0.0]],
        [["s", "iso", "0", 0, 0, 0, 0, None, "0", 0, float("nan")]],
    ],
)  # fmt: skip
def test_a_state_that_is_none(state: object) -> None:
    assert Moments([["s", "iso", "0", 0, 0, 0, 0, None, "0", 0, 0.0]]).state()[0][0] == "s"
    with pytest.raises(StoreCorrupt, match="state of the times"):
        Moments(state)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.text(st.characters()) | LINES, max_size=20), st.text(st.characters(), max_size=8))
def test_any_text_is_taken(texts: list[str], source: str) -> None:
    moments = Moments()
    for text in texts:
        for value in (moments.of_line(source, text), moments.of_stamp(text)):
            assert value is None or type(value) is float
    json.dumps(moments.state(), allow_nan=False)


@pytest.mark.parametrize(
    "text",
    ["9", "1", " ", "[", "a ", "12:00:00 ", "2026-", "\0", "\ud800", "Jan 1 ", "time=", "1:", "2026-11-29 12:00:00 "],
)
def test_a_huge_text_costs_what_its_beginning_does(text: str) -> None:
    from time import process_time

    huge = text * (5_000_000 // len(text))
    moments = Moments()
    begin = process_time()
    for _ in range(50):
        moments.of_line("s", huge)
        moments.of_stamp(huge)
    assert process_time() - begin < 2


def test_a_number_for_every_day() -> None:
    moments = Moments()
    for day in range(-200 * 365, 200 * 365, 31):
        written = datetime.fromtimestamp(day * DAY, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        assert moments.of_stamp(written) == day * DAY


def test_a_source_that_turns_all_the_time_is_looked_at_less(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    look = moments._look

    def counted(text: str) -> object:
        nonlocal looked
        looked += 1
        return look(text)

    monkeypatch.setattr(moments, "_look", counted)
    one = Moments()
    for n in range(1600):
        one.of_line("a", f"{'a ' * (n % 20)}{n} [2024-01-{n % 28 + 1:02} 10:00:00]")
    assert looked < 200
    for _ in range(40):  # what begins to be regular is read again
        last = one.of_line("a", "2024-03-01 10:00:00 on")
    assert last == 1709287200.0

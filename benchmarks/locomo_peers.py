"""What LoCoMo is searched with beside sophia: exact BM25, bm25s, and MiniLM where it is installed.

All of them get the same of what surrounds a turn: its day and speaker are part of the text, the two turns before and
after it in its session and the session as a whole add to its score, and a speaker whom the question names counts for
more. Only what scores a text differs. MiniLM stands there a second time with nothing but its cosines.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks import minilm
from sophia.organs.memory_text import STOP

__all__ = ["Said", "rankings"]

_WORD = re.compile(r"[^\W_]+")


class Said(NamedTuple):
    """A turn as it is searched: its session, who said it, and its text with day and speaker."""

    session: str
    actor: str
    text: str


Rank = Callable[[str], np.ndarray]


def rankings(turns: Sequence[Said]) -> dict[str, Rank]:
    """By name, what ranks the turns of one conversation for a question: positions, the best first."""
    around = _Surroundings(turns)
    found: dict[str, Rank] = {"exact BM25": _Exact(turns, around).rank}
    if importlib.util.find_spec("bm25s") is not None:
        found["bm25s, same window"] = _Bm25s(turns, around).rank
    if not minilm.missing():
        dense = _Dense(turns, around)
        found |= {"MiniLM, same window": dense.rank, "MiniLM, cosine": dense.rank_alone}
    return found


class _Surroundings:
    """What is around each turn, and how that adds to its score."""

    def __init__(self, turns: Sequence[Said]) -> None:
        self.sessions = np.unique([turn.session for turn in turns], return_inverse=True)[1]
        self.sizes = np.bincount(self.sessions)
        self._actors = [set(_WORD.findall(turn.actor.casefold())) for turn in turns]

    def rank(self, text: str, own: np.ndarray, whole: np.ndarray) -> np.ndarray:
        """By the scores of the turns, and of the session of each."""
        around = own.copy()
        for step, share in ((1, 0.4), (2, 0.15)):
            same = self.sessions[step:] == self.sessions[:-step]
            around[step:] += share * own[:-step] * same
            around[:-step] += share * own[step:] * same
        words = set(_WORD.findall(text.casefold())) - STOP
        named = np.array([1.2 if words & actor else 1.0 for actor in self._actors])
        worth = (around / max(around.max(), 1e-9) + 0.5 * whole / max(whole.max(), 1e-9)) * named + 1e-6 * own
        return np.argsort(-worth, kind="stable")


class _Exact:
    """BM25 of words and of 3- and 4-grams at half weight, every feature a column of its own."""

    def __init__(self, turns: Sequence[Said], around: _Surroundings) -> None:
        self._around = around
        self._columns: dict[str, int] = {}
        rows = [_features(turn.text) for turn in turns]
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
        # Of a session: its words, by how many of its turns have them.
        sizes = around.sizes
        count = np.stack([(self._matrix[around.sessions == one] > 0).sum(axis=0) for one in range(len(sizes))])
        self._told = count * 1.9 / (count + 0.9 * (0.6 + 0.4 * sizes / 20)[:, None])
        self._told[:, [at for feature, at in self._columns.items() if feature[0] == "g"]] = 0

    def rank(self, text: str) -> np.ndarray:
        asked = np.zeros(len(self._columns))
        for feature in _features(text):
            if feature in self._columns:
                idf = math.log2((2 * self._many + 2) / (2 * self._df[feature] + 1))
                asked[self._columns[feature]] = idf if feature[0] == "w" else idf / 2
        return self._around.rank(text, self._matrix @ asked, (self._told @ asked)[self._around.sessions])


class _Bm25s:
    """BM25 as Lucene has it, over words without stop words; a session is the text of all its turns."""

    def __init__(self, turns: Sequence[Said], around: _Surroundings) -> None:
        self._around = around
        words = [_words(turn.text) for turn in turns]
        sessions = [
            [word for at in np.flatnonzero(around.sessions == one) for word in words[at]]
            for one in range(len(around.sizes))
        ]
        self._turns, self._sessions = _indexed(words), _indexed(sessions)

    def rank(self, text: str) -> np.ndarray:
        asked = _words(text) or [""]
        own, whole = (np.asarray(side.get_scores(asked), np.float64) for side in (self._turns, self._sessions))
        return self._around.rank(text, own, whole[self._around.sessions])


def _indexed(documents: list[list[str]]):
    import bm25s

    made = bm25s.BM25(method="lucene")
    made.index(documents, show_progress=False)
    return made


class _Dense:
    """Cosines of MiniLM's sentence vectors; a session is the mean of its turns."""

    model: minilm.MiniLM | None = None

    def __init__(self, turns: Sequence[Said], around: _Surroundings) -> None:
        if _Dense.model is None:
            _Dense.model = minilm.MiniLM()
        self._around = around
        self._rows = _Dense.model.encode([turn.text for turn in turns])
        means = np.stack([self._rows[around.sessions == one].mean(axis=0) for one in range(len(around.sizes))])
        self._means = means / np.linalg.norm(means, axis=1, keepdims=True)

    def _asked(self, text: str) -> np.ndarray:
        assert _Dense.model is not None
        return _Dense.model.encode([text])[0]

    def rank(self, text: str) -> np.ndarray:
        asked = self._asked(text)
        own, whole = (np.maximum(side @ asked, 0.0).astype(np.float64) for side in (self._rows, self._means))
        return self._around.rank(text, own, whole[self._around.sessions])

    def rank_alone(self, text: str) -> np.ndarray:
        return np.argsort(-(self._rows @ self._asked(text)), kind="stable")


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in STOP]


def _features(text: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for word in _words(text):
        marked = f"<{word}>"
        found["w" + word] += 1
        found.update("g" + marked[i : i + n] for n in (3, 4) if n < len(marked) for i in range(len(marked) - n + 1))
    return found

"""The life of a brain: it observes until it is born, speaks from then on, and may be made to learn no more.

While it gestates nothing is handled by reflex for being familiar: what is familiar in this stream is not known yet.
All else is as ever. It is born once it has seen enough inputs, and enough time has passed; what it saw until then is
kept as its calibration, and told as the first chapter of its story.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sophia._core.decision import Decision
from sophia._core.idf import IdfTable
from sophia._core.pattern import mask
from sophia._core.rhythm import RhythmTable
from sophia._core.salience import Scale
from sophia.errors import StoreCorrupt
from sophia.organs.batch import Columns
from sophia.organs.drift import WindowEncoder
from sophia.organs.observations import Observations, learnable, readable
from sophia.organs.tone import TONE
from sophia.store.derived import WORDS_BOUND, rebuild
from sophia.store.drift_table import WINDOW, DriftTable
from sophia.store.faults import corrupt
from sophia.store.folder import StoreFolder
from sophia.store.view import StoreView

__all__ = ["STAGES", "Gestation", "life_of"]

STAGES = ("gestating", "fluid", "crystalline")
"""In this order. Only :meth:`sophia.Sophia.crystallise` leads to the last one, and back."""

_KINDS = ("message", "line")
_CHAPTERS, _RHYTHMS = 5, 6  # the formats of a store that brought them
_SHOWN = 20  # rhythms that are told, ...
_STEADY = 4.0  # ... of those whose longest gap is at most so many times the usual one


class Gestation:
    """The stage of a brain, what it has observed, and its birth. Not thread-safe: the brain holds the lock.

    Birth needs `inputs` inputs that can be read and `seconds` seconds; both count from the first input, over all runs.
    `state` is what `changes` gave; what it needed when it began is what it needs, unless nothing is to be waited for. A
    clock that jumps back counts nothing, one that jumps ahead only for the time: the inputs have to come.

    `words` and `drift` are what was counted of texts before `state`; they are tables of their own in a store, and go on
    as the brain's after its birth. `each` is `map`, or does the same in several threads.
    """

    def __init__(
        self,
        *,
        inputs: int,
        seconds: float,
        state: str | None = None,
        words: IdfTable | None = None,
        drift: DriftTable | None = None,
        seed: int = 0,
        each: Callable[..., Iterable[Any]] = map,
    ) -> None:
        self.words = IdfTable(seed=seed, bound=WORDS_BOUND) if words is None else words
        self.drift = DriftTable(seed=seed) if drift is None else drift
        self._encoder = WindowEncoder(self.drift.seed, each)
        self._window: list[str] = []  # masked texts of a window of the drift that is not full
        self._needed, self._seconds = inputs, seconds
        self.stage = STAGES[0]
        self.inputs = 0
        self.elapsed = 0.0
        self.birth: dict[str, Any] | None = None
        """When and after what, and its calibration; None before."""
        self.chapter: dict[str, Any] | None = None
        """The first chapter, where it was born since the last `changes`."""
        self._looked: float | None = None
        self._observed = {kind: Observations() for kind in _KINDS}
        if state is not None:
            self._restore(state)
            if not inputs and not seconds:  # somebody does not want to wait
                self._needed, self._seconds = 0, 0.0
        elif inputs == 0 and seconds == 0:
            self.stage = STAGES[1]
        self._saved = self.state()

    def need(self, inputs: int | None, seconds: float | None) -> None:
        """Changes what it needs for its birth; None changes nothing."""
        self._needed = self._needed if inputs is None else inputs
        self._seconds = self._seconds if seconds is None else seconds

    def skip(self, inputs: int) -> None:
        """So many inputs have come before anybody observed them: where they are enough, it was born then."""
        self.inputs = inputs
        if self.gestating and inputs >= self._needed and inputs:
            self.stage = STAGES[1]

    def freeze(self, *, frozen: bool) -> None:
        """Learns no more, or learns again."""
        self.stage = STAGES[2] if frozen else STAGES[1]

    @property
    def gestating(self) -> bool:
        """Whether it is not born yet."""
        return self.stage == STAGES[0]

    @property
    def crystalline(self) -> bool:
        """Whether it learns no more."""
        return self.stage == STAGES[2]

    @property
    def progress(self) -> tuple[float, float]:
        """The shares of the inputs, and of the time, that it needs."""
        return (
            min(1.0, self.inputs / self._needed) if self._needed else 1.0,
            min(1.0, self.elapsed / self._seconds) if self._seconds else 1.0,
        )

    def look(self, now: float) -> None:
        """Counts the time that has passed since the last look."""
        if self._looked is not None:
            self.elapsed += max(0.0, now - self._looked)
        self._looked = now

    @property
    def due(self) -> bool:
        """Whether it is to be born now."""
        return self.gestating and self.inputs >= self._needed and self.elapsed >= self._seconds

    def parts(self, columns: Columns) -> Iterator[Columns]:
        """A batch in pieces: one ends with the input that may be the last one before birth."""
        rest = columns
        while self.gestating and 0 < (left := self._needed - self.inputs) < len(rest.texts):
            yield rest.some(0, left)  # which is observed before the next piece is asked for
            rest = rest.some(left, len(rest.texts))
        yield rest

    def observe(self, decisions: Sequence[Decision]) -> None:
        """Takes decisions in order."""
        words = self.words
        for decision in decisions:
            self._observed[decision.kind].add(decision, words)
            if decision.text is not None and learnable(decision):
                words.observe_words(decision.text)
                self._window.append(mask(decision.text))
        full = len(self._window) // WINDOW * WINDOW
        if full:
            windows = [self._window[at : at + WINDOW] for at in range(0, full, WINDOW)]
            del self._window[:full]
            self.drift.add(self._encoder.sums(windows))
        self.inputs += sum(map(readable, decisions))

    def scales(self) -> Iterator[tuple[str, Scale, float]]:
        """By kind what its inputs are measured by, and the least confidence for a reflex; of a kind of which nothing
        was observed before birth, nothing."""
        if self.birth is None:
            return
        for kind, usual in self.birth["calibration"].items():
            if "scale" in usual:  # an older version had none
                scale = usual["scale"]
                if self.lost:  # every word would be rare
                    scale = scale | {"rarity": [0] * len(scale["rarity"])}
                yield kind, Scale(self.words, tone=TONE, **scale), usual["confident"]

    @property
    def lost(self) -> bool:
        """Whether the words that were counted before birth are gone: then how rare they are counts for nothing."""
        return self.birth is not None and bool(self.birth.get("words")) and not len(self.words)

    def bear(self, now: float, run: int, patterns: int) -> None:
        """It is born: what it saw becomes its calibration, and the first chapter."""
        try:
            at = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        except (ValueError, OverflowError, OSError):  # a clock that no calendar has
            at = str(now)
        calibration = {kind: one.calibration() for kind, one in self._observed.items() if one.inputs}
        self.stage = STAGES[1]
        self._window.clear()
        self.birth = {
            "at": at,
            "run": run,
            "inputs": self.inputs,
            "seconds": round(self.elapsed, 3),
            "patterns": patterns,
            "words": len(self.words),
            "drift": self.drift.baseline(),
            "calibration": calibration,
        }
        self.chapter = {
            "title": "Birth",
            "run": run,
            "ended": at,
            "inputs": self.inputs,
            "significance": 1.0,
            "summary": _told(self.inputs, patterns, calibration),
        }

    def state(self) -> str:
        """All of it, as text."""
        observed = {kind: one.state() for kind, one in self._observed.items() if one.inputs and self.gestating}
        told = {
            "stage": self.stage,
            "needed": [self._needed, self._seconds],
            "inputs": self.inputs,
            "elapsed": self.elapsed,
            "looked": self._looked,
            "observed": observed,
            "window": self._window,
            "birth": self.birth,
        }
        return json.dumps(told, separators=(",", ":"))

    def changes(self) -> tuple[str | None, dict[str, Any] | None]:
        """Its state where that is another one than the last that was handed out, and the chapter that is new."""
        state, chapter = self.state(), self.chapter
        self.chapter = None
        if state == self._saved:
            return None, chapter
        self._saved = state
        return state, chapter

    def _restore(self, state: str) -> None:
        try:
            told = json.loads(state)
            if told["stage"] not in STAGES:
                raise ValueError(told["stage"])
            self.stage = told["stage"]
            self._needed, self._seconds = int(told["needed"][0]), float(told["needed"][1])
            self.inputs, self.elapsed = int(told["inputs"]), float(told["elapsed"])
            self._looked = None if told["looked"] is None else float(told["looked"])
            self.birth = told["birth"]
            self._window = [str(text) for text in told.get("window", ())]
            list(self.scales())  # what cannot be measured by is refused here
            self._observed |= {kind: Observations(state) for kind, state in told["observed"].items() if kind in _KINDS}
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            message = f"the stage of life cannot be read ({error})"
            raise StoreCorrupt(message) from error


def life_of(path: Path) -> dict[str, Any]:
    """The stage of the store in a folder, how far it has come, and its birth, for JSON; keys may be added and are never
    renamed. Reads only; works while another process writes. InputError where there is no store."""
    folder = StoreFolder(path)
    folder.require()
    with StoreView(folder.file) as view:
        kept = view.meta("life")
        chapters = view.count("chapters") if view.format >= _CHAPTERS else 0
        rhythms = _rhythms(view) if view.format >= _RHYTHMS else []
    try:
        one = Gestation(inputs=0, seconds=0.0, state=kept) if kept is not None else None
    except StoreCorrupt as error:
        raise corrupt(folder.file, error) from error
    told = {} if kept is None else json.loads(kept)
    return {
        "path": str(path),
        "stage": None if one is None else one.stage,
        "inputs": None if one is None else one.inputs,
        "seconds": None if one is None else round(one.elapsed, 3),
        "needed": None if one is None else dict(zip(("inputs", "seconds"), told["needed"], strict=True)),
        "birth": None if one is None else one.birth,
        "chapters": chapters,
        "rhythms": rhythms,
    }


def _rhythms(view: StoreView) -> list[dict[str, Any]]:
    """The patterns that come most regularly: their usual gap and the longest of late in seconds, how often they came,
    the most in a minute, and in which hours of the day (UTC). An empty list where the table is damaged."""
    try:
        table: RhythmTable = rebuild("rhythms", *view.derived("rhythms"))
    except StoreCorrupt:
        return []
    found = []
    for pattern, rhythm in table.most_regular(_SHOWN):
        if rhythm.longest > _STEADY * rhythm.gap:
            continue
        row = view.execute("SELECT template FROM patterns WHERE id = ?", pattern)
        found.append({"pattern": pattern, "template": str(row[0][0]) if row else None, **rhythm._asdict()})
    return found


def _told(inputs: int, patterns: int, calibration: dict[str, Any]) -> list[str]:
    """The first chapter, in three lines."""
    if not inputs:
        return ["Nothing was seen before birth: all that comes is new."]
    lines = [f"Born after {inputs:,} inputs of {patterns:,} patterns."]
    for kind, usual in calibration.items():
        size, rare = usual["length"]["p50"], usual["surprise"]["p90"]
        if size is None or rare is None:
            continue
        lines.append(
            f"Of {usual['inputs']:,} {kind}s {usual['new']:.0%} were of a new pattern, {usual['familiar']:.0%} of a "
            f"familiar one; half have at most {size:,} bytes, and one in ten is rarer than 1 in {2**rare:,.0f}."
        )
    return lines

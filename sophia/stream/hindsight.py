"""What is known of an input's pattern at the end of a run, and was not when the input was decided."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sophia._core.pattern import PatternTable, mask
from sophia.config import Settings
from sophia.stream.collect import Example
from sophia.stream.mask import WINDOW, excerpt

__all__ = ["Hindsight", "Later"]

_WORDS = 4
_SLOT = "<*>"


class Hindsight(NamedTuple):
    """What came of the pattern of one input."""

    words: Sequence[str] = ()
    """The input's own words in places where the inputs of its pattern differ; at most four."""
    survivor: int | None = None
    """The pattern that its pattern was found to be the same as."""
    absorbed: int = 0
    """Patterns that were found to be the same as its own."""


class Later:
    """Reads the table of patterns as it is at the end of a run."""

    def __init__(self, table: PatternTable, settings: Settings) -> None:
        self._table = table
        self._masks = settings.mask == "auto"
        self.absorbed: dict[int, list[int]] = {}
        """Ids that were found to be the same as another, by the one that is left."""
        for pattern in table.patterns():
            if pattern.merged_into is not None:
                self.absorbed.setdefault(self.survivor(pattern.id), []).append(pattern.id)

    def survivor(self, id: int) -> int:
        """The id that stands for this pattern now; itself where it had to make room."""
        try:
            return self._table.resolve(id)
        except KeyError:
            return id

    def template(self, id: int) -> str | None:
        """The template as it is now; None for a pattern that had to make room."""
        try:
            return self._table.template(id)
        except KeyError:
            return None

    def of(self, example: Example) -> Hindsight:
        """What came of this input's pattern."""
        if example.pattern is None:
            return Hindsight()
        survivor = self.survivor(example.pattern)
        return Hindsight(
            self._own_words(example),
            None if survivor == example.pattern else survivor,
            len(self.absorbed.get(example.pattern, ())),
        )

    def _own_words(self, example: Example) -> list[str]:
        """Words of the input that stand where its pattern has a slot and no mask put one; none that is a secret."""
        assert example.pattern is not None
        template = self.template(example.pattern)
        if template is None or not self._masks or len(example.text) >= WINDOW:
            return []
        own, kept = mask(example.text).split(), template.split()
        if len(own) != len(kept):
            return []
        shown = "".join(part.text for part in excerpt(example.text, width=WINDOW))
        words = [word for word, place in zip(own, kept, strict=True) if word != place and _SLOT in place]
        return [word for word in dict.fromkeys(words) if _SLOT not in word and word in shown][:_WORDS]

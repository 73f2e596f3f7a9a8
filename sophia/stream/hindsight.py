"""What is known of an input's pattern at the end of a run, and was not when the input was decided."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from sophia._core.pattern import PatternTable, mask
from sophia.config import Settings
from sophia.stream.collect import Example
from sophia.stream.mask import WINDOW, excerpt

__all__ = ["Difference", "Hindsight", "Later"]

_WORDS = 4
_SLOT = "<*>"


class Difference(NamedTuple):
    """What one input has and the first input of its pattern has not, masked parts apart."""

    place: str
    """Where the first one stands."""
    more: Sequence[str] = ()
    fewer: Sequence[str] = ()
    """Words that only this input has, or only the first one; at most four."""
    writing: bool = False
    """The words are the same: only capitals, blanks or signs differ."""


class Hindsight(NamedTuple):
    """What came of the pattern of one input."""

    words: Sequence[str] = ()
    """The input's own words in places where the inputs of its pattern differ; at most four."""
    survivor: int | None = None
    """The pattern that its pattern was found to be the same as."""
    absorbed: int = 0
    """Patterns that were found to be the same as its own."""
    difference: Difference | None = None
    """How it differs from the first input of its pattern in this run, if it does and that is known."""


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

    def of(self, example: Example, first: Example | None = None, place: str = "") -> Hindsight:
        """What came of this input's pattern. `first` is the first input of that, which stands at `place`."""
        if example.pattern is None:
            return Hindsight()
        survivor = self.survivor(example.pattern)
        return Hindsight(
            self._own_words(example),
            None if survivor == example.pattern else survivor,
            len(self.absorbed.get(example.pattern, ())),
            None if first is None or first.n >= example.n else self._difference(example, first, place),
        )

    def _difference(self, example: Example, first: Example, place: str) -> Difference | None:
        if not self._masks or max(len(example.text), len(first.text)) >= WINDOW:
            return None
        own, other = mask(example.text).split(), mask(first.text).split()
        changes = SequenceMatcher(None, own, other, autojunk=False).get_opcodes()
        more = [word for kind, a, b, _, _ in changes if kind != "equal" for word in own[a:b]]
        fewer = [word for kind, _, _, c, d in changes if kind != "equal" for word in other[c:d]]
        if not more and not fewer:
            return None
        if _letters(own) == _letters(other):
            return Difference(place, writing=True)
        return Difference(place, _named(more, example.text), _named(fewer, first.text))

    def _own_words(self, example: Example) -> list[str]:
        """Words of the input that stand where its pattern has a slot and no mask put one; none that is a secret."""
        assert example.pattern is not None
        template = self.template(example.pattern)
        if template is None or not self._masks or len(example.text) >= WINDOW:
            return []
        own, kept = mask(example.text).split(), template.split()
        if len(own) != len(kept):
            return []
        words = [word for word, place in zip(own, kept, strict=True) if word != place and _SLOT in place]
        if any(_SLOT in word for word in words):  # signs at a masked part: which of all this was new is not known
            return []
        return _named(words, example.text)


def _named(words: Sequence[str], text: str) -> list[str]:
    """The first four different ones that may be shown: no slot in them, and no part of a secret of their text."""
    shown = "".join(part.text for part in excerpt(text, width=WINDOW))
    return [word for word in dict.fromkeys(words) if _SLOT not in word and word in shown][:_WORDS]


def _letters(words: Sequence[str]) -> str:
    """What is left of words without capitals, blanks and signs."""
    return "".join(sign for sign in "".join(words).replace(_SLOT, "0").casefold() if sign.isalnum())

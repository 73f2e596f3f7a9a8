"""The words of a text, by which it is found whole: what a long-term index holds is what a query is made of."""

from __future__ import annotations

import re

__all__ = ["words_in"]

_WORD = re.compile(r"[^\W_]+")


def words_in(text: str) -> list[str]:
    """The words of a text in order, each once, whatever their case: runs of letters and digits.

    >>> words_in("The door, the DOOR_7!")
    ['the', 'door', '7']
    """
    return list(dict.fromkeys(_WORD.findall(text.casefold())))

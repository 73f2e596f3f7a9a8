"""What can be remembered or asked for: a text, a hypervector, or an array that is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sophia._core.encode import TextEncoder
from sophia._core.hdc import convert, random
from sophia._core.vector import Hypervector, SharedVector
from sophia.errors import ShapeError
from sophia.organs.memory_words import refuse_surrogates

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_TEXT", "Content", "ContentReader"]

MOST_TEXT = 1 << 20
"""Characters of one remembered text."""


class Content(NamedTuple):
    """A text, if it is one, and its packed vector: `ceil(dim / 8)` bytes."""

    text: str | None
    vector: bytes


class ContentReader:
    """Reads what callers hand over, and refuses what is not exactly a vector of `dim` components.

    Texts are encoded without an IDF table, so that the same text has the same vector in every store.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._encoder = TextEncoder(dim)

    def read(self, content: object) -> Content:
        """A str; a Hypervector or SharedVector; or one vector as a numpy array: int8 (or another whole-number type) of
        -1 and +1, bool, or packed uint8 of `ceil(dim / 8)` bytes whose last bits are zero.

        A component of -1 and a bit of 1 are the same. Raises ValueError for a text that is empty, too long, or cannot
        be encoded, ShapeError for a vector of another dimension, ValueError for other components, TypeError.
        """
        if isinstance(content, str):
            return Content(content, self._text(content))
        if isinstance(content, Hypervector | SharedVector):
            if content.dim != self.dim:
                message = f"a vector of dim={content.dim}; this store has vectors of dim={self.dim}"
                raise ShapeError(message)
            return Content(None, (content if content.model == "BSC" else convert(content, "BSC")).tobytes())
        import numpy as np

        if isinstance(content, np.ndarray):
            return Content(None, self._array(content))
        message = f"a memory is a str, a Hypervector or a numpy array, not {type(content).__name__}"
        raise TypeError(message)

    def check(self, text: str) -> None:
        """ValueError for a text that cannot be remembered."""
        if len(text) > MOST_TEXT:
            message = f"a text of {len(text):,} characters; at most {MOST_TEXT:,} are remembered as one memory"
            raise ValueError(message)
        if not text or text.isspace():
            message = "the text is empty; there is nothing to remember"
            raise ValueError(message)
        refuse_surrogates(text, "the text")

    def _text(self, text: str) -> bytes:
        self.check(text)
        try:
            return self._encoder.encode(text).tobytes()
        except ValueError:  # no letter and no digit: it is like itself alone
            return random(text, dim=self.dim).tobytes()

    def _array(self, array: NDArray[Any]) -> bytes:
        import numpy as np

        packed = (self.dim + 7) // 8
        if array.dtype == np.uint8 and array.shape == (packed,):
            if self.dim % 8 and int(array[-1]) >> (self.dim % 8):
                message = f"a bit past bit {self.dim - 1} is set in the last byte of the packed vector"
                raise ValueError(message)
            return array.tobytes()
        if array.shape != (self.dim,):
            message = (
                f"an array of shape {list(array.shape)} and {array.dtype}; this store has vectors of [{self.dim}] "
                f"components (-1 and +1, or bool) or [{packed}] packed bytes (uint8)"
            )
            raise ShapeError(message)
        if array.dtype == np.bool_:
            bits = array
        elif np.issubdtype(array.dtype, np.signedinteger):
            bits = array < 0
            wrong = np.flatnonzero(np.abs(array) != 1)
            if len(wrong):
                message = f"component {wrong[0]} is {array[wrong[0]]}; each must be -1 or +1"
                raise ValueError(message)
        else:
            message = f"an array of {array.dtype}; components are whole numbers -1 and +1 (int8) or bool"
            raise ShapeError(message)
        return np.packbits(bits, bitorder="little").tobytes()

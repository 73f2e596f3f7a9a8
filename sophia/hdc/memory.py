"""Item memory: hypervectors under keys, in one block; what a noisy vector was; the nearest ones; a file of its own."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from sophia._core import hdc
from sophia._core.vector import Vector
from sophia.errors import ShapeError
from sophia.hdc import memory_file
from sophia.hdc.operands import checked, checked_rows, layout
from sophia.hdc.similarities import cosines
from sophia.hdc.space import Space

__all__ = ["Hit", "ItemMemory"]

Key = str | int

_FIRST_ROWS = 64
_CHUNK_BYTES = 32 << 20
_LARGEST = 2.0**60
_LONGEST_INT = 1 << 63


class Hit(NamedTuple):
    """An item of a memory, and how much it is like what was asked for."""

    key: Key | None
    """None where nothing is like it enough."""
    score: float
    """Cosine, in [-1, 1]."""


class ItemMemory:
    """Vectors of a space under keys: str, or whole numbers of 64 bits. Kanerva's clean-up memory (1996, 2009), exact.

    All rows lie in one block without gaps: a million packed vectors of 10,000 bits are 1.28 GB. It grows by doubling
    the addresses that it has reserved, which cost nothing until rows are written there, and on Linux without a copy;
    `shrink()` gives back what is reserved. Keys cost about 100 to 150 bytes each as strings; nothing where they are the
    row numbers, as `add_many` gives them by default. Finding the nearest compares every row: a million packed ones at
    the speed of memory (43 to 150 ms on two machines), a thousand rows of HRR in about 4 ms.

    Raises ShapeError for vectors of another space, TypeError for what is no vector or key, ValueError for NaN. Reading
    is safe from many threads, writing from one while no other reads.

        >>> space = Space("bsc")
        >>> memory = ItemMemory(space)
        >>> for word in ("Mexico", "peso", "dollar"):
        ...     memory.add(word, space.random(word))
        >>> noisy = space.bundle(space.random("peso"), space.random("noise"), space.random("more"))
        >>> memory.cleanup(noisy).key, memory.cleanup(space.random("unknown")).key
        ('peso', None)
        >>> [hit.key for hit in memory.top_k(noisy, 2)][0], len(memory)
        ('peso', 3)
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._dtype, self._columns = layout(space)
        self._width = self._dtype.itemsize * self._columns
        self._count = 0
        self._labels: list[Key] | None = None  # None: the key of each row is its number
        self._places: dict[Key, int] = {}
        self._removal: tuple[int, int, Key, Key] | None = None  # place, last row and their keys, while one goes on
        self._norms: NDArray[Any] | None = None  # of the rows, HRR and FHRR; None until needed, and after each change
        self._mapped: NDArray[Any] | None = None
        self._block: mmap.mmap | None = None
        self._reserved = 0

    # ------------------------------------------------------------------------------------------------------- contents

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: object) -> bool:
        return self._place(key) is not None

    def __iter__(self) -> Iterator[Key]:
        return iter(self.keys)

    def __getitem__(self, key: Key) -> Any:
        """A copy of the vector of a key. KeyError where there is none."""
        one = self.rows[self._known(key)]
        return self.space.vector(one) if self.space.model in ("bsc", "map") else one.copy()

    @property
    def keys(self) -> list[Key]:
        """The keys in the order of the rows: a copy."""
        self._settle()
        return list(range(self._count)) if self._labels is None else list(self._labels)

    @property
    def rows(self) -> NDArray[Any]:
        """The matrix of all vectors, in place and read-only, until the next change: what is held longer may show rows
        that moved, and makes growing copy the block instead of extending it."""
        self._settle()
        if self._mapped is not None:
            return self._mapped
        view = self._view()
        view.flags.writeable = False
        return view

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return self._count * self._width

    @property
    def reserved(self) -> int:
        """Bytes of addresses that the block has; only what holds vectors takes memory. 0 for a mapped file."""
        return self._reserved * self._width

    @property
    def mapped(self) -> bool:
        """Whether the rows are still those of a file, read in place."""
        return self._mapped is not None

    # ------------------------------------------------------------------------------------------------------- changing

    def add(self, key: Key, vector: Any) -> None:
        """Adds a vector. ValueError for a key that is there: remove() it first."""
        self._refuse_known(key, set())
        one = checked(self.space, vector, "vector")
        self._settle()
        self._reserve(self._count + 1)
        self._view(self._count + 1)[self._count] = numpy.asarray(one)
        self._label([key], 1)

    def add_many(self, matrix: Any, keys: Iterable[Key] | None = None) -> None:
        """Adds the rows of a matrix, or a list of vectors, under as many keys; or all of them or, where something is
        wrong, none. Without keys each has the number of its row in the memory for a key; where such a number is taken,
        the next ones after the largest."""
        rows = checked_rows(self.space, matrix, "matrix")
        self._settle()
        if keys is None:
            given: list[Key] | None = None
            if self._labels is not None:
                first = self._count
                if any(number in self._places for number in range(first, first + len(rows))):
                    first = 1 + max(key for key in self._labels if isinstance(key, int))
                given = list(range(first, first + len(rows)))
        else:
            given = list(keys)
            if len(given) != len(rows):
                message = f"keys: {len(given)} of them for {len(rows)} rows; give one each"
                raise ShapeError(message)
        fresh: set[Key] = set()
        for key in given or ():
            self._refuse_known(key, fresh)
        self._reserve(self._count + len(rows))
        self._view(self._count + len(rows))[self._count :] = rows
        self._label(given, len(rows))

    def remove(self, key: Key) -> None:
        """Removes a vector; the last row moves into its place, so that there is never a gap. KeyError for an unknown
        key."""
        place, last = self._known(key), self._count - 1
        self._own()
        labels, _ = self._named()
        self._removal = place, last, labels[place], labels[last]
        self._settle()

    def select(self, keys: Iterable[Key]) -> ItemMemory:
        """A memory of its own with the vectors of some keys, in their order; what it saves is theirs alone."""
        wanted = list(keys)
        places = [self._known(key) for key in wanted]
        made = ItemMemory(self.space)
        made.add_many(numpy.ascontiguousarray(self.rows[places]), wanted)
        return made

    def clear(self) -> None:
        """Removes everything and gives the memory back."""
        self._count, self._labels, self._places, self._removal = 0, None, {}, None
        self._mapped, self._block, self._reserved, self._norms = None, None, 0, None

    def copy(self) -> ItemMemory:
        """A memory of its own with the same items; also for `copy.copy`, `copy.deepcopy` and pickle."""
        made = ItemMemory(self.space)
        made.add_many(self.rows, None if self._labels is None else self._labels)
        return made

    __copy__ = copy

    def __deepcopy__(self, _memo: object) -> ItemMemory:
        return self.copy()

    def __getstate__(self) -> tuple[Space, NDArray[Any], list[Key] | None]:
        rows = numpy.array(self.rows)
        return self.space, rows, self._labels

    def __setstate__(self, state: tuple[Space, NDArray[Any], list[Key] | None]) -> None:
        space, rows, keys = state
        self.__init__(space)  # type: ignore[misc]
        self.add_many(rows, keys)

    def shrink(self) -> None:
        """Gives back what is reserved beyond the vectors there are."""
        if self._mapped is None and self._reserved > self._count:
            self._move(self._count)

    # ------------------------------------------------------------------------------------------------------ searching

    def top_k(self, query: Any, k: int = 10) -> Any:
        """The k most similar items, best first; equal ones in row order: a list of hits for one vector, a list of lists
        for a matrix or a list of vectors. Exact. With fewer than k items all come back.

        ValueError for an empty memory or a k outside of 1 to 65,536.
        """
        if isinstance(query, list | tuple) or getattr(query, "ndim", 1) == 2:
            queries = checked_rows(self.space, query, "query")
            if not len(queries):
                return []
            return self._top(queries, k)
        one = checked(self.space, query, "query")
        return self._top(one if isinstance(one, Vector) else one[None], k)[0]

    def cleanup(self, query: Any, threshold: float | None = None) -> Any:
        """The item that the vector is most like, as a hit; of each row of a matrix or list one. Its key is None where
        the similarity is below the threshold: by default what the best of as many unrelated items would reach by chance
        once in a thousand times."""
        least = self.threshold(threshold)
        found = [hits[0] if isinstance(hits, list) else hits for hits in self.top_k(query, 1)]
        made = [best if best.score >= least else Hit(None, best.score) for best in found]
        return made if isinstance(query, list | tuple) or getattr(query, "ndim", 1) == 2 else made[0]

    def threshold(self, given: float | None = None) -> float:
        """A threshold, or the default one of `cleanup` for so many items; see `sophia.hdc.algebra.Algebra.chance`."""
        if given is None:
            return self.space.algebra.chance(self._count)
        if not isinstance(given, int | float | numpy.number) or not -1.0 <= given <= 1.0:
            message = f"threshold is {given!r}; it is a similarity, from -1 to 1"
            raise ValueError(message)
        return float(given)

    def _top(self, queries: Any, k: int) -> list[list[Hit]]:
        self._refuse_search(k)
        if self.space.model == "bsc":
            distances, places = hdc.topk(queries, self.rows, k, dim=self.space.dim)
            scores = (self.space.dim - 2 * distances.astype(numpy.int64)) / self.space.dim
        elif self.space.model == "map":
            scores, places = hdc.topk(queries, self.rows, k, metric="cosine", dim=self.space.dim)
        else:
            return [self.nearest(query, k) for query in queries]
        found = zip(numpy.atleast_2d(scores), numpy.atleast_2d(places), strict=True)
        return [self._hits(one, rows) for one, rows in found]

    def nearest(self, numbers: NDArray[Any], k: int, least: float = -1.0) -> list[Hit]:
        """As top_k() for one query that is no vector but sums or other numbers [dim], which are not rounded first
        (whole ones for BSC and MAP); of what has at least the similarity `least`. ShapeError for another number of
        them, ValueError where one is not finite, or not whole."""
        self._refuse_search(k)
        k = min(k, self._count)
        numbers = numpy.asarray(numbers)
        if numbers.shape != (self.space.dim,):
            message = f"numbers: shape {list(numbers.shape)}; it must be [{self.space.dim}]"
            raise ShapeError(message)
        whole = self.space.model in ("bsc", "map") and numbers.dtype.kind not in "iu"
        good = numpy.isfinite(numbers) & ((numbers == numpy.rint(numbers.real)) | (not whole))
        if not good.all():
            place = int(numpy.argmin(good))
            message = f"numbers: number {place} is {numbers[place]}; it must be finite{', and whole' if whole else ''}"
            raise ValueError(message)
        if self.space.model in ("bsc", "map"):
            places = numpy.arange(self._count)
            scores = cosines(self.space, numbers, self.rows)
        else:
            places = self._candidates(numbers, k, least)
            scores = cosines(self.space, numbers, self.rows[places])
        # all that are as good as the k-th, in row order, so that equal ones do not come as a partition leaves them
        good = numpy.flatnonzero(scores >= max(_kth(scores, k), least))
        good = good[numpy.argsort(-scores[good], kind="stable")][:k]
        return self._hits(scores[good], places[good])

    def _candidates(self, numbers: NDArray[Any], k: int, least: float) -> NDArray[Any]:
        """The rows of HRR or FHRR that may be among the k nearest. Products in single precision, which read half of the
        bytes and convert none, are wrong by at most dim * 2^-24 of both norms in any order of summation; complex ones
        by less than four times that. What is within twice that of the k-th is compared again in double precision."""
        rows, wide = self.rows, numpy.result_type(self._dtype, numpy.float64)
        if self._norms is None:
            step = max(1, _CHUNK_BYTES // self._width)
            norms = numpy.concatenate(
                [numpy.linalg.norm(rows[at : at + step].astype(wide), axis=1) for at in range(0, len(rows), step)]
            )
            self._norms = numpy.where(norms > 0, norms, 1.0)
        query = numbers.astype(wide)
        own = float(numpy.linalg.norm(query))
        if not own or self._norms.max() > _LARGEST or self._norms.min() < 1 / _LARGEST:
            return numpy.arange(len(rows))  # nothing to compare by, or single precision does not reach so far
        rough = (rows @ (query.conj() / own).astype(self._dtype)).real / self._norms
        return numpy.flatnonzero(rough >= max(_kth(rough, k), least) - 8 * self.space.dim * 2.0**-24)

    def _hits(self, scores: NDArray[Any], places: NDArray[Any]) -> list[Hit]:
        labels = self._labels
        return [
            Hit(place if labels is None else labels[place], score)
            for score, place in zip(scores.tolist(), places.tolist(), strict=True)
        ]

    def _refuse_search(self, k: int) -> None:
        if isinstance(k, bool) or not isinstance(k, int | numpy.integer) or not 1 <= k <= 65_536:
            message = f"k is {k!r}; it is a whole number from 1 to 65536"
            raise ValueError(message)
        if not self._count:
            message = "the item memory is empty, so nothing is nearest; add() an item first"
            raise ValueError(message)

    # ---------------------------------------------------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the memory to a file, whole or not at all; the format is told in `sophia.hdc.memory_file`. A row takes
        what it takes in memory. ConfigError where it cannot be written or would replace another kind of file."""
        memory_file.write(path, self.space, self.rows, self._labels)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, mmap: bool = True, verify: bool = True) -> ItemMemory:
        """The memory of a file. With `mmap` the rows stay in the file, and are copied at the first change (which the
        file does not see); nobody may cut the file off meanwhile. Without `verify` only the rows are not checked, and
        loading reads none of them.

        InputError where there is none, StoreCorrupt where it was damaged, StoreVersionError for a newer format.
        """
        stored = memory_file.read(path, verify=verify)
        made = cls(stored.space)
        made._mapped = stored.rows
        made._label(stored.keys, len(stored.rows))
        if not mmap:
            made._own()
        return made

    # ------------------------------------------------------------------------------------------------------- the block

    def _view(self, count: int | None = None) -> NDArray[Any]:
        """The first rows of the block, writable."""
        rows = self._count if count is None else count
        if self._block is None or not rows:
            return numpy.empty((0, self._columns), self._dtype)
        flat: NDArray[Any] = numpy.frombuffer(self._block, self._dtype, rows * self._columns)
        return flat.reshape(rows, self._columns)

    def _own(self) -> None:
        """Copies the rows out of a file."""
        source = self._mapped
        if source is None:
            return
        self._move(len(source))  # may fail: what is mapped stays until the copy is whole
        if len(source):
            self._view(len(source))[...] = source
        self._mapped = None

    def _reserve(self, rows: int) -> None:
        """Makes room for so many rows, and sees that they may be written."""
        self._own()
        if rows <= self._reserved:
            return
        wishes = sorted({max(_FIRST_ROWS, rows, 2 * self._reserved), max(rows, self._reserved * 5 // 4), rows})
        while rows > self._reserved:
            try:
                self._move(wishes.pop())
            except MemoryError:  # where addresses are counted, as under a limit, ask for less
                if not wishes:
                    raise

    def _move(self, rows: int) -> None:
        """Gives the block room for exactly so many rows, and keeps those that are there."""
        if not rows:
            self._block, self._reserved = None, 0
            return
        size = rows * self._width
        try:
            if self._block is not None:
                try:
                    self._block.resize(size)
                except (BufferError, SystemError, ValueError):  # somebody looks at it, or the system cannot
                    fresh = _anonymous(size)
                    kept = min(self._count, rows) * self._width
                    numpy.frombuffer(fresh, numpy.uint8, kept)[:] = numpy.frombuffer(self._block, numpy.uint8, kept)
                    self._block = fresh
            else:
                self._block = _anonymous(size)
        except OSError as error:
            message = f"no memory for {rows} rows of {self._width} bytes ({error.strerror})"
            raise MemoryError(message) from error
        self._reserved = rows

    # ----------------------------------------------------------------------------------------------------------- keys

    def _place(self, key: object) -> int | None:
        if not isinstance(key, str | int) or isinstance(key, bool):
            return None
        self._settle()
        if self._labels is not None:
            return self._places.get(key)
        return key if isinstance(key, int) and 0 <= key < self._count else None

    def _known(self, key: Key) -> int:
        place = self._place(key)
        if place is None:
            message = f"{key!r} is no key of this memory of {self._count} items"
            raise KeyError(message)
        return place

    def _refuse_known(self, key: Key, fresh: set[Key]) -> None:
        if not isinstance(key, str | int) or isinstance(key, bool):
            message = f"key {key!r} is a {type(key).__name__}; a key is a str or an int"
            raise TypeError(message)
        if isinstance(key, int) and not -_LONGEST_INT <= key < _LONGEST_INT:
            message = f"key {key!r} is out of range; whole numbers have 64 bits, longer ones can be strings"
            raise ValueError(message)
        if (
            isinstance(key, str)
            and not key.isascii()
            and key != key.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        ):  # a file would make one character of them, and another key
            message = f"key {key!r:.80} has a character as two halves of a surrogate pair; write it as one"
            raise ValueError(message)
        if key in fresh or self._place(key) is not None:
            message = f"key {key!r} is there already; remove() it first, or take another"
            raise ValueError(message)
        fresh.add(key)

    def _named(self) -> tuple[list[Key], dict[Key, int]]:
        """The keys, written out even where they are the row numbers."""
        if self._labels is None:
            self._labels = list(range(self._count))
            self._places = {key: key for key in range(self._count)}
        return self._labels, self._places

    def _label(self, keys: list[Key] | None, count: int) -> None:
        """Counts so many new rows and names them."""
        first = self._count
        if keys is not None and not (self._labels is None and keys == list(range(first, first + count))):
            labels, places = self._named()
            labels.extend(keys)
            places.update(zip(keys, range(first, first + count), strict=True))
        self._count, self._norms = first + count, None  # last: what is broken off before does not count

    def _settle(self) -> None:
        """Takes back the keys of an addition, and ends a removal, that an interrupt (Ctrl-C) has broken off. Every step
        may be done twice."""
        labels, places = self._labels, self._places
        if labels is None or (self._removal is None and len(labels) == self._count):
            return
        if self._removal is not None:
            place, last, key, moved = self._removal
            if place != last:
                rows = self._view(last + 1)
                rows[place] = rows[last]
                labels[place] = moved
                places[moved] = place
            places.pop(key, None)
            self._count, self._norms = last, None
        for key in labels[self._count :]:
            if places.get(key, -1) >= self._count:
                del places[key]
        del labels[self._count :]
        self._removal = None


def _kth(scores: NDArray[Any], k: int) -> float:
    """The k-th best; -1.0 where there are fewer."""
    if k > len(scores):
        return -1.0
    return float(numpy.partition(scores, len(scores) - k)[len(scores) - k])


def _anonymous(size: int) -> mmap.mmap:
    # private: a forked child must not write into its parent's memory
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

"""Data structures of one hypervector each: multisets, hash tables, graphs and trees, in all four models; sequences are
in :mod:`sophia.hdc.sequences`.

All but bound sequences keep exact sums (:mod:`sophia.hdc.sums`): what is added and removed leaves no trace, and the
order of additions does not matter. `vector` rounds them to one hypervector, to be bundled, bound or sent on. What looks
things up here (`contains`, `find`, `find_neighbours`) asks the sums themselves. In BSC and MAP a majority drops how
clear each vote was, and 2 / pi is left of how many items can be recalled; HRR and FHRR lose nothing by rounding.

How many are recalled: n things in one sum have a similarity of about 1 / sqrt(n) each, and unrelated ones vary by
1 / sqrt(dim); `python -m benchmarks structures` counts them. Not for two threads at once.

Plate 1995 (HRR), Gayler 1998 (MAP) and Kanerva 2009 tell of bundles and pairs, Gayler and Levy 2009 of graphs; Kleyko
and others 2022 survey them all.
"""

from __future__ import annotations

from collections.abc import Sequence as Listed
from typing import Any, Self

import numpy
from numpy.typing import NDArray

from sophia.hdc.memory import Hit, ItemMemory
from sophia.hdc.operands import checked
from sophia.hdc.sequences import BindSequence, BundleSequence, DistinctSequence, Sequence, ngrams
from sophia.hdc.space import Space
from sophia.hdc.spectral import phasors, turned
from sophia.hdc.summed import Summed

__all__ = [
    "BindSequence",
    "BundleSequence",
    "DistinctSequence",
    "Graph",
    "HashTable",
    "Multiset",
    "Sequence",
    "Tree",
    "ngrams",
]

_MOST = 65_536  # what an item memory finds in one call
_ROLE = "\x1ftree "  # names that begin so are the library's own


class Multiset(Summed):
    """Vectors, each as often as it was added.

    >>> space = Space("bsc")
    >>> fruit = Multiset(space)
    >>> for name in ("apple", "pear", "apple"):
    ...     fruit.add(space.random(name))
    >>> [round(fruit.contains(space.random(name)), 1) for name in ("apple", "pear")]
    [0.9, 0.4]
    >>> fruit.remove(space.random("apple"))
    >>> len(fruit), round(fruit.count(space.random("apple")))
    (2, 1)
    """

    def add(self, vectors: Any, count: int = 1) -> None:
        """Adds a vector, or each of a list or matrix, `count` times. Raises as `Sums.add` does."""
        self._sums.add(vectors, count)

    def remove(self, vector: Any, count: int = 1) -> None:
        """Takes a vector out, `count` times. ValueError where more would be taken than are in, and where it certainly
        was never added; what cannot be told is believed."""
        self._sums.subtract(vector, count)

    def contains(self, vector: Any) -> float:
        """Cosine of the sums with a vector: about 1 / sqrt(size) for one that is in once, about 0 for others, and 0.0
        for an empty multiset. Of the sums, not of `vector`, as that recalls more."""
        return self._sums.similarity(vector)

    def count(self, vector: Any) -> float:
        """About how often a vector is in: right on average, with a deviation of sqrt(size / dim)."""
        one = checked(self.space, vector, "vector")
        if self.space.model in ("bsc", "map"):
            signs = self.space.array(one).astype(numpy.int64)
            return int(self._sums.numbers @ signs) / self.space.dim
        norm = float(numpy.linalg.norm(one.astype(numpy.complex128))) ** 2
        return float(numpy.vdot(one, self._sums.numbers).real) / norm if norm else 0.0

    def find(self, memory: ItemMemory | None = None, threshold: float | None = None, most: int = _MOST) -> list[Hit]:
        """The items of a memory that are in, best first, `most` of them: those whose similarity to the sums reaches the
        threshold, by default what as many items would reach by chance once in a thousand times."""
        return self._all(self._sums.numbers, memory, threshold, most)


class HashTable(Summed):
    """Pairs of keys and values: the sum of their products. Asked for a key, it gives a noisy value, which an item
    memory cleans up.

    `memory` has the values that there may be. Without one the table keeps one itself, with each distinct value that was
    ever added, under numbers from 0 on; that costs a vector a value, until clear(). So `remove` and `replace` need no
    old value in hand: it is looked up there, and where that is not sure (it is not above chance, or the next is nearly
    as good) LookupError is raised and nothing changes.

        >>> space = Space("bsc")
        >>> names = ItemMemory(space)
        >>> for name in ("Mexico", "peso", "USA", "dollar"):
        ...     names.add(name, space.random(name))
        >>> country = HashTable(space, names)
        >>> country.add(space.random("name"), names["Mexico"])
        >>> country.add(space.random("money"), names["peso"])
        >>> country.replace(space.random("money"), names["dollar"])
        >>> country.find(space.random("money")).key, country.find(space.random("colour")).key
        ('dollar', None)
    """

    def __init__(self, space: Space, memory: ItemMemory | None = None) -> None:
        super().__init__(space, ItemMemory(space) if memory is None else memory)
        self._keeps = memory is None
        self._numbers: dict[bytes, int] = {}

    def __copy__(self) -> Self:
        """One of its own with the same in it; the item memory is shared, unless the table keeps it itself."""
        made = super().__copy__()
        if self._keeps and self.memory is not None:
            made.memory, made._numbers = self.memory.copy(), dict(self._numbers)
        return made

    def clear(self) -> None:
        """Back to nothing; values that the table keeps itself are forgotten."""
        super().clear()
        if self._keeps and self.memory is not None:
            self.memory.clear()
            self._numbers.clear()

    def add(self, key: Any, value: Any) -> None:
        """Adds a pair. A key may be added twice; it then has two values, and neither is sure."""
        one = checked(self.space, value, "value")
        self._sums.add(self._pair(key, one))
        self._keep(one)

    def remove(self, key: Any, value: Any = None) -> None:
        """Removes a pair, whose value is given or looked up. LookupError where that is not sure, ValueError where the
        pair certainly is not there or the table is empty; nothing changes then."""
        self._sums.subtract(self._pair(key, self._old(key, value, "remove")))

    def replace(self, key: Any, value: Any, old: Any = None) -> None:
        """Gives a key another value; the old one is given or looked up. Raises as remove() does."""
        fresh = checked(self.space, value, "value")
        changed = self._sums.copy()
        changed.subtract(self._pair(key, self._old(key, old, "replace")))
        changed.add(self._pair(key, fresh))
        self._sums = changed
        self._keep(fresh)

    def get(self, key: Any) -> Any:
        """The value of a key, as far as one vector tells: noisy where there are others. ValueError while the table is
        empty."""
        return self._sums.unbound_vector(checked(self.space, key, "key"))

    def find(self, key: Any, memory: ItemMemory | None = None, threshold: float | None = None) -> Hit:
        """The value of a key among the items of the memory; its key there is None where the similarity is below the
        threshold (default: `ItemMemory.threshold`)."""
        return self._best(self._sums.unbound(key), memory, threshold)

    def contains(self, key: Any, value: Any) -> float:
        """Cosine of the sums with a pair: about 1 / sqrt(size) for one that is in, else about 0."""
        return self._sums.similarity(self._pair(key, checked(self.space, value, "value")))

    def _pair(self, key: Any, value: Any) -> Any:
        return self.space.bind(checked(self.space, key, "key"), checked(self.space, value, "value"))

    def _old(self, key: Any, value: Any, what: str) -> Any:
        if not self:
            message = f"{what}: the table is empty; add() a pair first"
            raise ValueError(message)
        return self._sure(self._sums.unbound(key), f"{what}: the value of the key") if value is None else value

    def _keep(self, value: Any) -> None:
        if self._keeps and self.memory is not None:
            from hashlib import blake2b

            digest = blake2b(numpy.asarray(value).tobytes(), digest_size=16).digest()
            if digest not in self._numbers:
                self.memory.add(len(self._numbers), value)
                self._numbers[digest] = len(self._numbers)


class Graph(Summed):
    """Edges between nodes: the sum of the products of their ends; of a directed one the second end is permuted (HRR:
    its frequencies are rotated), so that it has a direction.

        >>> space = Space("bsc")
        >>> nodes = ItemMemory(space)
        >>> for name in "abcd":
        ...     nodes.add(name, space.random(name))
        >>> roads = Graph(space, nodes, directed=True)
        >>> for start, end in ("ab", "ac", "da"):
        ...     roads.add_edge(nodes[start], nodes[end])
        >>> sorted(hit.key for hit in roads.find_neighbours(nodes["a"]))
        ['b', 'c']
        >>> [hit.key for hit in roads.find_neighbours(nodes["a"], outgoing=False)]
        ['d']
        >>> roads.contains(nodes["a"], nodes["b"]) > 0.4 > 0.1 > roads.contains(nodes["b"], nodes["a"])
        True
    """

    def __init__(self, space: Space, memory: ItemMemory | None = None, *, directed: bool = False) -> None:
        super().__init__(space, memory)
        self.directed = directed

    def add_edge(self, a: Any, b: Any) -> None:
        """Adds an edge from a to b. ValueError for a loop of an undirected graph in BSC or MAP, where the product of a
        node with itself is the same for all nodes."""
        self._sums.add(self._edge(a, b))

    def remove_edge(self, a: Any, b: Any) -> None:
        """Removes an edge. ValueError where the graph has none, and where this one certainly is not there."""
        self._sums.subtract(self._edge(a, b))

    def contains(self, a: Any, b: Any) -> float:
        """Cosine of the sums with an edge: about 1 / sqrt(edges) for one that is in, else about 0."""
        return self._sums.similarity(self._edge(a, b))

    def neighbours(self, node: Any, *, outgoing: bool = True) -> Any:
        """The bundle of a node's neighbours, as far as one vector tells: those that edges lead to, or (directed, not
        `outgoing`) come from. ValueError while the graph has no edge."""
        one = checked(self.space, node, "node")
        if self.directed and not outgoing:
            return self._sums.unbound_vector(self.space.rotate(one))
        found = self._sums.unbound_vector(one)
        return self.space.rotate(found, -1) if self.directed else found

    node_neighbors = neighbours

    def find_neighbours(
        self,
        node: Any,
        memory: ItemMemory | None = None,
        threshold: float | None = None,
        most: int = _MOST,
        *,
        outgoing: bool = True,
    ) -> list[Hit]:
        """The items of the memory that are neighbours of a node, best first, `most` of them: those whose similarity
        reaches the threshold (default: `ItemMemory.threshold`)."""
        return self._all(self._around(node, outgoing), memory, threshold, most)

    def _edge(self, a: Any, b: Any) -> Any:
        x, y = checked(self.space, a, "a"), checked(self.space, b, "b")
        if self.directed:
            return self.space.bind(x, self.space.rotate(y))
        if self.space.model in ("bsc", "map") and x == y:
            message = "a and b are one node; in an undirected graph such a loop would say nothing of it"
            raise ValueError(message)
        return self.space.bind(x, y)

    def _around(self, node: Any, outgoing: bool) -> NDArray[Any]:
        one = checked(self.space, node, "node")
        if not self.directed:
            return self._sums.unbound(one)
        if not outgoing:
            return self._sums.unbound(self.space.rotate(one))
        found = self._sums.unbound(one)
        if self.space.model != "hrr":
            return numpy.roll(found, -1)
        return numpy.fft.irfft(turned(numpy.fft.rfft(found), self.space.dim, -1), n=self.space.dim)


class Tree:
    """A binary tree with values at its leaves: each is bound with the product of the turns that lead to it, of which
    turn i is permuted i times.

        >>> space = Space("map")
        >>> letters = ItemMemory(space)
        >>> for letter in "abc":
        ...     letters.add(letter, space.random(letter))
        >>> tree = Tree(space, letters)
        >>> tree.add_leaf(letters["a"], ["left"])
        >>> tree.add_leaf(letters["b"], ["right", "left"])
        >>> tree.add_leaf(letters["c"], ["right", "right"])
        >>> tree.find_leaf(["right", "left"]).key, tree.find_leaf(["left", "right"]).key
        ('b', None)
    """

    def __init__(self, space: Space, memory: ItemMemory | None = None) -> None:
        self._table = HashTable(space, memory)
        self.space = space
        self._turns = {name: self._turn(name) for name in ("left", "right")}

    def __len__(self) -> int:
        return len(self._table)

    @property
    def size(self) -> int:
        """How many leaves it has."""
        return len(self._table)

    @property
    def memory(self) -> ItemMemory | None:
        """The item memory of the values: the given one, or the one that the tree keeps (see HashTable)."""
        return self._table.memory

    @property
    def vector(self) -> Any:
        """All of it as one hypervector. ValueError while it is empty."""
        return self._table.vector

    @property
    def sums(self) -> NDArray[Any]:
        """The exact sums behind `vector`; a copy."""
        return self._table.sums

    def clear(self) -> None:
        """Back to nothing."""
        self._table.clear()

    def add_leaf(self, value: Any, path: Listed[str]) -> None:
        """Adds a leaf at the end of a path, a list of "left" and "right". ValueError for an empty path, another word in
        it, or one as long as half the dimension."""
        self._table.add(self._way(path), value)

    def remove_leaf(self, path: Listed[str], value: Any = None) -> None:
        """Removes the leaf at the end of a path; its value is given or looked up. Raises as `HashTable.remove` does."""
        self._table.remove(self._way(path), value)

    def replace_leaf(self, path: Listed[str], value: Any, old: Any = None) -> None:
        """Puts another value there; the old one is given or looked up. Raises as `HashTable.replace` does."""
        self._table.replace(self._way(path), value, old)

    def get_leaf(self, path: Listed[str]) -> Any:
        """The value at the end of a path, as far as one vector tells. ValueError for a path that cannot be, or an empty
        tree."""
        return self._table.get(self._way(path))

    def find_leaf(self, path: Listed[str], memory: ItemMemory | None = None, threshold: float | None = None) -> Hit:
        """The value at the end of a path among the items of the memory; its key is None where the similarity is below
        the threshold (default: `ItemMemory.threshold`), as it is where there is no leaf."""
        return self._table.find(self._way(path), memory, threshold)

    def _turn(self, name: str) -> Any:
        """The vector of a turn; in HRR of frequencies that all have the same magnitude, so that long paths do not
        fade."""
        made = self.space.random(_ROLE + name)
        if self.space.model == "hrr":
            spectrum = phasors(numpy.fft.rfft(made.astype(numpy.float64)))
            return numpy.fft.irfft(spectrum, n=self.space.dim).astype(numpy.float32)
        return made

    def _way(self, path: Listed[str]) -> Any:
        if isinstance(path, str) or not isinstance(path, Listed):
            message = f'path is {path!r}; it is a list of "left" and "right"'
            raise TypeError(message)
        if not 1 <= len(path) < self.space.dim // 2:
            message = f"path has {len(path)} turns; from 1 to {self.space.dim // 2 - 1} can be told apart"
            raise ValueError(message)
        product = None
        for depth, name in enumerate(path):
            if name not in self._turns:
                message = f'path: turn {depth} is {name!r}; it is "left" or "right"'
                raise ValueError(message)
            turn = self.space.rotate(self._turns[name], depth) if depth else self._turns[name]
            product = turn if product is None else self.space.bind(product, turn)
        return product

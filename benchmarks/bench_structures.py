"""How much one hypervector of 10,000 components holds: structures of the four models, beside torchhd.

Both sides are given the same vectors. A structure recalls n things when at least 99 % of what is asked for is found
first among 1,024 items (of a multiset of n: among 2 n); the figure is the largest such n, by bisection on a scale of
steps of 9 % that ends at 1,024. torchhd gets its best form: all vectors of a structure are bundled at once, since one
by one its BSC forgets what came first.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.bench_hdc import peer
from benchmarks.harness import Bar, Row, Suite

DIM = 10_000
ITEMS = 1_024
ASKED = 300
SCALE = [round(16 * 2 ** (step / 8)) for step in range(49)]  # 16 to 1,024
NEEDED = 0.99

Recall = Callable[[int], float]


def most(recall: Recall) -> int:
    """The largest n of the scale that is recalled, by bisection; 0 where not even the least is."""
    low, high = -1, len(SCALE)
    while high - low > 1:
        middle = (low + high) // 2
        if recall(SCALE[middle]) >= NEEDED:
            low = middle
        else:
            high = middle
    return SCALE[low] if low >= 0 else 0


def asked(n: int) -> np.ndarray:
    """Which of n things are asked for."""
    return np.random.default_rng(n).permutation(n)[:ASKED]


def picks(n: int) -> np.ndarray:
    """n different items."""
    return np.random.default_rng([n, 1]).permutation(ITEMS)[:n]


def paths(n: int) -> list[list[str]]:
    """n different paths of the same length."""
    depth = max(1, (n - 1).bit_length())
    return [["right" if number >> turn & 1 else "left" for turn in range(depth)] for number in range(n)]


class Ours:
    """The structures of sophia."""

    def __init__(self, model: str) -> None:
        from sophia.hdc import ItemMemory, Space

        self.space = Space(model, DIM)
        self.items = ItemMemory(self.space)
        self.items.add_many(self.space.random_rows(ITEMS, "item"))
        self.keys = self.space.random_rows(2 * SCALE[-1], "key")

    def multiset(self, n: int) -> float:
        from sophia.hdc import ItemMemory, Multiset

        memory, chosen = ItemMemory(self.space), Multiset(self.space)
        memory.add_many(self.keys[: 2 * n])
        chosen.add(self.keys[:n])
        best = memory.nearest(chosen.sums, n)
        return float(np.mean([hit.key < n for hit in best]))

    def sequence(self, n: int) -> float:
        from sophia.hdc import BundleSequence

        line, order = BundleSequence(self.space, self.items), picks(n)
        for item in order:
            line.append(self.items[int(item)])
        return float(np.mean([line.find(int(at), threshold=-1.0).key == order[at] for at in asked(n)]))

    def table(self, n: int) -> float:
        from sophia.hdc import HashTable

        table, order = HashTable(self.space, self.items), picks(n)
        keys = [self.space.vector(key) for key in self.keys[:n]]
        for key, item in zip(keys, order, strict=True):
            table.add(key, self.items[int(item)])
        return float(np.mean([table.find(keys[at], threshold=-1.0).key == order[at] for at in asked(n)]))

    def graph(self, n: int) -> float:
        from sophia.hdc import Graph

        graph, order = Graph(self.space, self.items, directed=True), np.random.default_rng(n).permutation(ITEMS)
        ends = np.roll(order, 1)  # a ring: each node has one edge to it and one from it
        for start, end in zip(order[:n], ends[:n], strict=True):
            graph.add_edge(self.items[int(start)], self.items[int(end)])
        found = [graph.find_neighbours(self.items[int(order[at])], threshold=-1.0, most=1)[0].key for at in asked(n)]
        return float(np.mean([key == ends[at] for key, at in zip(found, asked(n), strict=True)]))

    def tree(self, n: int) -> float:
        from sophia.hdc import Tree

        tree, order, ways = Tree(self.space, self.items), picks(n), paths(n)
        for way, item in zip(ways, order, strict=True):
            tree.add_leaf(self.items[int(item)], way)
        return float(np.mean([tree.find_leaf(ways[at], threshold=-1.0).key == order[at] for at in asked(n)]))


class Theirs:
    """The structures of torchhd, from the same vectors."""

    def __init__(self, torchhd: ModuleType, ours: Ours) -> None:
        import torch

        from sophia.hdc import Tree

        self.torch, self.torchhd = torch, torchhd
        space = ours.space
        kind = {"bsc": "BSC", "map": "MAP", "hrr": "HRR", "fhrr": "FHRR"}[space.model]
        cls = getattr(torchhd, f"{kind}Tensor")

        def moved(rows: np.ndarray) -> Any:
            numbers = space.array(rows)
            if kind == "BSC":
                numbers = numbers < 0
            elif kind == "MAP":
                numbers = numbers.astype(np.float32)
            return torch.from_numpy(np.ascontiguousarray(numbers)).as_subclass(cls)

        self.items, self.keys = moved(ours.items.rows), moved(ours.keys)
        turns = Tree(space)._turns
        self.turns = moved(np.stack([np.asarray(turns[name]) for name in ("left", "right")]))

    def _right(self, noisy: list[Any], wanted: np.ndarray) -> float:
        """The share of vectors that are most like the item that they should be."""
        found = self.torchhd.cosine_similarity(self.torch.stack(noisy), self.items).argmax(1)
        return float((found.numpy() == wanted).mean())

    def multiset(self, n: int) -> float:
        chosen = self.torchhd.structures.Multiset(self.torchhd.multiset(self.keys[:n]), size=n)
        scores = np.array([float(chosen.contains(key)) for key in self.keys[: 2 * n]])
        return float((np.argsort(-scores, kind="stable")[:n] < n).mean())

    def sequence(self, n: int) -> float:
        order = picks(n)
        line = self.torchhd.structures.BundleSequence.from_tensor(self.items[self.torch.from_numpy(order)])
        return self._right([line[int(at)] for at in asked(n)], order[asked(n)])

    def table(self, n: int) -> float:
        order = picks(n)
        values = self.items[self.torch.from_numpy(order)]
        table = self.torchhd.structures.HashTable.from_tensors(self.keys[:n], values)
        return self._right([table.get(self.keys[int(at)]) for at in asked(n)], order[asked(n)])

    def graph(self, n: int) -> float:
        order = np.random.default_rng(n).permutation(ITEMS)
        ends = np.roll(order, 1)
        graph = self.torchhd.structures.Graph(self.items[0], directed=True)
        pairs = zip(order[:n], ends[:n], strict=True)
        edges = [graph.encode_edge(self.items[int(start)], self.items[int(end)]) for start, end in pairs]
        graph.value = self.torchhd.multiset(self.torch.stack(edges))
        around = [graph.node_neighbors(self.items[int(order[at])]) for at in asked(n)]
        return self._right(around, ends[asked(n)])

    def tree(self, n: int) -> float:
        order, ways = picks(n), [[turn[0] for turn in way] for way in paths(n)]
        tree = self.torchhd.structures.Tree(DIM)
        tree.l_r = self.turns
        leaves = []
        for way, item in zip(ways, order, strict=True):
            tree.value = self.torch.zeros_like(self.items[0])
            leaf = self.items[int(item)]
            for depth, turn in enumerate(way):
                branch = tree.left if turn == "l" else tree.right
                leaf = self.torchhd.bind(leaf, self.torchhd.permute(branch, shifts=depth))
            leaves.append(leaf)
        tree.value = self.torchhd.multiset(self.torch.stack(leaves))
        return self._right([tree.get_leaf(ways[at]) for at in asked(n)], order[asked(n)])


def run() -> Suite:
    suite = Suite("structures", ("numpy", "torch-hd", "torch"))
    torchhd = peer(suite, "torchhd", "torchhd")
    if torchhd is not None:
        import torch

        torch.set_num_threads(1)
    for model in ("bsc", "map", "hrr", "fhrr"):
        ours = Ours(model)
        theirs = Theirs(torchhd, ours) if torchhd is not None else None
        for name in ("multiset", "sequence", "table", "graph", "tree"):
            reached = most(getattr(ours, name))
            peers = {} if theirs is None else {"torchhd": float(most(getattr(theirs, name)))}
            bars = [Bar("as many as torchhd recalls", reached, ">=", limit) for limit in peers.values()]
            note = "" if peers else "no peer: torchhd is not installed"
            suite.add(Row(f"{name}, {model}, recalled at 99 %", "things", reached, peers, bars, note))
    return suite

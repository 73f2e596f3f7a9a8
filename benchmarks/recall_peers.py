"""The rows, the peers and the cold files of the suite `recall`, and what makes answers of all sides comparable."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.bench_hdc import peer
from benchmarks.bench_memory import BYTES, DIM
from benchmarks.harness import Contender, Suite
from sophia._core import hdc

BATCH = 10_000

Rows = np.ndarray
Hits = list[tuple[int, int]]  # (distance, id), the nearest first


class Peers:
    """The modules of those that are installed, None for the others."""

    def __init__(self, suite: Suite) -> None:
        self.pa: Any = peer(suite, "pyarrow", "LanceDB and pylance")
        self.lancedb: Any = peer(suite, "lancedb", "LanceDB, and pylance, which reads its table") if self.pa else None
        self.lance: Any = peer(suite, "lance", "pylance") if self.lancedb else None
        self.usearch: Any = peer(suite, "usearch.index", "usearch")
        self.faiss: Any = peer(suite, "faiss", "FAISS")
        if self.faiss is not None:
            self.faiss.omp_set_num_threads(1)

    def arrow(self, rows: Rows, first: int) -> Any:
        """A table for LanceDB, with ids from `first`."""
        flat = self.pa.array(np.ascontiguousarray(rows[:, :BYTES]).reshape(-1))
        ids = self.pa.array(np.arange(first, first + len(rows)))
        return self.pa.table({"id": ids, "vector": self.pa.FixedSizeListArray.from_arrays(flat, BYTES)})

    def flat(self, rows: Rows) -> Any:
        """FAISS's index of all rows, which come in steps, as in the ingest."""
        index = self.faiss.IndexBinaryFlat(8 * rows.shape[1])
        for start in range(0, len(rows), BATCH):
            index.add(rows[start : start + BATCH])
        return index


def lance_nearest(table: Any, query: object) -> Any:
    """Ids and distances of LanceDB's ten nearest; for a list of queries those of each."""
    return table.search(query).distance_type("hamming").limit(10).select(["id", "_distance"]).to_arrow()


def pylance_nearest(pa: ModuleType, dataset: Any, query: Rows) -> Any:
    """The same of pylance, for one query."""
    near = {"column": "vector", "q": pa.array(query), "k": 10, "metric": "hamming"}
    return dataset.to_table(columns=["id", "_distance"], nearest=near)


# ---------------------------------------------------------------------------------------------------- rows


def uniform(many: int, name: str) -> Rows:
    """Random rows of 10,000 bits, padded to 1,280 bytes."""
    return np.asarray(hdc.random_rows(many, name, dim=DIM))


def flips(many: int, name: str) -> Rows:
    """Rows whose bits are 1 with a probability of 51/256, which is .2 but for a thousandth."""
    made = uniform(many, f"{name} 0")
    for number, one in enumerate((1, 0, 0, 1, 1, 0, 0), 1):  # the digits of 51, from the second lowest
        drawn = uniform(many, f"{name} {number}")
        made = made | drawn if one else made & drawn
    return made


def clustered(many: int, per_cluster: int, asked: int) -> tuple[Rows, Rows]:
    """Prototypes with a fifth of their bits flipped, in random order, and queries that are made the same way."""
    centres = uniform(many // per_cluster, "prototypes")
    draw = np.random.default_rng(per_cluster)
    member = draw.permutation(np.arange(many) % len(centres))
    rows = np.empty((many, centres.shape[1]), dtype=np.uint8)
    for start in range(0, many, BATCH):
        own = centres[member[start : start + BATCH]]
        rows[start : start + BATCH] = own ^ flips(len(own), f"rows {start}")
    return rows, centres[draw.integers(0, len(centres), asked)] ^ flips(asked, "queries")


def packed(rows: Rows) -> list[Rows]:
    """As they are remembered and asked for: 1,250 bytes each."""
    return list(rows[:, :BYTES])


# ---------------------------------------------------------------------------------------------------- answers


def distances(rows: Rows, query: Rows) -> np.ndarray:
    """Numpy's, in blocks that the caches hold."""
    words, asked = rows.view(np.uint64), query.view(np.uint64)
    made = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), 512):
        made[start : start + 512] = np.bitwise_count(words[start : start + 512] ^ asked).sum(axis=1)
    return made


def nearest(rows: Rows, query: Rows, k: int = 10) -> Hits:
    """Numpy's exact answer; of equal ones the lower ids."""
    far = distances(rows, query)
    places = np.flatnonzero(far <= np.partition(far, k - 1)[k - 1])
    order = places[np.lexsort((places, far[places]))][:k]
    return [(int(far[at]), int(at) + 1) for at in order]


def answers(found: Any) -> list[Hits]:
    """What any side gave back, for each query."""
    if isinstance(found, tuple):  # FAISS
        return [_hits(far, places + 1) for far, places in zip(*found, strict=True)]
    if hasattr(found, "column_names"):  # an Arrow table
        far, ids = (np.asarray(found[name]) for name in ("_distance", "id"))
        if "query_index" not in found.column_names:
            return [_hits(far, ids)]
        numbers = np.asarray(found["query_index"])
        return [_hits(far[numbers == number], ids[numbers == number]) for number in range(numbers.max() + 1)]
    if hasattr(found, "keys"):  # usearch
        every = zip(np.atleast_2d(found.distances), np.atleast_2d(found.keys), strict=True)
        return [_hits(far, keys + 1) for far, keys in every]
    if isinstance(found[0], tuple):  # numpy
        return [found]
    if hasattr(found[0], "distance"):  # one recall of ours
        return [[(memory.distance, memory.id) for memory in found]]
    return [answers(one)[0] for one in found]


def _hits(far: np.ndarray, ids: np.ndarray) -> Hits:
    return [(int(distance), int(id)) for distance, id in zip(far, ids, strict=True)]


def check(sides: Mapping[str, Contender], rows: Rows, queries: Rows) -> None:
    """Compares the answers of what will be timed with numpy's; those that tie for the last place may be others."""
    wanted = [nearest(rows, query) for query in queries]
    for side, contender in sides.items():
        found = answers(eval(contender.statement, dict(contender.names)))
        if side.startswith("sophia"):
            assert found == wanted[: len(found)], f"{side} differs from numpy"
        for hits, best, query in zip(found, wanted, queries, strict=False):
            last = best[-1][0]
            assert sorted(hit for hit in hits if hit[0] < last) == [hit for hit in best if hit[0] < last], side
            assert sorted(distance for distance, _ in hits) == [distance for distance, _ in best], side
            own = distances(rows[[id - 1 for _, id in hits]], query)
            assert own.tolist() == [distance for distance, _ in hits], side
            assert len(set(hits)) == len(hits), side


# ---------------------------------------------------------------------------------------------------- files


def size_of(folder: Path) -> tuple[int, int]:
    """Files, and their bytes."""
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    return len(sizes), sum(sizes)


def drop(files: Sequence[Path]) -> None:
    """Takes files out of the page cache: first out of this process, since pages that are mapped stay."""
    wanted = {str(file) for file in files}
    advise = ctypes.CDLL(None).madvise
    for start, end, path in _mappings():
        if path in wanted:
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), 4)  # MADV_DONTNEED
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)  # what is not written stays, too
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _mappings() -> Iterator[tuple[int, int, str]]:
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        where, *_, path = line.split(maxsplit=5)
        start, end = (int(number, 16) for number in where.split("-"))
        yield start, end, path


def disk_reads() -> int:
    """Bytes that this process had read from the disk."""
    said = Path("/proc/self/io").read_text(encoding="ascii")
    return int(said.split("read_bytes: ")[1].split()[0])

"""Borrowed memory: bounded, aligned, taken back at once, and never seen through an old handle."""

from __future__ import annotations

import numpy as np
import pytest

from sophia._core import hdc
from sophia._core.arena import ArenaMark, HDCArena
from sophia.errors import ArenaFull, StaleArenaError


def address(vector: object) -> int:
    return np.asarray(vector).ctypes.data


def test_blocks_are_aligned_and_disjoint() -> None:
    arena = HDCArena()
    vectors = [hdc.random(i, dim=dim, arena=arena) for i, dim in enumerate([64, 100, 10_000, 777])]
    starts = [address(vector) for vector in vectors]
    assert all(start % 64 == 0 for start in starts)
    assert all(b - a >= v.nbytes for a, b, v in zip(starts, starts[1:], vectors, strict=False))
    assert [v.tobytes() for v in vectors] == [hdc.random(i, dim=v.dim).tobytes() for i, v in enumerate(vectors)]
    assert all(vector.borrowed for vector in vectors)
    assert arena.bytes_used == sum(vector.nbytes for vector in vectors)


def test_reset_reuses_the_same_memory_and_stales_what_was_lent() -> None:
    arena = HDCArena()
    first = hdc.random("a", arena=arena)
    where = address(first)
    arena.reset()
    assert arena.bytes_used == 0
    second = hdc.random("b", arena=arena)
    assert address(second) == where
    for use in (
        lambda: first.tobytes(),
        lambda: memoryview(first),
        lambda: first == second,
        lambda: second == first,
        lambda: first.copy(),
        lambda: first.freeze(),
        lambda: hdc.bind(first, second),
        lambda: hdc.bind(second, second, out=first),
        lambda: hdc.bundle([second, first]),
        lambda: hdc.permute(first, 1),
        lambda: hdc.hamming(second, first),
        lambda: hdc.topk(first, [second]),
        lambda: hdc.topk(second, [first]),
        lambda: hdc.convert(first, "MAP"),
        lambda: hdc.inverse(first),
    ):
        with pytest.raises(StaleArenaError):
            use()
    assert second == hdc.random("b")


def test_frozen_and_copied_vectors_outlive_the_reset() -> None:
    arena = HDCArena()
    borrowed = hdc.random("a", arena=arena)
    frozen, copied = borrowed.freeze(), borrowed.copy()
    arena.reset()
    hdc.random("b", arena=arena)
    assert frozen == copied == hdc.random("a")
    assert not copied.borrowed


def test_a_live_buffer_blocks_reset_and_rewind() -> None:
    arena = HDCArena()
    mark = arena.mark()
    vector = hdc.random("a", arena=arena)
    view = np.asarray(vector)
    assert arena.exports == 1
    for act in (arena.reset, lambda: arena.rewind(mark)):
        with pytest.raises(BufferError, match="1 exported buffer"):
            act()
    assert view.tobytes() == bytes(hdc.random("a"))
    del view
    arena.reset()


def test_marks_nest_and_older_vectors_stay() -> None:
    arena = HDCArena()
    old = hdc.random("old", arena=arena)
    mark = arena.mark()
    for round_ in range(5):
        fresh = [hdc.random(i, arena=arena) for i in range(10)]
        inner = arena.mark()
        hdc.random("inner", arena=arena)
        arena.rewind(inner)
        assert fresh[9] == hdc.random(9), round_
        arena.rewind(mark)
        assert arena.bytes_used == old.nbytes
        with pytest.raises(StaleArenaError):
            fresh[0].tobytes()
        with pytest.raises(StaleArenaError, match="undone"):
            arena.rewind(inner)
        assert old == hdc.random("old")
    with pytest.raises(ValueError, match="another arena"):
        HDCArena().rewind(mark)
    arena.reset()
    with pytest.raises(StaleArenaError):
        arena.rewind(mark)


def test_kept_vectors_between_rewinds_stay_valid() -> None:
    """Each round rewinds its scratch and keeps one vector; all that was kept is valid at the end."""
    arena = HDCArena()
    kept = []
    scratch = []
    for i in range(300):
        mark = arena.mark()
        scratch.append(hdc.random(i, 1, arena=arena))
        arena.rewind(mark)
        kept.append(hdc.random(i, arena=arena))
    assert kept == [hdc.random(i) for i in range(300)]
    for stale in scratch:
        with pytest.raises(StaleArenaError):
            stale.tobytes()


def test_a_mark_of_an_empty_arena() -> None:
    arena = HDCArena()
    mark = arena.mark()
    hdc.random("a", arena=arena)
    arena.rewind(mark)
    assert arena.bytes_used == 0


def test_chunks_are_kept_and_counted() -> None:
    arena = HDCArena(chunk_bytes=4096)
    for _ in range(20):
        for i in range(50):
            hdc.random(i, arena=arena)
        arena.reset()
        chunks = arena.chunk_allocations
    assert arena.chunk_allocations == chunks == -(-50 // 3)
    assert arena.high_water >= 50 * 1280
    assert arena.capacity == chunks * 4096


def test_the_byte_bound_refuses_and_changes_nothing() -> None:
    arena = HDCArena(chunk_bytes=4096, limit_bytes=8192)
    kept = [hdc.random(i, arena=arena) for i in range(6)]
    with pytest.raises(ArenaFull, match="limit of 8192") as caught:
        hdc.random(6, arena=arena)
    assert isinstance(caught.value, MemoryError)
    assert kept == [hdc.random(i) for i in range(6)]
    with pytest.raises(ArenaFull):
        hdc.random(0, dim=1 << 20, arena=arena)
    arena.reset()
    assert hdc.random(0, arena=arena) == hdc.random(0)


def test_a_vector_larger_than_a_chunk_gets_its_own() -> None:
    arena = HDCArena(chunk_bytes=4096)
    small = hdc.random("a", arena=arena)
    large = hdc.random("b", dim=1 << 17, arena=arena)
    assert small == hdc.random("a")
    assert large == hdc.random("b", dim=1 << 17)


def test_bad_sizes_and_hand_made_marks() -> None:
    with pytest.raises(ValueError, match="chunk_bytes=1 "):
        HDCArena(1)
    with pytest.raises(ValueError, match="limit_bytes=4096"):
        HDCArena(8192, 4096)
    with pytest.raises(TypeError, match=r"HDCArena.mark\(\)"):
        ArenaMark()
    with pytest.raises(ArenaFull):
        hdc.random("a", arena=HDCArena.__new__(HDCArena))


def test_the_arena_lives_as_long_as_its_vectors() -> None:
    vector = hdc.random("a", arena=HDCArena())
    assert vector == hdc.random("a")
    assert np.asarray(hdc.random("b", arena=HDCArena())).tobytes() == bytes(hdc.random("b"))


def test_out_and_arena_exclude_each_other() -> None:
    arena = HDCArena()
    with pytest.raises(ValueError, match="two places"):
        hdc.bind(hdc.random("a"), hdc.random("b"), out=hdc.identity(), arena=arena)
    with pytest.raises(ValueError, match="single hypervectors"):
        hdc.bind(hdc.random("a"), hdc.random_rows(2, "b"), arena=arena)

from __future__ import annotations

import doctest
import os
import pickle
import random
import struct
import subprocess
import sys
import threading
from array import array

import numpy as np
import pytest
from oracle import cuckoo as oracle

from sophia._core import cuckoo
from sophia._core.cuckoo import CuckooFilter, GenerationalFilter, MembershipFilter
from sophia.errors import FilterFull, ShapeError, StoreCorrupt, StoreVersionError

SIZES = [4, 6, 8, 10, 64, 254, 1000, 4098, 1 << 16, 261_782, 1 << 24, (1 << 31) + 2, (1 << 32) - 2]
TEXTS = ["", "a", "naïve", "\ud800", "x" * 5000, b"", b"\0"]
NUMBERS = [0, 2**64 - 1, 2**64, -1, -(2**70)]
CHANGE = bytes(8)


def keys_of(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64)


def lanes_of(dump: bytes) -> list[tuple[int, int]]:
    """(bucket, tag) of every lane in use, from the documented layout."""
    (size,) = struct.unpack_from("<Q", dump, 32)
    words = struct.unpack_from(f"<{4 * size}H", dump, 128)
    return [(i // 4, tag) for i, tag in enumerate(words) if tag]


def stash_of(dump: bytes) -> list[tuple[int, int]]:
    (stashed,) = struct.unpack_from("<I", dump, 48)
    pairs = struct.unpack_from("<16I", dump, 56)
    return [(pairs[2 * i], pairs[2 * i + 1]) for i in range(stashed)]


def test_doctests():
    results = doctest.testmod(cuckoo)
    assert results.attempted > 5
    assert results.failed == 0


def test_add_contains_discard():
    known = CuckooFilter(100)
    assert "a" not in known
    known.add("a")
    assert "a" in known
    assert len(known) == 1
    assert known.discard("a") is True
    assert known.discard("a") is False
    assert "a" not in known
    assert len(known) == 0
    assert known.nbytes == 8 * oracle.table_size(100)
    assert known.capacity == 100
    assert known.load_factor == 0.0
    assert repr(known) == "CuckooFilter(capacity=100, seed=0): 0 items"


@pytest.mark.parametrize("kind", [CuckooFilter, GenerationalFilter])
def test_keys_of_different_types_are_different(kind):
    known = kind(1000)
    known.add("1")
    assert "1" in known
    assert b"1" not in known
    assert 1 not in known
    assert ord("1") not in known
    known.add(1)
    assert known.discard("1")
    assert 1 in known
    assert np.uint64(1) in known
    assert True in known  # as in a set


@pytest.mark.parametrize("key", TEXTS + NUMBERS)
@pytest.mark.parametrize("seed", [0, 5, 2**64 - 1])
def test_key_hash_is_the_documented_one(key, seed):
    known = CuckooFilter(10, seed=seed)
    assert known.key_hash(key) == oracle.key_hash(key, seed)
    known.add(key)
    assert key in known


@pytest.mark.parametrize("key", [1.0, None, (1,), bytearray(b"a"), memoryview(b"a")])
def test_wrong_key_type(key):
    known = CuckooFilter(10)
    for call in (known.add, known.__contains__, known.discard, known.key_hash):
        with pytest.raises(TypeError, match="str, bytes or an integer"):
            call(key)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="capacity"):
        CuckooFilter(0)
    with pytest.raises(ValueError, match="capacity"):
        CuckooFilter(1 << 33)
    with pytest.raises(ValueError, match="seed"):
        CuckooFilter(1, seed=-1)
    with pytest.raises(ValueError, match="seed"):
        CuckooFilter(1, seed=1 << 64)
    with pytest.raises(ValueError, match="track_changes"):
        GenerationalFilter(1, track_changes=-1)
    with pytest.raises(TypeError):
        CuckooFilter(1.5)
    with pytest.raises(TypeError, match="common base"):
        MembershipFilter(5)


# The faults of other filters, each with the right outcome.


def test_bucket_comes_from_other_bits_than_the_tag():
    # a filter whose buckets follow from the tag alone has 16 bits of hash: 25 % false positives at load .25
    known = CuckooFilter(80_000)
    known.add_many(keys_of(1, 20_000))
    rate = known.contains_many(keys_of(2, 400_000)).mean()
    assert rate <= 2 * 8 / 65_535 * known.load_factor


def test_false_positive_rate_at_a_million():
    known = CuckooFilter(1_000_000)
    items = keys_of(3, 1_000_000)
    assert known.add_many(items) == 1_000_000
    assert known.load_factor >= 0.95
    assert known.contains_many(items).all()
    assert known.contains_many(keys_of(4, 1_000_000)).mean() <= 1.5e-4
    assert known.nbytes < 2_200_000


def test_colliding_items_are_two_entries():
    known = CuckooFilter(4, seed=1)
    seen: dict[tuple[int, int], int] = {}
    for key in range(10_000_000):  # two of them collide long before
        at = oracle.place(key, oracle.table_size(4), 1)
        if at in seen:
            break
        seen[at] = key
    known.add(key)
    known.add(seen[at])
    assert len(known) == 2
    assert known.discard(key)
    assert seen[at] in known
    assert known.discard(seen[at])
    assert seen[at] not in known


@pytest.mark.parametrize("capacity", [1, 10, 100, 5000, 100_000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_refused_item_costs_no_accepted_one(capacity, seed):
    known = CuckooFilter(capacity, seed=seed)
    items = keys_of(seed, 2 * capacity + 100)
    with pytest.raises(FilterFull) as refusal:
        known.add_many(items)
    accepted = refusal.value.accepted
    assert accepted >= capacity
    assert len(known) == accepted
    assert known.full
    before = known.dump()
    assert known.contains_many(items[:accepted]).all()
    with pytest.raises(FilterFull, match="no room"):
        known.add_many(items[accepted:])
    if not known.contains_many(items[accepted : accepted + 1])[0]:
        assert known.dump()[128:] == before[128:]
    assert known.contains_many(items[:accepted]).all()
    assert known.discard_many(items[:accepted]).all()
    assert not known.full
    assert len(known) == 0


def test_no_item_has_the_empty_mark():
    known = CuckooFilter(100_000)
    items = keys_of(7, 100_000)
    known.add_many(items)
    dump = known.dump()
    # every item is in a lane or in the stash, so none was written as the empty tag
    assert len(lanes_of(dump)) + len(stash_of(dump)) == 100_000
    order = np.random.default_rng(1).permutation(100_000)
    for part in np.array_split(order, 10):
        assert known.discard_many(items[part]).all()
        items_left = np.delete(items, order[: 100_000 - len(known)])
        assert known.contains_many(items_left).all()


def test_duplicates_are_kept():
    known = CuckooFilter(100)
    known.add("x")
    known.add("x")
    assert len(known) == 2
    assert known.discard("x")
    assert "x" in known
    assert known.discard("x")
    assert "x" not in known


@pytest.mark.parametrize("capacity", [1, 8, 100, 10_000])
def test_ninth_copy_is_refused(capacity):
    known = CuckooFilter(capacity)
    for _ in range(8):
        known.add("x")
    for _ in range(3):
        with pytest.raises(FilterFull, match="8 copies"):
            known.add("x")
    assert not known.full  # other items still find room
    assert len(known) == 8
    if capacity > 8:
        known.add("y")
    for _ in range(8):
        assert known.discard("x")
    assert "x" not in known


def test_discard_of_the_unknown_changes_nothing():
    known = CuckooFilter(1000)
    items = keys_of(1, 500)
    known.add_many(items)
    before = known.dump()
    others = keys_of(2, 2000)
    others = others[~known.contains_many(others)]
    assert not known.discard_many(others).any()
    assert known.dump() == before


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_dump_answers_the_same_under_another_hash_seed(tmp_path, hash_seed):
    known = CuckooFilter(1000, seed=11)
    words = [f"word {i}" for i in range(300)]
    for word in words:
        known.add(word)
        known.add(word.encode())
    (tmp_path / "dump").write_bytes(known.dump())
    code = (
        "import sys\n"
        "from sophia._core.cuckoo import CuckooFilter\n"
        "known = CuckooFilter.load(open(sys.argv[1], 'rb').read())\n"
        "words = [f'word {i}' for i in range(300)]\n"
        "assert all(word in known and word.encode() in known for word in words)\n"
        "print(sum(f'other {i}' in known for i in range(300)), len(known))\n"
    )
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONWARNINGS": "ignore"}
    env["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "dump"], capture_output=True, text=True, check=True, env=env
    )
    assert run.stdout.split() == [str(sum(f"other {i}" in known for i in range(300))), "600"]


@pytest.mark.parametrize("size", SIZES)
def test_partner_is_its_own_inverse(size):
    rng = random.Random(size)
    buckets = [0, 1, size // 2, size - 2, size - 1] + [rng.randrange(size) for _ in range(200)]
    tags = [1, 2, 32_767, 32_768, 65_534, 65_535] + [rng.randrange(1, 65_536) for _ in range(20)]
    for bucket in buckets:
        for tag in tags:
            other = cuckoo._partner(bucket, tag, size)
            assert other == oracle.partner(bucket, tag, size)
            assert 0 <= other < size
            assert other != bucket
            assert cuckoo._partner(other, tag, size) == bucket


def test_every_lane_belongs_to_a_place_of_an_item():
    known = CuckooFilter(3000, seed=9)
    items = [int(key) for key in keys_of(5, 3000)]
    for key in items:
        known.add(key)
    size = oracle.table_size(3000)
    wanted = sorted(oracle.place(key, size, 9) for key in items)
    dump = known.dump()
    found = [(min(at, oracle.partner(at, tag, size)), tag) for at, tag in lanes_of(dump)] + stash_of(dump)
    assert sorted(found) == wanted


# Batches


def test_batch_equals_single():
    known = CuckooFilter(1000)
    items = array("Q", range(500))
    assert known.add_many(items) == 500
    assert all(i in known for i in range(500))
    found = known.contains_many(np.arange(1000, dtype=np.uint64))
    assert found.dtype == np.bool_
    assert [bool(x) for x in found] == [i in known for i in range(1000)]
    out = np.ones(1000, dtype=np.uint8)
    assert known.contains_many(np.arange(1000, dtype=np.uint64), out) is out
    assert (out == found).all()
    removed = known.discard_many(np.array([1, 1, 2], dtype=np.uint64))
    assert removed.tolist() == [True, False, True]
    assert known.contains_many(np.empty(0, dtype=np.uint64)).tolist() == []
    assert known.add_many(np.empty(0, dtype=np.uint64)) == 0


@pytest.mark.parametrize(
    "keys",
    [
        np.zeros(4, dtype=np.int64),
        np.zeros(4, dtype=np.float64),
        np.zeros(4, dtype=np.uint32),
        np.zeros((2, 2), dtype=np.uint64),
        np.zeros(8, dtype=np.uint64)[::2],
        np.zeros(4, dtype=">u8"),
        b"12345678",
    ],
)
def test_wrong_batches(keys):
    known = CuckooFilter(10)
    for call in (known.add_many, known.contains_many, known.discard_many):
        with pytest.raises(ShapeError):
            call(keys)


def test_wrong_out():
    known = CuckooFilter(10)
    keys = np.zeros(4, dtype=np.uint64)
    frozen = np.zeros(4, dtype=np.bool_)
    frozen.flags.writeable = False
    strided = np.zeros(8, np.bool_)[::2]
    for out in (np.zeros(3, np.bool_), np.zeros(4, np.int8), np.zeros(1, np.uint32), frozen, strided):
        with pytest.raises(ShapeError):
            known.contains_many(keys, out)
        with pytest.raises(ShapeError):
            known.discard_many(keys, out)
    with pytest.raises(TypeError):
        known.contains_many([1, 2])
    with pytest.raises(TypeError):
        known.contains_many(keys, [False] * 4)


# Dumps


@pytest.mark.parametrize("kind", [CuckooFilter, GenerationalFilter])
def test_dump_round_trip(kind):
    known = kind(300, seed=77)
    for i in range(450 if kind is GenerationalFilter else 306):
        known.add(i)
    again = kind.load(known.dump())
    assert again.dump() == known.dump()
    assert (len(again), again.seed, again.capacity, again.full) == (len(known), 77, 300, known.full)
    assert pickle.loads(pickle.dumps(known)).dump() == known.dump()
    # and it goes on in the same way
    for i in range(1000, 1200):
        outcomes = []
        for one in (known, again):
            try:
                one.add(i)
                outcomes.append(True)
            except FilterFull:
                outcomes.append(False)
        assert outcomes[0] == outcomes[1]
    assert again.dump() == known.dump()


@pytest.mark.parametrize("kind", [CuckooFilter, GenerationalFilter])
def test_damaged_dumps_are_refused(kind):
    known = kind(50)
    for i in range(40):
        known.add(i)
    dump = known.dump()
    for at in range(0, len(dump), 3):
        bad = bytearray(dump)
        bad[at] ^= 0x40
        with pytest.raises((StoreCorrupt, StoreVersionError)):
            kind.load(bad)
    for size in (0, 7, 8, 100, len(dump) - 1):
        with pytest.raises(StoreCorrupt):
            kind.load(dump[:size])
    with pytest.raises(StoreCorrupt):
        kind.load(dump + b"\0")
    newer = bytearray(dump)
    newer[8] = 2
    with pytest.raises(StoreVersionError):
        kind.load(newer)


def resigned(dump: bytes) -> bytes:
    from oracle.hash import hash_bytes

    return dump[:-16] + struct.pack("<QQ", *hash_bytes(dump[:-16], 0))


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (24, "<Q", 0),  # capacity
        (24, "<Q", 1 << 40),
        (24, "<Q", 51),
        (32, "<Q", 16),  # size
        (40, "<Q", 41),  # count
        (48, "<I", 9),  # stashed
        (48, "<I", 1),
        (128, "<Q", 0),  # a bucket
    ],
)
def test_impossible_dumps_are_refused(at, form, value):
    known = CuckooFilter(50)
    for i in range(40):
        known.add(i)
    bad = bytearray(known.dump())
    assert struct.unpack_from(form, bad, at)[0] != value
    struct.pack_into(form, bad, at, value)
    with pytest.raises(StoreCorrupt):
        CuckooFilter.load(resigned(bytes(bad)))


def test_kinds_do_not_load_each_other():
    with pytest.raises(StoreCorrupt, match="not a dumped"):
        CuckooFilter.load(GenerationalFilter(5).dump())
    with pytest.raises(StoreCorrupt, match="not a dumped"):
        GenerationalFilter.load(CuckooFilter(5).dump())


# Change log


@pytest.mark.parametrize("kind", [CuckooFilter, GenerationalFilter])
def test_dump_and_changes_make_the_filter(kind):
    rng = random.Random(3)
    known = kind(60, track_changes=10_000)
    assert known.drain_changes() == b""
    for step in range(5):
        known.add(step)
    base, log = known.dump(), known.drain_changes()
    assert log == b"".join(b"+" + step.to_bytes(8, "little") for step in range(5))
    logs = []
    for step in range(1500):
        key = rng.randrange(80)
        if rng.random() < 0.5:
            known.discard(key)
        else:
            try:
                known.add(key)
            except FilterFull:
                known.clear()
        if kind is GenerationalFilter and step % 400 == 0:
            known.rotate()
        if step % 100 == 0:
            logs.append(known.drain_changes())
    logs.append(known.drain_changes())
    again = kind.load(base, track_changes=5)
    for log in logs:
        assert again.apply_changes(log) == len(log) // 9
    assert again.dump() == known.dump()
    assert again.drain_changes() == b""  # a replay is not logged again


def test_changes_are_bounded():
    known = CuckooFilter(100, track_changes=3)
    for i in range(3):
        known.add(i)
    assert not known.changes_lost
    known.add(3)
    assert known.changes_lost
    assert known.drain_changes() is None
    assert not known.changes_lost
    known.discard(3)
    known.discard(3)  # changes nothing, is not logged
    assert known.drain_changes() == b"-" + (3).to_bytes(8, "little")
    assert CuckooFilter(5).drain_changes() == b""


@pytest.mark.parametrize("log", [b"+", b"?" + CHANGE, b"-" + CHANGE, b">" + CHANGE, (b"+" + CHANGE) * 9])
def test_wrong_change_logs(log):
    with pytest.raises(StoreCorrupt, match="change log"):
        CuckooFilter(5, track_changes=5).apply_changes(log)


# Generations


def test_generations_keep_at_least_capacity_and_at_most_twice():
    recent = GenerationalFilter(50, seed=4)
    for i in range(1000):
        recent.add(i)
        assert all(j in recent for j in range(max(0, i - 50), i + 1))
        assert len(recent) <= 100
    assert recent.rotations == 19
    old = sum(i in recent for i in range(850))
    assert old <= 2  # false positives only


def test_generations_refresh_and_discard():
    recent = GenerationalFilter(2)
    recent.add("keep")
    for word in "abcdefgh":
        recent.refresh("keep")
        recent.add(word)
    assert "keep" in recent
    recent.rotate()
    recent.refresh("keep")
    assert recent.discard("keep")  # both copies
    assert "keep" not in recent
    assert not recent.discard("keep")
    recent.clear()
    assert len(recent) == 0
    assert recent.rotations == 0


def test_generations_ninth_copy():
    recent = GenerationalFilter(100)
    for _ in range(8):
        recent.add("x")
    with pytest.raises(FilterFull):
        recent.add("x")
    assert recent.rotations == 0
    assert not recent.full


# Threads


@pytest.mark.stress
def test_batches_and_singles_from_several_threads():
    known = CuckooFilter(40_000, track_changes=200_000)
    base = keys_of(1, 10_000)
    known.add_many(base)
    known.drain_changes()
    stop = threading.Event()
    wrong: list[str] = []

    def churn(seed: int) -> None:
        mine = keys_of(seed, 5000)
        for _ in range(10):
            known.add_many(mine)
            if not known.contains_many(mine).all():
                wrong.append("own")
            if not known.discard_many(mine).all():
                wrong.append("discard")

    def look() -> None:
        while not stop.is_set():
            if not known.contains_many(base).all() or int(base[0]) not in known:
                wrong.append("base")
            CuckooFilter.load(known.dump())

    workers = [threading.Thread(target=churn, args=(seed,)) for seed in (10, 11)]
    reader = threading.Thread(target=look)
    for thread in [*workers, reader]:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    reader.join()
    assert not wrong
    assert len(known) == 10_000
    assert len(known.drain_changes()) == 200_000 * 9


def test_flags_over_the_keys_are_refused():
    keys = np.arange(10, dtype=np.uint64)
    known = CuckooFilter(100)
    known.add_many(keys)
    for call in (known.contains_many, known.discard_many):
        with pytest.raises(ValueError, match="out: overlaps the keys"):
            call(keys, keys.view(np.uint8)[40:50])
    assert known.contains_many(keys).all()

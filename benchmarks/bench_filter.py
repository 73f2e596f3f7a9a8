"""The cuckoo filter at a million items, beside Python's set and rbloom's Bloom filter."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np

from benchmarks.harness import Bar, Contender, Row, Suite
from sophia._core.cuckoo import CuckooFilter, GenerationalFilter
from sophia.errors import FilterFull

ITEMS = 1_000_000
RATE = 1.5e-4


def _keys(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, size, dtype=np.uint64)


def run() -> Suite:
    suite = Suite("filter", ("numpy", "rbloom", "xxhash", "blake3"))
    items, others = _keys(1, ITEMS), _keys(2, 8 * ITEMS)
    known = CuckooFilter(ITEMS)
    known.add_many(items)
    load = known.load_factor

    _check(suite, known, items, others, load)
    _lookups(suite, known, items, others[:ITEMS])
    _changes(suite, items)
    _hashes(suite, known)
    return suite


def _hashes(suite: Suite, known: CuckooFilter) -> None:
    """What a key costs: a text of 40 bytes and a packed hypervector, one call from Python each."""
    peers = {"xxhash xxh3_64": ("xxhash", "xxh3_64_intdigest(key)"), "blake3": ("blake3", "blake3(key).digest()")}
    for name, key in {
        "a text of 40 bytes": b"how do i turn on dark mode on my phone??"[:40],
        "1,250 bytes": bytes(1250),
    }.items():
        flipped = bytes([key[0] ^ 1]) + key[1:]
        if known.key_hash(key) == known.key_hash(flipped) or known.key_hash(key) != known.key_hash(bytes(key)):
            raise AssertionError("the key hash must see every bit, and nothing else")
        contenders = {"sophia": Contender("f.key_hash(key)", {"f": known, "key": key})}
        for peer, (module, statement) in peers.items():
            if importlib.util.find_spec(module) is None:
                suite.skip(peer, "pip install '.[bench]'")
                continue
            contenders[peer] = Contender(f"m.{statement}", {"m": importlib.import_module(module), "key": key})
        suite.compare(
            f"key hash of {name}", contenders, note="different functions, so only their own agreement is checked"
        )


def _check(suite: Suite, known: CuckooFilter, items: np.ndarray, others: np.ndarray, load: float) -> None:
    missing = int((~known.contains_many(items)).sum())
    suite.add(
        Row("false negatives", "of 1M", missing, bars=[Bar("no false negative", missing, "<=", 0)]),
    )
    rate = float(known.contains_many(others).mean())
    suite.add(Row("false positive rate", "", rate, bars=[Bar(f"FPR at load {load:.3f}", rate, "<=", RATE)]))
    suite.add(Row("load", "", load, bars=[Bar("load with every item accepted", load, ">=", 0.95)]))
    suite.add(Row("size", "bits an item", 8 * known.nbytes / ITEMS))
    brim = CuckooFilter(ITEMS)
    brim.add_many(items)
    try:
        brim.add_many(others)
    except FilterFull as refusal:
        kept = brim.contains_many(items).all() and brim.contains_many(others[: refusal.accepted]).all()
        suite.add(Row("load at the first refusal", "", brim.load_factor, note=f"every accepted item is kept: {kept}"))


def _lookups(suite: Suite, known: CuckooFilter, items: np.ndarray, others: np.ndarray) -> None:
    recent = GenerationalFilter(ITEMS)
    recent.add_many(items)
    out = np.empty(ITEMS, dtype=np.bool_)
    names = {"known": known, "recent": recent, "items": items, "others": others, "out": out}
    # peers have no batch call: their loop runs in C, by all() and any() over map()
    some = 100_000
    a_set = set(items.tolist())
    names |= {"a_set": a_set, "present": items[:some].tolist(), "absent": others[:some].tolist()}
    peers_hit = {"set": Contender("all(map(a_set.__contains__, present))", names, some)}
    peers_miss = {"set": Contender("any(map(a_set.__contains__, absent))", names, some)}
    if importlib.util.find_spec("rbloom"):
        from rbloom import Bloom

        names["bloom"] = bloom = Bloom(ITEMS, 1.2e-4)
        bloom.update(names["a_set"])
        assert all(map(bloom.__contains__, names["present"]))
        rate = sum(map(bloom.__contains__, names["absent"])) / some
        suite.add(Row("false positive rate of rbloom", "", rate, note="the peer, for comparison"))
        peers_hit["rbloom"] = Contender("all(map(bloom.__contains__, present))", names, some)
        peers_miss["rbloom"] = Contender("sum(map(bloom.__contains__, absent))", names, some)
    else:
        suite.skip("rbloom", "not installed")
    bar = "look-up in batch, ns"
    suite.compare(
        "contains_many, present",
        {
            "sophia": Contender("known.contains_many(items, out)", names, ITEMS),
            "two generations": Contender("recent.contains_many(items, out)", names, ITEMS),
            **peers_hit,
        },
        bars=lambda timings: [Bar(bar, timings["sophia"].median, "<=", 8.0)],
    )
    suite.compare(
        "contains_many, absent",
        {
            "sophia": Contender("known.contains_many(others, out)", names, ITEMS),
            "two generations": Contender("recent.contains_many(others, out)", names, ITEMS),
            **peers_miss,
        },
        bars=lambda timings: [Bar(bar, timings["sophia"].median, "<=", 8.0)],
    )
    text = "the disk is full on host 7"
    names |= {"number": int(items[0]), "text": text, "words": {text}}
    known.discard(int(items[1]))
    known.add(text)
    one = {
        "sophia": Contender("number in known", names),
        "sophia, str of 26": Contender("text in known", names),
        "set": Contender("number in a_set", names),
        "set, str of 26": Contender("text in words", names),
    }
    if "bloom" in names:
        one["rbloom"] = Contender("number in bloom", names)
    suite.compare("one look-up", one)


def _changes(suite: Suite, items: np.ndarray) -> None:
    names = {"CuckooFilter": CuckooFilter, "items": items, "listed": items.tolist(), "ITEMS": ITEMS}
    inserts = {
        "sophia": Contender("CuckooFilter(ITEMS).add_many(items)", names, ITEMS),
        "set": Contender("set(listed)", names, ITEMS),
    }
    if importlib.util.find_spec("rbloom"):
        from rbloom import Bloom

        names["Bloom"] = Bloom
        inserts["rbloom"] = Contender("Bloom(ITEMS, 1.2e-4).update(listed)", names, ITEMS)
    suite.compare("insert 1M, to load .955", inserts, repeats=5)
    names["churned"] = churned = CuckooFilter(ITEMS)
    churned.add_many(items)
    removed = np.empty(1000, dtype=np.bool_)
    names |= {"few": items[:1000].copy(), "removed": removed, "a_set": set(names["listed"])}
    names["few_listed"] = names["few"].tolist()
    suite.compare(
        "delete and insert again, at load .955",
        {
            "sophia": Contender("churned.discard_many(few, removed); churned.add_many(few)", names, 1000),
            "set": Contender("a_set.difference_update(few_listed); a_set.update(few_listed)", names, 1000),
        },
        note="rbloom cannot delete",
    )
    assert removed.all()
    assert churned.contains_many(items).all()

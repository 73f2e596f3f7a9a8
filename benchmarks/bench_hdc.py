"""Hypervector operations and searches against numpy, NumKong, FAISS and torchhd.

Vectors have 10,000 components: 1,250 bytes of bits, padded to 1,280. The searches run over a million rows in
one thread, in memory that starts on a cache line, as memory maps and Arrow buffers do.
"""

from __future__ import annotations

import ctypes
import statistics
from importlib import import_module
from types import ModuleType

import numpy as np

from benchmarks.harness import Bar, Contender, Row, Suite, Timing, interleave, ratio
from benchmarks.hdc_models import models

ROWS = 1_000_000
Words = np.ndarray


def peer(suite: Suite, name: str, what: str) -> ModuleType | None:
    try:
        return import_module(name)
    except ImportError as error:
        suite.skip(what, f"{name} is not installed ({error})")
        return None


def numpy_majority(rows: Words) -> Words:
    """Unpacked bits, summed."""
    counts = np.unpackbits(rows, axis=1).sum(0, dtype=np.uint8 if len(rows) < 256 else np.uint32)
    return np.packbits(counts > len(rows) // 2)


def numpy_bit_sliced(words: Words) -> Words:
    """A tree of bit-sliced adders over uint64 words: the fastest that numpy's operations allow."""
    planes = [words]
    while len(planes[0]) > 1:
        half = len(planes[0]) // 2
        left, carry = [], None
        for plane in planes:
            x, y = plane[:half], plane[half : 2 * half]
            either = x ^ y
            left.append(either if carry is None else either ^ carry)
            carry = x & y if carry is None else (x & y) | (either & carry)
        left.append(carry)
        if len(planes[0]) % 2:
            rest = [plane[-1:] for plane in planes] + [np.zeros_like(planes[0][:1])]
            left = [np.concatenate(pair) for pair in zip(left, rest, strict=True)]
        planes = left
    above, equal = np.zeros_like(planes[0][0]), ~np.zeros_like(planes[0][0])
    for p in range(len(planes) - 1, -1, -1):
        bit = planes[p][0]
        if len(words) // 2 >> p & 1:
            equal = equal & bit
        else:
            above = above | (equal & bit)
            equal = equal & ~bit
    return above


def noisy_rows(rows: int, per_cluster: int) -> Words:
    """`rows` copies of random centres, each bit flipped with probability 1/8, in random order."""
    from sophia._core import hdc

    result = hdc.random_rows(rows, "noise 1")
    result &= hdc.random_rows(rows, "noise 2")
    result &= hdc.random_rows(rows, "noise 3")
    centre = np.random.default_rng(0).permutation(np.repeat(np.arange(rows // per_cluster), per_cluster))
    centres = hdc.random_rows(rows // per_cluster, "centre")
    for start in range(0, rows, 50_000):
        result[start : start + 50_000] ^= centres[centre[start : start + 50_000]]
    return result


def single(suite: Suite, torchhd: ModuleType | None) -> None:
    from sophia._core import hdc

    a, b, out = hdc.random("a"), hdc.random("b"), hdc.identity()
    x, y = (np.asarray(v).view(np.uint64).copy() for v in (a, b))
    z = np.empty_like(x)
    hdc.bind(a, b, out=out)
    np.bitwise_xor(x, y, out=z)
    assert np.asarray(out).tobytes() == z.tobytes(), "bind differs from numpy"
    contenders = {
        "sophia": Contender("bind(a, b, out=out)", {"bind": hdc.bind, "a": a, "b": b, "out": out}),
        "numpy": Contender("xor(x, y, out=z)", {"xor": np.bitwise_xor, "x": x, "y": y, "z": z}),
    }
    if torchhd is not None:
        p, q = _torch_rows(torchhd, [a, b])
        assert _torch_bytes(torchhd.bind(p, q)) == out.tobytes(), "bind differs from torchhd"
        contenders["torchhd"] = Contender("bind(p, q)", {"bind": torchhd.bind, "p": p, "q": q})

    def bars(t: dict[str, Timing]) -> list[Bar]:
        held = [
            Bar("packed bind, one call, out=, ns", t["sophia"].median, "<=", 70),
            Bar("packed bind against numpy", ratio(t["numpy"], t["sophia"]), ">=", 4),
        ]
        if "torchhd" in t:
            held.append(Bar("packed bind against torchhd BSC", ratio(t["torchhd"], t["sophia"]), ">=", 80))
        return held

    suite.compare("bind, 10,000 bits, out=", contenders, bars=bars)

    names = {"bind": hdc.bind, "permute": hdc.permute, "a": a, "b": b, "out": out, "x": x, "y": y, "np": np}
    suite.compare(
        "bind, 10,000 bits, fresh result",
        {"sophia": Contender("bind(a, b)", names), "numpy": Contender("x ^ y", names)},
    )
    bits = np.unpackbits(x.view(np.uint8), bitorder="little")[:10_000].astype(np.int8)
    suite.compare(
        "permute by 7, 10,000 bits, fresh result",
        {
            "sophia": Contender("permute(a, 7)", names),
            "numpy roll of int8": Contender("np.roll(bits, 7)", names | {"bits": bits}),
        },
    )
    m, n = (hdc.random(name, model="MAP") for name in "ab")
    i, j = np.asarray(m).copy(), np.asarray(n).copy()
    f, g = i.astype(np.float32), j.astype(np.float32)
    assert hdc.dot(m, n) == int(f @ g)
    names = {"bind": hdc.bind, "dot": hdc.dot, "m": m, "n": n, "i": i, "j": j, "f": f, "g": g, "np": np}
    names |= {"out": hdc.identity(model="MAP"), "o": np.empty_like(i)}
    suite.compare(
        "bind, 10,000 int8, out=",
        {
            "sophia": Contender("bind(m, n, out=out)", names),
            "numpy": Contender("np.multiply(i, j, out=o)", names),
        },
    )
    suite.compare(
        "dot, 10,000 int8",
        {"sophia": Contender("dot(m, n)", names), "numpy float32": Contender("f @ g", names)},
    )


def _torch_rows(torchhd: ModuleType, vectors: list) -> object:
    import torch

    bits = np.array([np.unpackbits(np.frombuffer(v.tobytes(), np.uint8), bitorder="little") for v in vectors])
    return torchhd.BSCTensor(torch.from_numpy(bits.astype(bool))) if len(vectors) else None


def _torch_bytes(tensor: object) -> bytes:
    return np.packbits(tensor.numpy().astype(np.uint8), bitorder="little").tobytes()  # type: ignore[attr-defined]


def bundles(suite: Suite, torchhd: ModuleType | None) -> None:
    from sophia._core import hdc

    matrix = hdc.random_rows(100, "part")
    vectors = [hdc.random("part", i) for i in range(100)]
    words = matrix.view(np.uint64)
    ours = np.asarray(hdc.bundle(matrix)).copy()
    sliced = numpy_bit_sliced(words).view(np.uint8)
    assert (sliced == numpy_majority(matrix)).all()
    counts = np.unpackbits(matrix, axis=1, bitorder="little").sum(0, dtype=np.int64)
    differs = np.unpackbits(ours ^ sliced, bitorder="little") == 1
    assert (counts[differs] == 50).all(), "the bundle differs where there is no tie"
    assert hdc.bundle(vectors) == hdc.bundle(matrix)
    names = {"bundle": hdc.bundle, "matrix": matrix, "vectors": vectors, "words": words}
    names |= {"sliced": numpy_bit_sliced, "unpacked": numpy_majority}
    contenders = {
        "sophia": Contender("bundle(matrix)", names),
        "sophia, list": Contender("bundle(vectors)", names),
        "numpy bit-sliced": Contender("sliced(words)", names),
        "numpy unpackbits": Contender("unpacked(matrix)", names),
    }
    if torchhd is not None:
        rows = _torch_rows(torchhd, vectors)
        same = np.frombuffer(_torch_bytes(torchhd.multiset(rows)), np.uint8)
        differs = np.unpackbits(ours[:1250] ^ same, bitorder="little") == 1
        assert (counts[:10_000][differs] == 50).all(), "the bundle differs from torchhd where there is no tie"
        contenders["torchhd"] = Contender("multiset(rows)", {"multiset": torchhd.multiset, "rows": rows})

    def bars(t: dict[str, Timing]) -> list[Bar]:
        fastest = min((t["numpy bit-sliced"], t["numpy unpackbits"]), key=lambda timing: timing.median)
        held = [
            Bar("bundle of [100, 1280] against the faster numpy", ratio(fastest, t["sophia"]), ">=", 40),
            Bar(
                "bundle of a list of 100 against the faster numpy",
                ratio(fastest, t["sophia, list"]),
                ">=",
                25,
            ),
        ]
        if "torchhd" in t:
            held.append(Bar("bundle against torchhd BSC", ratio(t["torchhd"], t["sophia"]), ">=", 250))
        return held

    suite.compare("bundle of 100, 10,000 bits", contenders, unit="us", bars=bars)


# Whole bytes, whole words and neither; one block, many and all but one bit.
SHIFTS = (1, 7, 8, 63, 64, 65, 128, 511, 2500, 4999, 5000, 5001, 9936, 9999, -1, -7)
FEW = 8  # rows that stay in the first cache


def close_rows() -> tuple[Words, Words]:
    """Packed rows, and room for as many: both on cache lines, and not a multiple of 4,096 bytes apart.

    A load is held up by an earlier store whose address has the same lowest twelve bits.
    """
    size = FEW * 1280
    memory = np.zeros(2 * size + 8192, np.uint8)
    first = -memory.ctypes.data % 64
    second = first + size + 64 + (2048 - size - 64) % 4096
    source, out = (memory[at : at + size].reshape(FEW, 1280) for at in (first, second))
    return source, out


def permutations(suite: Suite) -> None:
    """Rotation by any number of bits, in a loop without Python, beside memcpy() in the same loop."""
    from sophia._core import cpu, hdc

    before = cpu.simd_level()
    rows, out = close_rows()
    rows[:] = hdc.random_rows(FEW, "turned")
    bits = np.unpackbits(rows, axis=1, bitorder="little")[:, :10_000]
    for level in cpu.simd_levels():
        cpu.set_simd_level(level)
        for shift in SHIFTS:
            turned = np.packbits(np.roll(bits, shift, axis=1), axis=1, bitorder="little")
            hdc.permute_pass(rows, shift, out)
            assert (out[:, :1250] == turned).all(), f"permute by {shift} differs from numpy at {level}"
            assert not out[:, 1250:].any(), f"permute by {shift} leaves bits in the padding at {level}"
    times = 500
    names = {"turn": hdc.permute_pass, "rows": rows, "out": out}
    for level in reversed(cpu.simd_levels()):
        cpu.set_simd_level(level)
        contenders = {
            f"by {shift}": Contender(f"turn(rows, {shift}, out, {times})", names, times * FEW) for shift in SHIFTS
        }
        contenders["memcpy"] = Contender(f"turn(rows, None, out, {times})", names, times * FEW)
        timings = interleave(contenders, repeats=21, target_ms=4.0)
        ratios = {name: ratio(timing, timings["memcpy"]) for name, timing in timings.items() if name != "memcpy"}
        mean, worst = sum(ratios.values()) / len(ratios), max(ratios, key=lambda name: ratios[name])
        row = Row(f"permute a row of 1,280 bytes, {level}", "ns", statistics.mean(timings[n].median for n in ratios))
        row.peers["memcpy"] = timings["memcpy"].median
        row.note = ", ".join(f"{name}: {timings[name].median:.1f} = {value:.2f}x" for name, value in ratios.items())
        if level == "avx512":
            row.bars.append(Bar("permute against memcpy, the mean of all shifts", mean, "<=", 2))
            row.bars.append(Bar(f"permute against memcpy, the worst ({worst})", ratios[worst], "<=", 2))
        suite.add(row)
    cpu.set_simd_level(before)
    names |= {"permute": hdc.permute, "np": np}
    suite.compare(
        f"permute [{FEW}, 1280] by 7, one call, out=",
        {
            "sophia": Contender("permute(rows, 7, out)", names),
            "numpy copyto": Contender("np.copyto(out, rows)", names),
        },
    )


def bundles_of_levels(suite: Suite) -> None:
    """Votes with AVX2 beside the same with AVX-512: no machine without the latter waits more than twice as long."""
    from sophia._core import cpu, hdc

    before, levels = cpu.simd_level(), cpu.simd_levels()
    if "avx512" not in levels:
        suite.skip("bundles with AVX2 against AVX-512", f"this machine has {', '.join(levels)}")
        return
    for n, weighted in ((3, False), (10, False), (100, False), (127, False), (200, False), (100, True)):
        matrix, out = hdc.random_rows(n, "part"), hdc.identity()
        weights = np.arange(1, n + 1, dtype=np.int64) if weighted else None
        votes = {}
        for level in levels:
            cpu.set_simd_level(level)
            votes[level] = hdc.bundle(matrix, weights=weights, out=out).tobytes()
        assert len(set(votes.values())) == 1, "the levels vote differently"
        names = {"bundle": hdc.bundle, "matrix": matrix, "weights": weights, "out": out, "level": cpu.set_simd_level}

        def at(level: str, names: dict[str, object] = names) -> Contender:
            loop = "for _ in range(20): bundle(matrix, weights=weights, out=out)"
            return Contender(f"level({level!r})\n{loop}", names, 20)

        what = f"bundle of {n}{' with weights' if weighted else ''}"
        suite.compare(
            f"{what}, 10,000 bits, AVX-512 and AVX2",
            {"sophia": at("avx512"), "AVX2": at("avx2")},
            bars=lambda t, what=what: [Bar(f"{what}: AVX2 against AVX-512", ratio(t["AVX2"], t["sophia"]), "<=", 2)],
            target_ms=10.0,
        )
    cpu.set_simd_level(before)


def pair(suite: Suite, torchhd: ModuleType | None, numkong: ModuleType | None) -> None:
    from sophia._core import hdc

    a, b = hdc.random("a"), hdc.random("b")
    x, y = (np.asarray(v).copy() for v in (a, b))
    names = {"hamming": hdc.hamming, "a": a, "b": b, "x": x, "y": y, "np": np}
    contenders = {
        "sophia": Contender("hamming(a, b)", names),
        "numpy": Contender(
            "int(np.bitwise_count(x ^ y).sum())", names | {"x": x.view(np.uint64), "y": y.view(np.uint64)}
        ),
    }
    if numkong is not None:
        assert int(numkong.hamming(x, y, "uint1")) == hdc.hamming(a, b), "NumKong differs"
        contenders["NumKong"] = Contender("k(x, y, 'uint1')", names | {"k": numkong.hamming})
    if torchhd is not None:
        p, q = _torch_rows(torchhd, [a, b])
        contenders["torchhd"] = Contender("k(p, q)", {"k": torchhd.hamming_similarity, "p": p, "q": q})

    def bars(t: dict[str, Timing]) -> list[Bar]:
        held = [Bar("Hamming of a pair, ns", t["sophia"].median, "<=", 100)]
        if "NumKong" in t:
            held.append(Bar("Hamming of a pair against NumKong", ratio(t["NumKong"], t["sophia"]), ">=", 2))
        return held

    suite.compare("Hamming of a pair, 10,000 bits", contenders, bars=bars)


def searches(suite: Suite, faiss: ModuleType | None) -> None:
    from sophia._core import hdc

    index = None
    for per_cluster in (100, 1000):
        rows = noisy_rows(ROWS, per_cluster)
        column = hdc.sketch(rows)
        rng = np.random.default_rng(per_cluster)
        queries = hdc.random_rows(20, "q1") & hdc.random_rows(20, "q2") & hdc.random_rows(20, "q3")
        queries ^= rows[rng.integers(0, ROWS, 20)]
        singles = [hdc.topk(query, rows[:1], 1) and hdc.bind(query, np.zeros(1280, np.uint8)) for query in queries]
        vectors = [_vector(row) for row in singles]
        names = {
            "topk": hdc.topk,
            "sketched": hdc.topk_sketch,
            "read": hdc.read_pass,
            "rows": rows,
            "column": column,
        }
        names |= {"query": vectors[0], "eight": queries[:8], "vectors": vectors}
        exact = [hdc.topk(vector, rows, 10) for vector in vectors]
        if faiss is not None:
            faiss.omp_set_num_threads(1)
            index = faiss.IndexBinaryFlat(10_240)
            index.add(rows)
            distances, _ = index.search(queries, 10)
            for (ours, _), theirs in zip(exact, distances, strict=True):
                assert (ours == theirs).all(), "distances differ from FAISS"
            names |= {"index": index, "one": queries[:1]}
        if per_cluster == 100:
            _exact_rows(suite, names, index)
        found = compared = 0
        for vector, (_, wanted) in zip(vectors, exact, strict=True):
            _, rows_found, seen = hdc.topk_sketch(vector, rows, column, 10)
            found += len(set(rows_found.tolist()) & set(wanted.tolist()))
            compared += seen
        recall = found / (10 * len(vectors))
        contenders = {"sophia": Contender("for v in vectors: sketched(v, rows, column, 10)", names, 20)}
        contenders["read pass of the sketches"] = Contender("read(column)", names)
        if index is not None:
            contenders["FAISS IndexBinaryFlat"] = Contender("index.search(one, 10)", names)

        def bars(t: dict[str, Timing], recall: float = recall, per: int = per_cluster) -> list[Bar]:
            held = [Bar(f"recall@10 of the sketch, {per:,} rows a cluster", recall, ">=", 0.99)]
            if "FAISS IndexBinaryFlat" in t:
                share = ratio(t["sophia"], t["FAISS IndexBinaryFlat"])
                held.append(Bar(f"sketch + re-rank against FAISS, {per:,} rows a cluster", share, "<=", 0.1))
            return held

        suite.compare(
            f"top-10 of a million by sketch, {per_cluster:,} rows a cluster",
            contenders,
            unit="ms",
            bars=bars,
            repeats=5,
            note=f"{compared / len(vectors):.0f} of {ROWS:,} rows compared exactly a query",
        )
        index = None


def _exact_rows(suite: Suite, names: dict[str, object], index: object) -> None:
    contenders = {
        "sophia": Contender("topk(query, rows, 10)", names),
        "read pass": Contender("read(rows)", names),
        "sophia, 8 a pass": Contender("topk(eight, rows, 10)", names, 8),
    }
    if index is not None:
        contenders["FAISS IndexBinaryFlat"] = Contender("index.search(one, 10)", names)

    def bars(t: dict[str, Timing]) -> list[Bar]:
        held = [Bar("top-10 of a million against a plain read", ratio(t["sophia"], t["read pass"]), "<=", 1.05)]
        if "FAISS IndexBinaryFlat" in t:
            faiss = t["FAISS IndexBinaryFlat"]
            held.append(Bar("top-10 of a million against FAISS", ratio(t["sophia"], faiss), "<=", 0.8))
            held.append(Bar("8 queries a pass, a query, against FAISS", ratio(t["sophia, 8 a pass"], faiss), "<=", 0.5))
        return held

    suite.compare("top-10 of a million rows of 1,280 bytes", contenders, unit="ms", bars=bars, repeats=9)


def batch(suite: Suite, faiss: ModuleType | None) -> None:
    """64 queries against 10,000 rows, 12.8 MB: each row is read once for four queries, from the caches."""
    from sophia._core import cpu, hdc

    before = cpu.simd_level()
    rows, queries = hdc.random_rows(10_000, "rows"), hdc.random_rows(64, "queries")
    distances, _ = hdc.topk(queries, rows, 10)
    names = {"topk": hdc.topk, "queries": queries, "rows": rows, "level": cpu.set_simd_level}
    contenders = {"sophia": Contender(f"level({before!r})\ntopk(queries, rows, 10)", names, len(queries))}
    for level in cpu.simd_levels():
        cpu.set_simd_level(level)
        found, _ = hdc.topk(queries, rows, 10)
        assert (found == distances).all(), f"{level} finds others than {before}"
        if level not in (before, "scalar"):
            contenders[level] = Contender(f"level({level!r})\ntopk(queries, rows, 10)", names, len(queries))
    cpu.set_simd_level(before)
    if faiss is not None:
        faiss.omp_set_num_threads(1)
        index = faiss.IndexBinaryFlat(10_240)
        index.add(rows)
        theirs, _ = index.search(queries, 10)
        assert (theirs == distances).all(), "distances differ from FAISS"
        contenders["FAISS IndexBinaryFlat"] = Contender("index.search(queries, 10)", {"index": index} | names, 64)

    def bars(t: dict[str, Timing]) -> list[Bar]:
        if "FAISS IndexBinaryFlat" not in t:
            return []
        share = ratio(t["FAISS IndexBinaryFlat"], t["sophia"])
        return [Bar("64 queries, top-10 of 10,000, against FAISS", share, ">=", 2)]

    suite.compare("top-10 of 10,000 rows for each of 64 queries, a query", contenders, unit="us", bars=bars)
    cpu.set_simd_level(before)


def records(suite: Suite, torchhd: ModuleType | None) -> None:
    """Samples of 617 features at 64 levels, as those of ISOLET are.

    torchhd's sum makes a block of 49 MB for each sample, which the C library takes from the system each time; where
    much memory was given back before, it may be at hand, and four fifths of the time with it. So that is measured too,
    last, as the C library is told then to give nothing back.
    """
    from sophia.hdc import RecordEncoder, Space

    space = Space("bsc")
    ids, levels = space.random_rows(617, "feature"), space.level(64)
    index = np.random.default_rng(617).integers(0, 64, (200, 617)).astype(np.uint8)
    names = {"encode": RecordEncoder(ids, levels).encode_many, "index": index}
    contenders = {"sophia": Contender("encode(index)", names, len(index))}
    if torchhd is not None:
        import torch

        bits = [np.unpackbits(rows, axis=1, bitorder="little")[:, :10_000].astype(bool) for rows in (ids, levels)]
        theirs, values = (torchhd.BSCTensor(torch.from_numpy(rows)) for rows in bits)
        chosen = torch.from_numpy(index.astype(np.int64))
        made = torchhd.multiset(torchhd.bind(theirs, values[chosen[0]])).numpy()
        packed = np.packbits(made, bitorder="little")
        assert (names["encode"](index[:1])[0, :1250] == packed).all(), "records differ from torchhd"
        names |= {"bundle": torchhd.multiset, "bind": torchhd.bind, "ids": theirs, "levels": values, "rows": chosen}
        contenders["torchhd BSC"] = Contender("bundle(bind(ids, levels[rows[0]]))", names)

    def bars(t: dict[str, Timing]) -> list[Bar]:
        held = [Bar("record encoding of 617 features, us a sample", t["sophia"].median / 1e3, "<=", 40)]
        if "torchhd BSC" in t:
            held.append(Bar("record encoding against torchhd", ratio(t["torchhd BSC"], t["sophia"]), ">=", 500))
        return held

    what = "record encoding of 617 features"
    suite.compare(what, contenders, unit="us", bars=bars)
    if torchhd is not None:
        keep_memory, trim, mapped = ctypes.CDLL(None).mallopt, -1, -3
        assert keep_memory(trim, 1 << 30)
        assert keep_memory(mapped, 1 << 30)
        suite.compare(f"{what}, no memory given back", contenders, unit="us")


def _vector(row: Words) -> object:
    from sophia._core.vector import Hypervector

    return Hypervector.from_buffer(row)


def run() -> Suite:
    suite = Suite("hdc", ("numpy", "numkong", "faiss-cpu", "torch-hd", "torch"))
    torchhd = peer(suite, "torchhd", "torchhd")
    if torchhd is not None:
        import torch

        torch.set_num_threads(1)
    numkong = peer(suite, "numkong", "NumKong")
    faiss = peer(suite, "faiss", "FAISS")
    single(suite, torchhd)
    permutations(suite)
    bundles(suite, torchhd)
    bundles_of_levels(suite)
    pair(suite, torchhd, numkong)
    batch(suite, faiss)
    models(suite, torchhd)
    searches(suite, faiss)
    records(suite, torchhd)
    return suite

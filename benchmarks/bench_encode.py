"""The fused encoders: texts by weighted features, sequences by n-grams, and the IDF table between them."""

from __future__ import annotations

import importlib.util
import lzma
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks import data
from benchmarks.harness import Bar, Contender, Row, Suite
from sophia._core import cpu
from sophia._core.encode import TextEncoder
from sophia._core.hdc import topk
from sophia._core.idf import IdfTable
from sophia._core.sequence import NgramEncoder

DIM = 10_000
BATCH = 64
LINE = "please tell me how i can move money from my savings to the other account before friday "
SENTENCE = (
    "the committee proposes that the measures adopted last year should be kept for two more years, "
    "after which the council will decide on whether they serve"
)
# With one int16 accumulator a lane: a masked addition for each feature and 32 lanes.
LANE_WISE = DIM / 32


def run() -> Suite:
    suite = Suite("encode", ("numpy", "torch-hd", "hdlib"))
    queries = data.clinc_queries()
    if not queries:
        suite.skip("CLINC150 queries", data.ADVICE)
        queries = [f"please tell me more about item {i}" for i in range(4000)]
    oracle = _oracle()
    idf = IdfTable()
    frequencies: dict[int, int] = {}
    taught = queries[:2000]
    for text in taught:
        idf.observe(text)
        for name in oracle.features(text):
            frequencies[name] = frequencies.get(name, 0) + 1
    encoder = TextEncoder(DIM, idf=idf)

    eighty = _text_of(encoder, 80)
    _check(oracle, encoder, eighty, oracle.weights(eighty, 0, len(taught), frequencies))
    _texts(suite, oracle, encoder, eighty, oracle.weights(eighty, 0, len(taught), frequencies))
    _features(suite, encoder)
    _queries(suite, encoder, queries)
    _levels(suite, encoder, eighty)
    _ngrams(suite, oracle)
    _table(suite, queries)
    _languages(suite)
    return suite


def _oracle() -> ModuleType:
    path = Path(__file__).resolve().parent.parent / "tests" / "oracle" / "encode.py"
    spec = importlib.util.spec_from_file_location("encode_oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text_of(encoder: TextEncoder, features: int) -> str:
    """The shortest beginning of the sample text that has as many distinct features."""
    text = LINE + " ".join(f"w{i * 7919 % 10_000}" for i in range(1000))
    low, high = 1, len(text)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(encoder.features(text[:middle])) >= features else (middle + 1, high)
    return text[:low]


def _numpy_sums(names: np.ndarray, weights: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The weighted sums of the named rows in plain numpy: the same integers."""
    x = names[:, None] + steps
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xE9846AF9B1A615D)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xE9846AF9B1A615D)
    x ^= x >> np.uint64(28)
    bits = np.unpackbits(x.view(np.uint8), axis=1, bitorder="little", count=DIM)
    sums: np.ndarray = weights.sum() - 2 * (weights @ bits)
    return sums


def _check(oracle: ModuleType, encoder: TextEncoder, text: str, weighted: dict[int, int]) -> None:
    """Every SIMD level against the pure-Python oracle, before anything is timed."""
    shown = [16 * weight for *_, weight in encoder.features(text)]
    assert shown == list(weighted.values())
    bits = oracle.pack(oracle.encode_bits(weighted, DIM))
    lanes = oracle.encode_levels(weighted, DIM)
    before = cpu.simd_level()
    for level in cpu.simd_levels():
        cpu.set_simd_level(level)
        assert encoder.encode_many([text])[0].tobytes() == bits
        assert encoder.encode_int8(text).tolist() == lanes
    cpu.set_simd_level(before)


def _texts(suite: Suite, oracle: ModuleType, encoder: TextEncoder, text: str, weighted: dict[int, int]) -> None:
    reduced = oracle.reduced(weighted)
    hashes = np.array(list(reduced), np.uint64)
    weights = np.array(list(reduced.values()), np.int32)
    steps = np.arange(1, (DIM + 63) // 64 + 1, dtype=np.uint64) * np.uint64(oracle.MIX_C)
    names = {
        "encoder": encoder,
        "plain": TextEncoder(DIM),
        "batch": [text] * BATCH,
        "text": text,
        "sums": _numpy_sums,
        "hashes": hashes,
        "weights": weights,
        "steps": steps,
    }
    numpy_levels = oracle.scale(_numpy_sums(hashes, weights, steps).tolist())
    assert numpy_levels == encoder.encode_int8(text).tolist()
    ours = Contender("encoder.encode_many(batch)", names, BATCH)
    peer = Contender("sums(hashes, weights, steps) < 0", names)
    suite.compare(
        "text of 80 features, bits",
        {"sophia": ours, "numpy": peer},
        unit="us",
        bars=lambda t: [Bar("80 features with IDF, us", t["sophia"].median / 1e3, "<=", 17.0)],
        note="numpy starts from the hashes: no features are extracted and no ties are settled there",
    )
    suite.compare(
        "text of 80 features, int8",
        {"sophia": Contender("encoder.encode_int8_many(batch)", names, BATCH), "numpy": peer},
        unit="us",
        bars=lambda t: [Bar("80 features with IDF, us", t["sophia"].median / 1e3, "<=", 17.0)],
    )
    suite.compare(
        "text of 80 features, bits, one call",
        {"sophia": Contender("encoder.encode(text)", names)},
        unit="us",
        note="no peer: the numpy form has no call of its own",
    )
    suite.compare(
        "text of 80 features, bits, no IDF",
        {"sophia": Contender("plain.encode_many(batch)", names, BATCH)},
        unit="us",
        note="all weights equal: one bit a feature to count instead of four or five",
    )


def _features(suite: Suite, encoder: TextEncoder) -> None:
    """What one more feature costs, and what the lane-wise way would need at the least."""
    few, many = _text_of(encoder, 80), _text_of(encoder, 400)
    names = {"encoder": encoder, "few": [few] * BATCH, "many": [many] * BATCH}
    timings = suite.compare(
        "text of 400 features, bits",
        {
            "sophia": Contender("encoder.encode_many(many)", names, BATCH),
            "80 features": Contender("encoder.encode_many(few)", names, BATCH),
        },
        unit="us",
        repeats=7,
    )
    slope = (timings["sophia"].median - timings["80 features"].median) / (400 - 80)
    clock = _clock()
    note = (
        f"{slope * clock:.0f} cycles at {clock:.1f} GHz (nominal), extraction and IDF included; int16 "
        f"accumulators need {2 * LANE_WISE:.0f} instructions: a mask and a masked addition for each 32 lanes"
    )
    suite.add(Row("one more feature", "ns", slope, note=note))


def _clock() -> float:
    """GHz that /proc/cpuinfo names (the nominal clock, not the boosted one); 1.0 elsewhere."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("cpu MHz"):
                return float(line.split(":")[1]) / 1e3
    return 1.0


def _queries(suite: Suite, encoder: TextEncoder, queries: list[str]) -> None:
    some = [text for text in queries if 34 <= len(text) <= 42][:512]
    mean = sum(len(encoder.features(text)) for text in some) / len(some)
    names = {"encoder": encoder, "queries": some}
    suite.compare(
        "query of about 38 characters, bits",
        {"sophia": Contender("encoder.encode_many(queries)", names, len(some))},
        unit="us",
        bars=lambda t: [Bar("query to bits with IDF, us", t["sophia"].median / 1e3, "<=", 30.0)],
        note=f"{len(some)} queries, {mean:.0f} features on average; no peer takes text",
    )
    suite.compare(
        "query of about 38 characters, int8",
        {"sophia": Contender("encoder.encode_int8_many(queries)", names, len(some))},
        unit="us",
        bars=lambda t: [Bar("query to int8 with IDF, us", t["sophia"].median / 1e3, "<=", 30.0)],
        note="no peer takes text",
    )


def _levels(suite: Suite, encoder: TextEncoder, text: str) -> None:
    before = cpu.simd_level()
    batch = [text] * BATCH
    for level in cpu.simd_levels():
        cpu.set_simd_level(level)
        for form, call in (
            ("bits", "encoder.encode_many(batch)"),
            ("int8", "encoder.encode_int8_many(batch)"),
        ):
            suite.compare(
                f"text of 80 features, {form}, {level}",
                {"sophia": Contender(call, {"encoder": encoder, "batch": batch}, BATCH)},
                unit="us",
                repeats=5,
                note="no peer: the levels beside each other",
            )
    cpu.set_simd_level(before)


def _ngrams(suite: Suite, oracle: ModuleType) -> None:
    encoder = NgramEncoder(3, DIM)
    sentence = SENTENCE[:149]
    items = {c: np.array(oracle.row(oracle.symbol_name(ord(c)), DIM), np.uint8) for c in sorted(set(sentence))}
    expected = encoder.encode(sentence)
    packed = {c: [np.packbits(np.roll(row, k), bitorder="little") for k in range(3)] for c, row in items.items()}

    def by_numpy() -> np.ndarray:
        rows = [
            packed[a][2] ^ packed[b][1] ^ packed[c][0]
            for a, b, c in zip(sentence, sentence[1:], sentence[2:], strict=False)
        ]
        bits = np.unpackbits(np.array(rows), axis=1, bitorder="little", count=DIM)
        return np.packbits(2 * bits.sum(axis=0) > len(rows), bitorder="little")

    assert by_numpy().tobytes() == expected.tobytes()  # 147 n-grams: no ties
    names = {"encoder": encoder, "sentence": sentence, "batch": [sentence] * BATCH, "by_numpy": by_numpy}
    contenders = {
        "sophia": Contender("encoder.encode_many(batch)", names, BATCH),
        "numpy": Contender("by_numpy()", names),
    }
    if importlib.util.find_spec("torchhd"):
        import torch
        import torchhd

        torch.set_num_threads(1)
        order = list(items)
        stack = torch.from_numpy(np.stack(list(items.values())).astype(bool)).as_subclass(torchhd.BSCTensor)
        index = torch.tensor([order.index(c) for c in sentence])
        names |= {"torchhd": torchhd, "stack": stack, "index": index}
        theirs = np.packbits(torchhd.ngrams(stack[index], 3).numpy().astype(np.uint8), bitorder="little")
        assert theirs.tobytes() == expected.tobytes()
        contenders["torchhd"] = Contender("torchhd.ngrams(stack[index], 3)", names)
    else:
        suite.skip("torchhd", "not installed (extra bench-torch)")
    suite.skip("hdlib", "has no n-gram encoder; its binary bundle is an AND of pairs, so results cannot agree")
    suite.compare("sequence of 149 symbols, n = 3", contenders, unit="us")


def _table(suite: Suite, queries: list[str]) -> None:
    table = IdfTable()
    start = time.process_time_ns()
    for text in queries:
        table.observe(text)
    spent = time.process_time_ns() - start
    features = len(table)
    note = f"{table.documents} texts, {features} features, {table.nbytes / features:.0f} B each; no peer has one"
    suite.add(Row("IDF table, observe", "us", spent / len(queries) / 1e3, note=note))
    names = {"table": table, "IdfTable": IdfTable, "block": table.dump()}
    note = "no peer has this format"
    suite.compare("IDF table, dump", {"sophia": Contender("table.dump()", names, features)}, note=note)
    suite.compare("IDF table, load", {"sophia": Contender("IdfTable.load(block)", names, features)}, note=note)


def _languages(suite: Suite) -> None:
    """21 European languages: a packed prototype of each from its training text; nearest by Hamming distance."""
    train, test = (data.find("hdc", f"lang_{part}.tsv.xz") for part in ("train", "test"))
    if train is None or test is None:
        suite.skip("21 languages", data.ADVICE)
        return
    texts: dict[str, list[str]] = {}
    tests: list[tuple[str, str]] = []
    with lzma.open(train, "rt", encoding="utf-8") as lines:
        for line in lines:
            language, text = line.rstrip("\n").split("\t", 1)
            texts.setdefault(language, []).append(text)
    with lzma.open(test, "rt", encoding="utf-8") as lines:
        for line in lines:
            language, text = line.rstrip("\n").split("\t", 1)
            if len(text) >= 3:
                tests.append((language, text))
    encoder = NgramEncoder(3, DIM)
    names = sorted(texts)
    start = time.process_time_ns()
    prototypes = encoder.encode_many([" ".join(texts[name]) for name in names])
    trained = (time.process_time_ns() - start) / 1e9
    start = time.process_time_ns()
    rows = encoder.encode_many([text for _, text in tests])
    spent = (time.process_time_ns() - start) / len(tests) / 1e3
    _, nearest = topk(rows, prototypes, 1)
    right = sum(names[int(i)] == language for i, (language, _) in zip(nearest[:, 0], tests, strict=True))
    suite.add(
        Row(
            "21 languages, n = 3, all binary",
            "%",
            100 * right / len(tests),
            bars=[Bar("accuracy, %", 100 * right / len(tests), ">=", 96.4)],
            note=f"{len(tests)} sentences; training {trained:.1f} s CPU, {spent:.1f} us to encode a sentence",
        )
    )

from __future__ import annotations

import mmap
import struct
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from oracle.hash import hash_bytes

from sophia._core import cpu
from sophia._core.lexical import LexicalEncoder
from sophia._core.readout import Readout
from sophia._core.training import Examples, Weights
from sophia.errors import ShapeError, StoreCorrupt, StoreVersionError

TEXTS = ["turn the light on", "lights on please", "what time is it", "tell me the time", "play a song", "music on"]
LABELS = [0, 0, 1, 1, 2, 2]
HOSTILE = [
    "",
    " ?!\n",
    "\0",
    "turn\0the light on",
    "\ud800",
    "turn the \udfff light on",
    b"\xff\xfe turn the light on \xc3",
    "TURN THE LIGHT ON " * 60_000,
    "中" * 400_000,
    "a" * 1_000_000,
    "e" + "\u0301" * 100_000,
    "👍\u200d" * 1000,
]


def readout_of(classes: int = 3, *, seeds: int = 2, **settings: object) -> Readout:
    encoder = LexicalEncoder(**settings)
    encoder.observe(TEXTS)
    parts = []
    for seed in range(seeds):
        parts.append(Weights(encoder, classes))
        parts[-1].train(Examples(encoder, TEXTS, [label % classes for label in LABELS]), seed=seed)
    return Readout(parts)


@pytest.fixture(scope="module")
def readout() -> Readout:
    return readout_of()


@pytest.mark.parametrize("classes", [1, 2, 3, 31, 32, 33, 100])
def test_a_score_is_the_sum_of_its_explanation(simd, classes):
    readout = readout_of(classes, dim=512)  # few positions: features share them
    for text in [*TEXTS, "turn the time on please", "light light light", "unknown", ""]:
        for number, score in enumerate(readout.scores([text])[0]):
            parts, bias = readout.explain(text, number)
            assert sum((Fraction(part) for _, _, part in parts), Fraction(bias)) == Fraction(score)
            assert bias + sum(part for *_, part in parts) == score  # and so in float, in any order
            assert bias + sum(sorted(part for *_, part in parts)) == score


def test_best_is_the_best_of_the_scores(simd):
    for classes in (1, 2, 3, 40):
        readout = readout_of(classes)
        for text in [*TEXTS, "the time on", "song please"]:
            scores = readout.scores([text])[0]
            order = sorted(range(classes), key=lambda c, scores=scores: (-scores[c], c))
            best, score, second, runner_up, known, seen = readout.best_of(text)
            assert (best, score) == (order[0], scores[order[0]])
            assert (second, runner_up) == (order[min(1, classes - 1)], scores[order[min(1, classes - 1)]])
            assert 0 < known <= seen


def test_a_text_without_features_has_no_best(readout):
    assert readout.best_of("?!")[4:] == (0, 0)
    known, seen = readout.best_of("xylophone zither")[4:]
    assert known < seen
    assert readout.best_of("turn the light on")[4] == readout.best_of("turn the light on")[5]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts(readout, text):
    best = readout.best_of(text)
    assert readout.best_of_many([text, "on", text]) == [best, readout.best_of("on"), best]
    assert len(readout.scores([text])[0]) == 3
    parts, _ = readout.explain(text, best[0])
    assert len(parts) == best[4] <= 4096


def test_many_at_once(readout):
    texts = [*TEXTS, "", "中国語", b"bytes too", "\ud800"] * 20
    assert readout.best_of_many(texts) == [readout.best_of(text) for text in texts]
    assert readout.best_of_many(iter(texts[:2])) == readout.best_of_many(texts[:2])
    assert readout.best_of_many([]) == readout.scores([]) == []


def test_dump_and_load(simd, readout, tmp_path: Path):
    block = readout.dump()
    assert readout_of().dump() == block
    for source in (block, bytearray(block), memoryview(block), np.frombuffer(block, np.uint8)):
        again = Readout.load(source)
        assert again.dump() == block
        assert again.scores(TEXTS) == readout.scores(TEXTS)
        assert again.encoder.terms(TEXTS[0]) == readout.encoder.terms(TEXTS[0])
        assert (again.dim, again.classes, again.encoder.documents) == (10_000, 3, 6)


def test_a_mapped_file_is_used_where_it_is(readout, tmp_path: Path):
    path = tmp_path / "readout"
    path.write_bytes(readout.dump())
    with path.open("r+b") as file:
        mapped = mmap.mmap(file.fileno(), 0)
    loaded = Readout.load(mapped)
    before = loaded.scores(["turn on"])
    assert before == readout.scores(["turn on"])
    mapped[-16 - 4] ^= 0x7F  # the first class's bias, the last row: seen at once, so nothing was copied
    assert loaded.scores(["turn on"]) != before
    mapped[-16 - 4] ^= 0x7F
    with pytest.raises(BufferError):
        mapped.close()  # still in use
    del loaded
    mapped.close()


def test_a_growing_buffer_is_held(readout):
    block = bytearray(readout.dump())
    loaded = Readout.load(block)
    with pytest.raises(BufferError):
        block.extend(b"more")
    del loaded
    block.extend(b"more")


def test_unaligned_and_foreign_memory_is_refused(readout):
    block = readout.dump()
    shifted = np.zeros(len(block) + 8, np.uint8)
    for skip in range(1, 8):
        view = shifted[skip : skip + len(block)]
        view[:] = np.frombuffer(block, np.uint8)
        with pytest.raises(ShapeError, match="multiple of 8"):
            Readout.load(view)
    with pytest.raises(TypeError):
        Readout.load("text")
    with pytest.raises(ShapeError):
        Readout.load(np.zeros(100))
    with pytest.raises(ShapeError):
        Readout.load(np.frombuffer(block, np.uint8)[::2])


def test_damaged_dumps_are_refused():
    block = readout_of(2, dim=64).dump()
    for at in [*range(100), *range(100, len(block), 997), *range(len(block) - 40, len(block))]:
        for bit in (1, 0x80):
            damaged = bytearray(block)
            damaged[at] ^= bit
            with pytest.raises((StoreCorrupt, StoreVersionError)):
                Readout.load(damaged)
    for size in (0, 1, 8, 71, 72, 88, 1000, len(block) - 1):
        with pytest.raises(StoreCorrupt):
            Readout.load(block[:size])
    for longer in (block + b"\0", block + block):
        with pytest.raises(StoreCorrupt):
            Readout.load(longer)


HEADER = struct.Struct("<8sIIIBBBB4H4xQQQQ")
FIELDS = [
    "magic",
    "version",
    "dim",
    "classes",
    "least",
    "most",
    "quarters",
    "over",
    "word",
    "pair",
    "skip",
    "gram",
    "seed",
    "documents",
    "stride",
    "size",
]


def forged(block: bytes, **fields: int) -> bytes:
    """A dump whose header says something else, with the checksum that goes with it."""
    values = dict(zip(FIELDS, HEADER.unpack_from(block), strict=True)) | fields
    body = HEADER.pack(*values.values()) + block[HEADER.size : -16]
    return body + checksum(body)


def checksum(body: bytes) -> bytes:
    """What a forger would compute."""
    low, high = hash_bytes(body, 0x534F50485F524F31)
    return low.to_bytes(8, "little") + high.to_bytes(8, "little")


@pytest.mark.parametrize(
    "lie",
    [
        {"dim": 63},
        {"dim": 65},
        {"dim": 1 << 31},
        {"dim": 0},
        {"classes": 0},
        {"classes": 3},
        {"classes": 33},
        {"classes": 1 << 20},
        {"least": 0},
        {"least": 5, "most": 4},
        {"most": 7},
        {"quarters": 5},
        {"over": 1},
        {"over": 2},
        {"word": 4097},
        {"gram": 65535},
        {"stride": 64},
        {"stride": 0},
        {"stride": 1 << 63},
        {"size": 0},
        {"size": 1 << 63},
        {"version": 0},
        {"documents": (1 << 63) - 1},
    ],
    ids=str,
)
def test_headers_that_lie_are_refused(lie):
    block = readout_of(2, dim=64).dump()
    assert forged(block) == block
    with pytest.raises(StoreCorrupt):
        Readout.load(forged(block, **lie))


def test_scales_that_cannot_be_are_refused():
    block = readout_of(2, dim=64).dump()
    at = 128 + 2 * 65536  # behind the header and the table, both padded to 64 bytes
    for scale in (0.0, -1.0, float("nan"), float("inf"), 1e13):
        body = block[:at] + struct.pack("<d", scale) + block[at + 8 : -16]
        with pytest.raises(StoreCorrupt, match="scale of class 0"):
            Readout.load(body + checksum(body))


def test_a_newer_format_is_named():
    block = forged(readout_of(2, dim=64).dump(), version=2)
    with pytest.raises(StoreVersionError, match="format 2"):
        Readout.load(block)


def test_going_on_without_training_changes_nothing():
    for classes in (1, 3, 33):
        readout = readout_of(classes)
        assert Readout([readout.weights()]).dump() == readout.dump()
        assert Readout([readout.weights()] * 3).dump() == readout.dump()
        more = Readout([readout.weights(classes=classes + 40)])
        assert [row[:classes] for row in more.scores(TEXTS)] == readout.scores(TEXTS)
        assert {score for row in more.scores(TEXTS) for score in row[classes:]} == {0.0}
        assert Readout.load(readout.dump()).weights().classes == classes


def test_going_on_from_what_does_not_fit(readout):
    with pytest.raises(ValueError, match="taken away"):
        readout.weights(classes=2)
    for other in (
        LexicalEncoder(seed=1),
        LexicalEncoder(512),
        LexicalEncoder(grams=(2, 5)),
        LexicalEncoder(kinds=(1,) * 4),
    ):
        with pytest.raises(ValueError, match="grew"):
            readout.weights(other)
    rows = Readout([Weights(128, 2)])
    with pytest.raises(ValueError, match="grew"):
        rows.weights(LexicalEncoder(128))


def test_texts_and_rows_are_not_mixed_up(readout):
    rows = Readout([Weights(128, 2)])
    assert rows.encoder is None
    for call in (
        lambda: rows.best_of("a"),
        lambda: rows.best_of_many(["a"]),
        lambda: rows.scores(["a"]),
        lambda: rows.explain("a", 0),
    ):
        with pytest.raises(TypeError, match="score_rows"):
            call()
    with pytest.raises(TypeError, match="use scores"):
        readout.score_rows(np.ones((1, 10_000), np.int8))
    with pytest.raises(ValueError, match="one encoder or dimension"):
        Readout([Weights(128, 2), Weights(64, 2)])


def test_rows_of_a_wrong_shape_or_result():
    rows = Readout([Weights(128, 2)])
    with pytest.raises(ShapeError, match="dim=64, the readout has dim=128"):
        rows.score_rows(np.ones((1, 64), np.int8))
    given, out = np.ones((3, 128), np.int8), np.empty((3, 2))
    assert rows.score_rows(given, out=out) is out
    assert (out == 0).all()
    for wrong in (np.empty((2, 2)), np.empty((3, 3)), np.empty((3, 2), np.float32), np.empty((6,))):
        with pytest.raises(ShapeError, match="out"):
            rows.score_rows(given, out=wrong)
    assert rows.score_rows(np.ones((0, 128), np.int8)).shape == (0, 2)


def test_rows_survive_dump_and_load():
    rng = np.random.default_rng(5)
    given = rng.choice([-1, 1], (6, 5000)).astype(np.int8)
    weights = Weights(5000, 3)
    weights.train(Examples.from_rows(given, [0, 1, 2, 0, 1, 2]), epochs=3)
    readout = Readout([weights])
    again = Readout.load(readout.dump())
    assert (again.score_rows(given) == readout.score_rows(given)).all()
    assert Readout([again.weights()]).dump() == readout.dump()
    assert len(readout.dump()) < 5001 * 32 + 1000  # no table of features


def test_many_levels_of_a_wide_row_do_not_overflow(simd):
    """Every weight at its largest, every component at its largest, far more of them than a text has."""
    dim = 1 << 18
    weights = Weights(dim, 1)
    rows = np.full((2, dim), 127, np.int8)
    rows[1] = -128
    two = Weights(dim, 2)
    two.train(Examples.from_rows(rows, [0, 1]), epochs=1, dropout=0, rate=1)
    assert Readout([weights]).score_rows(rows).tolist() == [[0.0], [0.0]]
    scores = Readout([two]).score_rows(rows)
    assert scores[0, 0] > 0 > scores[0, 1]
    assert scores[1, 1] > 0 > scores[1, 0]
    total = np.abs(scores).max() / (127 * 32 * dim)
    assert total < 1e3


def test_threads_score_at_once(readout):
    texts = [*TEXTS, "a longer text about the time and the light " * 20] * 10
    expected = readout.best_of_many(texts)
    found: list[list[object]] = [[] for _ in range(8)]

    def work(mine: list[object]) -> None:
        for _ in range(20):
            mine.append(
                readout.best_of_many(texts) == expected and readout.scores(texts[:3]) == readout.scores(texts[:3])
            )

    threads = [threading.Thread(target=work, args=(each,)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[True] * 20] * 8


def test_every_level_gives_the_same_scores(readout):
    texts = [*TEXTS, "", "中国語", "words of no one"]
    before, found = cpu.simd_level(), []
    try:
        for level in cpu.simd_levels():
            cpu.set_simd_level(level)
            found.append((readout.scores(texts), readout.best_of_many(texts)))
    finally:
        cpu.set_simd_level(before)
    assert all(each == found[0] for each in found)


def test_wrong_arguments_are_refused(readout):
    with pytest.raises(ValueError, match="at least one"):
        Readout([])
    with pytest.raises(TypeError, match="Weights"):
        Readout([1])
    encoder = LexicalEncoder()
    with pytest.raises(ValueError, match="number of classes"):
        Readout([Weights(encoder, 2), Weights(encoder, 3)])
    with pytest.raises(ValueError, match="one encoder"):
        Readout([Weights(encoder, 2), Weights(LexicalEncoder(), 2)])
    for number in (-1, 3):
        with pytest.raises(ValueError, match="not in 0"):
            readout.explain("a", number)
    for method in (readout.scores, readout.best_of_many):
        with pytest.raises(TypeError, match="list"):
            method("text")
    for call in (lambda: readout.best_of(None), lambda: readout.scores([1]), lambda: readout.explain(b"a".hex, 0)):
        with pytest.raises(TypeError, match="str or bytes"):
            call()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_class_can_be_taken_away(number: int) -> None:
    """The others score as they did, bit for bit, at their new places; also from a dump, and over vectors."""
    whole = readout_of()
    less = whole.without(number)
    assert less.classes == 2
    for before, after in zip(whole.scores(TEXTS), less.scores(TEXTS), strict=True):
        assert after == before[:number] + before[number + 1 :]
    assert Readout.load(whole.dump()).without(number).dump() == less.dump()
    rows = np.ones((3, 64), dtype=np.int8)
    rows[1, ::2] = -1
    weights = Weights(64, 3)
    weights.train(Examples.from_rows(rows, [0, 1, 2]), epochs=2)
    dense = Readout([weights])
    wanted = np.delete(dense.score_rows(rows), number, axis=1)
    assert np.array_equal(dense.without(number).score_rows(rows), wanted)


def test_what_cannot_be_taken_away() -> None:
    whole = readout_of()
    for number in (-1, 3):
        with pytest.raises(ValueError, match="not in 0"):
            whole.without(number)
    alone = whole.without(0).without(0)
    assert alone.classes == 1
    with pytest.raises(ValueError, match="only class"):
        alone.without(0)


def test_scores_over_the_rows_are_refused():
    weights = Weights(64, 2)
    readout = Readout([weights])
    memory = np.zeros(20, np.float64)
    rows = memory.view(np.int8)[:128].reshape(2, 64)
    with pytest.raises(ValueError, match="out: overlaps the rows"):
        readout.score_rows(rows, out=memory[15:19].reshape(2, 2))
    readout.score_rows(rows, out=memory[16:].reshape(2, 2))

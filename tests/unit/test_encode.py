from __future__ import annotations

import doctest
import threading
from array import array

import numpy as np
import pytest
from oracle import encode as oracle

from sophia._core import cpu, encode, hdc, record, sequence
from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable
from sophia._core.lexical import LexicalEncoder
from sophia._core.sequence import NgramEncoder
from sophia._core.vector import Hypervector
from sophia.errors import ShapeError

TEXTS = [
    "a",
    "ab",
    "cat",
    "the cat sat on the mat, the cat",
    "Error 404: /usr/lib/x86_64 not found (errno=2)",
    "naïve CAFÉ Ünïcode Ελληνικά Ж",
    "中国人民银行",
    "中",
    "日本語のテキスト Python入門",
    "ภาษาไทย",
    "great 👍👍 job",
    "נא ، مرحبا। नमस्ते।",
    "don't—stop… “quoted”",
    "x" * 300,
    "9 5 9 5 99",
]
DIMS = [64, 65, 127, 512, 1000]


def packed(vector: Hypervector) -> bytes:
    return memoryview(vector).tobytes()


def distance(one: Hypervector, two: Hypervector) -> int:
    return int(np.unpackbits(np.frombuffer(one, np.uint8) ^ np.frombuffer(two, np.uint8)).sum())


def test_doctests():
    for module in (encode, record, sequence):
        results = doctest.testmod(module)
        assert results.attempted > 3
        assert results.failed == 0


@pytest.mark.parametrize("text", TEXTS)
def test_features_are_those_of_the_oracle(text):
    weighted = oracle.weights(text)
    shown = TextEncoder(64).features(text)
    assert [count for _, _, count, _ in shown] == list(oracle.features(text).values())
    assert [16 * weight for *_, weight in shown] == list(weighted.values())
    names = dict.fromkeys(oracle.feature_names(text))
    assert [(kind, text) for text, kind, _, _ in shown] == [(kind, "".join(map(chr, codes))) for kind, codes in names]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("dim", DIMS)
def test_vectors_are_those_of_the_oracle(simd, text, dim):
    encoder = TextEncoder(dim, seed=5)
    weighted = oracle.weights(text, seed=5)
    vector = encoder.encode(text)
    assert (vector.model, vector.dim) == ("BSC", dim)
    assert packed(vector) == oracle.pack(oracle.encode_bits(weighted, dim))
    levels = encoder.encode_int8(text)
    assert (levels.dtype, levels.shape) == (np.int8, (dim,))
    assert levels.tolist() == oracle.encode_levels(weighted, dim)


def test_default_dimension_has_the_layout_of_a_hypervector(simd):
    vector = TextEncoder().encode("the cat sat on the mat")
    assert vector.nbytes == 1280
    assert Hypervector.from_bytes(vector.tobytes()) == vector  # refuses set padding bits
    assert packed(vector) == oracle.pack(oracle.encode_bits(oracle.weights("the cat sat on the mat"), 10_000))


def test_a_word_shorter_than_n_gives_itself():
    assert TextEncoder().features("a") == [("a", "word", 1, 1.0)]
    assert TextEncoder().features("ab") == [
        ("<ab", "gram3", 1, 1.0),
        ("ab>", "gram3", 1, 1.0),
        ("ab", "word", 1, 1.0),
    ]


def test_a_single_feature_is_its_own_hypervector():
    name = oracle.feature_hash(("word", (ord("a"),)))
    assert packed(TextEncoder(1000).encode("a")) == oracle.pack(oracle.row(name, 1000))
    assert set(TextEncoder(1000).encode_int8("a").tolist()) == {-127, 127}


def test_scripts_without_blanks_give_pairs_and_grams():
    shown = [(text, kind) for text, kind, *_ in TextEncoder().features("中国人民")]
    assert shown == [
        ("中国", "word"),
        ("国人", "word"),
        ("中国人", "gram3"),
        ("人民", "word"),
        ("国人民", "gram3"),
        ("中国人民", "gram4"),
    ]
    mixed = {text for text, kind, *_ in TextEncoder().features("Python入門") if kind == "word"}
    assert mixed == {"python", "入門"}


def test_grams_count_code_points_not_bytes():
    assert [len(text) for text, kind, *_ in TextEncoder().features("жук") if kind == "gram3"] == [3, 3, 3]


def test_classes_of_code_points_change_where_the_oracle_says():
    encoder = TextEncoder(64)
    for first, last in oracle.SEPARATORS + oracle.UNSPACED_RANGES:
        for code in (first - 1, first, last, last + 1):
            text = f"ab{chr(code)}{chr(code)}cd"
            counts = [count for _, _, count, _ in encoder.features(text)]
            assert counts == list(oracle.features(text).values()), hex(code)


def test_bytes_and_str_agree_and_any_bytes_are_taken():
    encoder = TextEncoder(512)
    assert encoder.encode("naïve 中") == encoder.encode("naïve 中".encode())
    for raw in (b"\xff\xfe", b"a\x80b", b"\xe4\xb8", b"\xed\xa0\x80x", b"\xf5\x80\x80\x80", b"\xc0\x80"):
        assert packed(encoder.encode(raw)) == oracle.pack(oracle.encode_bits(oracle.weights(raw), 512))
    assert encoder.encode("\ud800x") == encoder.encode(b"\xed\xa0\x80x")


@pytest.mark.parametrize("text", ["", " ", "?!", "\t\r\n", "…—", "。、", b""])
def test_a_text_without_features_is_refused(text):
    encoder = TextEncoder()
    for method in (encoder.encode, encoder.encode_int8, encoder.features):
        with pytest.raises(ValueError, match="no letter or digit"):
            method(text)
    with pytest.raises(ValueError, match=r"texts\[1\]"):
        encoder.encode_many(["a", text])


def test_a_text_is_the_bundle_of_its_features(simd):
    for text in ("a b", "cat", "the cat sat on the mat, the cat"):
        weighted = oracle.reduced(oracle.weights(text))
        rows = [Hypervector.from_bytes(oracle.pack(oracle.row(name, 1000))[:125], 1000) for name in weighted]
        assert TextEncoder(1000).encode(text) == hdc.bundle(rows, weights=list(weighted.values()))


def test_a_sequence_is_bound_permuted_and_bundled(simd):
    items = {symbol: NgramEncoder(1).encode(symbol) for symbol in "abcd"}
    grams = [
        hdc.bind(hdc.bind(hdc.permute(items[a], 2), hdc.permute(items[b], 1)), items[c])
        for a, b, c in zip("abcdab", "bcdab", "cdab", strict=False)
    ]
    assert NgramEncoder(3).encode("abcdab") == hdc.bundle(grams)


def test_word_order_and_blanks_do_not_matter(simd):
    encoder = TextEncoder()
    assert encoder.encode("one two three") == encoder.encode("  THREE, one;two")
    assert (encoder.encode_int8("one two three") == encoder.encode_int8("three one two")).all()


def test_ties_favour_no_bit_and_no_input(simd):
    """Two words of one letter tie in half of the lanes."""
    encoder = TextEncoder()
    one, two, both = (encoder.encode(text) for text in ("a", "b", "a b"))
    assert abs(distance(both, Hypervector()) - 5000) < 250
    assert abs(distance(both, one) - 2500) < 250
    assert abs(distance(both, two) - 2500) < 250
    assert both == encoder.encode("b a")
    assert both == TextEncoder().encode("b a")


def test_ties_make_unrelated_texts_no_more_alike(simd):
    encoder = TextEncoder()
    assert abs(distance(encoder.encode("a b"), encoder.encode("c d")) - 5000) < 250


def test_similar_texts_are_near_unrelated_far():
    encoder = TextEncoder()
    text = encoder.encode("how do i book a flight")
    assert distance(text, encoder.encode("book me a flight please")) < 4500
    assert distance(text, encoder.encode("kernel panic not syncing")) > 4700


def test_at_most_4096_features_are_taken_the_first_ones(simd):
    words = [f"w{i}" for i in range(3000)]
    text = " ".join([*words, "w0", "w0"])
    shown = TextEncoder(64).features(text)
    assert len(shown) == 4096
    assert [s[2] for s in shown if s[:2] == ("w0", "word")] == [3]
    weighted = oracle.weights(text)
    assert packed(TextEncoder(64).encode(text)) == oracle.pack(oracle.encode_bits(weighted, 64))
    assert TextEncoder(64).encode_int8(text).tolist() == oracle.encode_levels(weighted, 64)


def test_counts_saturate():
    ((_, _, count, weight),) = TextEncoder(64).features("a " * 70_000)
    assert count == 65_535
    assert 2.1 < weight < 2.2


def test_the_largest_weights_do_not_overflow(simd):
    idf = IdfTable()
    idf.apply((1 << 62) - 1, b"")
    text = " ".join(f"w{i}" for i in range(3000))
    encoder = TextEncoder(64, idf=idf)
    weighted = oracle.weights(text, documents=(1 << 62) - 1)
    assert encoder.encode_int8(text).tolist() == oracle.encode_levels(weighted, 64)
    assert packed(encoder.encode(text)) == oracle.pack(oracle.encode_bits(weighted, 64))


def test_idf_weighs_common_words_down(simd):
    idf = IdfTable(seed=3)
    texts = ["the cat", "the dog", "the hen", "the owl"]
    frequencies: dict[int, int] = {}
    for text in texts:
        idf.observe(text)
        for name in oracle.features(text, 3):
            frequencies[name] = frequencies.get(name, 0) + 1
    weighted = oracle.weights("the cat", 3, 4, frequencies)
    encoder = TextEncoder(1000, seed=3, idf=idf)
    assert packed(encoder.encode("the cat")) == oracle.pack(oracle.encode_bits(weighted, 1000))
    assert encoder.encode_int8("the cat").tolist() == oracle.encode_levels(weighted, 1000)
    shown = {(text, kind): weight for text, kind, _, weight in encoder.features("the cat")}
    assert shown["the", "word"] < shown["cat", "word"]


def test_batch_equals_single():
    encoder = TextEncoder(1000)
    bits, levels = encoder.encode_many(TEXTS), encoder.encode_int8_many(TEXTS)
    assert (bits.shape, levels.shape) == ((len(TEXTS), 128), (len(TEXTS), 1000))
    for i, text in enumerate(TEXTS):
        assert bits[i].tobytes() == packed(encoder.encode(text))
        assert (levels[i] == encoder.encode_int8(text)).all()
    assert encoder.encode_many([]).shape == (0, 128)
    with pytest.raises(TypeError, match="not a single one"):
        encoder.encode_many("abc")


def test_wrong_arguments_are_refused():
    with pytest.raises(ShapeError, match="dim"):
        TextEncoder(63)
    with pytest.raises(ValueError, match="seed"):
        TextEncoder(seed=-1)
    with pytest.raises(ValueError, match="must be the same"):
        TextEncoder(seed=1, idf=IdfTable(seed=2))
    with pytest.raises(TypeError, match="str or bytes"):
        TextEncoder().encode(7)
    with pytest.raises(ValueError, match="n must be"):
        NgramEncoder(0)
    with pytest.raises(ValueError, match="n must be"):
        NgramEncoder(9)
    with pytest.raises(ShapeError, match="dtype"):
        NgramEncoder().encode(np.zeros(5))
    with pytest.raises(TypeError, match="buffer"):
        NgramEncoder().encode([1, 2, 3])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("dim", [64, 65, 1000])
def test_ngrams_are_those_of_the_oracle(simd, n, dim):
    text = "the quick brown fox, naïve 中国"
    rows = [(row, 1) for row in oracle.ngram_rows([ord(c) for c in text], n, dim, 11)]
    encoder = NgramEncoder(n, dim, seed=11)
    assert packed(encoder.encode(text)) == oracle.pack(oracle.majority(rows, dim))
    assert encoder.encode_int8(text).tolist() == oracle.scale(oracle.sums(rows, dim))


def test_a_sequence_as_long_as_n_is_one_gram(simd):
    (row,) = oracle.ngram_rows([97, 98, 99], 3, 10_000)
    assert packed(NgramEncoder().encode("abc")) == oracle.pack(row)


@pytest.mark.parametrize("sequence", ["", "a", "ab", b"ab", "中国"])
def test_a_sequence_shorter_than_n_is_refused(sequence):
    with pytest.raises(ValueError, match="need at least 3"):
        NgramEncoder().encode(sequence)
    with pytest.raises(ValueError, match="need at least 3"):
        NgramEncoder().encode_int8(sequence)


def test_symbols_are_numbers_whatever_carries_them():
    encoder = NgramEncoder(2, 1000)
    expected = encoder.encode("abcab")
    numbers = [ord(c) for c in "abcab"]
    assert encoder.encode(b"abcab") == expected
    for code in "BHILQ":
        assert encoder.encode(array(code, numbers)) == expected
    assert encoder.encode(np.array(numbers, np.uint16)) == expected
    assert encoder.encode(array("Q", [2**64 - 1, 0, 2**64 - 1])).dim == 1000
    assert encoder.encode_many(["abcab", b"abcab"])[1].tobytes() == packed(expected)


def test_order_of_symbols_matters():
    encoder = NgramEncoder(3)
    assert abs(distance(encoder.encode("abc"), encoder.encode("cba")) - 5000) < 250


def test_more_symbols_than_the_cache_holds(simd):
    """Rows are made anew when 512 symbols are in use; the result knows nothing of it."""
    symbols = [*range(700), *range(300), 5, 5, 5]
    encoder = NgramEncoder(3, 64, seed=2)
    rows = [(row, 1) for row in oracle.ngram_rows(symbols, 3, 64, 2)]
    expected = oracle.pack(oracle.majority(rows, 64))
    for _ in range(2):
        assert packed(encoder.encode(array("H", symbols))) == expected


@pytest.mark.stress
def test_one_encoder_in_many_threads():
    idf = IdfTable()
    for text in TEXTS:
        idf.observe(text)
    encoder, sequences = TextEncoder(2048, idf=idf), NgramEncoder(2, 2048)
    expected = [(packed(encoder.encode(t)), packed(sequences.encode(f"{t}..."))) for t in TEXTS]
    wrong: list[str] = []

    def work() -> None:
        for _ in range(30):
            for text, (bits, grams) in zip(TEXTS, expected, strict=True):
                if packed(encoder.encode(text)) != bits or packed(sequences.encode(f"{text}...")) != grams:
                    wrong.append(text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_levels_agree_at_the_default_dimension():
    text = "could you tell me how to book a flight to london from paris for tomorrow"
    idf = IdfTable()
    for i in range(50):
        idf.observe(f"{text} {i}")
    encoder, grams = TextEncoder(idf=idf), NgramEncoder()
    before = cpu.simd_level()
    results = set()
    try:
        for level in cpu.simd_levels():
            cpu.set_simd_level(level)
            results.add(
                (
                    packed(encoder.encode(text)),
                    encoder.encode_int8(text).tobytes(),
                    packed(grams.encode(text)),
                )
            )
    finally:
        cpu.set_simd_level(before)
    assert len(results) == 1


def test_a_dimension_is_asked_once():
    class Twice:
        def __init__(self, *answers: int) -> None:
            self.answers = list(answers)

        def __index__(self) -> int:
            return self.answers.pop(0)

    assert TextEncoder(Twice(100, 1 << 22)).encode("tea") == TextEncoder(100).encode("tea")
    assert LexicalEncoder(Twice(100, 1 << 22)).dim == 100
    for make in (TextEncoder, LexicalEncoder):
        with pytest.raises(TypeError):
            make(100.5)
        with pytest.raises(TypeError, match="seed: a float"):
            make(100, seed=1.5)

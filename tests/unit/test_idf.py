from __future__ import annotations

import doctest
import struct
import threading

import pytest
from oracle import encode as oracle
from oracle.hash import hash_bytes

from sophia._core import idf
from sophia._core.encode import TextEncoder
from sophia._core.idf import IdfTable
from sophia.errors import StoreCorrupt, StoreVersionError

BOUND_MIN = 16_384


def words(first: int, count: int) -> str:
    """A text with at least `count` features of its own."""
    return " ".join(f"w{i}x" for i in range(first, first + count))


def test_doctests():
    results = doctest.testmod(idf)
    assert results.attempted > 4
    assert results.failed == 0


@pytest.mark.parametrize("documents", [0, 1, 2, 3, 7, 100, 511, 4096, 10**6, 2**32, 2**61])
def test_weights_are_those_of_the_oracle(documents):
    table = IdfTable()
    table.apply(documents, b"")
    name = oracle.feature_hash(("word", (ord("a"),)))
    for df in {min(n, 2**31 - 1) for n in (0, 1, 2, 5, documents // 2, documents)}:
        table.apply(0, struct.pack("<Qq", name, df))
        assert table.weight("a") == oracle.idf_weight(documents, df) / 16
        table.apply(0, struct.pack("<Qq", name, -df))


def test_weights_fall_as_frequencies_rise():
    weights = [oracle.idf_weight(1000, df) for df in range(1001)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 1


def test_every_feature_of_a_text_is_counted_once():
    table = IdfTable()
    table.observe("the cat and the cat")
    assert (table.documents, len(table)) == (1, len(oracle.features("the cat and the cat")))
    assert table.df("the") == table.df("cat") == 1


def test_forgetting_undoes_observing():
    table = IdfTable()
    table.observe("the cat")
    before = table.dump()
    table.observe("the dog")
    table.forget("the dog")
    assert table.dump() == before
    assert table.df("dog") == 0
    table.forget("the cat")
    assert (table.documents, len(table)) == (0, 0)
    with pytest.raises(ValueError, match="no document is left"):
        table.forget("the cat")


def test_forgetting_what_was_never_seen_goes_no_lower_than_zero():
    table = IdfTable()
    table.observe("cat")
    table.forget("dog")
    assert (table.documents, table.df("cat"), table.df("dog")) == (0, 1, 0)
    assert table.weight("cat") > 0


def test_texts_without_features_are_refused():
    table = IdfTable()
    for text in ("", "?!"):
        with pytest.raises(ValueError, match="no letter or digit"):
            table.observe(text)
    assert table.documents == 0
    with pytest.raises(ValueError, match="single word"):
        table.df("two words")
    with pytest.raises(ValueError, match="single word"):
        table.df("")


def test_the_table_grows_and_stays_right():
    table = IdfTable()
    for start in range(0, 9000, 500):
        table.observe(words(start, 500))
    assert len(table) > 9000
    assert table.swept == 0
    assert all(table.df(f"w{i}x") == 1 for i in range(9000))


def test_a_full_table_sweeps_the_rarest():
    table = IdfTable(bound=BOUND_MIN)
    for _ in range(3):
        table.observe("common words stay here")
    for start in range(0, 40_000, 400):
        table.observe(words(start, 400))
        assert len(table) <= BOUND_MIN
    assert table.swept > 0
    assert table.df("common") == 3
    assert table.df("w39999x") == 1  # the newest are there
    assert table.nbytes <= 64 * BOUND_MIN


def test_a_table_of_common_features_still_makes_room():
    table = IdfTable(bound=BOUND_MIN)
    text = words(0, 1000)
    start = 0
    while table.swept == 0:
        for _ in range(5):
            table.observe(words(start, 1000))
        start += 1000
        assert start < 50_000
    assert len(table) <= BOUND_MIN
    table.observe(text)
    assert table.df("w0x") == 1


def test_dump_and_load():
    table = IdfTable(seed=9, bound=50_000)
    for text in ("the cat", "the dog", "naïve 中国"):
        table.observe(text)
    block = table.dump()
    loaded = IdfTable.load(block)
    assert loaded.dump() == block
    assert (loaded.seed, loaded.bound, loaded.documents) == (9, 50_000, 3)
    assert loaded.df("the") == 2
    assert loaded.changes() == (0, b"")
    assert len(block) == 56 + 12 * len(table) + 16


def test_equal_tables_dump_equal_bytes_whatever_the_order():
    one, two = IdfTable(), IdfTable()
    texts = [words(i, 50) for i in range(0, 400, 25)]
    for text in texts:
        one.observe(text)
    for text in reversed(texts):
        two.observe(text)
    assert one.dump() == two.dump()


def test_a_full_table_loads_without_a_sweep():
    table = IdfTable(bound=BOUND_MIN)
    start = 0
    while len(table) < BOUND_MIN - 500:
        table.observe(words(start, 100))
        start += 100
    assert IdfTable.load(table.dump()).dump() == table.dump()


def test_damaged_dumps_are_refused():
    table = IdfTable()
    table.observe("the cat sat")
    block = table.dump()
    for at in range(0, len(block), 7):
        damaged = bytearray(block)
        damaged[at] ^= 0x10
        with pytest.raises((StoreCorrupt, StoreVersionError)):
            IdfTable.load(bytes(damaged))
    for size in (0, 8, 71, len(block) - 1):
        with pytest.raises(StoreCorrupt):
            IdfTable.load(block[:size])
    with pytest.raises(StoreCorrupt):
        IdfTable.load(block + b"\0")


def test_a_newer_version_is_named():
    block = bytearray(IdfTable().dump())
    block[8] = 2
    with pytest.raises(StoreVersionError, match="version 2"):
        IdfTable.load(bytes(block))


def test_changes_replayed_give_the_same_table():
    table, copy = IdfTable(bound=BOUND_MIN), IdfTable(bound=BOUND_MIN)
    for start in range(0, 30_000, 300):
        table.observe(words(start, 300))
        if start % 900 == 0:
            table.forget(words(start, 300))
        if start % 1500 == 0:
            copy.apply(*table.changes())
            assert copy.dump()[:32] == table.dump()[:32]
    copy.apply(*table.changes())
    assert table.swept > 0
    assert copy.swept == 0
    assert (copy.documents, len(copy)) == (table.documents, len(table))
    # all but the number of swept features, which the header holds
    assert copy.dump()[48:-16] == table.dump()[48:-16]
    assert table.changes() == (0, b"")


def test_changes_name_only_what_changed():
    table = IdfTable()
    table.observe("a b")
    assert table.changes() == (1, b"".join(struct.pack("<Qq", n, 1) for n in oracle.features("a b")))
    table.observe("b")
    assert table.changes() == (1, struct.pack("<Qq", oracle.feature_hash(("word", (ord("b"),))), 1))
    table.observe("a")
    table.forget("a")
    assert table.changes() == (0, b"")
    table.forget("a b")
    gone = dict(struct.iter_unpack("<Qq", table.changes()[1]))
    assert gone[oracle.feature_hash(("word", (ord("a"),)))] == -1


def test_observing_and_forgetting_for_ever_keeps_memory_flat():
    table = IdfTable()
    for _ in range(3000):
        table.observe(words(0, 50))
        table.forget(words(0, 50))
    documents, records = table.changes()
    assert (documents, records) == (0, b"")


def test_apply_refuses_what_is_not_changes():
    table = IdfTable()
    with pytest.raises(StoreCorrupt, match="not the changes"):
        table.apply(0, b"\0" * 15)
    with pytest.raises(StoreCorrupt, match="feature 0"):
        table.apply(0, b"\0" * 16)
    with pytest.raises(StoreCorrupt):
        table.apply(-1, b"")


@pytest.mark.parametrize("documents", [2**62 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_number_of_documents_that_cannot_be_is_refused(documents: int):
    """Twice as many would not fit in 64 bits, and their logarithm would be that of nothing."""
    table = IdfTable()
    table.observe("cat")
    dump = table.dump()
    body = dump[:32] + documents.to_bytes(8, "little") + dump[40:-16]
    with pytest.raises(StoreCorrupt, match="documents"):
        IdfTable.load(body + b"".join(part.to_bytes(8, "little") for part in hash_bytes(body, 0x5350494446)))
    if documents < 2**63:
        with pytest.raises(StoreCorrupt, match="documents"):
            table.apply(documents, b"")
    assert table.dump() == dump


def test_the_largest_number_of_documents_weighs():
    table = IdfTable()
    table.apply(2**62, b"")
    assert table.weight("cat") == 63.0
    with pytest.raises(StoreCorrupt, match="documents"):
        table.apply(1, b"")


def test_apply_keeps_changes_that_were_not_told():
    table = IdfTable()
    table.observe("cat")
    table.apply(1, struct.pack("<Qq", 77, 5))
    documents, records = table.changes()
    assert documents == 1
    assert 77 not in dict(struct.iter_unpack("<Qq", records))
    assert len(records) == 16 * len(oracle.features("cat"))


def test_merge_adds():
    one, two, both = IdfTable(), IdfTable(), IdfTable()
    for text in ("the cat", "the dog"):
        one.observe(text)
        both.observe(text)
    for text in ("the hen", "cat hen"):
        two.observe(text)
        both.observe(text)
    one.merge(two)
    assert one.dump() == both.dump()
    documents, records = one.changes()
    assert documents == 4
    assert len(records) == 16 * len(one)
    one.merge(one)
    assert one.documents == 8
    with pytest.raises(ValueError, match="seeds"):
        one.merge(IdfTable(seed=1))


def test_wrong_arguments_are_refused():
    for bound in (BOUND_MIN - 1, (1 << 28) + 1):
        with pytest.raises(ValueError, match="bound"):
            IdfTable(bound=bound)
    with pytest.raises(ValueError, match="seed"):
        IdfTable(seed=1 << 64)
    with pytest.raises(TypeError):
        IdfTable().observe(3)
    with pytest.raises(TypeError):
        IdfTable().merge(None)


@pytest.mark.stress
def test_one_table_in_many_threads():
    table = IdfTable(bound=BOUND_MIN)
    encoder = TextEncoder(64, idf=table)

    def work(mine: int) -> None:
        for i in range(150):
            table.observe(words(1000 * mine + i, 40))
            encoder.encode(words(1000 * mine, 40))
            if i % 10 == 0:
                table.dump()
                table.forget(words(1000 * mine + i, 40))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.documents == 4 * (150 - 15)
    assert len(table) <= BOUND_MIN

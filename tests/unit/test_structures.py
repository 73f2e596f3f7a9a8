"""Structures of one hypervector: exact sums, recall, and what is refused."""

from __future__ import annotations

import doctest
import importlib
import sys
from typing import Any

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sophia.hdc
from sophia.errors import ShapeError
from sophia.hdc import (
    MODELS,
    BindSequence,
    BundleSequence,
    DistinctSequence,
    Graph,
    HashTable,
    ItemMemory,
    Multiset,
    Sequence,
    Space,
    Tree,
    ngrams,
)
from sophia.hdc.similarities import cosines
from sophia.hdc.sums import Sums

DIM = 2000
COMPILED = ("bsc", "map")
models = pytest.mark.parametrize("model", MODELS)
compiled = pytest.mark.parametrize("model", COMPILED)


def items(space: Space, n: int = 30) -> ItemMemory:
    memory = ItemMemory(space)
    memory.add_many(space.random_rows(n, "item"))
    return memory


def close(a: Any, b: Any) -> bool:
    return bool(numpy.allclose(numpy.asarray(a), numpy.asarray(b), atol=2e-4))


@pytest.mark.parametrize("name", ["sums", "summed", "memory", "memory_file", "structures", "sequences", "resonator"])
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"sophia.hdc.{name}")).failed == 0


def test_public_names() -> None:
    for name in sophia.hdc.__all__:
        assert getattr(sophia.hdc, name) is not None
    assert Sequence is BundleSequence
    assert DistinctSequence is BindSequence
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sophia.hdc.nothing  # type: ignore[attr-defined]


def test_importing_the_room_loads_no_numpy() -> None:
    import subprocess

    code = "import sys, sophia.hdc; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ----------------------------------------------------------------------------------------------------------- exact sums


@models
@given(data=st.data())
def test_sums_forget_what_is_removed_and_know_no_order(model: str, data: st.DataObject) -> None:
    space = Space(model, 130)
    names = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=12))
    sums, other = Sums(space), Sums(space)
    for name in names:
        sums.add(space.random(name))
    for name in data.draw(st.permutations(names)):
        other.add(space.random(name))
    assert sums == other
    assert close(sums.vector(), other.vector())
    passing = data.draw(st.lists(st.integers(10, 19), max_size=8))
    for name in passing:
        sums.add(space.random(name), 3)
    for name in data.draw(st.permutations(passing)):
        sums.subtract(space.random(name), 3)
    assert sums == other
    assert numpy.asarray(sums.vector()).tobytes() == numpy.asarray(other.vector()).tobytes()
    merged = Sums(space)
    merged.merge(sums, 5)
    assert numpy.array_equal(merged.numbers, numpy.roll(sums.numbers, 5))
    merged.merge(sums.copy(), -5)
    assert merged.total == 2 * len(names)


@models
def test_sums_do_not_wrap(model: str) -> None:
    """An int8 sum of 200 equal vectors was -56 elsewhere."""
    space = Space(model, 130)
    one = space.random("a")
    sums = Sums(space)
    for _ in range(200):
        sums.add(one)
    sums.add(one, 1_000_000)
    assert numpy.allclose(sums.numbers, 1_000_200 * space.array(one).astype(complex), rtol=1e-6, atol=1e-4)
    assert sums.similarity(one) == pytest.approx(1.0, abs=1e-7)
    before = sums.numbers
    loud = one if model in COMPILED else space.from_array(1000 * space.array(one))
    with pytest.raises(ValueError, match=r"overflow|too large"):
        sums.add(loud, (1 << 31) - 1)
    assert numpy.array_equal(sums.numbers, before)
    assert sums.total == 1_000_200


@models
def test_sums_agree_with_a_plain_sum(model: str) -> None:
    space = Space(model, 700)
    rows = space.random_rows(40, "x")
    sums = Sums(space)
    sums.add(rows[:20])
    sums.add([space.vector(row) for row in rows[20:30]])
    sums.add(rows[30], 4)
    plain = space.array(rows[:30]).astype(complex).sum(0) + 4 * space.array(rows[30])
    assert numpy.allclose(sums.numbers, plain, atol=1e-6)
    expected = (space.array(rows).astype(complex) @ plain.conj()).real / numpy.linalg.norm(plain)
    expected /= numpy.linalg.norm(space.array(rows).astype(complex), axis=1)
    assert numpy.allclose(cosines(space, sums.numbers, rows), expected, atol=1e-7)
    assert sums.similarity(rows[3]) == pytest.approx(expected[3], abs=1e-7)
    assert close(sums.vector(), space.bundle(rows[:31], weights=[1] * 30 + [4]))


@compiled
@given(data=st.data())
def test_products_of_sums_are_exact(model: str, data: st.DataObject) -> None:
    dim = data.draw(st.sampled_from([64, 100, 130, 512]))
    space = Space(model, dim)
    most = data.draw(st.sampled_from([0, 1, 7, 127, 128, 129, 40_000, (1 << 31) - 1]))
    rng = numpy.random.default_rng(data.draw(st.integers(0, 1000)))
    numbers = rng.integers(-most, most + 1, dim)
    rows = space.random_rows(9, "x")
    norm = float(numpy.linalg.norm(numbers.astype(float))) * dim**0.5
    expected = (space.array(rows).astype(numpy.int64) @ numbers) / norm if norm else numpy.zeros(9)
    assert numpy.allclose(cosines(space, numbers, rows), expected, atol=1e-14)


@compiled
def test_products_of_sums_at_every_level(model: str, simd: str) -> None:
    space = Space(model)
    sums = Sums(space)
    rows = space.random_rows(101, "x")
    sums.add(rows)
    signs = space.array(rows).astype(numpy.int64)
    expected = signs @ signs.sum(0) / (numpy.linalg.norm(signs.sum(0).astype(float)) * 100)
    assert numpy.allclose(cosines(space, sums.numbers, rows), expected, atol=1e-14)


@models
def test_what_was_never_added(model: str) -> None:
    space = Space(model, DIM)
    chosen = Multiset(space)
    a, b, c = (space.random(name) for name in "abc")
    for count in (1, 5):
        with pytest.raises(ValueError, match="no more can be taken out than are in"):
            chosen.remove(a, count)
    chosen.add(a)
    with pytest.raises(ValueError, match=r"never added|not the one that was added"):
        chosen.remove(b)
    assert numpy.allclose(chosen.sums, space.array(a), atol=1e-6)
    if model in COMPILED:
        chosen.add(c, 2)
        before = chosen.sums
        with pytest.raises(ValueError, match="never added"):
            chosen.remove(b)
        assert numpy.array_equal(chosen.sums, before)
        assert len(chosen) == 3


# ----------------------------------------------------------------------------------------------------------- structures


@models
def test_a_multiset(model: str) -> None:
    space = Space(model, DIM)
    memory, chosen = items(space), Multiset(space)
    assert not chosen
    assert chosen.contains(memory[0]) == 0.0
    assert chosen.find(memory) == []
    chosen.add(memory.rows[:5])
    chosen.add(memory[5], 3)
    assert len(chosen) == chosen.size == 8
    assert chosen.find(memory)[0].key == 5
    assert {hit.key for hit in chosen.find(memory)} == set(range(6))
    assert len(chosen.find(memory, most=2)) == 2
    assert chosen.find(memory, 1.0) == []
    assert abs(chosen.count(memory[5]) - 3) < 0.4
    assert abs(chosen.count(memory[20])) < 0.4
    assert space.similarity(chosen.vector, memory[5]) > 0.3
    for key in range(5):
        chosen.remove(memory[key])
    chosen.remove(memory[5], 2)
    assert close(chosen.vector, memory[5])
    assert chosen.contains(memory[5]) == pytest.approx(1.0, abs=1e-6)
    chosen.clear()
    with pytest.raises(ValueError, match="nothing was added"):
        _ = chosen.vector


def test_sums_recall_what_a_majority_has_dropped() -> None:
    space = Space("bsc", DIM)
    memory, chosen = items(space, 400), Multiset(space)
    chosen.add(memory.rows[:100])
    by_sums = {hit.key for hit in memory.nearest(chosen.sums, 100)}
    by_vector = {hit.key for hit in memory.top_k(chosen.vector, 100)}
    assert len(by_sums & set(range(100))) > len(by_vector & set(range(100)))


@models
@settings(max_examples=40)
@given(data=st.data())
def test_a_bundled_sequence_is_a_list(model: str, data: st.DataObject) -> None:
    space = Space(model, DIM)
    memory = items(space, 12)
    line, expected = BundleSequence(space, memory), []
    for _ in range(data.draw(st.integers(0, 12))):
        key = data.draw(st.integers(0, 11))
        what = data.draw(st.sampled_from(["append", "append", "left", "left", "pop", "popleft", "replace", "concat"]))
        given_too = data.draw(st.booleans())
        if what == "append":
            line.append(memory[key])
            expected.append(key)
        elif what == "left":
            line.appendleft(memory[key])
            expected.insert(0, key)
        elif what == "concat":
            line = line.concat(line)
            expected = expected + expected
            if len(expected) > 12:
                break
        elif not expected:
            with pytest.raises(IndexError, match=r"empty|out of range"):
                line.replace(0, memory[key]) if what == "replace" else getattr(line, what)()
        elif what == "replace":
            place = data.draw(st.integers(-len(expected), len(expected) - 1))
            line.replace(place, memory[key], memory[expected[place]] if given_too else None)
            expected[place] = key
        else:
            old = expected.pop(-1 if what == "pop" else 0)
            assert close(getattr(line, what)(memory[old] if given_too else None), memory[old])
        assert len(line) == len(expected)
    assert [line.find(place).key for place in range(len(line))] == expected
    fresh = BundleSequence(space)
    for key in expected:
        fresh.append(memory[key])
    assert numpy.array_equal(fresh.sums, line.sums)
    if expected:
        assert close(fresh.vector, line.vector)
        shifted = [space.permute(memory[key], len(expected) - 1 - place) for place, key in enumerate(expected)]
        assert close(line.vector, space.bundle(shifted))
        assert line.similarity(fresh) == pytest.approx(1.0)
        assert space.similarity(line.get(-1), memory[expected[-1]]) > 0.1


@models
def test_sequences_that_share_places_are_alike(model: str) -> None:
    space = Space(model, DIM)
    a, b = BundleSequence(space), BundleSequence(space)
    assert a.similarity(b) == 0.0
    for number in range(8):
        a.append(space.random(number))
        b.append(space.random(number if number % 2 else 100 + number))
    assert abs(a.similarity(b) - 0.5) < 0.1
    b.append(space.random("later"))
    assert abs(a.similarity(b)) < 0.1
    b.clear()
    with pytest.raises(IndexError, match="out of range: the sequence has 0 items"):
        b.find(0)


@models
@given(data=st.data())
def test_a_bound_sequence_is_its_items_in_order(model: str, data: st.DataObject) -> None:
    space = Space(model, 512)
    rows = [space.random(number) for number in range(8)]
    line, expected = BindSequence(space), []
    for _ in range(data.draw(st.integers(1, 25))):
        key = data.draw(st.integers(0, 7))
        what = data.draw(st.sampled_from(["append", "append", "left", "left", "pop", "popleft", "replace", "concat"]))
        if what == "append":
            line.append(rows[key])
            expected.append(key)
        elif what == "left":
            line.appendleft(rows[key])
            expected.insert(0, key)
        elif what == "concat":
            line = line.concat(line)
            expected = (expected + expected)[: 2 * len(expected)]
            if len(expected) > 40:
                break
        elif not expected:
            with pytest.raises(IndexError, match=r"empty|out of range"):
                line.replace(0, rows[0], rows[0]) if what == "replace" else getattr(line, what)(rows[0])
        elif what == "replace":
            place = data.draw(st.integers(-len(expected), len(expected) - 1))
            line.replace(place, rows[key], rows[expected[place]])
            expected[place] = key
        else:
            getattr(line, what)(rows[expected.pop(-1 if what == "pop" else 0)])
        assert len(line) == line.size == len(expected)
    fresh = BindSequence(space)
    for key in expected:
        fresh.append(rows[key])
    assert fresh.similarity(line) == pytest.approx(1.0, abs=1e-6)
    if expected:
        place = data.draw(st.integers(0, len(expected) - 1))
        others = [rows[key] for at, key in enumerate(expected) if at != place]
        assert space.similarity(line.get(place, others), rows[expected[place]]) > (0.8 if model == "hrr" else 0.999)
        other = line.concat(fresh)
        assert abs(other.similarity(line)) < 0.3
        if model != "hrr":
            shifted = [space.permute(rows[key], len(expected) - 1 - place) for place, key in enumerate(expected)]
            assert close(line.vector, space.multibind(shifted))


@models
def test_the_order_of_a_bound_sequence_counts(model: str) -> None:
    """Also in HRR, where a rotated factor of a product rotates the product, whichever it was."""
    space = Space(model, DIM)
    a, b = BindSequence(space), BindSequence(space)
    assert a.similarity(b) == 1.0
    for name in "xyz":
        a.append(space.random(name))
        assert a.similarity(b) < 0.2
        b.appendleft(space.random(name))
    assert abs(a.similarity(b)) < 0.15
    with pytest.raises(ValueError, match="the sequence is empty"):
        _ = BindSequence(space).vector
    with pytest.raises(ShapeError, match="needs the 2 other items"):
        a.get(0, [])
    for index in (3, -4):
        with pytest.raises(IndexError, match="out of range"):
            a.replace(index, space.random("x"), space.random("x"))
    with pytest.raises(TypeError, match="whole number"):
        a.get(1.0, [])  # type: ignore[arg-type]


@models
def test_ngrams(model: str) -> None:
    space = Space(model, DIM)
    letters = {letter: space.random(letter) for letter in "abcdef"}
    text = [letters[letter] for letter in "abcdef"]

    def gram(word: str) -> Any:
        parts = [space.rotate(letters[letter], len(word) - 1 - i) for i, letter in enumerate(word)]
        return space.multibind(parts)

    made = ngrams(space, text, 3)
    assert close(made, ngrams(space, numpy.stack([numpy.asarray(one) for one in text]), 3))
    assert close(made, space.bundle([gram(word) for word in ("abc", "bcd", "cde", "def")]))
    assert min(space.similarity(made, gram(word)) for word in ("abc", "bcd", "cde", "def")) > 0.25
    assert max(abs(space.similarity(made, gram(word))) for word in ("cba", "acb", "bac", "cab")) < 0.2
    assert close(ngrams(space, text, 1), space.bundle(text))
    assert close(ngrams(space, text, 6), gram("abcdef"))
    for n in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="n is"):
            ngrams(space, text, n)  # type: ignore[arg-type]
    for vectors, n in ((text, 7), ([], 1)):
        with pytest.raises(ValueError, match=f"have no {n}-gram"):
            ngrams(space, vectors, n)


@models
@pytest.mark.parametrize("keeps", [True, False])
def test_a_hash_table(model: str, keeps: bool) -> None:
    space = Space(model, DIM)
    memory = items(space)
    keys = [space.random(f"key {number}") for number in range(8)]
    table = HashTable(space, None if keeps else memory)
    with pytest.raises(ValueError, match="the table is empty"):
        table.replace(keys[0], memory[0])
    for number, key in enumerate(keys):
        table.add(key, memory[number])
    assert [table.find(key).key for key in keys] == list(range(8))
    assert [table.find(key, memory).key for key in keys] == list(range(8))
    assert table.find(space.random("unknown")).key is None
    assert space.similarity(table.get(keys[3]), memory[3]) > 0.15
    assert table.contains(keys[3], memory[3]) > 0.2 > abs(table.contains(keys[3], memory[4]))
    before = table.sums
    table.replace(keys[2], memory[9])  # without the old value in hand
    assert table.find(keys[2], memory).key == 9
    table.replace(keys[2], memory[2], memory[9])
    assert numpy.array_equal(table.sums, before)
    for key in keys[1:]:
        table.remove(key)
    assert len(table) == 1
    assert close(table.vector, space.bind(keys[0], memory[0]))
    table.remove(keys[0], memory[0])
    assert not table.sums.any()
    if keeps:
        assert table.memory is not None
        assert len(table.memory) == 9
        table.clear()
        assert len(table.memory) == 0


@models
def test_a_table_that_is_not_sure_changes_nothing(model: str) -> None:
    space = Space(model, DIM)
    memory, a, b = items(space), space.random("a"), space.random("b")
    table = HashTable(space, memory)
    table.add(a, memory[0])
    table.add(b, space.random("a stranger"))
    before = table.sums
    with pytest.raises(LookupError, match="does not know it"):
        table.replace(b, memory[1])
    with pytest.raises(LookupError, match="does not know it"):
        table.remove(space.random("no key"))
    assert numpy.array_equal(table.sums, before)
    table.add(a, memory[5])  # two values under one key
    before = table.sums
    with pytest.raises(LookupError, match="it may be"):
        table.replace(a, memory[1])
    assert numpy.array_equal(table.sums, before)
    assert len(table) == 3
    table.replace(a, memory[1], memory[5])
    assert {hit.key for hit in memory.nearest(table._sums.unbound(a), 2)} == {0, 1}
    empty = HashTable(space, ItemMemory(space))
    empty.add(a, memory[0])
    assert empty.find(a).key is None
    with pytest.raises(LookupError, match="no items"):
        empty.remove(a)


@models
@pytest.mark.parametrize("directed", [True, False])
def test_a_graph(model: str, directed: bool) -> None:
    space = Space(model, DIM)
    nodes, graph = items(space), Graph(space, directed=directed)
    assert graph.find_neighbours(nodes[0], nodes) == []
    edges = [(0, 1), (0, 2), (3, 0), (4, 5)]
    for a, b in edges:
        graph.add_edge(nodes[a], nodes[b])
    assert len(graph) == 4

    def around(node: int, **options: Any) -> set[Any]:
        return {hit.key for hit in graph.find_neighbours(nodes[node], nodes, **options)}

    assert around(0) == ({1, 2} if directed else {1, 2, 3})
    assert around(0, outgoing=False) == ({3} if directed else {1, 2, 3})
    assert around(5) == (set() if directed else {4})
    assert len(around(0, most=1)) == 1
    assert graph.contains(nodes[4], nodes[5]) > 0.35
    assert (graph.contains(nodes[5], nodes[4]) > 0.35) == (not directed)
    assert space.similarity(graph.neighbours(nodes[0]), nodes[1]) > 0.2
    assert (space.similarity(graph.neighbours(nodes[0], outgoing=False), nodes[3]) > 0.2) is True
    assert close(graph.node_neighbors(nodes[0]), graph.neighbours(nodes[0]))
    before = graph.sums
    graph.add_edge(nodes[7], nodes[8])
    graph.remove_edge(nodes[7], nodes[8])
    assert numpy.array_equal(graph.sums, before)
    if model in COMPILED and not directed:
        with pytest.raises(ValueError, match="are one node"):
            graph.add_edge(nodes[1], nodes[1])
    else:
        graph.add_edge(nodes[1], nodes[1])
    graph.clear()
    with pytest.raises(ValueError, match="no more can be taken out"):
        graph.remove_edge(nodes[0], nodes[1])


@models
def test_a_tree(model: str) -> None:
    space = Space(model, DIM)
    memory = items(space)
    tree = Tree(space, memory)
    left, right = "left", "right"
    leaves = {(left,): 0, (right, left): 1, (right, right, left): 2, (right, right, right): 3, (left,) * 12: 4}
    for path, key in leaves.items():
        tree.add_leaf(memory[key], path)
    assert len(tree) == tree.size == 5
    assert {path: tree.find_leaf(list(path)).key for path in leaves} == leaves
    for path in ((left, right), (right,), (left, right, right)):
        assert tree.find_leaf(path).key is None
    assert space.similarity(tree.get_leaf([left]), memory[0]) > 0.2
    tree.replace_leaf([left], memory[7])
    assert tree.find_leaf([left]).key == 7
    tree.remove_leaf([left])
    assert tree.find_leaf([left]).key is None
    with pytest.raises(LookupError, match="does not know it"):
        tree.remove_leaf([left])
    assert tree.memory is memory
    assert tree.sums.shape == (DIM,)
    assert tree.vector is not None
    for path, error, words in (
        ([], ValueError, "0 turns"),
        ([left] * 1000, ValueError, "1000 turns"),
        ([left, "up"], ValueError, "turn 1 is 'up'"),
        ("left", TypeError, "list of"),
        (None, TypeError, "list of"),
    ):
        with pytest.raises(error, match=words):
            tree.find_leaf(path)  # type: ignore[arg-type]
    tree.clear()
    with pytest.raises(ValueError, match="nothing was added"):
        tree.get_leaf([left])
    assert tree.find_leaf([left]).key is None


@models
def test_rotation_does_not_pass_through_a_product(model: str) -> None:
    space = Space(model, 1001 if model == "hrr" else 1000)
    a, b = space.random("a"), space.random("b")
    assert abs(space.similarity(space.bind(space.rotate(a), b), space.bind(a, space.rotate(b)))) < 0.2
    assert space.similarity(space.rotate(a, 3), space.rotate(a, 3)) == pytest.approx(1.0)
    assert close(space.rotate(space.rotate(a, 3), -3), a)
    assert close(space.rotate(space.bind(a, b), 5), space.bind(space.rotate(a, 5), space.rotate(b, 5)))


# -------------------------------------------------------------------------------------------------------- what is wrong


@models
def test_operands_of_another_space(model: str) -> None:
    space = Space(model, 640)
    a, memory = space.random("a"), items(space)
    table, graph, tree = HashTable(space, memory), Graph(space, memory), Tree(space, memory)
    line, bound, chosen = BundleSequence(space, memory), BindSequence(space), Multiset(space)
    calls: list[Any] = [
        chosen.add,
        chosen.remove,
        chosen.contains,
        chosen.count,
        line.append,
        line.appendleft,
        bound.append,
        bound.appendleft,
        lambda x: table.add(x, a),
        lambda x: table.add(a, x),
        lambda x: table.find(x),
        lambda x: graph.add_edge(a, x),
        lambda x: graph.add_edge(x, a),
        lambda x: graph.find_neighbours(x),
        lambda x: tree.add_leaf(x, ["left"]),
    ]
    strange = Space("hrr" if model != "hrr" else "fhrr", 640).random("a")
    for wrong in (Space(model, 704).random("a"), strange, None, "a", numpy.ones(640), numpy.ones((2, 3, 640))):
        for call in calls:
            with pytest.raises((ShapeError, TypeError)):
                call(wrong)
    other = Space(model, 640, seed=1)
    for make in (HashTable, Graph, Tree, BundleSequence):
        with pytest.raises(ShapeError, match="both must be of one space"):
            make(space, items(other, 1))
    for one, two in ((line, BundleSequence(other)), (bound, BindSequence(other))):
        for what in ("concat", "similarity"):
            with pytest.raises(ShapeError, match="both must be of one space"):
                getattr(one, what)(two)
    with pytest.raises(ShapeError, match="both must be of one space"):
        chosen.find(items(other, 1))
    with pytest.raises(ValueError, match="no item memory to look in"):
        chosen.find()
    for weight in (0, -1, 1.0, True, 1 << 31):
        with pytest.raises(ValueError, match="weight is"):
            chosen.add(a, weight)  # type: ignore[arg-type]
    assert not table
    assert not graph
    assert len(bound) == len(line) == len(chosen) == 0


@pytest.mark.parametrize("model", ["hrr", "fhrr"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_numbers_that_cannot_be_summed(model: str, bad: float) -> None:
    space = Space(model, 128)
    one = space.random("a").copy()
    one[3] = bad
    words = "too large" if bad == 1e30 else "component 3 is not finite"
    chosen = Multiset(space)
    with pytest.raises(ValueError, match=words):
        chosen.add(one)
    with pytest.raises(ValueError, match=r"too large|row 1 has a component"):
        chosen.add(numpy.stack([space.random("a"), one]))
    assert not chosen.sums.any()
    assert len(chosen) == 0

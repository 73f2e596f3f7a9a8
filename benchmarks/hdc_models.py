"""Every operation of every model, one call from Python, beside torchhd on the same vectors."""

from __future__ import annotations

from functools import reduce
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Suite

DIM = 10_000
ROWS = 1_000
# How near results of HRR and FHRR must be to those of torchhd, which works in single precision.
NEAR = 1e-3


def models(suite: Suite, torchhd: ModuleType | None) -> None:
    from sophia.hdc import MODELS, Space

    for model in MODELS:
        space = Space(model, DIM)
        a, b = space.random("a"), space.random("b")
        rows, few = space.random_rows(ROWS, "row"), space.random_rows(10, "few")
        items = space.random_rows(26, "letter")
        text = np.random.default_rng(0).integers(0, 26, 100)
        index = np.random.default_rng(1).integers(0, 26, (10, 26))
        ours: dict[str, Any] = {"space": space, "a": a, "b": b, "c": space.bind(a, b), "rows": rows, "few": few}
        ours |= {"items": items, "text": text, "index": index}
        theirs = {} if torchhd is None else _tensors(torchhd, space, ours)
        for what, mine, other, unit in (
            ("bind", "space.bind(a, b)", "torchhd.bind(a, b)", "us"),
            ("unbind", "space.unbind(c, b)", _UNBIND.get(model, "torchhd.bind(c, torchhd.inverse(b))"), "us"),
            ("bundle of 10", "space.bundle(few)", "torchhd.multiset(few)", "us"),
            ("product of 10", "space.multibind(few)", _PRODUCT.get(model, "torchhd.multibind(few)"), "us"),
            ("permute by 7", "space.permute(a, 7)", "torchhd.permute(a, shifts=7)", "us"),
            ("similarity with 1,000 rows", "space.similarity(a, rows)", _similarity(model), "us"),
            ("random vector", "space.random('c')", "torchhd.random(1, 10_000, name)", "us"),
            ("100 levels", "space.level(100)", "torchhd.level(100, 10_000, name)", "ms"),
            ("3-grams of 100 letters", "space.encode_ngrams(text, items=items)", "torchhd.ngrams(spelt, 3)", "us"),
            (
                "sequence of 100 letters",
                "space.encode_sequence(text, items=items)",
                "torchhd.bundle_sequence(spelt)",
                "us",
            ),
            ("10 records of 26", "space.encode_record(items, items, index)", _RECORDS, "us"),
        ):
            contenders = {"sophia": Contender(mine, ours)}
            if torchhd is not None and (model, what) == ("hrr", "3-grams of 100 letters"):
                suite.skip(f"{model}: {what}, torchhd", "its n-grams of HRR are the same for symbols in any order")
            elif torchhd is not None:
                _compare(space, what, eval(mine, dict(ours)), theirs, other)
                contenders["torchhd"] = Contender(other, theirs)
            suite.compare(f"{model}: {what}", contenders, unit=unit, repeats=5, target_ms=10.0)
        if torchhd is None:
            suite.skip(f"{model}: peers", "torchhd is not installed")


_UNBIND = {"hrr": "torchhd.bind(c, b.exact_inverse())"}  # its inverse is the involution there, which ours is not
# its own drops the imaginary parts of the frequencies (5.8.4), and is near to no product
_PRODUCT = {"hrr": "reduce(torchhd.bind, list(few))"}
_RECORDS = "[torchhd.multiset(torchhd.bind(items, items[row])) for row in numbers]"


def _similarity(model: str) -> str:
    kind = {"bsc": "hamming", "map": "cosine", "hrr": "cosine", "fhrr": "cosine"}[model]
    return f"torchhd.{kind}_similarity(a, rows)"


def _tensors(torchhd: ModuleType, space: Any, ours: dict[str, Any]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    kind = {"bsc": "BSC", "map": "MAP", "hrr": "HRR", "fhrr": "FHRR"}[space.model]
    tensor = getattr(torchhd, f"{kind}Tensor")

    def of(vectors: Any) -> Any:
        numbers = np.array(space.array(np.asarray(vectors)))
        if space.model == "bsc":
            return tensor(torch.from_numpy(numbers < 0))
        return tensor(torch.from_numpy(numbers.astype(np.float32) if space.model == "map" else numbers))

    made = {name: of(ours[name]) for name in ("a", "b", "c", "rows", "few", "items")}
    made |= {"torchhd": torchhd, "reduce": reduce, "name": kind, "spelt": made["items"][torch.from_numpy(ours["text"])]}
    return made | {"numbers": torch.from_numpy(ours["index"])}


def _compare(space: Any, what: str, mine: Any, theirs: dict[str, Any], statement: str) -> None:
    """The same result, where it is defined: random vectors, levels, and the ties of a BSC vote are each side's own; the
    sums of MAP are compared by their signs, its and others' similarities as cosines."""
    if what in ("random vector", "100 levels"):
        return
    found = eval(statement, dict(theirs))
    found = np.stack([one.numpy() for one in found]) if isinstance(found, list) else found.numpy()
    if what.startswith("similarity"):
        expected = 2 * found / DIM - 1 if space.model == "bsc" else found  # of bits it counts the equal ones
        assert np.allclose(mine, expected, atol=NEAR), f"{space.model}: {what} differs from torchhd"
        return
    numbers = space.array(np.asarray(mine))
    if space.model in ("bsc", "map"):
        other = np.where(found, -1, 1) if space.model == "bsc" else np.sign(found)
        tied = other == 0
        same = (numbers == other) | tied
        # torchhd draws the ties of bits, of which we cannot know the places
        least = (
            0.85 if space.model == "bsc" and what not in ("bind", "unbind", "product of 10", "permute by 7") else 1.0
        )
        assert same.mean() >= least, f"{space.model}: {what} differs from torchhd"
    elif space.model == "hrr" and what in ("unbind", "product of 10"):  # of which single precision loses digits
        cosine = float(numbers @ found / np.linalg.norm(numbers) / np.linalg.norm(found))
        assert cosine > 0.999, f"hrr: {what} differs from torchhd: cosine {cosine}"
    else:
        scale = np.abs(found).max()
        assert np.allclose(numbers, found, atol=NEAR * scale), f"{space.model}: {what} differs from torchhd"

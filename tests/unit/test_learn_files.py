"""Files of estimators: whole, checked, and never in the place of something else."""

from __future__ import annotations

import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.model_selection import GridSearchCV

from sophia.errors import ConfigError, InputError, StoreCorrupt, StoreVersionError
from sophia.hdc.learn import HDCAnomaly, HDCClassifier, HDCRegressor, HDCTextEncoder, files

X = np.random.default_rng(0).normal(size=(120, 3))
Y = np.arange(120) % 3
MODELS = [
    HDCClassifier(dim=64, random_state=0).fit(X, Y),
    HDCClassifier("record", "softmax", dim=64, random_state=0).partial_fit(X[:9], Y[:9], classes=[0, 1, 2]),
    HDCClassifier("sign", "centroid", dim=64).partial_fit(sparse.csr_matrix(X[:9]), Y[:9], classes=[0, 1, 2]),
    HDCClassifier(method="ridge", dim=64).fit(X, np.array(["a", "b", "c"])[Y]),
    HDCClassifier(method="online", dim=64).fit(X, np.array(["a", "b", "c"], object)[Y]),
    HDCClassifier(None, bits=True, dim=64, random_state=0).fit(np.zeros((4, 64), np.uint8), [0, 1, 0, 1]),
    HDCRegressor(dim=64, random_state=0).fit(X, X[:, 0] * 1e200),
    HDCRegressor("record", "online", dim=64, random_state=0).partial_fit(X[:9], X[:9, 0]),
    HDCAnomaly(dim=64, random_state=0).fit(X),
    HDCAnomaly("record", dim=64, bits=True).partial_fit(X[:9]),
    HDCTextEncoder(dim=64).fit(["one", "two"]),
    HDCTextEncoder("bits", dim=64, grams=(1, 2)).fit(["one", "two"]),
]


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The head of a file, and its arrays."""
    whole = path.read_bytes()
    length = files._FIELDS.unpack_from(whole)[2]
    head = json.loads(whole[files._HEADER_BYTES : files._HEADER_BYTES + length])
    return head, dict(files._arrays(head.pop("arrays"), whole[files._HEADER_BYTES :], length))


def rewritten(path: Path, change: Any) -> None:
    """The file with another head or other arrays, and right checksums."""
    head, arrays = opened(path)
    change(head, arrays)
    files.write(path, head, arrays)


def rewrite_head(path: Path, head: bytes, rest: bytes) -> None:
    """A file with that head, whatever it says, and right checksums."""
    body = head + rest
    fields = files._FIELDS.pack(files._MAGIC, 1, len(head), 64 + len(body), files._digest(body))
    path.write_bytes(fields + files._digest(fields) + body)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_what_is_damaged_is_noticed(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    model.save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["model"]  # and nothing beside
    whole = path.read_bytes()
    other = HDCAnomaly if isinstance(model, HDCClassifier) else HDCClassifier
    with pytest.raises(InputError, match=f"is a {type(model).__name__}, not {other.__name__}"):
        other.load(path)
    for at in [*range(0, 80, 7), *range(80, len(whole) - 19, max(19, len(whole) // 60))]:
        spoilt = whole[:at] + bytes(b ^ 255 for b in whole[at : at + 19]) + whole[at + 19 :]
        path.write_bytes(spoilt)
        with pytest.raises(StoreCorrupt, match="damaged"):
            type(model).load(path)
    for spoilt in (whole[:-1], whole + b"\0", b"", whole[:64], whole[:30]):
        path.write_bytes(spoilt)
        with pytest.raises(StoreCorrupt):
            type(model).load(path)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_what_does_not_fit_together_is_refused(model: Any, tmp_path: Path) -> None:
    """Right checksums say who damaged a file, not that what it holds is a model."""
    path = tmp_path / "model"
    model.save(path)
    faults: list[Any] = [
        lambda head, arrays: head.pop("parameters"),
        lambda head, arrays: head["parameters"].update(dim=3),
        lambda head, arrays: head["parameters"].update(nothing=1),
        lambda head, arrays: head.update(parameters=[]),
    ]
    count = 0
    rewritten(path, lambda head, arrays: None)
    type(model).load(path)
    if isinstance(model, HDCTextEncoder):
        faults += [lambda head, arrays: head.update(seed="x"), lambda head, arrays: arrays.update(more=np.zeros(2))]
        faults += [lambda head, arrays: arrays.update(frequencies=np.zeros(2))]
    else:
        faults += [
            lambda head, arrays: head["learned"].update(save={"value": 1}),
            lambda head, arrays: head["learned"].update(predict={"array": "a0"}),
            lambda head, arrays: head["learned"]["encoding_"]["dict"]["kind"].update(value="fourier"),
            lambda head, arrays: head["learned"]["encoding_"]["dict"]["dim"].update(value=128),
            lambda head, arrays: head["learned"]["encoding_"]["dict"]["features"].update(value=2.0),
            lambda head, arrays: head["learned"]["encoding_"]["dict"].update(more={"value": 1}),
            lambda head, arrays: head["learned"]["n_features_in_"].update(value=7),
            lambda head, arrays: head["learned"]["weights_"].update(array="a999"),
        ]
        for name in opened(path)[0]["learned"]:
            faults.append(lambda head, arrays, name=name: head["learned"].pop(name))
            if name != "_held":
                none = "none" if name == "_offset" else None  # which can be worked out
                faults.append(
                    lambda head, arrays, name=name, none=none: head["learned"].update({name: {"value": none}})
                )
                faults.append(lambda head, arrays, name=name: head["learned"].update({name: {"value": [1]}}))
    head, arrays = opened(path)
    latest = head.get("learned", {}).get("_recent", {}).values()
    for name in () if isinstance(model, HDCTextEncoder) else arrays:
        if name not in latest:  # of which there may be fewer
            faults.append(lambda head, arrays, name=name: arrays.update({name: arrays[name].reshape(-1)[:-1]}))
        faults.append(lambda head, arrays, name=name: arrays.pop(name))
        if arrays[name].dtype.kind == "f":
            faults.append(lambda head, arrays, name=name: arrays[name].__setitem__(..., np.nan))
    for fault in faults:
        model.save(path)
        rewritten(path, fault)
        if fault.__defaults__ == ("_held",):  # a model without first rows is one
            type(model).load(path)
            continue
        with pytest.raises(StoreCorrupt, match=r"model' is damaged"):
            type(model).load(path)
        count += 1
    assert count >= 4


@pytest.mark.parametrize("model", [MODELS[0], MODELS[-1]], ids=str)
def test_what_is_not_ours_is_not_replaced(model: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("header.npy", "text")
    np.savez(tmp_path / "numpy", header=X)
    (tmp_path / "text").write_text("my notes")
    for name in ("zip", "numpy.npz", "text"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigError, match="would replace something else"):
            model.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
        with pytest.raises(StoreCorrupt, match="no model of sophia"):
            type(model).load(tmp_path / name)
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(InputError, match=r"regular file|cannot be read"):
            type(model).load(tmp_path / name)
        with pytest.raises(ConfigError):
            model.save(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        type(model).load(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot be written"):
        model.save(tmp_path / "text" / "model")
    (tmp_path / "model.partial").write_text("mine")
    model.save(tmp_path / "model")
    model.save(tmp_path / "model")  # ours is
    assert (tmp_path / "model.partial").read_text() == "mine"
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    MODELS[0].save(tmp_path / "model")
    whole = (tmp_path / "model").read_bytes()
    fields = whole[:8] + (9).to_bytes(4, "little") + whole[12:48]
    (tmp_path / "model").write_bytes(fields + files._digest(fields) + whole[64:])
    with pytest.raises(StoreVersionError, match="format 9"):
        HDCClassifier.load(tmp_path / "model")


def test_parameters_of_numpy_are_saved(tmp_path: Path) -> None:
    grid = {
        "dim": np.array([64, 128]), "levels": np.arange(2, 4), "rate": np.array([0.5, 1.0], np.float32),
        "bits": np.array([True, False]), "width": [np.float64(1.5), "auto"], "encoding": np.array(["cosine", "record"]),
        "random_state": np.arange(1, 2), "alpha": [0],
    }  # fmt: skip
    for name, values in grid.items():
        search = GridSearchCV(HDCClassifier(dim=64, epochs=2, random_state=0), {name: values}, cv=2).fit(X, Y)
        for value in values:
            made = HDCClassifier(dim=64, epochs=2, random_state=0).set_params(**{name: value}).fit(X, Y)
            for model in (made, search.best_estimator_):
                model.save(tmp_path / "model")
                again = HDCClassifier.load(tmp_path / "model")
                assert again.get_params() == model.get_params()
                assert np.array_equal(again.predict(X), model.predict(X))
    for grams, kinds in (((1, 3), (1.0, 0.5, 0.0, 1.0)), (np.array([1, 3]), np.array([1.0, 0.5, 0.0, 1.0]))):
        for form in ("sparse", "int8"):
            encoder = HDCTextEncoder(form, dim=np.int64(64), grams=grams, kinds=kinds, idf=np.float32(0.5))  # type: ignore[arg-type]
            encoder.fit(["one", "two"]).save(tmp_path / f"encoder {form}")
            again_encoder = HDCTextEncoder.load(tmp_path / f"encoder {form}")
            assert again_encoder.grams == (1, 3)
            a, b = again_encoder.transform(["one two"]), encoder.transform(["one two"])
            assert (a != b).sum() == 0


def test_random_states_are_kept(tmp_path: Path) -> None:
    for state, kept in ((7, 7), (None, None), (np.random.RandomState(0), None), (np.int64(3), 3)):
        for model in (
            HDCClassifier(dim=64, random_state=state).fit(X, Y),
            HDCTextEncoder("bits", dim=64, grams=(1, 2), random_state=state).fit(["one"]),
        ):
            model.save(tmp_path / type(model).__name__)
            again = type(model).load(tmp_path / type(model).__name__)
            assert again.random_state == kept
            if isinstance(model, HDCTextEncoder):
                assert again.seed_ == model.seed_
                assert np.array_equal(again.transform(["text"]), model.transform(["text"]))


@pytest.mark.parametrize("kind", [object, str])
def test_labels_that_no_encoding_holds(kind: Any, tmp_path: Path) -> None:
    names = np.array(["\ud800", "a\udfff", "ä"], kind)
    model = HDCClassifier(dim=64, random_state=0).fit(X, names[Y])
    model.save(tmp_path / "model")
    again = HDCClassifier.load(tmp_path / "model")
    assert again.classes_.tolist() == model.classes_.tolist()
    assert again.classes_.dtype == model.classes_.dtype
    assert again.predict(X).tolist() == model.predict(X).tolist()


def test_names_of_features_are_kept(tmp_path: Path) -> None:
    class Frame:
        """What scikit-learn asks of a table with names."""

        columns = np.array(["a", "b", "c"], object)

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return X if dtype is None else X.astype(dtype)

        @property
        def shape(self) -> Any:
            return X.shape

    model = HDCClassifier(dim=64, random_state=0).fit(X, Y)
    model.feature_names_in_ = Frame.columns
    model.save(tmp_path / "model")
    assert HDCClassifier.load(tmp_path / "model").feature_names_in_.tolist() == ["a", "b", "c"]
    model.feature_names_in_ = Frame.columns[:2]
    with pytest.raises(ValueError, match="3 features"):
        model.save(tmp_path / "model")


def test_parameters_that_were_changed_since_are_not_saved(tmp_path: Path) -> None:
    model = HDCClassifier(dim=64, random_state=0).fit(X, Y)
    for name, value, words in (
        ("rate", -1, "rate is -1"),
        ("method", "softmax", "method is 'softmax', and what was learned is by 'refine'"),
    ):
        before = model.get_params()[name]
        with pytest.raises(ValueError, match=words):
            model.set_params(**{name: value}).save(tmp_path / "model")
        model.set_params(**{name: before}).save(tmp_path / "model")


def test_a_file_is_as_large_as_what_it_holds(tmp_path: Path) -> None:
    """Nothing is compressed: no small file grows when it is read."""
    model = HDCClassifier(dim=20_000, random_state=0).fit(np.zeros((2, 1)), [0, 1])
    model.save(tmp_path / "model")
    size = (tmp_path / "model").stat().st_size
    assert size > 160_000
    rewritten(tmp_path / "model", lambda head, arrays: None)
    assert (tmp_path / "model").stat().st_size == size
    whole = (tmp_path / "model").read_bytes()
    length = files._FIELDS.unpack_from(whole)[2]
    for shape in (
        "[9, 99999]", f"[{10**30}]", f"[{10**30}, 0]", f"[{1 << 40}, {1 << 40}]", f"[{1 << 62}, {1 << 62}, 0]",
        f"[-1, {-(10**30)}]", "[2.0, 20000]", "[true, 40000]", "[1e999]", "20000", '"ab"',
    ):  # fmt: skip
        head = re.sub(rb"\[2, 20000\]", shape.encode(), whole[64 : 64 + length])
        rewrite_head(tmp_path / "model", head, whole[64 + length :])
        with pytest.raises(StoreCorrupt, match="its head is none"):
            HDCClassifier.load(tmp_path / "model")
    for form in ("U0", "<U99999999", "<U99999999999999999999", "f4,(", "f4,", "(2,)f4", "O", "V4", "M8[s]", "f99"):
        head = re.sub(rb'"<f4", \[2', b'"' + form.encode() + b'", [2', whole[64 : 64 + length])
        assert head != whole[64 : 64 + length]
        rewrite_head(tmp_path / "model", head, whole[64 + length :])
        with pytest.raises(StoreCorrupt, match="its head is none"):
            HDCClassifier.load(tmp_path / "model")

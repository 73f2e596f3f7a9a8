"""Estimators on real tasks: 21 languages, ISOLET, digits, and the sensors of NAB; accuracy and cost beside peers.

Seconds and microseconds are CPU time of one thread. Settings of ISOLET are chosen on the last quarter of its training
speakers (isolet4) and then fitted on all; three seeds. Settings for NAB were chosen on NAB itself.
"""

from __future__ import annotations

import io
import lzma
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from benchmarks import nab
from benchmarks.data import ADVICE, find
from benchmarks.harness import Bar, Row, Suite

SEEDS = (0, 1, 2)


def cpu(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its CPU seconds."""
    start = time.process_time()
    made = call()
    return made, time.process_time() - start


def _lines(name: str) -> tuple[list[str], np.ndarray]:
    path = find("hdc", name)
    assert path is not None
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t", 1) for line in lines]
    return [text for _, text in rows], np.array([label for label, _ in rows])


def languages(suite: Suite) -> None:
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    from sophia.hdc.learn import HDCClassifier, HDCTextEncoder

    if find("hdc", "lang_train.tsv.xz") is None:
        suite.skip("21 languages", ADVICE)
        return
    texts, labels = _lines("lang_train.tsv.xz")
    asked, truth = _lines("lang_test.tsv.xz")
    readout = make_pipeline(
        HDCTextEncoder(grams=(4, 4), kinds=(1.0, 0.0, 0.0, 1.0), idf=0.5),
        HDCClassifier(None, "softmax", epochs=2, random_state=0),
    )
    _, seconds = cpu(lambda: readout.fit(texts, labels))
    found, used = cpu(lambda: readout.predict(asked))
    theirs = make_pipeline(
        HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=1 << 18),
        SGDClassifier(loss="log_loss", random_state=0, n_jobs=1),
    )
    _, their_seconds = cpu(lambda: theirs.fit(texts, labels))
    guessed, their_used = cpu(lambda: theirs.predict(asked))
    linear = "scikit-learn SGD on 2^18 hashed n-grams"
    accuracy, cost = float((found == truth).mean()), used / len(asked) * 1e6
    suite.add(Row(
        "21 languages, linear readout, accuracy", "", accuracy, {linear: float((guessed == truth).mean())},
        [Bar("accuracy", accuracy, ">=", 0.993)], "words and 4-grams, hashed to 10,000 signed places",
    ))  # fmt: skip
    suite.add(Row(
        "21 languages, encode and query", "us", cost, {linear: their_used / len(asked) * 1e6},
        [Bar("a sentence, us", cost, "<=", 20)],
    ))  # fmt: skip
    suite.add(Row(
        "21 languages, training on 210,032 lines", "s", seconds, {linear: their_seconds},
        [Bar("seconds", seconds, "<=", 30)],
    ))  # fmt: skip
    for form, limit in (("int8", 0.98), ("bits", None)):
        accuracy, cost = _bundled(form, texts, labels, asked, truth)
        bars = [Bar("accuracy", accuracy, ">=", limit)] if limit else []
        words = "counts" if form == "int8" else "bits, and queries of bits"
        suite.add(Row(
            f"21 languages, centroid of bundled 4-grams, {words}", "", accuracy,
            {"published, random indexing": 0.978}, bars, f"encode and query {cost:.1f} us",
        ))  # fmt: skip


def _bundled(
    form: str, texts: list[str], labels: np.ndarray, asked: list[str], truth: np.ndarray
) -> tuple[float, float]:
    from sophia._core import hdc
    from sophia.hdc.learn import HDCClassifier, HDCTextEncoder

    kept = [at for at, text in enumerate(texts) if len(text) >= 4]
    encoder = HDCTextEncoder(form, grams=(1, 4)).fit([])
    if form == "int8":
        model = HDCClassifier(None, "centroid", random_state=0)
        for at in range(0, len(kept), 4096):
            some = kept[at : at + 4096]
            model.partial_fit(encoder.transform([texts[i] for i in some]), labels[some], classes=np.unique(labels))
        parts, used = cpu(
            lambda: [model.predict(encoder.transform(asked[at : at + 2100])) for at in range(0, len(asked), 2100)]
        )
        return float((np.concatenate(parts) == truth).mean()), used / len(asked) * 1e6
    from sophia._core.accumulator import Accumulator

    sums = {label: Accumulator() for label in np.unique(labels)}
    for label, counted in sums.items():
        own = [i for i in kept if labels[i] == label]
        for at in range(0, len(own), 4096):
            counted.add(encoder.transform([texts[i] for i in own[at : at + 4096]]))
    rows = np.stack([np.asarray(counted.bundle()) for counted in sums.values()])
    names = np.array(list(sums))
    nearest, used = cpu(lambda: hdc.hamming(encoder.transform(asked), rows).argmin(axis=1))
    return float((names[nearest] == truth).mean()), used / len(asked) * 1e6


def isolet(suite: Suite) -> None:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sophia.hdc.learn import HDCClassifier

    path = find("hdc", "isolet.npz.xz")
    if path is None:
        suite.skip("ISOLET", ADVICE)
        return
    with lzma.open(path) as file:
        held = np.load(io.BytesIO(file.read()))
    X, Xt = held["X_train"] / 1e4, held["X_test"] / 1e4
    y, yt = held["y_train"].astype(int), held["y_test"].astype(int)
    fit, chosen_on = slice(0, 4679), slice(4679, None)  # speakers isolet1-3, isolet4
    linear = {}
    for name, model in (("ridge", RidgeClassifier()), ("logistic", LogisticRegression(C=0.1, max_iter=300))):
        linear[f"scikit-learn {name} on raw features"] = float(
            make_pipeline(StandardScaler(), model).fit(X, y).score(Xt, yt)
        )
    for what, limit, candidates in (
        ("one-shot centroid", 0.884, [
            {"encoding": encoding, "method": "centroid", "bits": bits}
            for encoding, bits in product(("record", "cosine"), (False, True))
        ]),
        ("retrained centroid", 0.93, [
            {"encoding": encoding, "method": "refine", "margin": margin}
            for encoding, margin in product(("record", "cosine"), (0.02, 0.05, 0.1))
        ]),
        ("packed bits, linear readout", 0.945, [
            {"encoding": encoding, "method": "softmax", "bits": True} for encoding in ("sign", "cosine")
        ]),
        ("random features, closed form", 0.955, [
            {"encoding": "cosine", "method": "ridge", "width": width, "alpha": alpha}
            for width, alpha in product(("auto", 30.0, 40.0), (0.03, 0.1))
        ]),
    ):  # fmt: skip
        judged = [
            (HDCClassifier(random_state=0, **given).fit(X[fit], y[fit]).score(X[chosen_on], y[chosen_on]), -at)
            for at, given in enumerate(candidates)
        ]
        best = candidates[-max(judged)[1]]
        reached, seconds, asked = [], 0.0, 0.0
        for seed in SEEDS:
            model, used = cpu(lambda best=best, seed=seed: HDCClassifier(random_state=seed, **best).fit(X, y))
            score, query = cpu(lambda model=model: model.score(Xt, yt))
            reached.append(score)
            seconds, asked = seconds + used / len(SEEDS), asked + query / len(SEEDS) / len(Xt) * 1e6
        mean = float(np.mean(reached))
        suite.add(Row(
            f"ISOLET, {what}, accuracy", "", mean, linear, [Bar("mean of 3 seeds", mean, ">=", limit)],
            f"{best}; {', '.join(f'{score:.4f}' for score in reached)}; fit {seconds:.1f} s, predict {asked:.0f} us",
        ))  # fmt: skip


def digits(suite: Suite) -> None:
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from sophia.hdc.learn import HDCClassifier

    X, y = load_digits(return_X_y=True)
    linear = (
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X[::2], y[::2]).score(X[1::2], y[1::2])
    )
    for method in ("centroid", "refine", "softmax", "ridge"):
        scores = [
            HDCClassifier(method=method, random_state=s).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) for s in SEEDS
        ]
        suite.add(
            Row(f"digits, {method}, accuracy", "", float(np.mean(scores)), {"scikit-learn logistic": float(linear)})
        )


def sensors(suite: Suite) -> None:
    from sophia.hdc.sensor import SensorAnomaly

    files = nab.load()
    if not files:
        suite.skip("NAB", ADVICE)
        return
    samples = sum(len(series.values) for series in files)
    gaussian = nab.standard_score(files, [nab.windowed_gaussian(series.values) for series in files])
    suite.add(Row(
        "NAB, the scorer: windowed Gaussian", "", gaussian, {"published": 39.6},
        [Bar("off the published row", abs(gaussian - 39.6), "<=", 1.0)],
    ))  # fmt: skip
    published = {"ARTime": 74.9, "HTM": 70.5, "CAD OSE": 69.9, "random cut forest": 51.7}

    def scored(given: bool) -> list[np.ndarray]:
        made = []
        for series in files:
            low, high = float(series.values.min()), float(series.values.max())
            ends = {"low": low, "high": high if high > low else low + 1.0} if given else {}
            sensor = SensorAnomaly(warmup=series.probation, rest=int(0.03 * len(series.values)), **ends)
            made.append(sensor.score_many(series.values))
        return made

    for given, limit in ((True, 65.0), (False, 59.0)):
        scores, used = cpu(lambda given=given: scored(given))
        reached, cost = nab.standard_score(files, scores), used / samples * 1e6
        whose = "the range that NAB hands over" if given else "the range of the first 15 %"
        suite.add(Row(
            f"NAB, 58 files, {whose}, standard score", "", reached, published,
            [Bar("standard score", reached, ">=", limit), Bar("us a sample", cost, "<=", 1.0)],
        ))  # fmt: skip


def run() -> Suite:
    suite = Suite("learn", ("numpy", "scikit-learn"))
    sensors(suite)
    digits(suite)
    languages(suite)
    isolet(suite)
    return suite

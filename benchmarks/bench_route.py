"""The Thalamus: repeats, new texts, a mix, and text made to be slow."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

import sophia
from benchmarks import data
from benchmarks.harness import Bar, Row, Suite
from benchmarks.hostile import Hostile, words_of
from sophia._core.thalamus import HotPath
from sophia.organs.danger import RuleSet

ALONE = "no peer decides route, danger, novelty and pattern of a text"


def run() -> Suite:
    suite = Suite("route", ("numpy", "google-re2"))
    queries = data.clinc_queries()
    if not queries:
        suite.skip("CLINC150 queries", data.ADVICE)
        queries = [f"please tell me about item {i} of list {i * 7919 % 1013}, and why" for i in range(5_500)]
    _repeats(suite, queries)
    _new_texts(suite, queries)
    _mix(suite, queries)
    _hostile(suite)
    return suite


def _timed(work: Callable[[], object], count: int) -> float:
    """Microseconds of CPU time for each of `count` units."""
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / count / 1e3


def _medians(makers: dict[str, Callable[[], tuple[Callable[[], object], int]]], repeats: int) -> dict[str, float]:
    """Median cost of each variant; the variants take turns, each round on fresh state.

    A turn begins with a run on a state of its own that is not counted, as in :func:`benchmarks.harness.interleave`.
    """
    values: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(repeats):
        for name, make in makers.items():
            make()[0]()
            work, count = make()
            values[name].append(_timed(work, count))
    return {name: statistics.median(found) for name, found in values.items()}


def _hot_path(brain: sophia.Sophia) -> HotPath:
    return brain.thalamus.hot_path


def _repeats(suite: Suite, queries: list[str]) -> None:
    texts = queries[:2048]

    def filled() -> sophia.Sophia:
        brain = sophia.open(None)
        for decision in brain.route_many(texts):
            brain.complete(decision, answer="stored")
        assert all(d.why == "repeat" and d.answer == "stored" for d in brain.route_many(texts) if d.allowed)
        return brain

    brain = filled()
    path = _hot_path(brain)
    batches = [texts[i : i + 256] for i in range(0, len(texts), 256)]

    def in_batches() -> tuple[Callable[[], object], int]:
        return (lambda: [path.route_batch(batch, 1) for batch in batches]), len(texts)

    def singly() -> tuple[Callable[[], object], int]:
        def work() -> None:
            route = brain.route
            for text in texts:
                route(text)

        return work, len(texts)

    found = _medians({"core": in_batches, "python": singly}, 15)
    suite.add(Row("exact repeat, core", "us", found["core"], {}, [Bar("batch, us", found["core"], "<=", 1.0)], ALONE))
    bars = [Bar("Sophia.route, us", found["python"], "<=", 2.0)]
    suite.add(Row("exact repeat, from Python", "us", found["python"], {}, bars, ALONE))


def _new_texts(suite: Suite, queries: list[str]) -> None:
    texts = list(dict.fromkeys(queries))
    batches = [texts[i : i + 256] for i in range(0, len(texts), 256)]
    router = _router(suite)

    def many(
        settings: sophia.Settings, intents: sophia.Intents | None = None
    ) -> Callable[[], tuple[Callable[[], object], int]]:
        def make() -> tuple[Callable[[], object], int]:
            brain = sophia.open(None, settings=settings)
            brain.use(intents)
            brain.route("a first text, so that nothing is built lazily later: rm -rf /")

            def work() -> None:
                for batch in batches:
                    brain.route_many(batch)

            return work, len(texts)

        return make

    def single(
        settings: sophia.Settings, intents: sophia.Intents | None = None
    ) -> Callable[[], tuple[Callable[[], object], int]]:
        def make() -> tuple[Callable[[], object], int]:
            brain = sophia.open(None, settings=settings)
            brain.use(intents)
            brain.route("a first text, so that nothing is built lazily later: rm -rf /")

            def work() -> None:
                route = brain.route
                for text in texts:
                    route(text)

            return work, len(texts)

        return make

    plain, vectors = sophia.Settings(), sophia.Settings(vectors=True)
    found = _medians(
        {
            "batch": many(plain),
            "single": single(plain),
            "batch, with the readout": many(plain, router),
            "single, with the readout": single(plain, router),
            "batch, memory vector": many(vectors),
            "single, memory vector": single(vectors),
        },
        7,
    )
    for name, limit in {
        "batch": 3.0,
        "single": 6.0,
        "batch, with the readout": 5.0,
        "single, with the readout": 8.0,
        "batch, memory vector": 40.0,
        "single, memory vector": 40.0,
    }.items():
        bars = [Bar(f"new text, {name}, us", found[name], "<=", limit)]
        suite.add(Row(f"new text, {name}", "us", found[name], {}, bars, ALONE))


def _router(suite: Suite) -> sophia.Intents:
    """A router of 150 intents: of CLINC150, or where that is not there, of texts of ours of about its length."""
    texts, labels = data.clinc_examples()
    if not texts:
        suite.skip("a router trained on CLINC150", data.ADVICE)
        labels = [f"list {i % 150}" for i in range(15_000)]
        texts = [f"please tell me about item {i} of {label}, and why" for i, label in enumerate(labels)]
    return sophia.Intents.fit(texts, labels, seeds=1)


def _mix(suite: Suite, queries: list[str]) -> None:
    """80 % exact repeats with an answer, 15 % of a known pattern, 5 % new: one call each."""
    rng = random.Random(7)
    brain = sophia.open(None)
    answered = queries[:500]
    for decision in brain.route_many(answered):
        brain.complete(decision, answer="stored")
    fresh = iter(queries[500:])
    for i in range(50):
        brain.route(f"show me order {i} of the list")
    texts = []
    for i in range(20_000):
        kind = rng.random()
        if kind < 0.8:
            texts.append(rng.choice(answered))
        elif kind < 0.95:
            texts.append(f"show me order {1000 + i} of the list")
        else:
            texts.append(next(fresh, f"an unseen text {rng.random()} of number {i}"))
    spent = []
    start = time.process_time_ns()
    for text in texts:
        before = time.perf_counter_ns()
        brain.route(text)
        spent.append((time.perf_counter_ns() - before) / 1e3)
    mean = (time.process_time_ns() - start) / len(texts) / 1e3
    spent.sort()
    note = f"{ALONE}; wall p50 {spent[len(spent) // 2]:.2f} us, p99 {spent[int(len(spent) * 0.99)]:.2f} us"
    suite.add(Row("mix 80/15/5, mean", "us", mean, {}, [Bar("mean, us of CPU", mean, "<=", 20.0)], note))
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        suite.add(Row(f"mix 80/15/5, {name}", "us", spent[int(len(spent) * share)], {}, [], ALONE))


def _hostile(suite: Suite) -> None:
    """Random words of the rules: they defeat the prefilter and the engine's cache."""
    rules = RuleSet.load()
    judge = sophia.open(None, settings=sophia.Settings(cache=False))

    def hits(text: str) -> bool:
        return judge.route(text).danger is not None

    hostile = Hostile(hits, words_of(rules), 11)

    def text(size: int, end: str) -> str:
        while True:
            made = hostile.text(size - 1) + end
            if not hits(made):
                return made

    for hidden in ("", "\u200d"):
        for size in (40, 800, 19_999, 1_000_000):
            count = max(1, 100_000 // size)
            kind = f"hostile text of {size:,}{' with a hidden sign' if hidden else ''}"
            texts = [text(size, hidden or " ") for _ in range(count)]

            def scan(texts: list[str] = texts) -> tuple[Callable[[], object], int]:
                brain = sophia.open(None)
                brain.route("a first text: rm -rf /")
                return (lambda: brain.route_many(texts)), len(texts)

            us = _medians({kind: scan}, 5)[kind]
            bars = [Bar(f"{kind}, whole route, us a byte", us / size, "<=", 0.5)]
            if size == 1_000_000:
                bars.append(Bar(f"{kind}, whole route, ms", us / 1e3, "<=", 500.0))
            suite.add(Row(kind, "us", us, {}, bars, ALONE))

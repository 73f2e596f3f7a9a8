"""How a readout is trained on labelled texts, and what held-out texts say of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

from sophia._core.lexical import LexicalEncoder
from sophia._core.readout import Readout
from sophia._core.training import Examples, Weights

__all__ = ["HeldOut", "Progress", "cross_check", "extend", "judged", "train"]

Progress = Callable[[str], None]
"""Is told what is being done, in a few words."""

# Held-out examples that are enough to choose a threshold; with less data, more parts of it are held out in turn.
_ENOUGH = 1_500
_FOLDS = 10
# Positions that features are hashed to. On held-out parts of three sets 10,000 lose up to .25 points by collisions, and
# 32,768 gain nothing more.
_DIM = 16_384
# Weights that are held at once; 10,000 routes with the usual five seeds come near it.
_MOST_BYTES = 4 << 30
_SEEDS = 2

# Of learning on, chosen on held-out intents: examples that are replayed (of a class, and of all), sightings of a new
# class, repeats of an example of an old one, passes.
_REPLAYED, _REPLAYED_IN_ALL = 3, 450
_REPEATED, _CORRECTED = 150, 20
_EXTRA_EPOCHS = 3


class HeldOut(NamedTuple):
    """A labelled text that a readout was not trained on: its class, the class it got, and the best score."""

    label: int
    best: int
    score: float


def train(
    texts: Sequence[str],
    labels: Sequence[int],
    classes: int,
    *,
    seeds: Sequence[int],
    workers: int | None = None,
    encoder: LexicalEncoder | None = None,
) -> Readout:
    """A readout of the mean of one training a seed, on up to `workers` threads (None: one a core).

    `encoder`: one that has seen no text yet, where it is not to be the usual one. The result does not depend on the
    number of threads. About 45 us an example and seed of CPU time.
    """
    encoder = LexicalEncoder(_DIM) if encoder is None else encoder
    needed = len(seeds) * classes * (encoder.dim + 1) * 4
    if needed > _MOST_BYTES:
        message = (
            f"{len(seeds):,} trainings of {classes:,} routes need {needed / 2**30:,.1f} GiB; {_MOST_BYTES >> 30} are "
            "the most; give fewer seeds or fewer routes"
        )
        raise ValueError(message)
    encoder.observe(texts)
    examples = Examples(encoder, texts, labels)
    weights = [Weights(encoder, classes) for _ in seeds]
    _each(lambda i: weights[i].train(examples, seed=seeds[i]), len(seeds), workers)
    return Readout(weights)


def extend(readout: Readout, texts: Sequence[str], labels: Sequence[int], kept: Sequence[Sequence[str]]) -> Readout:
    """A readout that has learned these examples too; a label from `readout.classes` on is a new class.

    `kept` are examples of every class, old and new, of which some are trained on beside them. Only the columns of the
    classes with new examples change: what all others score stays as it is, bit for bit.
    """
    if readout.encoder is None:
        message = "this readout is over hypervectors, not texts"
        raise TypeError(message)
    encoder = readout.encoder.grown(texts)
    weights = readout.weights(encoder, classes=len(kept))
    members: dict[int, list[str]] = {}
    for text, label in zip(texts, labels, strict=True):
        members.setdefault(label, []).append(text)
    new = {label: own for label, own in members.items() if label >= readout.classes}
    old = {label: own for label, own in members.items() if label < readout.classes}
    for group in (new, old):
        if not group:
            continue
        lessons: list[str] = []
        numbers: list[int] = []
        each = max(_REPLAYED, -(-_REPLAYED_IN_ALL // len(kept)))
        for label, utterances in enumerate(kept):
            lessons += _spread(utterances, each)
            numbers += [label] * (each if utterances else 0)
        for label, own in group.items():
            times = max(round(_REPEATED / len(own)), 1)
            if group is old:
                times = min(times, _CORRECTED)
            lessons += own * times
            numbers += [label] * (len(own) * times)
        fewest = min(len(own) for own in group.values())
        weights.train(
            Examples(encoder, lessons, numbers),
            epochs=_EXTRA_EPOCHS,
            # Few words must carry a new class: it learns to do with part of them.
            dropout=1.0 - min(0.32, 0.1 * fewest**0.3) if group is new else 0.67,
            only=sorted(group),
        )
    return Readout([weights])


def _spread(utterances: Sequence[str], number: int) -> list[str]:
    """`number` of the utterances, evenly spread; where there are fewer, each as often as the others."""
    size = len(utterances)
    return [utterances[(2 * i + 1) * size // (2 * number)] for i in range(number)] if size else []


def judged(readout: Readout, texts: Sequence[str], labels: Sequence[int]) -> list[HeldOut]:
    """What a readout says of labelled texts that it was not trained on; those without a feature score 0."""
    found = []
    for text, label in zip(texts, labels, strict=True):
        best, score, _, _, _, seen = readout.best_of(text)
        found.append(HeldOut(label, best if seen else -1, score if seen else 0.0))
    return found


def cross_check(
    texts: Sequence[str],
    labels: Sequence[int],
    classes: int,
    *,
    seed: int,
    seeds: int,
    workers: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[HeldOut], Readout | None]:
    """Holds out a tenth of the examples, trains on the rest, and so on until about 1,500 were held out.

    Each class keeps an example to be trained on: those with one are never held out. Returns what was said of the
    held-out ones, and the last readout. Which are held out depends on `seed` and their position alone.
    """
    folds = _folds(labels, seed)
    rounds = min(_FOLDS, -(-_ENOUGH * _FOLDS // max(len(texts), 1)))
    found: list[HeldOut] = []
    readout = None
    for part in range(rounds):
        inside = [i for i, fold in enumerate(folds) if fold != part]
        outside = [i for i, fold in enumerate(folds) if fold == part]
        if not outside:
            continue
        if progress is not None:
            progress(f"holding out {len(outside):,} of {len(texts):,} examples (part {part + 1} of {rounds})")
        readout = train(
            [texts[i] for i in inside],
            [labels[i] for i in inside],
            classes,
            seeds=range(seed, seed + min(seeds, _SEEDS)),
            workers=workers,
        )
        found += judged(readout, [texts[i] for i in outside], [labels[i] for i in outside])
    return found, readout


def _folds(labels: Sequence[int], seed: int) -> list[int]:
    """The part that each example is held out in, -1 for never: by turns in each class, in an order of the seed's."""

    def drawn(i: int) -> bytes:
        return blake2b(f"{seed} {i}".encode(), digest_size=8).digest()

    members: dict[int, list[int]] = {}
    for i in sorted(range(len(labels)), key=drawn):
        members.setdefault(labels[i], []).append(i)
    folds = [-1] * len(labels)
    turn = count()  # over all classes, so that small ones do not all have theirs in the first part
    for label in sorted(members):
        if len(members[label]) > 1:
            for i in members[label]:
                folds[i] = next(turn) % _FOLDS
    return folds


def _each(work: Callable[[int], None], jobs: int, workers: int | None) -> None:
    """Does the jobs on some threads; an error of one is raised after all have ended."""
    waiting = iter(range(jobs))
    lock = threading.Lock()
    errors: list[BaseException] = []

    def run() -> None:
        while not errors:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            try:
                work(job)
            except BaseException as error:
                errors.append(error)

    wanted = workers if workers is not None else os.cpu_count() or 1
    threads = [threading.Thread(target=run, name=f"sophia-fit-{i}") for i in range(min(wanted, jobs) - 1)]
    for thread in threads:
        thread.start()
    run()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]

"""Intents: which route a text belongs to, how sure that is, and why.

A plain class without threads or stores. An :class:`Intents` never changes: what learns returns a new one, so that a
router in use can be swapped for a better one between two texts.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from math import isnan
from typing import Any, NamedTuple

from sophia._core.intent import IntentModel
from sophia._core.normaliser import stream_safe
from sophia._core.readout import Readout
from sophia.organs.calibration import Calibration, Judged, auroc, best_threshold, threshold_for_loss
from sophia.organs.training import HeldOut, Progress, cross_check, extend, judged, train

__all__ = ["Explanation", "Intents", "Prediction", "Route"]

_KEPT = 16
_KEPT_CHARS = 1_000
_LOSS = 0.02
_MOST_SEEDS = 1_000
# Where data are too few to measure the loss, nothing is routed that is more likely wrong than right.
_UNSURE = 0.5
# And what is right nine times of ten is not turned away, unless the user names the loss.
_SURE = 0.9
_CONFUSIONS = 20


class Route(NamedTuple):
    """One thing that a text can be about.

    `threshold`: the least confidence for it, None for the router's own. `reflex_safe`: what belongs to it may be
    handled by reflex once it is familiar. `utterances`: examples that are kept to learn on from, 16 at most.
    """

    name: str
    threshold: float | None = None
    reflex_safe: bool = False
    utterances: tuple[str, ...] = ()


class Prediction(NamedTuple):
    """`route` is None where nothing is sure enough; `reason` is "route", "low-confidence" or "out-of-scope".

    `confidence` is the probability that the best route is right, as held-out examples had it; `runner_up` the best
    route that was not taken.
    """

    route: str | None
    confidence: float
    runner_up: str | None
    reason: str


class Explanation(NamedTuple):
    """What carried a decision: `bias` + the contributions of `parts` = `score`, exactly.

    `parts` are (piece of text, kind, contribution), the largest first; kinds are word, pair, skip (a pair with a
    word between) and gram (letters, with the word's edges as < and >). `route` is the one that was best, taken or
    not.
    """

    route: str
    score: float
    bias: float
    parts: tuple[tuple[str, str, float], ...]
    prediction: Prediction

    def __str__(self) -> str:
        lines = [
            f"{self.route}: score {self.score:.3f}, bias {self.bias:.3f}, confidence "
            f"{self.prediction.confidence:.3f} ({self.prediction.reason})"
        ]
        lines += [f"  {part:+.3f}  {kind:<5} {text}" for text, kind, part in self.parts[:12]]
        return "\n".join(lines)


class Intents:
    """A trained router. Immutable; may be shared by threads. Made by :meth:`fit` or :meth:`load`.

    >>> router = Intents.fit(
    ...     ["turn on the light", "lights on please", "make it brighter", "switch the lamp on",
    ...      "what time is it", "tell me the time", "how late is it", "the time please"],
    ...     ["light"] * 4 + ["time"] * 4)
    >>> router.predict("please turn the lamp on").route
    'light'
    >>> router.predict("play some jazz").route is None
    True
    """

    def __init__(
        self,
        readout: Readout,
        routes: Iterable[Route],
        *,
        threshold: float,
        calibration: Calibration,
        report: dict[str, Any] | None = None,
    ) -> None:
        self.routes = tuple(routes)
        self.threshold = _share("threshold", threshold)
        self.calibration = calibration
        self.report = {} if report is None else report
        self.readout = readout
        for route in self.routes:
            _check_route(route.name, route.threshold)
        self.model = IntentModel(
            readout,
            tuple(route.name for route in self.routes),
            thresholds=[self.threshold if route.threshold is None else route.threshold for route in self.routes],
            safe=[route.reflex_safe for route in self.routes],
            slope=calibration.slope,
            offset=calibration.offset,
            version=_version(readout, self.routes, self.threshold, calibration),
        )

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        labels: Sequence[str],
        *,
        validation: tuple[Sequence[str], Sequence[str]] | None = None,
        out_of_scope: Sequence[str] | None = None,
        in_scope_loss: float | None = None,
        thresholds: dict[str, float] | None = None,
        reflex_safe: Iterable[str] = (),
        seeds: int = 5,
        seed: int = 0,
        workers: int | None = None,
        progress: Progress | None = None,
    ) -> Intents:
        """Trains a router: about 0.3 ms of CPU time an example, on all cores; the same result on any number.

        The threshold and the confidence come from held-out examples: those of `validation` (texts, labels), or
        else some of the texts, by cross-validation. `in_scope_loss` is the share of rightly routed held-out
        examples that may be turned away (default: at most 2 %, and none that are 90 % sure). With `out_of_scope`,
        examples of what belongs nowhere, and no `in_scope_loss`, the threshold is the one that decides most of both
        rightly. `thresholds` are routes' own, `reflex_safe` names routes that may be handled by reflex. `seeds`
        trainings are averaged.

        `report` of the result says what was measured: accuracy, thresholds, confusions. ValueError and TypeError
        name what cannot be used.
        """
        _check_examples(texts, labels, "texts")
        names = sorted(set(labels))
        if len(names) < 2:
            message = f"all {len(texts)} texts have the label {names[0]!r}; a router needs at least two labels"
            raise ValueError(message)
        own, safe = dict(thresholds or {}), set(reflex_safe)
        for what, given in (("thresholds", own), ("reflex_safe", safe)):
            for name in given:
                if name not in names:
                    message = f"{what} name {name!r}, which no text is labelled with"
                    raise ValueError(message)
        if not 1 <= seeds <= _MOST_SEEDS:
            message = f"seeds is {seeds}; from 1 to {_MOST_SEEDS} trainings are averaged"
            raise ValueError(message)
        if in_scope_loss is not None:
            _share("in_scope_loss", in_scope_loss)
        numbers = {name: i for i, name in enumerate(names)}
        classes = [numbers[label] for label in labels]
        tell = progress or _silent
        if out_of_scope is not None:
            _check_texts(out_of_scope, "out_of_scope")
        if validation is not None:
            _check_examples(*validation, "validation")
            unknown = sorted(set(validation[1]) - set(names))
            if unknown:
                message = f"validation has the label {unknown[0]!r}, which no text is labelled with"
                raise ValueError(message)
            held, checked = None, None
        else:
            held, checked = cross_check(
                texts, classes, len(names), seed=seed, seeds=seeds, workers=workers, progress=progress
            )
        tell(f"training on {len(texts):,} examples of {len(names):,} routes, {seeds} times")
        readout = train(texts, classes, len(names), seeds=range(seed, seed + seeds), workers=workers)
        if held is None:
            assert validation is not None
            held = judged(readout, validation[0], [numbers[label] for label in validation[1]])
        outside = judged(checked or readout, out_of_scope, [-1] * len(out_of_scope)) if out_of_scope else []
        calibration, threshold, report = _measure(held, outside, names, in_scope_loss)
        report |= {"examples": len(texts), "routes": len(names), "seeds": seeds, "seed": seed}
        members: dict[str, list[str]] = {name: [] for name in names}
        for text, label in zip(texts, labels, strict=True):
            members[label].append(text)
        routes = [Route(name, own.get(name), name in safe, _kept(members[name])) for name in names]
        return cls(readout, routes, threshold=threshold, calibration=calibration, report=report)

    @property
    def version(self) -> str:
        """Names this router in decisions: the same for the same weights, routes and thresholds."""
        return self.model.version

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {route.name: i for i, route in enumerate(self.routes)}

    def predict(self, text: str) -> Prediction:
        """The route of a text, or None with the reason. About 2 us."""
        if not isinstance(text, str):
            message = f"predict takes a str, not {type(text).__name__}"
            raise TypeError(message)
        return Prediction(*self.model.predict(text))

    def explain(self, text: str) -> Explanation | None:
        """Which pieces of the text speak for its best route, and against it; None for a text without any feature."""
        prediction = self.predict(text)
        best = prediction.route or prediction.runner_up
        if best is None:
            return None
        parts, bias = self.readout.explain(text, self._numbers[best])
        ordered = sorted(parts, key=lambda part: -abs(part[2]))
        return Explanation(best, bias + sum(part for _, _, part in parts), bias, tuple(ordered), prediction)

    def partial_fit(self, texts: Sequence[str], labels: Sequence[str]) -> Intents:
        """A router that has learned these examples too, new labels among them; about 20 ms for a handful.

        Examples that were kept of all routes are trained on beside them, so that nothing is forgotten. Thresholds
        and calibration stay as they are.
        """
        _check_examples(texts, labels, "texts")
        numbers = dict(self._numbers)
        for label in labels:
            numbers.setdefault(label, len(numbers))
        known = [route.utterances for route in self.routes] + [()] * (len(numbers) - len(self.routes))
        readout = extend(self.readout, texts, [numbers[label] for label in labels], known)
        members: dict[str, list[str]] = {}
        for text, label in zip(texts, labels, strict=True):
            members.setdefault(label, []).append(text)
        routes = [
            route._replace(utterances=_kept([*route.utterances, *members.get(route.name, ())]))
            for route in [*self.routes, *(Route(name) for name in list(numbers)[len(self.routes) :])]
        ]
        return Intents(readout, routes, threshold=self.threshold, calibration=self.calibration, report=self.report)

    def add_route(
        self, name: str, utterances: Sequence[str], *, threshold: float | None = None, reflex_safe: bool = False
    ) -> Intents:
        """A router with one more route, from a few utterances; one that is there already is taught more of them."""
        _check_route(name, threshold)
        grown = self.partial_fit(utterances, [name] * len(utterances))
        return grown.with_route(name, threshold=threshold, reflex_safe=reflex_safe)

    def with_route(self, name: str, *, threshold: float | None = None, reflex_safe: bool = False) -> Intents:
        """The same router with another threshold and mark of safety for a route; KeyError for an unknown one."""
        number = self._numbers[name]
        routes = list(self.routes)
        routes[number] = routes[number]._replace(threshold=threshold, reflex_safe=reflex_safe)
        return Intents(self.readout, routes, threshold=self.threshold, calibration=self.calibration, report=self.report)

    def remove_route(self, name: str) -> Intents:
        """A router without a route: its texts go elsewhere, or nowhere. KeyError for an unknown one."""
        number = self._numbers[name]
        if len(self.routes) == 1:
            message = f"{name!r} is the only route; a router needs one"
            raise ValueError(message)
        return Intents(
            self.readout.without(number),
            self.routes[:number] + self.routes[number + 1 :],
            threshold=self.threshold,
            calibration=self.calibration,
            report=self.report,
        )

    def without_examples(self, examples: Container[str]) -> Intents:
        """The same router, which no longer keeps these examples; what was learned from them stays in its weights."""
        routes = [
            route._replace(utterances=tuple(text for text in route.utterances if text not in examples))
            for route in self.routes
        ]
        return Intents(self.readout, routes, threshold=self.threshold, calibration=self.calibration, report=self.report)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the router to a file, or to `intents.sophia` in a folder; the old file is there until the new one is
        whole. ConfigError where it cannot be written, or would replace what is no router. The kept utterances are in
        it, as text."""
        from sophia.organs.intent_file import write

        write(self, path)

    def dump(self) -> bytes:
        """The router as bytes, for :meth:`parse`. The kept utterances are in it, as text."""
        from sophia.organs.intent_file import dump

        return dump(self)

    @classmethod
    def parse(cls, data: bytes, where: str = "the dump") -> Intents:
        """The router of a dump; `where` begins what is said of a fault. Raises what :meth:`load` raises for a file."""
        from sophia.organs.intent_file import parse

        return parse(memoryview(data), where)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Intents:
        """The router of a file, or of a folder that one was saved into; its weights are mapped, not read.

        Raises InputError where there is none, ConfigError for a file that is no router, StoreCorrupt for a damaged one,
        StoreVersionError for a newer one.
        """
        from sophia.organs.intent_file import read

        return read(path)

    def __repr__(self) -> str:
        return f"<Intents {self.version}: {len(self.routes)} routes, threshold {self.threshold}>"


def _measure(
    held: Sequence[HeldOut], outside: Sequence[HeldOut], names: Sequence[str], loss: float | None
) -> tuple[Calibration, float, dict[str, Any]]:
    """Calibration and threshold, and what the held-out examples say of both."""
    examples = [Judged(one.score, one.best == one.label) for one in held]
    calibration = Calibration.fit([*examples, *(Judged(one.score, False) for one in outside)], len(names))
    inside = [(calibration.confidence(one.score), one.right) for one in examples]
    right = [confidence for confidence, good in inside if good]
    beyond = [calibration.confidence(one.score) for one in outside]
    wanted = _LOSS if loss is None else loss
    by_loss = threshold_for_loss(right, wanted)
    few = loss is None and len(right) * wanted < 1.0
    if few:
        by_loss = max(by_loss, _UNSURE)
    if loss is None:
        by_loss = min(by_loss, _SURE)
    by_both = best_threshold(inside, beyond) if beyond else None
    threshold = by_both if by_both is not None and loss is None else by_loss
    if few:  # a handful of examples, on either side, cannot say that nobody need be turned away
        threshold = max(threshold, by_loss)

    def at(threshold: float) -> dict[str, float | None]:
        return {
            "threshold": threshold,
            "in_scope": _ratio(sum(c >= threshold for c in right), len(inside)),
            "in_scope_loss": _ratio(sum(c < threshold for c in right), len(right)),
            "precision": _ratio(sum(c >= threshold for c in right), sum(c >= threshold for c, _ in inside)),
            "out_of_scope": _ratio(sum(c < threshold for c in beyond), len(beyond)),
        }

    wrong = Counter((names[one.label], names[one.best]) for one in held if one.label != one.best >= 0)
    report: dict[str, Any] = {
        "held_out": len(held),
        "out_of_scope": len(outside),
        "accuracy": _ratio(len(right), len(inside)),
        "auroc": round(auroc([one.score for one in held], [one.score for one in outside]), 4)
        if held and outside
        else None,
        "chosen": at(threshold),
        "floor": _UNSURE if few and threshold == _UNSURE else None,
        "suggested": {
            **{f"loss {share:.0%}": at(threshold_for_loss(right, share)) for share in (0.01, 0.02, 0.05)},
            **({} if by_both is None else {"best over both": at(by_both)}),
        },
        "confusions": [
            {"label": label, "taken for": other, "times": times}
            for (label, other), times in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:_CONFUSIONS]
        ],
    }
    return calibration, threshold, report


def _silent(words: str) -> None:
    """Progress that nobody wants to hear of."""
    del words


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def as_example(text: str) -> str:
    """What is kept of a text, where it is kept as an example."""
    return text[:_KEPT_CHARS]


def _kept(utterances: Sequence[str]) -> tuple[str, ...]:
    """At most 16 of a route's examples, each once, spread evenly over them; of long ones the beginning."""
    texts = list(dict.fromkeys(map(as_example, utterances)))
    if len(texts) <= _KEPT:
        return tuple(texts)
    return tuple(texts[(i + 1) * len(texts) // _KEPT - 1] for i in range(_KEPT))


def _version(readout: Readout, routes: Sequence[Route], threshold: float, calibration: Calibration) -> str:
    from hashlib import blake2b

    parts = [repr((route.name, route.threshold, route.reflex_safe)) for route in routes]
    digest = blake2b(readout.dump()[-16:], digest_size=8)  # the dump ends in its checksum
    digest.update("\n".join([*parts, repr(threshold), repr(calibration)]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _check_texts(texts: Sequence[str], what: str) -> None:
    if isinstance(texts, str):
        message = f"{what} must be a list of str, not one str; put it into a list"
        raise TypeError(message)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            message = f"{what}[{i}] is {text!r}; it must be a str"
            raise TypeError(message)
        if not text or text.isspace():
            message = f"{what}[{i}] is {text!r}; leave empty texts out, they say nothing"
            raise ValueError(message)
        if not stream_safe(text):
            message = f"{what}[{i}] has more than 32 combining marks in a row; leave it out, nobody writes so"
            raise ValueError(message)


def _check_examples(texts: Sequence[str], labels: Sequence[str], what: str) -> None:
    _check_texts(texts, what)
    if isinstance(labels, str):
        message = f"the labels of {what} must be a list of str, not one str"
        raise TypeError(message)
    if len(texts) != len(labels):
        message = f"{what} has {len(texts)} texts and {len(labels)} labels; each text needs one"
        raise ValueError(message)
    if not texts:
        message = f"{what} has no examples"
        raise ValueError(message)
    for i, label in enumerate(labels):
        _check_name(label, f"label {i} of {what}")


def _check_route(name: str, threshold: float | None) -> None:
    _check_name(name, "the name of a route")
    if threshold is not None:
        _share(f"the threshold of {name!r}", threshold)


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str):
        message = f"{what} is {name!r}; it must be a str"
        raise TypeError(message)
    if not name.strip():
        message = f"{what} is {name!r}; it must have a letter"
        raise ValueError(message)
    try:
        name.encode()
    except UnicodeEncodeError:
        message = f"{what} is {name!r}; it has half of a surrogate pair, which no file can hold"
        raise ValueError(message) from None


def _share(what: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or isnan(value) or not 0.0 <= value <= 1.0:
        message = f"{what} is {value!r}; it must be a number from 0 to 1"
        raise ValueError(message)
    return float(value)

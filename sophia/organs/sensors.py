"""Sensors: what is unusual about a number, although its text is like all others.

Each sensor keeps how often each run of levels of its channels came. A run that is rare raises the level of the sample
that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sophia._core.decision import Decision, set_anomaly
from sophia.config import Settings, parse_range
from sophia.names import bounded
from sophia.store.sensor_table import CHANNELS, Sample, SensorRules, SensorTable

__all__ = ["Sensors", "as_sample", "sample_text"]


class Sensors:
    """Follows decisions by the samples that they are about. Not thread-safe; :class:`sophia.Sophia` holds the lock.

    `claim` is told of an answer that was drawn for the audit and is withheld after all.
    """

    def __init__(
        self, settings: Settings, claim: Callable[[Decision], object], table: SensorTable | None, *, track: bool
    ) -> None:
        self.table = SensorTable(track=track) if table is None else table
        self.table.rules = SensorRules(
            settings.sensor_warmup,
            settings.sensor_rest,
            settings.sensor_alarm,
            tuple(map(parse_range, settings.sensor_range)),
        )
        self._claim = claim

    def follow(self, decisions: Sequence[Decision], samples: Sequence[Sample | None], *, frozen: bool = False) -> None:
        """Scores the samples of decisions, in their order, and learns of them, but where it is `frozen`.

        May only raise a level. A sample that was not allowed is a gap.
        """
        pairs = [(decision, sample) for decision, sample in zip(decisions, samples, strict=True) if sample is not None]
        told = [
            sample if decision.verdict == "allow" else sample._replace(values=(_GAP,) * len(sample.values))
            for decision, sample in pairs
        ]
        see = self.table.score_many if frozen else self.table.observe_many
        readings = see([decision.scope for decision, _ in pairs], told)
        alarm = self.table.rules.alarm
        for (decision, sample), reading in zip(pairs, readings, strict=True):
            raised = reading.score >= alarm
            if raised and decision.audit and decision.agrees is None:
                self._claim(decision)
            set_anomaly(decision, bounded(sample.sensor), reading.score, reading.channel, raised)


_GAP = float("nan")


def as_sample(values: Mapping[str, float], sensor: str) -> Sample:
    """A sample of numbers by channel. TypeError or ValueError naming what is none."""
    if not isinstance(values, Mapping) or not values or not isinstance(sensor, str):
        message = f"a sample is numbers by channel and the name of its sensor, not {values!r:.80} and {sensor!r:.80}"
        raise TypeError(message)
    if len(values) > CHANNELS:
        message = f"a sample of {len(values):,} channels is over the bound of {CHANNELS:,}"
        raise ValueError(message)
    numbers = []
    for channel, value in values.items():
        if not isinstance(channel, str):
            message = f"the name of a channel is a str, not {channel!r:.80}"
            raise TypeError(message)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("inf")
        if number in (float("inf"), -float("inf")) or isinstance(value, str | bytes):
            message = f"channel {channel!r:.80} is {value!r:.80}; it must be a finite number, or NaN for a gap"
            raise ValueError(message)
        numbers.append(number)
    return Sample(sensor, tuple(values), tuple(numbers))


def sample_text(sample: Sample, *, named: bool) -> str:
    """A sample as the text that is decided on; with its sensor where it is `named`.

    >>> sample_text(Sample("pump", ("bar", "rpm"), (1.5, float("nan"))), named=True)
    'pump: bar=1.5 rpm='
    """
    parts = [
        f"{channel}={value!r}" if value == value else f"{channel}="
        for channel, value in zip(sample.channels, sample.values, strict=True)
    ]
    return f"{sample.sensor}: {' '.join(parts)}" if named else " ".join(parts)

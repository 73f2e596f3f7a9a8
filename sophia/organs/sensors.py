"""Sensors: what is unusual about a number, although its text is like all others.

Each sensor keeps how often each run of levels of its channels came. A run that is rare raises the level of the sample
that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sophia._core.decision import Decision, set_anomaly
from sophia.config import Settings
from sophia.names import bounded
from sophia.setting_kinds import parse_range
from sophia.store.sensor_table import CHANNELS, Sample, SensorRules, SensorTable

__all__ = ["Sensors", "as_sample", "sample_text"]


_SHOWN_OUTSIDE = 8


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
        self._guessed = 0  # anomalies of channels whose range was learned

    def follow(self, decisions: Sequence[Decision], samples: Sequence[Sample | None], *, frozen: bool = False) -> None:
        """Scores the samples of decisions, in their order, and learns of them, but where it is `frozen`.

        May only raise a level. What a danger rule hits is a sample like others: it was found in a name mostly, and
        of a sample only the levels of its numbers are learned.
        """
        pairs = [(decision, sample) for decision, sample in zip(decisions, samples, strict=True) if sample is not None]
        see = self.table.score_many if frozen else self.table.observe_many
        readings = see([decision.scope for decision, _ in pairs], [sample for _, sample in pairs])
        rules = self.table.rules
        for (decision, sample), reading in zip(pairs, readings, strict=True):
            raised = reading.score >= rules.alarm
            if raised and decision.audit and decision.agrees is None:
                self._claim(decision)
            set_anomaly(decision, sample.sensor, reading.score, reading.channel, raised, raised and not reading.told)
            if reading.told and reading.channel is not None and rules.ends((reading.channel,)) == (None,):
                self._guessed += 1

    def notes(self) -> list[str]:
        """What a user of sensors should know at the end of a run."""
        table, said = self.table, []
        warming, lacking = table.warming()
        if warming:
            number, whose = ("1 sensor is", "it") if warming == 1 else (f"{warming:,} sensors are", "them")
            missing = "1 sample is" if lacking == 1 else f"{lacking:,} samples are"
            said.append(
                f"{number} still warming up, and nothing was judged of {whose}: up to {missing} missing "
                "(--sensor-warmup)"
            )
        if self._guessed:
            one = self._guessed == 1
            said.append(
                f"{self._guessed:,} of the anomalies {'is of a channel' if one else 'are of channels'} whose range was "
                f"learned from the first samples: where that was too narrow {'it means' if one else 'they mean'} "
                "little, and --sensor-range [NAME=]LOW:HIGH finds more"
            )
        if table.let_go:
            often = "once" if table.let_go == 1 else f"{table.let_go:,} times"
            said.append(
                f"{often} a sensor had to make room for another, and what was usual for it is "
                f"forgotten: at most {CHANNELS:,} channels are kept"
            )
        outside = list(table.outside.items())
        for (channel, low, high), count in outside[:_SHOWN_OUTSIDE]:
            which = "the only sample" if count == 1 else f"all {count:,} samples"
            said.append(
                f"{which} of {channel!r:.80} {'is' if count == 1 else 'are'} outside the range {low:.15g}:{high:.15g} "
                "that is given (--sensor-range)"
            )
        if len(outside) > _SHOWN_OUTSIDE:
            said.append(
                f"of {len(outside) - _SHOWN_OUTSIDE:,} more channels no sample is within the range that is given"
            )
        if unused := table.rules.unused(table.names):
            said.append(f"no sensor has a channel {', '.join(map(repr, unused))}, for which a range is given")
        return said


_SHOWN = 64


def as_sample(values: Mapping[str, float], sensor: str) -> Sample:
    """A sample of numbers by channel. TypeError or ValueError naming what is none."""
    if not isinstance(values, Mapping) or not values or not isinstance(sensor, str):
        message = f"a sample is numbers by channel and the name of its sensor, not {values!r:.80} and {sensor!r:.80}"
        raise TypeError(message)
    numbers, names = [], []
    for channel, value in dict(values).items():
        if not isinstance(channel, str):
            message = f"the name of a channel is a str, not {type(channel).__name__}"
            raise TypeError(message)
        try:
            number = float("inf") if isinstance(value, str | bytes) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("inf")
        if number in (float("inf"), -float("inf")):
            shown = repr(value)[:80] if isinstance(value, float | str) else type(value).__name__
            message = f"channel {channel!r:.80} is {shown}; it must be a finite number, or NaN for a gap"
            raise ValueError(message)
        numbers.append(number)
        names.append(_name(channel))
    if len(names) > CHANNELS:
        message = f"a sample of {len(names):,} channels is over the bound of {CHANNELS:,}"
        raise ValueError(message)
    return Sample(_name(sensor), tuple(names), tuple(numbers))


def _name(name: str) -> str:
    """A name of at most 256 characters. ValueError for one that UTF-8 has not."""
    plain = str.__str__(name)  # of a subclass, its characters
    try:
        plain.encode()
    except UnicodeEncodeError as error:
        message = f"{plain!r:.80} holds half a surrogate pair, which UTF-8 has not; replace it"
        raise ValueError(message) from error
    return bounded(plain)


def sample_text(sample: Sample, *, named: bool) -> str:
    """A sample as the text that is decided on, its first 64 numbers; with its sensor where it is `named`.

    >>> sample_text(Sample("pump", ("bar", "rpm"), (1.5, float("nan"))), named=True)
    'pump: bar=1.5 rpm='
    """
    parts = [
        f"{channel}={value!r}" if value == value else f"{channel}="
        for channel, value in zip(sample.channels[:_SHOWN], sample.values, strict=False)
    ]
    if len(sample.channels) > _SHOWN:
        parts.append(f"and {len(sample.channels) - _SHOWN} more")
    return f"{sample.sensor}: {' '.join(parts)}" if named else " ".join(parts)

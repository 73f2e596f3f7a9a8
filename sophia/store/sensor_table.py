"""Sensors as runs of levels: what of each is usual. Bounded."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sophia.errors import SophiaError, StoreCorrupt
from sophia.names import bounded

if TYPE_CHECKING:  # numpy comes with it, and a start without a sensor need not pay for that
    from sophia.hdc.sensor import SensorAnomaly

__all__ = ["CHANNELS", "Reading", "Sample", "SensorRules", "SensorTable"]

CHANNELS = 1024
"""What all sensors may have together."""

_MAGIC = b"SophSen1"
_FIRST_NUMBERS = 1 << 20  # of a warm-up, all channels together: 8 MB that each dump has until it is over

_INSIDE = -1  # instead of a count, where a number was within the range

_Key = tuple[str, str, tuple[str, ...]]
_Ends = tuple[tuple[float, float] | None, ...]


class Sample(NamedTuple):
    """What one sensor says at one time: a number a channel. NaN is a gap."""

    sensor: str
    channels: tuple[str, ...]
    values: tuple[float, ...]


class Reading(NamedTuple):
    """How unusual a sample is, 0 to 1, by the channel of which that is so; None where no channel is unusual at all.
    `told` says that it is the one of its event that is to be told: the sensor does not rest."""

    score: float
    channel: str | None
    told: bool


class SensorRules(NamedTuple):
    """How samples are scored; see :class:`sophia.hdc.sensor.SensorAnomaly`.

    `ranges` are (channel, low, high): of the channel of that name, or with "" of all others. A channel without one
    learns it.
    """

    warmup: int = 750
    rest: int = 150
    alarm: float = 0.75
    ranges: tuple[tuple[str, float, float], ...] = ()

    def ends(self, channels: tuple[str, ...]) -> _Ends:
        """(low, high) of each channel, None where that is to be learned."""
        given = {name: (low, high) for name, low, high in self.ranges}
        return tuple(given.get(name, given.get("")) for name in channels)

    def unused(self, channels: Collection[str]) -> list[str]:
        """The channels that a range names and that are none of these."""
        return [name for name, _, _ in self.ranges if name and name not in channels]


class SensorTable:
    """What is usual for each sensor. Not thread-safe.

    A sensor is told from others by its scope, its name and the names of its channels; under another given range it
    begins anew. All together have at most 1,024 channels: the one that was silent longest makes room, which `let_go`
    counts. With `track` the samples are kept for `changes`.
    """

    def __init__(self, rules: SensorRules | None = None, *, track: bool = False) -> None:
        self.rules = SensorRules() if rules is None else rules
        self._sensors: OrderedDict[_Key, tuple[_Ends, SensorAnomaly]] = OrderedDict()
        self._track = track
        self._log: list[tuple[list[Any], bytes]] = []
        self.let_go = 0
        """Sensors that had to make room since it was made or loaded."""
        self._outside: dict[tuple[str, float, float], int] = {}
        self._within: set[tuple[str, ...]] = set()  # channels of which that is not so, or not asked

    @property
    def outside(self) -> dict[tuple[str, float, float], int]:
        """Channels with the range that is given for them, of which no number since the table was made or loaded was
        within it, and how many numbers they had."""
        return {channel: count for channel, count in self._outside.items() if count > 0}

    def __len__(self) -> int:
        """How many sensors are known."""
        return len(self._sensors)

    def warming(self) -> tuple[int, int]:
        """How many sensors have had too few samples yet to be judged, and the samples that one of them lacks most."""
        lacking = [sensor.missing for _, sensor in self._sensors.values() if not sensor.ready]
        return len(lacking), max(lacking, default=0)

    @property
    def names(self) -> set[str]:
        """Of all channels."""
        return {name for _, _, channels in self._sensors for name in channels}

    @property
    def channels(self) -> int:
        """How many channels they have."""
        return sum(len(channels) for _, _, channels in self._sensors)

    def observe_many(self, scopes: Sequence[str], samples: Sequence[Sample]) -> list[Reading]:
        """The readings of samples, in their order, of which each sensor learns."""
        return self._observe(scopes, samples, learn=True)

    def score_many(self, scopes: Sequence[str], samples: Sequence[Sample]) -> list[Reading]:
        """The same, but nothing is learned, and a sensor that is not known scores 0."""
        return self._observe(scopes, samples, learn=False)

    def _observe(self, scopes: Sequence[str], samples: Sequence[Sample], *, learn: bool) -> list[Reading]:
        import numpy

        groups: dict[_Key, list[int]] = {}
        for i, (scope, sample) in enumerate(zip(scopes, samples, strict=True)):
            groups.setdefault((bounded(scope), bounded(sample.sensor), sample.channels), []).append(i)
        readings = [_USUAL] * len(samples)
        # As if each came alone: who spoke last is the last that has to make room.
        order = sorted(groups.items(), key=lambda item: item[1][-1])
        new = sum(len(key[2]) for key in groups if key not in self._sensors)
        if self.channels + new > CHANNELS:
            order = sorted(((key, [i]) for key, places in groups.items() for i in places), key=lambda item: item[1])
        for key, places in order:
            values = numpy.array([samples[i].values for i in places], numpy.float64)
            if not learn and key not in self._sensors:
                continue
            if self.rules.ranges and key[2] not in self._within:
                self._look_outside(key[2], values)
            if learn and self._track:
                self._log.append(([*key, len(places)], values.astype("<f8").tobytes()))
            for i, reading in zip(places, self._readings(key, values, learn=learn), strict=True):
                readings[i] = reading
        return readings

    def _look_outside(self, channels: tuple[str, ...], values: Any) -> None:
        """Counts numbers outside of the ranges that are given, until one is within."""
        found, done = self._outside, True
        for place, (channel, end) in enumerate(zip(channels, self.rules.ends(channels), strict=True)):
            if end is None:
                continue
            low, high = end
            count = found.get((channel, low, high))
            if count == _INSIDE or (count is None and len(found) == CHANNELS):
                continue
            column = values[:, place]
            inside = bool(((column >= low) & (column <= high)).any())
            found[channel, low, high] = _INSIDE if inside else (count or 0) + int((column == column).sum())
            done = done and inside
        if done and len(self._within) < CHANNELS:
            self._within.add(channels)

    def _readings(self, key: _Key, values: Any, *, learn: bool) -> list[Reading]:
        sensor, channels = self._sensor(key, learn=learn), key[2]
        sensor.learning = learn
        scores = sensor.score_channels(values)
        highest = scores.max(axis=1)
        most, told = scores.argmax(axis=1).tolist(), (sensor.rested(highest) >= sensor.alarm).tolist()
        return [
            Reading(score, channels[channel], first) if score else _USUAL
            for score, channel, first in zip(highest.tolist(), most, told, strict=True)
        ]

    def _sensor(self, key: _Key, *, learn: bool) -> SensorAnomaly:
        from sophia.hdc.sensor import SensorAnomaly

        rules, channels = self.rules, key[2]
        ends = rules.ends(channels)
        known = self._sensors.get(key)
        if known is None or (learn and known[0] != ends):
            low, high = ([float("nan") if end is None else end[i] for end in ends] for i in (0, 1))
            warmup = min(rules.warmup, max(2, _FIRST_NUMBERS // len(channels)))
            known = ends, SensorAnomaly(len(channels), low=low, high=high, warmup=warmup)
            self._sensors[key] = known
            while self.channels > CHANNELS and len(self._sensors) > 1:
                self._sensors.popitem(last=False)
                self.let_go += 1
        self._sensors.move_to_end(key)
        sensor = known[1]
        sensor.rest, sensor.alarm = rules.rest, rules.alarm
        return sensor

    def forget(self, scope: str) -> int:
        """Drops the sensors of a scope; how many."""
        gone = [key for key in self._sensors if key[0] == bounded(scope)]
        for key in gone:
            del self._sensors[key]
        return len(gone)

    def changes(self) -> bytes:
        """The samples since the last call, for `replay`; none is b""."""
        log, self._log = self._log, []
        return _framed([self.rules, [told for told, _ in log]], [values for _, values in log]) if log else b""

    def replay(self, changes: bytes) -> None:
        """Learns once more what `changes` says, under the rules of that time. StoreCorrupt where it says nothing."""
        import numpy

        rules, track, self._track = self.rules, self._track, False
        try:
            (then, log), at = _head(changes)
            self.rules = _rules(then)
            for scope, name, channels, count in log:
                key = _key(scope, name, channels)
                size = 8 * count * len(channels)
                if type(count) is not int or not 0 < size <= len(changes) - at:
                    raise ValueError("it is cut")  # noqa: EM101
                values = numpy.frombuffer(changes[at : at + size], "<f8").reshape(count, -1)
                self._readings(key, values, learn=True)
                at += size
            if at != len(changes):
                raise ValueError("it is longer than it says")  # noqa: EM101
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError, SophiaError) as error:
            message = f"a change of the sensors cannot be read ({error})"
            raise StoreCorrupt(message) from error
        finally:
            self.rules, self._track = rules, track

    def dump(self) -> bytes:
        """The whole table but for `rules`: those are the settings of whoever opens it."""
        parts = [sensor.dump() for _, sensor in self._sensors.values()]
        told = [[*key, ends, len(part)] for (key, (ends, _)), part in zip(self._sensors.items(), parts, strict=True)]
        return _MAGIC + _framed(told, parts)

    @classmethod
    def load(cls, data: bytes, *, track: bool = False) -> SensorTable:
        """The table of a dump. StoreCorrupt for bytes that are none."""
        from sophia.hdc.sensor import SensorAnomaly

        table = cls(track=track)
        try:
            if data[:8] != _MAGIC:
                raise ValueError("it begins otherwise")  # noqa: EM101
            told, at = _head(data[8:])
            at += 8
            for scope, name, channels, ends, size in told:
                if type(size) is not int or not 0 <= size <= len(data) - at:
                    raise ValueError("it is cut")  # noqa: EM101
                key = _key(scope, name, channels)
                given = tuple(None if end is None else (float(end[0]), float(end[1])) for end in ends)
                sensor = SensorAnomaly.load(data[at : at + size])
                if not len(given) == sensor.channels == len(key[2]):
                    raise ValueError("a sensor has other channels")  # noqa: EM101
                table._sensors[key] = given, sensor
                at += size
            if at != len(data) or len(table) != len(told) or (table.channels > CHANNELS and len(table) > 1):
                raise ValueError("its parts do not fit together")  # noqa: EM101
        except (ValueError, TypeError, IndexError, AttributeError, RecursionError, OverflowError) as error:
            message = f"the dump of the sensors cannot be read ({error})"
            raise StoreCorrupt(message) from error
        return table


_USUAL = Reading(0.0, None, False)


def _framed(head: object, parts: Sequence[bytes]) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def _head(data: bytes) -> tuple[Any, int]:
    """What stands before the parts, and where they begin."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), end


def _key(scope: object, name: object, channels: object) -> _Key:
    if type(scope) is not str or type(name) is not str or type(channels) is not list or not channels:
        raise TypeError("a name is no text")  # noqa: EM101
    if not all(type(channel) is str for channel in channels):
        raise TypeError("the name of a channel is no text")  # noqa: EM101
    return scope, name, tuple(channels)


def _rules(value: Any) -> SensorRules:
    warmup, rest, alarm, ranges = value
    return SensorRules(warmup, rest, float(alarm), tuple((str(name), float(a), float(b)) for name, a, b in ranges))

"""What of a stream is let in: a sample of its inputs, and no more of them a second than asked for."""

from __future__ import annotations

from time import monotonic, sleep

from sophia.stream.event import Event
from sophia.stream.readers import Reader

__all__ = ["Intake"]

# Batches a second that a bounded rate is spread over, and seconds of the longest sleep: a stop is seen after it.
_BEATS = 10
_NAP = 0.1
_MASK = 2**64 - 1


class Intake:
    """A reader whose batches are sampled and paced; without either it costs a call a batch.

    `sample` is the share of the inputs that are decided. Which ones hangs on the seed and on their place in the
    stream only, so that a run repeats. `rate` bounds the inputs read in a second, after the first batch.
    """

    def __init__(self, reader: Reader, *, sample: float = 1.0, rate: float = 0.0, seed: int = 0) -> None:
        self.counts = reader.counts
        self.left_out = 0
        """Inputs that the sample did not take."""
        self._reader = reader
        self._least = None if sample >= 1.0 else int(sample * 2.0**64)
        self._seed = seed
        self._rate = rate
        self._started = 0.0
        self._passed = 0  # inputs that came by, in the sample or not
        self._stopped = False

    @staticmethod
    def batch(size: int, rate: float) -> int:
        """The size of a batch: smaller at a low rate, so that the stream flows instead of coming in gusts.

        >>> Intake.batch(256, 0.0), Intake.batch(256, 100.0), Intake.batch(256, 3.0)
        (256, 10, 1)
        """
        return min(size, max(1, int(rate / _BEATS))) if rate else size

    def __iter__(self) -> Intake:
        return self

    def __next__(self) -> list[Event]:
        while True:
            if self._rate:
                self._wait()
            if self._stopped and self._rate:
                raise StopIteration
            events = next(self._reader)
            self._passed += len(events)
            if self._least is None:
                return events
            taken = [event for event in events if _mix(self._seed, event.n) < self._least]
            self.left_out += len(events) - len(taken)
            if taken:
                return taken

    def stop(self) -> None:
        """Ends the reading (see Reader.stop); may be called from a signal handler. At a bounded rate the stream ends
        before its next batch."""
        self._stopped = True
        self._reader.stop()

    @property
    def stopped(self) -> bool:
        """See Reader."""
        return self._reader.stopped

    @property
    def waits(self) -> bool:
        """Whether reading may wait, for more than a disk."""
        return self._rate > 0.0 or self._reader.waits

    @property
    def output_gone(self) -> bool:
        """See Reader."""
        return self._reader.output_gone

    def close(self) -> None:
        """Closes the input that is open."""
        self._reader.close()

    def _wait(self) -> None:
        """Until what came by is as much as the rate allows. The reader's count will not do: it is ahead by a block."""
        now = monotonic()
        if not self._started:
            self._started = now
        due = self._started + self._passed / self._rate
        while due > now and not self._stopped:
            sleep(min(due - now, _NAP))
            now = monotonic()
        if now - due > 1.0:  # the source was slower: time that it did not use is not made up for
            self._started += now - due - 1.0


def _mix(seed: int, n: int) -> int:
    """64 bits of a place in a stream (SplitMix64)."""
    x = (seed + n * 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)

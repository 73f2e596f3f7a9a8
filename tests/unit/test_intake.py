"""The pace and the sample of a stream, by a clock of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sophia.stream import intake
from sophia.stream.intake import Intake
from sophia.stream.readers import read_batches


class Clock:
    """Time that passes in sleep only."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0.0 < seconds <= 0.1  # a stop is seen after it
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(intake, "monotonic", found.monotonic)
    monkeypatch.setattr(intake, "sleep", found.sleep)
    return found


def lines(folder: Path, number: int) -> Path:
    path = folder / "in.log"
    path.write_text("".join(f"line {i}\n" for i in range(number)))
    return path


@pytest.mark.parametrize(("rate", "sample"), [(100.0, 1.0), (7.0, 1.0), (100.0, 0.5), (2000.0, 1.0)])
def test_a_rate_is_even_however_the_input_is_read(clock: Clock, tmp_path: Path, rate: float, sample: float) -> None:
    """A file of some lines is one block for the reader; it must not come out as one gust."""
    size = Intake.batch(256, rate)
    reader = read_batches([str(lines(tmp_path, 3000))], batch=size)
    began, last = clock.now, 0
    for events in Intake(reader, sample=sample, rate=rate):
        last = events[-1].n
        assert last <= (clock.now - began) * rate + size + 1e-6
        assert last >= (clock.now - began) * rate - 1e-6 or sample < 1.0
    assert last >= 2990


def test_a_stop_ends_a_paced_stream_before_its_next_batch(clock: Clock, tmp_path: Path) -> None:
    paced = Intake(read_batches([str(lines(tmp_path, 3000))], batch=10), rate=100.0)
    assert [event.n for event in next(paced)] == list(range(1, 11))
    paced.stop()
    assert list(paced) == []
    assert clock.now == 1000.0

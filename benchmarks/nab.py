"""The standard score of the Numenta Anomaly Benchmark (Lavin and Ahmad 2015), re-implemented from its description.

A detection inside a window scores more the earlier it is, one outside costs up to .11, a window without one costs
1. One threshold for all files is chosen that scores best, and the sum is put on a scale where nothing detected is 0
and all windows at their first row 100. The first 15 % of a file (at most 750 rows) are not judged.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass

import numpy as np

from benchmarks.data import find

FALSE_ALARM = 0.11
PROBATION, LONGEST_PROBATION = 0.15, 750


@dataclass(frozen=True)
class Series:
    """One file: its values, and the first and last row of each window."""

    name: str
    values: np.ndarray
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        return min(int(PROBATION * len(self.values)), LONGEST_PROBATION)


def load() -> list[Series]:
    """All files, in the order of their names; none where the data is not there."""
    labels = find("streams", "nab", "labels", "combined_windows.json")
    if labels is None:
        return []
    found = []
    for name, windows in sorted(json.loads(labels.read_text(encoding="utf-8")).items()):
        path = find("streams", "nab", "data", *name.split("/"))
        assert path is not None
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        times = [row["timestamp"] for row in rows]
        places = []
        for first, last in windows:
            inside = [at for at, time in enumerate(times) if first[:19] <= time <= last[:19]]
            places.append((inside[0], inside[-1]))
        found.append(Series(name, np.array([float(row["value"]) for row in rows]), places))
    return found


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def worth(series: Series) -> list[tuple[float, int]]:
    """For each judged row what a detection there is worth, and the number of its window, -1 outside of all."""
    found = []
    for row in range(series.probation, len(series.values)):
        within = [n for n, (first, last) in enumerate(series.windows) if first <= row <= last]
        before = [window for window in series.windows if window[1] < row]
        if within:
            first, last = series.windows[within[0]]
            found.append((_sigmoid(-(last - row + 1) / (last - first + 1)) / _sigmoid(-1.0), within[0]))
        elif before:
            first, last = before[-1]
            found.append((FALSE_ALARM * _sigmoid((row - last) / (last - first)), -1))
        else:
            found.append((-FALSE_ALARM, -1))
    return found


def standard_score(files: list[Series], scores: list[np.ndarray]) -> float:
    """The score of a detector whose scores of all rows these are."""
    rows = []
    for number, (series, given) in enumerate(zip(files, scores, strict=True)):
        for row, (value, window) in enumerate(worth(series), series.probation):
            rows.append((float(given[row]), number, window, value))
    rows.sort(key=lambda row: -row[0])
    windows = sum(len(series.windows) for series in files)
    sum_, best, at = -float(windows), -float(windows), 0
    caught: dict[tuple[int, int], float] = {}
    while at < len(rows) and rows[at][0] > 0:
        threshold = rows[at][0]
        while at < len(rows) and rows[at][0] == threshold:
            _, number, window, value = rows[at]
            if window < 0:
                sum_ += value
            else:
                before = caught.get((number, window), -1.0)
                caught[number, window] = max(before, value)
                sum_ += caught[number, window] - before
            at += 1
        best = max(best, sum_)
    return 100.0 * (best + windows) / (2.0 * windows)


def windowed_gaussian(values: np.ndarray, window: int = 6400, step: int = 100) -> np.ndarray:
    """The baseline of that name, from its description: how far out a value is of a normal law fitted to a window."""
    sums, squares = (np.concatenate([[0.0], np.cumsum(values**power)]) for power in (1, 2))
    scores = np.zeros(len(values))
    first = last = 0
    for row, value in enumerate(values):
        n = last - first
        if n:
            mean = (sums[last] - sums[first]) / n
            deviation = math.sqrt(max(0.0, (squares[last] - squares[first]) / n - mean * mean)) or 1e-6
            scores[row] = 1.0 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2.0))
        if row + 1 <= window:
            last = row + 1
        elif (row + 1 - window) % step == 0:
            first, last = row + 1 - window, row + 1
    return scores

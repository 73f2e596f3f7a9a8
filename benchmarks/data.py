"""Where the data sets lie: the folder named by SOPHIA_DATA. None of them is part of the project; see DATA.md."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

ADVICE = "set SOPHIA_DATA to a folder with the data sets that benchmarks/DATA.md names"


def find(*parts: str) -> Path | None:
    """A file or folder of the data, or None where it is not there."""
    root = os.environ.get("SOPHIA_DATA")
    path = Path(root, *parts) if root else None
    return path if path is not None and path.exists() else None


def loghub() -> dict[str, Path]:
    """The raw 2,000-line logs, by system."""
    folder = find("streams", "loghub")
    return {} if folder is None else {p.name.split("_")[0]: p for p in sorted(folder.glob("*_2k.log"))}


def loghub_truth(system: str) -> tuple[list[str], list[str]]:
    """Content column and true event ids of one system."""
    path = find("streams", "loghub", f"{system}_2k.log_structured.csv")
    assert path is not None
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row["Content"] for row in rows], [row["EventId"] for row in rows]


def clinc_examples() -> tuple[list[str], list[str]]:
    """Training queries of CLINC150 and their intents."""
    path = find("router", "clinc150", "data_full.json")
    if path is None:
        return [], []
    pairs = json.loads(path.read_text(encoding="utf-8"))["train"]
    return [text for text, _ in pairs], [label for _, label in pairs]


def clinc_queries() -> list[str]:
    """Test queries of CLINC150, in scope and out of scope."""
    path = find("router", "clinc150", "data_full.json")
    if path is None:
        return []
    sets = json.loads(path.read_text(encoding="utf-8"))
    return [text for text, _ in sets["test"] + sets["oos_test"]]

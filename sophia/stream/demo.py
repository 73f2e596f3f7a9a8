"""The sample that ships with the package: one day of an invented company's assistant and servers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["demo_path"]


def demo_path() -> Path:
    """The sample, a JSON-lines file of about 2,000 lines.

    >>> demo_path().name
    'demo.jsonl'
    """
    from importlib import resources
    from pathlib import Path

    # the package is always a folder: its compiled modules cannot be imported from an archive
    return Path(str(resources.files("sophia.stream") / "demo.jsonl"))

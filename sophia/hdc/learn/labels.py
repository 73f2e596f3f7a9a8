"""Labels of classes: numbers or strings, never both, and never what compares with nothing."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

__all__ = ["checked", "distinct", "single"]


def distinct(labels: Any, name: str = "y") -> NDArray[Any]:
    """The labels, sorted, each once. ValueError where there are none, or they are not all numbers or all strings, or
    one is NaN."""
    found = labels if isinstance(labels, numpy.ndarray) else numpy.asarray(labels)
    given = list(labels) if not isinstance(labels, numpy.ndarray) and found.ndim == 1 else []
    mixed = found.dtype.kind == "U" and not all(isinstance(label, str) for label in given)
    if found.ndim != 1 or not len(found) or mixed or not _is_label(found):
        message = f"{name}: {_shown(labels)}: Unknown label type; labels are a list of finite numbers, or of strings"
        raise ValueError(message)
    return numpy.unique(found)


def checked(labels: NDArray[Any], classes: NDArray[Any]) -> None:
    """ValueError naming the first label that is none of the classes."""
    alike = _is_text(labels) == _is_text(classes) and _is_label(labels)
    unknown = labels[~numpy.isin(labels, classes)] if alike else labels
    if len(unknown):
        message = f"y: {unknown[0]} is none of the classes {_shown(classes)}"
        raise ValueError(message)


def single(label: Any, classes: NDArray[Any] | None) -> NDArray[Any]:
    """One label as an array [1] that can stand among the classes without changing them. ValueError for one that
    cannot: a string among numbers, a fraction among whole numbers, a number among strings."""
    found = numpy.asarray([label])
    fraction = found.dtype.kind == "f" and not (found == numpy.rint(found)).all()
    if found.ndim != 1 or not _is_label(found) or fraction:
        message = f"y: {label!r} is no label; labels are whole numbers or strings"
        raise ValueError(message)
    if classes is None:
        return found
    if _is_text(found) != _is_text(classes):
        message = f"y: {label!r} is a label unlike the classes {_shown(classes)}"
        raise ValueError(message)
    if _is_text(classes):
        return found.astype(object) if classes.dtype.kind == "O" else found
    with numpy.errstate(invalid="ignore", over="ignore"):
        same = found.astype(classes.dtype)
    if same[0] == found[0]:
        return same
    wide = numpy.result_type(found, classes)
    if classes.dtype.kind == "b" or wide.kind not in "iu":  # True is not 1, and not all of 64 bits is a float
        message = f"y: {label!r} is a label unlike the classes {_shown(classes)} of {classes.dtype}"
        raise ValueError(message)
    return found.astype(wide)


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "UO"


def _is_label(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind == "O":
        return all(isinstance(label, str) for label in labels)
    if labels.dtype.kind == "f":
        return bool(numpy.isfinite(labels).all())
    return labels.dtype.kind in "biuU"


def _shown(labels: Any) -> str:
    text = str(labels.tolist() if isinstance(labels, numpy.ndarray) else labels)
    return text if len(text) <= 200 else f"{text[:200]}..."

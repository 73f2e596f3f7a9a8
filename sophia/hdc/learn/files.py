"""Files of estimators: numpy arrays and a header in JSON, no pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy
from numpy.typing import NDArray

from sophia.errors import InputError

__all__ = ["read", "write"]

_Made = TypeVar("_Made")


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Writes a file beside, and puts it in the place of `path` when it is whole."""
    target = Path(path)
    partial = target.with_name(f"{target.name}.partial")
    held = numpy.frombuffer(json.dumps(header).encode(), numpy.uint8)
    with partial.open("wb") as file:  # an open file: numpy would put .npz behind the name
        numpy.savez(file, allow_pickle=False, header=held, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def read(
    path: str | os.PathLike[str], kind: str, name: str, make: Callable[[dict[str, Any], dict[str, NDArray[Any]]], _Made]
) -> _Made:
    """What `make` makes of the header and the arrays of a file. InputError for one whose header has another "format"
    than `kind`, or another "class" than `name`, and for what is damaged."""
    with Path(path).open("rb") as file:
        try:
            with numpy.load(file, allow_pickle=False) as found:
                arrays = {part: found[part] for part in found.files}
            header = json.loads(arrays.pop("header").tobytes())
            if (header["format"], header["class"]) != (kind, name):
                message = f"{path} holds {header['class']} ({header['format']}), not {name} ({kind})"
                raise InputError(message)
            return make(header, arrays)
        except InputError:
            raise
        except Exception as error:
            message = f"{path} is no file of {name}, or damaged ({error}); save it again"
            raise InputError(message) from error

"""Memories of an Arrow table, to be remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

__all__ = ["rows_of"]


def rows_of(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Its rows, each as a mapping with `content`. ValueError for a table that has none, or another kind of vector."""
    import numpy as np
    import pyarrow as pa

    names = set(table.column_names)
    if not names & {"text", "vector"}:
        message = f"the table has the columns {sorted(names)}; it needs `text` or `vector`"
        raise ValueError(message)
    columns: dict[str, list[Any]] = {}
    for name in names - {"id", "score", "distance"}:
        column = table.column(name).combine_chunks()
        if name == "vector":
            kind = column.type
            if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.uint8():
                message = f"the column `vector` is of type {kind}; it must be fixed_size_list<uint8>"
                raise ValueError(message)
            there = column.drop_null()
            flat = np.asarray(there.flatten().to_numpy(zero_copy_only=False)).reshape(len(there), kind.list_size)
            rows = iter(flat)
            columns[name] = [next(rows) if valid else None for valid in column.is_valid().to_pylist()]
        elif pa.types.is_timestamp(column.type):
            columns[name] = column.cast(pa.timestamp("us", column.type.tz), safe=False).to_pylist()
        else:
            columns[name] = column.to_pylist()
    found = []
    for number in range(table.num_rows):
        said = {name: values[number] for name, values in columns.items() if values[number] is not None}
        vector, text = said.pop("vector", None), said.pop("text", None)
        if text is None and vector is None:
            message = f"row {number} has neither a text nor a vector; no row was remembered"
            raise ValueError(message)
        found.append({**said, "content": vector if text is None else text})
    return found

"""Results in the formats of other programs."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

from qemunet.results.record import to_json


def encode(frame: pd.DataFrame, records: list[dict[str, Any]] | None, form: str | None) -> bytes:
    """Results as ``csv``, ``parquet`` or ``json`` (that of the records if there are any), or as a table for people (None)."""
    match form:
        case "json":
            rows = frame.astype(object).where(frame.notna(), None).to_dict("records") if records is None else records
            return to_json(rows).encode()
        case "csv":
            return str(frame.to_csv(index=False)).encode("utf-8", "surrogateescape")
        case "parquet":
            buffer = io.BytesIO()
            _columnar(frame).to_parquet(buffer, index=False)
            return bytes(buffer.getvalue())
    if frame.empty:
        return b"no rows\n"
    table = frame.drop(columns=[name for name in ("directory", "seed", "verdict") if name in frame.columns])
    text = str(table.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.6g}"))
    return f"{text}\n".encode()


def _columnar(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of one type each: those of several, or of lists and mappings, as JSON text."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        kinds = {type(value) for value in column if value is not None and value == value}
        if column.dtype == object and (len(kinds) > 1 or kinds & {dict, list}):
            column = column.map(lambda value: value if value is None else json.dumps(value))
        columns[str(name)] = column
    return pd.DataFrame(columns)

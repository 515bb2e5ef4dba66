"""Results in the formats of other programs."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

_MOST_BITS = 63
_WIDEST = 40
_LEFT_OUT = ("directory", "seed", "verdict")


def to_csv(frame: pd.DataFrame) -> bytes:
    """As CSV, in UTF-8."""
    return str(frame.to_csv(index=False)).encode()


def to_parquet(frame: pd.DataFrame) -> bytes:
    """As Parquet: columns of one type each; those of several, of lists and of mappings as JSON text."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        there = [value for value in column if not _is_missing(value)]
        kinds = {type(value) for value in there}
        large = any(isinstance(value, int) and value.bit_length() > _MOST_BITS for value in there)
        if column.dtype == object and (large or len(kinds) > 1 or kinds & {dict, list}):
            column = column.map(lambda value: None if _is_missing(value) else json.dumps(value))
        columns[str(name)] = column
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    return buffer.getvalue()


def to_text(frame: pd.DataFrame) -> bytes:
    """As a table for people, without what is too long for it."""
    if frame.empty:
        return b"no rows\n"
    shown = frame.drop(columns=[name for name in _LEFT_OUT if name in frame.columns])
    for name in shown.columns:
        if not pd.api.types.is_numeric_dtype(shown[name].dtype):
            shown[name] = shown[name].astype(object).map(_short)
    header = [_short(str(name)) for name in shown.columns]
    text: str = shown.to_string(index=False, header=header, na_rep="-", float_format=lambda value: f"{value:.6g}")
    return f"{text}\n".encode()


def _short(value: Any) -> Any:
    """A value as a cell of the table: one line of bounded length; a number as it is, what is missing as the others are."""
    if _is_missing(value):
        return "-"
    if isinstance(value, (bool, float)) or (isinstance(value, int) and value.bit_length() <= _MOST_BITS):
        return value
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)

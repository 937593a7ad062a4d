"""Answers of Athena, which are text, beside DuckDB's, which are values."""

from __future__ import annotations

import datetime
import decimal
import math


def same(ours: str | None, theirs) -> bool:
    """Whether they are one value; floating-point numbers may differ in their last digits."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if isinstance(theirs, bool):
        return ours == str(theirs).lower()
    if isinstance(theirs, float):
        return math.isclose(float(ours), theirs, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(float(ours)) and math.isnan(theirs))
    if isinstance(theirs, (int, decimal.Decimal)):
        return decimal.Decimal(ours) == decimal.Decimal(theirs)
    if isinstance(theirs, datetime.datetime):
        return ours == theirs.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    return ours == str(theirs)


def key(row) -> list:
    """Puts rows of either side into one order: NULL first, then numbers, then texts."""
    out = []
    for value in row:
        if isinstance(value, datetime.datetime):
            value = value.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        elif isinstance(value, bool):
            value = str(value).lower()
        try:
            out.append((0, 0.0, "") if value is None else (1, round(float(value), 6), ""))
        except (TypeError, ValueError):
            out.append((2, 0.0, str(value)))
    return out


def differs(ours: list, theirs: list, ordered: bool) -> str | None:
    """How two results differ; None when they do not."""
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, and {len(theirs)} by DuckDB; the first are {ours[:3]} and {theirs[:3]}"
    if not ordered:
        ours, theirs = sorted(ours, key=key), sorted(theirs, key=key)
    for number, (mine, other) in enumerate(zip(ours, theirs), 1):
        if len(mine) != len(other) or not all(map(same, mine, other)):
            return f"row {number} is {mine}, and {list(other)} by DuckDB"
    return None

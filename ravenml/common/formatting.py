"""Sizes, durations and moments: as people see them, and as files hold them."""

from __future__ import annotations

from datetime import UTC, datetime


def format_size(count: float) -> str:
    """A number of bytes, such as ``12.3 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_duration(seconds: float) -> str:
    """``12 s``, ``3:05 min``, ``2:10 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def utc_timestamp(moment: datetime | None = None, timespec: str = "seconds") -> str:
    """A moment, or now, as files hold it: ISO 8601 in UTC, such as ``2026-11-01T08:30:00Z``."""
    moment = datetime.now(UTC) if moment is None else moment.astimezone(UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def parse_timestamp(text: object) -> float:
    """Seconds since 1970 of an ISO 8601 timestamp.

    Raises:
        ValueError: it is not one.
    """
    return datetime.fromisoformat(str(text)).timestamp()


def local_time(text: str | None, missing: str = "-") -> str:
    """A timestamp by this machine's clock, such as ``2026-11-01 09:30``; what is not one stays as it is."""
    if not text:
        return missing
    try:
        return datetime.fromtimestamp(parse_timestamp(text)).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text

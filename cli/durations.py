"""How long something takes, for people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """For example `12.3 s`, `5 min 07 s`, `3 h 20 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def rough_duration(seconds: float) -> str:
    """The same in one number, for a column: `12.3 s`, `5.1 min`, `3.3 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size * 1.5:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"

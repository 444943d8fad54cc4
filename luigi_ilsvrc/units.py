"""Times and numbers of bytes, as people read them."""

_LARGEST_PREFIX = "P"


def format_duration(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``12 min``, ``2 h 10 min``."""
    if seconds < 59.5:
        return f"{max(0.0, seconds):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def format_size(size: float) -> str:
    """Return a number of bytes with three significant digits: ``512 B``, ``1.25 MB``, ``41.2 GB``, ``148 GB``.

    The prefixes are decimal: 1 GB is 10**9 bytes.
    """
    if size < 999.5:
        return f"{size:.0f} B"
    for prefix in "kMGTP":
        size /= 1000
        if size < 999.5 or prefix == _LARGEST_PREFIX:
            break
    decimals = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{decimals}f} {prefix}B"

"""What a server says, before it is believed or shown."""

import re

MAX_SHOWN = 80
"""Characters of a server's text in a message or a log."""

_NUMBER = re.compile(r"[0-9]{1,19}")
_VALIDATOR = re.compile(r"[!-~]([ -~]{0,254}[!-~])?")


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    r"""Return `text` as it may be written to a log or a terminal: control characters escaped, and cut.

    Examples
    --------
    >>> shown("Not\nFound")
    'Not\\nFound'
    """
    escaped = "".join(
        character if character.isprintable() and character != "\\" else ascii(character)[1:-1]
        for character in text[: limit + 1]
    )
    return escaped if len(escaped) <= limit else escaped[:limit] + "…"


def number(text: str) -> int | None:
    """Return the number that a header has; None if it is no number that a file's size or a delay may have."""
    return int(text) if _NUMBER.fullmatch(text.strip(" \t")) else None


def is_validator(text: str) -> bool:
    """Tell whether an ETag or a date is one that may be stored, and sent back to the server."""
    return _VALIDATOR.fullmatch(text) is not None

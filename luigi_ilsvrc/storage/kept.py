"""A file that the first run writes, and that later ones keep to: what was chosen once, and must not be mixed."""

from functools import lru_cache
from pathlib import Path

from luigi_ilsvrc.storage import publish


def keep(path: Path, text: str) -> str:
    """Write a text, unless that was done; return the text that holds: of two processes at once, that of the first.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with publish.new_file(path) as new:
        new.write_text(text, encoding="utf-8")
    held = kept(path)
    return text if held is None else held


def kept(path: Path) -> str | None:
    """Return the text that holds; None if none was written, or it cannot be read."""
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size, status.st_ino)
    except (OSError, UnicodeDecodeError):
        return None


@lru_cache(maxsize=32)
def _read(path: Path, mtime_ns: int, size: int, inode: int) -> str:
    # Each of a thousand shards asks.
    return path.read_text(encoding="utf-8")

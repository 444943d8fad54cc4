"""A file that the first run writes, and that later ones keep to: what was chosen once, and must not be mixed."""

from functools import lru_cache
from pathlib import Path

from luigi_ilsvrc.storage import publish
from luigi_ilsvrc.storage.trailer import body_of, with_trailer

_TRAILER = "# size and CRC-32"
"""A comment to what reads lists of synsets: a kept one can be given again."""


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


def keep_lines(path: Path, lines: str) -> str:
    """Write lines of text, as `keep` does, with a last one by which damage is found: damaged ones are written again."""
    contents = as_kept(lines)
    keep(path, contents.decode())
    held = kept_lines(path)
    if held is None:
        publish.replace_file(path, contents)
    return lines if held is None else held


def kept_lines(path: Path) -> str | None:
    """Return the lines that hold; None if none were written, or they are not as they were written."""
    text = kept(path)
    body = None if text is None else body_of(text.encode(), _TRAILER)
    return None if body is None else body.decode()


def as_kept(lines: str) -> bytes:
    """Return what `keep_lines` writes."""
    return with_trailer(lines.encode(), _TRAILER)


@lru_cache(maxsize=32)
def _read(path: Path, mtime_ns: int, size: int, inode: int) -> str:
    # Each of a thousand shards asks.
    return path.read_text(encoding="utf-8")

"""The directory of a miniature, and how files are written to it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from luigi_ilsvrc.dataset.archives import CHECKSUM_FILE
from luigi_ilsvrc.miniature.errors import MiniatureError
from luigi_ilsvrc.storage.temporary import partial_path

MARKER = "MINIATURE.txt"
"""A file that only miniatures have. A directory with it may be rewritten; the official archives must never be."""

_BUFFER_BYTES = 1 << 20


def prepare_directory(directory: Path) -> None:
    """Make the directory if it is missing, and mark it as a miniature.

    Raises
    ------
    MiniatureError
        Naming the path, if it is a file or a directory with something else than a miniature in it.
    """
    if directory.exists() and not directory.is_dir():
        raise MiniatureError(f"{directory} is a file: choose a directory for the miniature")
    directory.mkdir(parents=True, exist_ok=True)
    marker = directory / MARKER
    if not marker.exists() and any(directory.iterdir()):
        raise MiniatureError(
            f"{directory} holds files, but no {MARKER}, so it is not an earlier miniature: "
            "choose an empty or new directory"
        )
    marker.write_text(
        "Written by python -m luigi_ilsvrc.miniature: not ImageNet's data. May be rewritten or deleted.\n"
    )
    # If this run is interrupted, the sums of the last run must not remain beside new archives.
    (directory / CHECKSUM_FILE).unlink(missing_ok=True)


def save(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file, replacing an earlier one only when the new one is complete.

    Returns
    -------
    str
        The MD5 sum of the file, 32 lower-case hexadecimal digits.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    temporary = partial_path(path)
    try:
        with temporary.open("wb", buffering=_BUFFER_BYTES) as file:
            for chunk in chunks:
                md5.update(chunk)
                file.write(chunk)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return md5.hexdigest()


def save_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines as UTF-8 text, otherwise as `save`."""
    save(path, (f"{line}\n".encode() for line in lines))

"""Small text files with a last line that gives length and CRC-32 of the lines before: a cut or changed one is found."""

from pathlib import Path

from zlib_ng.zlib_ng import crc32

from luigi_ilsvrc.errors import BuildError


class DamagedFileError(BuildError):
    """A file is missing, or not as it was written."""


def with_trailer(body: bytes, word: str) -> bytes:
    """Return lines of text, each with its end, with the last line ``<word>,<size>,<crc32>`` added."""
    return body + f"{word},{len(body)},{crc32(body):08x}\n".encode()


def read_body(path: Path, word: str) -> str:
    """Read a file that `with_trailer` made the contents of; return it without the last line.

    Raises
    ------
    DamagedFileError
        If it is missing, or not as it was written.
    """
    try:
        contents = path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedFileError(f"{path} is missing") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise DamagedFileError(f"{path} is damaged: {error.strerror}") from error
    body = body_of(contents, word)
    if body is None:
        raise DamagedFileError(f"{path} is damaged")
    return body.decode()


def body_of(contents: bytes, word: str) -> bytes | None:
    """Return what `with_trailer` was given to make these contents; None if they are not as it made them."""
    body = contents[: contents.rstrip(b"\n").rfind(b"\n") + 1]
    return body if contents == with_trailer(body, word) else None

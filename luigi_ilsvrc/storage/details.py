"""What was seen while an output was made: a CSV beside its manifest, so that nobody has to read the images again."""

from pathlib import Path

from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.storage.trailer import read_body, with_trailer

_TRAILER = "details"


def write_details(path: Path, lines: str, *, durable: bool = True) -> None:
    """Write the details of an output that is about to be published, in place of those of a former one.

    Parameters
    ----------
    path : Path
        Their file.
    lines : str
        A CSV with a header; a last line of length and CRC-32 is added.
    durable : bool
        As `publish.replace_file` takes it.
    """
    replace_file(path, with_trailer(lines.encode(), _TRAILER), durable=durable)


def read_details(path: Path) -> str:
    """Read what `write_details` has written. Raises `DamagedFileError` if it is missing or not as it was written."""
    return read_body(path, _TRAILER)

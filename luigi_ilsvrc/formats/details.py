"""What was seen of each record while a shard was written, in any format: a row for each record."""

from collections.abc import Iterable
from typing import NamedTuple


class RecordDetails(NamedTuple):
    """One record of a shard.

    Attributes
    ----------
    image : str
        The image's file name.
    height, width : int
        Of the pixels as stored.
    offset, length : int
        Where all of the record lies in the shard, in bytes: with whatever the format puts before and behind it.
    size : int
        The size of the image's file, in bytes, as it came.
    reencoded : int
        1 if the record holds a re-encoded image, and not the bytes of that file.
    """

    image: str
    height: int
    width: int
    offset: int
    length: int
    size: int
    reencoded: int


def serialize_records(records: Iterable[RecordDetails]) -> str:
    """Return the details of a shard as a CSV with a header, in the order of the records."""
    # No field needs quotes: an image whose name does is not indexed.
    rows = [",".join(map(str, record)) for record in records]
    return "".join(f"{row}\n" for row in [",".join(RecordDetails._fields), *rows])

"""A shard, each of its records compared with what plan and image give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg, check_decodes
from luigi_ilsvrc.dataset.resize import Resize, size_within
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.formats.details import REENCODED, RESIZED, RecordDetails, change_of, details_of
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError, image_of_record
from luigi_ilsvrc.formats.table import Format
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.manifest import Entry, add_to_entry, entry_of

ReadImage = Callable[[ImageLocation], bytes]
"""Reads the image's file. Raises `BuildError` if it is gone."""


@dataclass(frozen=True)
class ExpectedRecord:
    """A planned image, and size and CRC-32 of its file if they are known."""

    image: PlannedImage
    entry: Entry | None


@dataclass(frozen=True)
class FoundShard:
    """A shard that holds all that was expected.

    Attributes
    ----------
    entry : Entry
        Size and CRC-32 of the file.
    is_exact : bool
        Whether every byte was compared. An image that was re-encoded is not, as its bytes depend on Pillow's version.
    records : list of RecordDetails
        What has to be recorded of its records.
    """

    entry: Entry
    is_exact: bool
    records: list[RecordDetails]


class _Checked(NamedTuple):
    """Whether every byte of an image was compared, and what was done to it, as `details.change_of` tells."""

    is_exact: bool
    change: str


class Smaller(NamedTuple):
    """How images were made smaller for the records.

    Attributes
    ----------
    resize : Resize or None
        How large they may be; None for as they are.
    is_same_library : bool
        Whether the libraries that did so have the versions that are here, so that the bytes are the same.
    """

    resize: Resize | None
    is_same_library: bool

    def leaves(self, encoded: bytes) -> bool:
        """Tell whether an image is small enough as it is. Raises `ImageError`."""
        if self.resize is None:
            return True
        _, height, width = as_rgb_jpeg(encoded)
        return size_within(height, width, self.resize) == (height, width)


AS_IT_IS = Smaller(None, is_same_library=True)


def verify_shard(
    record_format: Format,
    shard: Path,
    expected: Sequence[ExpectedRecord] | None,
    read_image: ReadImage,
    report: Report,
    progress: Progress = no_progress,
    smaller: Smaller = AS_IT_IS,
) -> FoundShard | None:
    """Compare each record of a shard, byte for byte, with what plan and image give; progress counts records.

    What is wrong is added to `report`.

    Parameters
    ----------
    record_format : Format
        What the shard is written in.
    shard : Path
        The file.
    expected : sequence of ExpectedRecord or None
        What it has to hold, in order; None if the plan is not known: then the records are only read, which checks
        what the format has checksums for.
    read_image : callable
        Reads the images whose size and CRC-32 are not known, and those that were re-encoded.
    report : Report
        Gets findings and counts.
    progress : Progress, optional
        Counts records.
    smaller : Smaller, optional
        How images were made smaller.

    Returns
    -------
    FoundShard or None
        What was found, if it is all that was expected.
    """
    entry, is_exact = Entry(0, 0), True
    records: list[RecordDetails] = []
    report.files += 1
    number = 0
    try:
        report.bytes += shard.stat().st_size
        for number, record in enumerate(record_format.read_records(shard), start=1):
            if expected is not None:
                checked, image, jpeg = _check_record(record_format, record, number - 1, expected, read_image, smaller)
                is_exact &= checked.is_exact
                start = entry.size
                entry = add_to_entry(entry, record_format.frame([record]))
                length = entry.size - start
                records.append(details_of(image.location, jpeg, start, length, checked.change))
            progress("verifying", number, None if expected is None else len(expected), "records")
        if expected is not None and number < len(expected):
            raise ShardError(f"it ends after {number} of {len(expected)} records")
    except FileNotFoundError:
        report.add(Kind.MISSING, shard, "there is no such output")
    except OSError as error:
        report.add(Kind.UNREADABLE, shard, f"it cannot be read: {error.strerror or error}")
    except ShardError as error:
        report.add(Kind.DAMAGED, shard, str(error))
    report.records += number
    if report.findings or expected is None:
        return None
    return FoundShard(add_to_entry(entry, [record_format.END]), is_exact, records)


def _check_record(
    record_format: Format,
    record: bytes,
    number: int,
    expected: Sequence[ExpectedRecord],
    read_image: ReadImage,
    smaller: Smaller,
) -> tuple[_Checked, PlannedImage, RGBImage]:
    """Raise ShardError if a record is not what is expected; return how it was compared, and what it holds."""
    if number >= len(expected):
        raise ShardError(f"it has more than the {len(expected)} records that are planned")
    image = expected[number].image
    try:
        encoded = record_format.image_in(record)
        checked = _check_image(encoded, image.location, expected[number].entry, read_image, smaller)
        jpeg = as_rgb_jpeg(encoded)
        if record != b"".join(record_format.encode(image, jpeg)):
            raise ShardError("name, label, words or boxes are not those of the plan")
    except (ShardError, ImageError) as error:
        raise ShardError(f"record {number}, planned as {image.location.name}: {error}") from error
    return checked, image, jpeg


def _check_image(
    encoded: bytes, location: ImageLocation, entry: Entry | None, read_image: ReadImage, smaller: Smaller
) -> _Checked:
    """Raise ShardError if the image in a record is not that of the source, or not what is made of that.

    The bytes of a re-encoded image depend on the version of Pillow: its size in pixels is compared, and it is decoded.
    So do those of a smaller image, unless the same versions of the libraries are here. If nothing is left to compare an
    image with, it is decoded too.
    """
    if entry is not None and entry_of(encoded) == entry and smaller.leaves(encoded):
        return _Checked(is_exact=True, change="")
    try:
        original = read_image(location)
        expected = image_of_record(original, smaller.resize)
    except BuildError:
        check_decodes(encoded)
        if not smaller.leaves(encoded):
            raise ShardError(f"its image is larger than {smaller.resize}") from None
        if entry is not None and len(encoded) == entry.size:
            raise ShardError(f"its image is not {location.name} of the source (CRC-32)") from None
        changed = REENCODED if smaller.resize is None else RESIZED
        return _Checked(is_exact=False, change="" if len(encoded) == location.size else changed)
    change = change_of(expected, original, smaller.resize)
    if not change:
        if entry is not None or encoded != original:
            raise ShardError(f"its image is not {location.name} of the source")
        return _Checked(is_exact=True, change=change)
    is_exact = change == RESIZED and smaller.is_same_library
    if is_exact and encoded != expected.encoded:
        raise ShardError(f"its image is not {location.name} of the source, made smaller")
    check_decodes(encoded)
    stored = as_rgb_jpeg(encoded)
    if (stored.height, stored.width) != (expected.height, expected.width):
        raise ShardError(f"its image is not {location.name} of the source, {change}")
    return _Checked(is_exact=is_exact, change=change)

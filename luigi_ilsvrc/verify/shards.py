"""A shard, each of its records compared with what plan and image give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg, check_decodes
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.formats.details import RecordDetails, details_of
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
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
    """Whether every byte of an image was compared, and whether it was re-encoded."""

    is_exact: bool
    is_reencoded: bool


def verify_shard(
    record_format: Format,
    shard: Path,
    expected: Sequence[ExpectedRecord] | None,
    read_image: ReadImage,
    report: Report,
    progress: Progress = no_progress,
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
                checked, image, jpeg = _check_record(record_format, record, number - 1, expected, read_image)
                is_exact &= checked.is_exact
                start = entry.size
                entry = add_to_entry(entry, record_format.frame([record]))
                length = entry.size - start
                records.append(details_of(image.location, jpeg, start, length, reencoded=checked.is_reencoded))
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
    record_format: Format, record: bytes, number: int, expected: Sequence[ExpectedRecord], read_image: ReadImage
) -> tuple[_Checked, PlannedImage, RGBImage]:
    """Raise ShardError if a record is not what is expected; return how it was compared, and what it holds."""
    if number >= len(expected):
        raise ShardError(f"it has more than the {len(expected)} records that are planned")
    image = expected[number].image
    try:
        encoded = record_format.image_in(record)
        checked = _check_image(encoded, image.location, expected[number].entry, read_image)
        jpeg = as_rgb_jpeg(encoded)
        if record != b"".join(record_format.encode(image, jpeg)):
            raise ShardError("name, label, words or boxes are not those of the plan")
    except (ShardError, ImageError) as error:
        raise ShardError(f"record {number}, planned as {image.location.name}: {error}") from error
    return checked, image, jpeg


def _check_image(encoded: bytes, location: ImageLocation, entry: Entry | None, read_image: ReadImage) -> _Checked:
    """Raise ShardError if the image in a record is not that of the source, or not its re-encoding.

    The bytes of a re-encoded image depend on the version of Pillow: its size in pixels is compared, and it is decoded.
    If nothing is left to compare an image with, it is decoded too.
    """
    if entry is not None and entry_of(encoded) == entry:
        return _Checked(is_exact=True, is_reencoded=False)
    try:
        original = read_image(location)
        expected = as_rgb_jpeg(original)
    except BuildError:
        check_decodes(encoded)
        if entry is not None and len(encoded) == entry.size:
            raise ShardError(f"its image is not {location.name} of the source (CRC-32)") from None
        return _Checked(is_exact=False, is_reencoded=len(encoded) != location.size)
    if expected.encoded is original:
        if entry is not None or encoded != original:
            raise ShardError(f"its image is not {location.name} of the source")
        return _Checked(is_exact=True, is_reencoded=False)
    check_decodes(encoded)
    stored = as_rgb_jpeg(encoded)
    if (stored.height, stored.width) != (expected.height, expected.width):
        raise ShardError(f"its image is not {location.name} of the source, re-encoded")
    return _Checked(is_exact=False, is_reencoded=True)

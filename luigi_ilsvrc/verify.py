"""A finished build, read again: every byte of it compared with what was recorded, planned and indexed."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.images import ImageError, as_rgb_jpeg, check_decodes
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from luigi_ilsvrc.formats.table import Format
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.digests import md5_of_file
from luigi_ilsvrc.storage.manifest import Entry, Manifest, ManifestError, entry_of, read_manifest

_PROGRESS_EVERY = 100


# Archives ----------------------------------------------------------------


def verify_archive(archive: Path, md5: str, progress: Progress = no_progress) -> Report:
    """Compare an archive's MD5 sum (32 hexadecimal digits) with the one it was downloaded by; progress counts bytes."""
    report = Report(files=1)
    try:
        report.bytes = archive.stat().st_size
        found = md5_of_file(archive, progress, "verifying")
    except OSError as error:
        report.add(Kind.DAMAGED, archive, _unreadable(error))
    else:
        if found != md5.lower():
            report.add(Kind.DAMAGED, archive, f"its MD5 sum is {found}, {md5.lower()} was expected")
    return report


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


# Files and folders ----------------------------------------------------------------

Examine = Callable[[str, bytes], str | None]
"""Called with a file's path in its output, and its contents; returns what is wrong with them."""


def _examine_nothing(name: str, contents: bytes) -> str | None:
    return None


def verify_output(output: Path, manifest: Path | None, progress: Progress = no_progress) -> Report:
    """Compare an output, a file or a folder of any depth, with its manifest.

    Hidden files are ignored. Each file is read once; progress counts files.

    Parameters
    ----------
    output : Path
        What was built.
    manifest : Path or None
        Its manifest, see `manifest.write_manifest`; if that is damaged itself, it is a finding. None if the output is
        a user's own and has none.
    progress : Progress, optional
        Counts files.
    """
    return _verify(output, manifest, None, _examine_nothing, progress)


def verify_images(
    output: Path, manifest: Path | None, sizes: Mapping[str, int] | None, progress: Progress = no_progress
) -> Report:
    """Compare class folders with their manifest and with the index, and decode every image.

    Parameters
    ----------
    output, manifest, progress
        As for `verify_output`.
    sizes : mapping or None
        The size in bytes of each image that the index has, by its path in `output`; None if the index cannot be
        trusted.
    """

    def examine(name: str, contents: bytes) -> str | None:
        if sizes is not None and sizes.get(name, len(contents)) != len(contents):
            return f"it has {len(contents):,} bytes, the index says {sizes[name]:,}"
        try:
            check_decodes(contents)
        except ImageError as error:
            return str(error)
        return None

    return _verify(output, manifest, sizes, examine, progress)


def _verify(
    output: Path, manifest: Path | None, indexed: Collection[str] | None, examine: Examine, progress: Progress
) -> Report:
    report = Report()
    if not output.exists():
        report.add(Kind.MISSING, output, "there is no such output")
        return report
    found, defects = _read(output, examine, report, progress)
    written = None if manifest is None else _read_manifest(manifest, report)
    report.findings += _compare(output, found, written, defects)
    if indexed is not None or written is not None:
        report.findings += _compare_names(output, {*found, *defects}, {*(indexed or ()), *(written or ())})
    return report


def _read(
    output: Path, examine: Examine, report: Report, progress: Progress
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Return the entries of all files that can be read, and what is wrong with files by themselves."""
    found: dict[str, Entry] = {}
    defects: dict[str, str] = {}
    names = list(_names(output))
    for done, name in enumerate(names, start=1):
        try:
            contents = (output / name).read_bytes()
        except OSError as error:
            defects[name] = _unreadable(error)
        else:
            found[name] = entry_of(contents)
            if reason := examine(name, contents):
                defects[name] = reason
            report.bytes += len(contents)
        if done % _PROGRESS_EVERY == 0:
            progress("verifying", done, len(names), "files")
    report.files = len(names)
    return found, defects


def _names(output: Path) -> Iterator[str]:
    if not output.is_dir():
        yield ""
    # Class folders that a user has put there may be links.
    for folder, folders, names in os.walk(output, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), output)


def _read_manifest(path: Path, report: Report) -> Manifest | None:
    try:
        return read_manifest(path)
    except OSError as error:
        report.add(Kind.DAMAGED, path, _unreadable(error))
        return None
    except ManifestError as error:
        if path.exists():
            report.add(Kind.DAMAGED, path, "the manifest is not as it was written")
        else:
            report.add(Kind.MISSING, path, "the manifest is gone")
        return error.intact


def _compare(
    output: Path, found: Mapping[str, Entry], written: Mapping[str, Entry] | None, defects: Mapping[str, str]
) -> Iterator[Finding]:
    for name in sorted({*found, *defects}):
        is_entry, was_entry = found.get(name), (written or {}).get(name)
        if is_entry and was_entry and is_entry.size != was_entry.size:
            reason = f"it has {is_entry.size:,} bytes, {was_entry.size:,} were written"
            yield Finding(Kind.DAMAGED, output / name, reason)
        elif is_entry and was_entry and is_entry != was_entry:
            yield Finding(Kind.DAMAGED, output / name, "its bytes are not those that were written (CRC-32)")
        elif name in defects and (written is None or was_entry):
            yield Finding(Kind.DAMAGED, output / name, defects[name])


def _compare_names(output: Path, found: Collection[str], expected: Collection[str]) -> Iterator[Finding]:
    missing = (output / name for name in sorted(expected) if name not in found)
    for path in dict.fromkeys(path if path.parent.exists() else path.parent for path in missing):
        yield Finding(Kind.MISSING, path, "it was written, and is gone")
    for name in sorted(found):
        if name not in expected:
            yield Finding(Kind.EXTRA, output / name, "the build did not write it")


# Shards ----------------------------------------------------------------


Recorded = Callable[[ImageLocation], Entry | None]
"""Returns size and CRC-32 of an image as they were recorded when it was extracted; None if they were not."""


def verify_shard(
    record_format: Format,
    shard: Path,
    planned: Sequence[PlannedImage] | None,
    reader: ImageReader,
    recorded: Recorded,
    progress: Progress = no_progress,
) -> Report:
    """Compare each record of a shard, byte for byte, with what plan and image give; progress counts records.

    Parameters
    ----------
    record_format : Format
        What the shard is written in.
    shard : Path
        The file.
    planned : sequence of PlannedImage or None
        What its plan says, in order; None if the plan cannot be trusted: then the records are only read, which checks
        what the format has checksums for.
    reader : ImageReader
        Reads the images that the records were made from.
    recorded : callable
        Decides which is damaged if record and image differ.
    progress : Progress, optional
        Counts records.
    """
    report = Report(files=1)
    if not shard.exists():
        report.add(Kind.MISSING, shard, "there is no such output")
        return report
    try:
        report.bytes = shard.stat().st_size
        for record in record_format.read_records(shard):
            if planned is not None:
                _check_record(record_format, record, report.records, planned, reader, recorded)
            report.records += 1
            progress("verifying", report.records, None if planned is None else len(planned), "records")
        if planned is not None and report.records < len(planned):
            raise ShardError(f"it ends after {report.records} of {len(planned)} records")
    except ShardError as error:
        report.add(Kind.DAMAGED, shard, str(error))
    except OSError as error:
        report.add(Kind.DAMAGED, shard, _unreadable(error))
    return report


def _check_record(
    record_format: Format,
    record: bytes,
    number: int,
    planned: Sequence[PlannedImage],
    reader: ImageReader,
    recorded: Recorded,
) -> None:
    if number >= len(planned):
        raise ShardError(f"it has more than the {len(planned)} records that are planned")
    image = planned[number]
    original = _read_or_none(reader, image.location)
    if original is not None and record == b"".join(record_format.encode(image, as_rgb_jpeg(original))):
        return
    try:
        _find_difference(record_format, record, image, original, recorded)
    except (ShardError, ImageError) as error:
        raise ShardError(f"record {number}, planned as {image.location.name}: {error}") from error


def _read_or_none(reader: ImageReader, location: ImageLocation) -> bytes | None:
    try:
        original = reader.read(location)
        as_rgb_jpeg(original)
    except (ArchiveError, ImageError):
        # If it is damage, it is that of the archive or the class folder.
        return None
    return original


def _find_difference(
    record_format: Format, record: bytes, image: PlannedImage, original: bytes | None, recorded: Recorded
) -> None:
    """Raise ShardError or ImageError if it is the record that is wrong, and not its image's file.

    The record's own image is accepted if it is the one that was recorded; if nothing is left to compare it with; or if
    it was re-encoded, when its bytes depend on the version of Pillow. All else must be as planned.
    """
    encoded = record_format.image_in(record)
    stored = as_rgb_jpeg(encoded)
    expected = None if original is None else as_rgb_jpeg(original)
    if expected is not None and expected.encoded is original:
        if encoded != original and entry_of(encoded) != recorded(image.location):
            raise ShardError(f"its image is not {image.location.name} in {image.location.file}")
    else:
        check_decodes(encoded)
        if expected is not None and (stored.height, stored.width) != (expected.height, expected.width):
            raise ShardError(f"its image is not {image.location.name} in {image.location.file}, re-encoded")
    if record != b"".join(record_format.encode(image, stored)):
        raise ShardError("name, label, words or boxes are not those of the plan")


def same_images(indexed: Iterable[ImageLocation], planned: Iterable[ImageLocation]) -> bool:
    """Tell whether the images of an index are planned exactly once each, in any order.

    The memory does not grow with their number: sums of hashes are compared. Where an image lies does not count, which
    differs between an index of an archive and one of class folders.
    """
    return _sum_of_hashes(indexed) == _sum_of_hashes(planned)


def _sum_of_hashes(images: Iterable[ImageLocation]) -> int:
    return sum(hash((image.name, image.synset, image.size)) for image in images)

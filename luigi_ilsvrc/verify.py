"""A finished build, read again: every byte of it against what was written down when it was made."""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.images import ImageError, check_whole
from luigi_ilsvrc.manifest import Entry, Manifest, ManifestError, entry_of, read_manifest
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.shards import PlannedImage, ShardError, check_record, read_records
from luigi_ilsvrc.tar_index import ImageLocation

DAMAGED = "damaged"
MISSING = "missing"
EXTRA = "extra"
LEFTOVER = "leftover"
"""What a dead process left: extra, and of no use to anybody."""

_CHUNK = 1 << 20
_PROGRESS_EVERY = 100


class Finding(NamedTuple):
    """One file that is not as it was built.

    Attributes
    ----------
    kind : str
        `DAMAGED`, `MISSING`, `EXTRA` or `LEFTOVER`.
    path : Path
        The file; or a folder, where all of it is missing.
    reason : str
        What is wrong with it.
    """

    kind: str
    path: Path
    reason: str


@dataclass
class Report:
    """What was read of an output, and what was found.

    Attributes
    ----------
    files, bytes, records : int
        How many files, bytes and TFRecord records were read.
    findings : list of Finding
        Empty where all is well.
    """

    files: int = 0
    bytes: int = 0
    records: int = 0
    findings: list[Finding] = field(default_factory=list)

    def find(self, kind: str, path: Path, reason: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(kind, path, reason))


# Archives ------------------------------------------------------------------------------------------------------------


def verify_archive(archive: Path, md5: str, progress: Progress = unheard) -> Report:
    """Compare an archive's MD5 sum (32 hexadecimal digits) with the one it was downloaded by; progress counts bytes."""
    report = Report(files=1)
    found = hashlib.md5(usedforsecurity=False)
    try:
        size = archive.stat().st_size
        with archive.open("rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
                report.bytes += len(chunk)
                progress("verifying", report.bytes, size)
    except OSError as error:
        report.find(DAMAGED, archive, _unreadable(error))
    else:
        if found.hexdigest() != md5.lower():
            report.find(DAMAGED, archive, f"its MD5 sum is {found.hexdigest()}, {md5.lower()} was expected")
    return report


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror or error}"


# Files and folders ---------------------------------------------------------------------------------------------------

Examine = Callable[[str, bytes], str | None]
"""Called with a file's path in its output, and its contents; returns what is wrong with them."""


def _unexamined(name: str, contents: bytes) -> str | None:
    return None


def verify_output(output: Path, manifest: Path | None, progress: Progress = unheard) -> Report:
    """Compare an output, a file or a folder of any depth, with its manifest.

    Hidden files are passed over. Each file is read once; progress counts files.

    Parameters
    ----------
    output : Path
        What was built.
    manifest : Path or None
        Its manifest, see `manifest.write_manifest`; where that is damaged itself it is a finding. None where the
        output is a user's own and has none.
    progress : Progress, optional
        Counts files.
    """
    return _verify(output, manifest, None, _unexamined, progress)


def verify_images(
    output: Path, manifest: Path | None, sizes: Mapping[str, int] | None, progress: Progress = unheard
) -> Report:
    """Compare class folders with their manifest and with the index, and decode every image.

    Parameters
    ----------
    output, manifest, progress
        As for `verify_output`.
    sizes : mapping or None
        The size in bytes of each image that the index has, by its path in `output`; None where the index cannot be
        trusted.
    """

    def examine(name: str, contents: bytes) -> str | None:
        if sizes is not None and sizes.get(name, len(contents)) != len(contents):
            return f"it has {len(contents):,} bytes, the index says {sizes[name]:,}"
        try:
            check_whole(contents)
        except ImageError as error:
            return str(error)
        return None

    return _verify(output, manifest, sizes, examine, progress)


def _verify(
    output: Path, manifest: Path | None, indexed: Collection[str] | None, examine: Examine, progress: Progress
) -> Report:
    report = Report()
    if not output.exists():
        report.find(MISSING, output, "there is no such output")
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
            progress("verifying", done, len(names))
    report.files = len(names)
    return found, defects


def _names(output: Path) -> Iterator[str]:
    if not output.is_dir():
        yield ""
    # Class folders that a user brings may be links.
    for folder, folders, names in os.walk(output, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(folder, name), output)


def _read_manifest(path: Path, report: Report) -> Manifest | None:
    try:
        return read_manifest(path)
    except OSError as error:
        report.find(DAMAGED, path, _unreadable(error))
        return None
    except ManifestError as error:
        if path.exists():
            report.find(DAMAGED, path, "the manifest is not as it was written")
        else:
            report.find(MISSING, path, "the manifest is gone")
        return error.intact


def _compare(
    output: Path, found: Mapping[str, Entry], written: Mapping[str, Entry] | None, defects: Mapping[str, str]
) -> Iterator[Finding]:
    for name in sorted({*found, *defects}):
        is_entry, was_entry = found.get(name), (written or {}).get(name)
        if is_entry and was_entry and is_entry.size != was_entry.size:
            yield Finding(DAMAGED, output / name, f"it has {is_entry.size:,} bytes, {was_entry.size:,} were written")
        elif is_entry and was_entry and is_entry != was_entry:
            yield Finding(DAMAGED, output / name, "its bytes are not those that were written (CRC-32)")
        elif name in defects and (written is None or was_entry):
            yield Finding(DAMAGED, output / name, defects[name])


def _compare_names(output: Path, found: Collection[str], expected: Collection[str]) -> Iterator[Finding]:
    missing = (output / name for name in sorted(expected) if name not in found)
    for path in dict.fromkeys(path if path.parent.exists() else path.parent for path in missing):
        yield Finding(MISSING, path, "it was written, and is gone")
    for name in sorted(found):
        if name not in expected:
            yield Finding(EXTRA, output / name, "the build did not write it")


def is_as_written(output: Path, names: Iterable[str], manifest: Path) -> bool:
    """Tell whether some files of an output are what its manifest says: whether others may be measured by them."""
    try:
        written = read_manifest(manifest)
        return all(entry_of((output / name).read_bytes()) == written.get(name) for name in names)
    except (ManifestError, OSError):
        return False


# Shards --------------------------------------------------------------------------------------------------------------


def verify_shard(shard: Path, planned: Sequence[PlannedImage] | None, progress: Progress = unheard) -> Report:
    """Check a TFRecord file's CRCs, and each record against the plan; progress counts records.

    Parameters
    ----------
    shard : Path
        The file.
    planned : sequence of PlannedImage or None
        What its plan says, in order; None where the plan cannot be trusted: then the CRCs alone are checked.
    progress : Progress, optional
        Counts records.
    """
    report = Report(files=1)
    if not shard.exists():
        report.find(MISSING, shard, "there is no such output")
        return report
    try:
        report.bytes = shard.stat().st_size
        for record in read_records(shard):
            if planned is not None:
                _check_record(record, report.records, planned)
            report.records += 1
            progress("verifying", report.records, None if planned is None else len(planned))
        if planned is not None and report.records < len(planned):
            raise ShardError(f"it ends after {report.records} of {len(planned)} records")
    except (ShardError, ImageError) as error:
        report.find(DAMAGED, shard, str(error))
    except OSError as error:
        report.find(DAMAGED, shard, _unreadable(error))
    return report


def _check_record(record: bytes, number: int, planned: Sequence[PlannedImage]) -> None:
    if number >= len(planned):
        raise ShardError(f"it holds more than the {len(planned)} records that are planned")
    try:
        check_record(record, planned[number])
    except (ShardError, ImageError) as error:
        raise ShardError(f"record {number}: {error}") from error


def same_images(indexed: Iterable[ImageLocation], planned: Iterable[ImageLocation]) -> bool:
    """Tell whether the images of an index are planned exactly once each, in any order.

    The memory does not grow with their number: sums of hashes are compared. Where an image lies does not count, which
    differs between an index of an archive and one of class folders.
    """
    return _sum_of_hashes(indexed) == _sum_of_hashes(planned)


def _sum_of_hashes(images: Iterable[ImageLocation]) -> int:
    return sum(hash((image.name, image.synset, image.size)) for image in images)


# Nothing else --------------------------------------------------------------------------------------------------------


def find_extra(folder: Path, is_known: Callable[[str], bool], unfinished: str) -> Iterator[Finding]:
    """Yield what lies directly in a folder and is not of the build; hidden files are passed over.

    Parameters
    ----------
    folder : Path
        May be missing.
    is_known : callable
        Tells of a name whether the build makes it.
    unfinished : str
        The suffix of outputs that are being made; what a dead process left of them is a `LEFTOVER`.
    """
    for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
        if is_known(name) or name.startswith("."):
            continue
        output, suffix, _ = name.partition(unfinished)
        if suffix and is_known(output):
            yield Finding(LEFTOVER, folder / name, "a process died while it made this")
        else:
            yield Finding(EXTRA, folder / name, "the build did not write it")

"""The verification of archives, and of the images that were extracted from them."""

import shutil
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import luigi

from luigi_ilsvrc.build_record import is_as_written, read_archive_record, record_of, serialize
from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES, IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.images import ImageError, check_decodes
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.findings import Finding, Kind, Report
from luigi_ilsvrc.layouts.image_names import validation_numbers
from luigi_ilsvrc.layouts.index import ImageLocation, index_file, read_whole_index, write_synset
from luigi_ilsvrc.layouts.scan import Scan, ScannedImage, scan_archive
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.digests import md5_of_file
from luigi_ilsvrc.storage.manifest import (
    Files,
    Manifest,
    ManifestError,
    check_as_written,
    read_manifest,
    serialize_manifest,
)
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.downloads import DOWNLOADS, DownloadTask
from luigi_ilsvrc.tasks.extraction import ExtractTrainPerSynset, SortValidation
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.outputs import DataSetTask
from luigi_ilsvrc.tasks.parameters import ChoiceParameter, SynsetParameter
from luigi_ilsvrc.tasks.verification.parts import Verified, VerifyPart, command_line


class VerifyArchive(VerifyPart):
    """Reads an archive once, if it has not been deleted since: its MD5 sum, and each image's CRC-32.

    If the MD5 sum is right, index and CRCs are written for the parts that compare something with them.
    """

    archive = ChoiceParameter(
        choices=[archive.local_name for archive in ALL_ARCHIVES], description="its name below ilsvrc2012"
    )
    priority = 10

    @property
    def name(self) -> str:
        """The archive's name."""
        return self.archive

    @property
    def split(self) -> str | None:
        """The split whose images it holds."""
        return next((split for split in SPLITS if IMAGE_ARCHIVES[split].local_name == self.archive), None)

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Read the archive."""
        download = next(self.clone(task) for task in DOWNLOADS if task.archive.local_name == self.archive)
        path, report = Path(download.output().path), Report()
        if path.exists():
            self._read(path, download, report, progress)
        elif download.quarantine_path.exists():
            report.add(Kind.MISSING, path, "a repair removed it, and it has not been downloaded again")
        elif (record := self.paths.archive_record(download.archive)).exists() and not is_as_written(record):
            reason = "it does not say what was verified of the archive, which is gone"
            report.findings.append(Finding(Kind.DAMAGED, record, reason, to_remove=(record,)))
        yield Verified(report, download)

    def _read(self, path: Path, download: DownloadTask, report: Report, progress: Progress) -> None:
        references = None if self.split is None else References(self, self.split, download)
        if references is None:
            scan = Scan(md5_of_file(path, progress, "verifying"), path.stat().st_size)
        else:
            scan = scan_archive(path, self.split == TRAIN, references.add, progress)
        report.files, report.bytes = 1, scan.size
        expected = download.md5()
        if expected is not None and scan.md5 != expected.lower():
            reason = f"its MD5 sum is {scan.md5}, {expected.lower()} was expected"
            report.add(Kind.DAMAGED, path, f"{reason}; {scan.error}" if scan.error else reason)
            if references is not None and scan.error is None and not references.differ:
                replace_file(suspect_path(self, references.split), b"", durable=False)
            return
        record = self.paths.archive_record(download.archive)
        if scan.error is not None:
            # Its MD5 sum was taken when it was damaged already, without checksums: it is no longer remembered.
            report.findings.append(Finding(Kind.DAMAGED, path, scan.error, command_line(download), (path, record)))
            return
        remembered = read_archive_record(record)
        if remembered is None or remembered.md5 != scan.md5:
            report.findings.append(self._record_finding(record, path, scan.md5))
        if references is not None:
            references.publish()

    def _record_finding(self, record: Path, archive: Path, md5: str) -> Finding:
        substitute = self.run_folder / record.name
        replace_file(substitute, serialize(record_of(archive, md5)), durable=False)
        kind = Kind.DAMAGED if record.exists() else Kind.MISSING
        return Finding(kind, record, "it does not say what was verified of the archive", substitute=substitute)


SUSPECT = "it may have been made after the archive was damaged: no image that was extracted differs from the archive"


def suspect_path(part: VerifyPart, split: str) -> Path:
    """Return a file that is there if what was cut from an archive may be as damaged as the archive is.

    If an image in the archive is not the one that was extracted, that is where the damage is, and it came later. If
    they are all the same, what was extracted may be damaged alike.
    """
    return part.run_folder / "suspect" / split


def is_suspect(part: VerifyPart, split: str) -> bool:
    """Tell whether what was cut from the archive of a split may be damaged; see `suspect_path`."""
    return suspect_path(part, split).exists()


class References:
    """What is read of the images in an archive, written for the parts that compare something with it.

    Attributes
    ----------
    split : str
        Whose images they are.
    differ : bool
        Whether an image in the archive is not the one that was extracted.
    """

    def __init__(self, part: VerifyPart, split: str, download: DownloadTask) -> None:
        self.split = split
        # Who reads these learns from it that the archive is right by a sum that was given.
        self._inputs = download.digest() if download.has_given_md5() else {}
        self.differ = False
        self._part = part
        self._folder = part.run_folder / "scan" / split
        # What a part left that was killed and is run again.
        shutil.rmtree(self._folder, ignore_errors=True)
        (self._folder / "index").mkdir(parents=True)
        (self._folder / "images").mkdir()

    def add(self, images: list[ScannedImage]) -> None:
        """Write the images of one tar."""
        for synset, found in self._by_synset(images).items():
            files = {image.name: image.entry for image in found}
            recorded = recorded_entries(self._part, self.split, synset)
            self.differ |= any(recorded.get(name, entry) != entry for name, entry in files.items())
            (self._folder / "images" / f"{synset}.csv").write_bytes(serialize_manifest(Manifest(files, self._inputs)))
            archive = IMAGE_ARCHIVES[self.split].local_name
            locations = [ImageLocation(it.name, synset, archive, it.offset, it.entry.size) for it in found]
            write_synset(locations, synset, self._folder / "index")

    def _by_synset(self, images: list[ScannedImage]) -> Mapping[str, list[ScannedImage]]:
        if self.split == TRAIN:
            return {image.tar.removesuffix(".tar"): images for image in images[:1]}
        tables, archive = self._part.tables, self._part.paths.archive(IMAGE_ARCHIVES[self.split])
        labels, table = tables.validation_labels(), tables.validation_synset_labels
        numbers = validation_numbers((image.name for image in images), len(labels), archive, table)
        found: dict[str, list[ScannedImage]] = {synset: [] for synset in tables.synsets()}
        for image, number in zip(images, numbers, strict=True):
            found[labels[number - 1]].append(image)
        return found

    def publish(self) -> None:
        """Let other parts use what was written: the archive is what it has to be."""
        for name, path in (
            ("images", reference_path(self._part, self.split, "").parent),
            ("index", reference_index(self._part, self.split)),
        ):
            is_used = name == "images" or self._part.clone(INDEX_TASKS[self.split]).layout.IS_DOWNLOADED
            if is_used and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                (self._folder / name).rename(path)


def reference_path(part: VerifyPart, split: str, synset: str) -> Path:
    """Return where the CRCs of a synset's images lie that were read from the archive."""
    return part.run_folder / "images" / split / f"{synset}.csv"


def reference_index(part: VerifyPart, split: str) -> Path:
    """Return where the index lies that was read from the archive."""
    return part.computed(part.clone(INDEX_TASKS[split]))


def recorded_entries(task: ILSVRCTask, split: str, synset: str) -> Files:
    """Return the entries of a synset's images as they were recorded when they were extracted, by their names."""
    if split == TRAIN:
        return _read_files(Path(task.clone(ExtractTrainPerSynset, synset=synset).manifest().path))
    manifest = Path(task.clone(SortValidation).manifest().path)
    if not manifest.exists():
        return {}
    status = manifest.stat()
    return _read_by_folder(manifest, status.st_mtime_ns, status.st_ino).get(synset, {})


def _read_files(manifest: Path) -> Files:
    try:
        return read_manifest(manifest).files
    except ManifestError:
        return {}


@lru_cache(maxsize=1)
def _read_by_folder(manifest: Path, mtime_ns: int, inode: int) -> dict[str, Files]:
    # Once, and not for each of a thousand synsets.
    folders: dict[str, Files] = {}
    for path, entry in _read_files(manifest).items():
        folder, _, name = path.partition("/")
        folders.setdefault(folder, {})[name] = entry
    return folders


def image_entries(part: VerifyPart, split: str, synset: str) -> Files:
    """Return the entries of a synset's images: as they are in the archive, or else as they were recorded."""
    try:
        return read_manifest(reference_path(part, split, synset)).files
    except ManifestError:
        return recorded_entries(part, split, synset)


class ImagesPart(VerifyPart):
    """A part that verifies extracted images, after the archive if both are verified in the same run."""

    image_split: str

    def requires(self) -> list[luigi.Task]:
        """Require that the archive was read, if this run does."""
        archive = IMAGE_ARCHIVES[self.image_split].local_name
        return [self.clone(VerifyArchive, archive=archive)] if self.is_selected(archive) else []

    def expected(self, synset: str) -> Manifest | None:
        """Return the images of a synset as they are in the archive; None if that was not read.

        Its inputs name the archive if the MD5 sum of that was given.
        """
        try:
            return read_manifest(reference_path(self, self.image_split, synset))
        except ManifestError:
            return None

    def verify_images(
        self, task: DataSetTask, expected: Manifest | None, sizes: Mapping[str, int], progress: Progress
    ) -> Verified:
        """Read images, and decode them unless they are those of an archive that has the MD5 sum that was given.

        `sizes` has those of the index, by their path in the output.
        """
        is_users = not self.clone(INDEX_TASKS[self.image_split]).layout.IS_DOWNLOADED

        def examine(name: str, contents: bytes) -> str | None:
            if is_users and sizes and name not in sizes:
                return "the index does not have it"
            if sizes.get(name, len(contents)) != len(contents):
                return f"it has {len(contents):,} bytes, the index says {sizes[name]:,}"
            if expected is not None and expected.inputs:
                return None
            try:
                check_decodes(contents)
            except ImageError as error:
                return str(error)
            return None

        files = expected.files if expected is not None else None
        verified = self.verify_output(
            task, files, progress, examine=examine, is_users=is_users, can_be_made=self._comes_again()
        )
        if not verified.report.findings and is_suspect(self, self.image_split):
            verified.report.add(Kind.DAMAGED, Path(task.output().path), SUSPECT)
        if sizes and verified.report.files and expected is None:
            _add_missing(verified.report, Path(task.output().path), sizes)
        return verified

    def _comes_again(self) -> bool:
        """Tell whether the images are to be made again if nothing says what they have to be.

        That is so if the archive is damaged and going to be downloaded, or is there and was not read by this part.
        """
        archive = IMAGE_ARCHIVES[self.image_split]
        was_compared = reference_path(self, self.image_split, "").parent.exists()
        return self.paths.quarantine(archive).exists() or (self.paths.archive(archive).exists() and not was_compared)

    def index_sizes(self, synsets: list[str]) -> dict[str, int]:
        """Return the size of each image that the index has, by synset and name; none if it cannot be trusted."""
        index = self.clone(INDEX_TASKS[self.image_split])
        directory = Path(index.output().path)
        try:
            check_as_written(directory, list(map(index_file, synsets)), Path(index.manifest().path))
        except ManifestError:
            return {}
        return {f"{image.synset}/{image.name}": image.size for image in read_whole_index(directory, synsets)}


def _add_missing(report: Report, output: Path, sizes: Mapping[str, int]) -> None:
    """Add the images of the index that are not there, unless their manifest has named them."""
    named = {finding.path for finding in report.findings}
    for name in sorted(sizes):
        path = output / name
        if not path.exists() and not {path, path.parent} & named:
            report.add(Kind.MISSING, path, "the index has it, and it is gone")


class VerifySynset(ImagesPart):
    """Verifies the training images of one synset."""

    synset = SynsetParameter(description="such as n01440764")
    image_split = TRAIN
    counted_as = "synsets"

    @property
    def name(self) -> str:
        """The synset."""
        return self.synset

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Verify the images."""
        task = self.clone(ExtractTrainPerSynset, synset=self.synset)
        sizes = {name.partition("/")[2]: size for name, size in self.index_sizes([self.synset]).items()}
        yield self.verify_images(task, self.expected(self.synset), sizes, progress)


class VerifyValidation(ImagesPart):
    """Verifies the validation images."""

    image_split = VALIDATION

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.paths.class_folders(VALIDATION).name

    def verify(self, progress: Progress) -> Iterator[Verified]:
        """Verify the images."""
        synsets = self.tables.synsets()
        found = {synset: it for synset in synsets if (it := self.expected(synset)) is not None}
        expected = None
        if len(found) == len(synsets):
            files = {f"{synset}/{name}": entry for synset in found for name, entry in found[synset].files.items()}
            expected = Manifest(files, next(iter(found.values())).inputs)
        yield self.verify_images(self.clone(SortValidation), expected, self.index_sizes(synsets), progress)

"""The official archives, downloaded from the source and verified."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc import ahead
from luigi_ilsvrc.build_record import (
    ArchiveRecord,
    BuildRecord,
    is_remembered,
    read_archive_record,
    read_record,
    remember_archive,
)
from luigi_ilsvrc.dataset.archives import (
    BOUNDING_BOX_ARCHIVE,
    IMAGE_ARCHIVES,
    SOURCE,
    TRAIN_ARCHIVE,
    VALIDATION_ARCHIVE,
    VALIDATION_BOX_ARCHIVE,
    Archive,
)
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.download.account import ask_for_account
from luigi_ilsvrc.download.download import download
from luigi_ilsvrc.download.partial_file import allocated_bytes
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.parquet import import_archive
from luigi_ilsvrc.layouts.parquet_import import archive as parquet_archive
from luigi_ilsvrc.layouts.sources import ANNOTATIONS, IMAGES, Part, SourceError, find, missing, parquet_files
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.digests import md5_of_file
from luigi_ilsvrc.tasks.base import NO_CHECKSUMS, OFFICIAL, BuildTask
from luigi_ilsvrc.tasks.luigi_support import resources
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import IntegerParameter, SecondsParameter, setting
from luigi_ilsvrc.tasks.source_login import NO_COOKIES, account_for, is_account_set
from luigi_ilsvrc.timings import timed

logger = logging.getLogger("luigi-interface")


class DownloadTask(BuildTask):
    """Downloads one archive over HTTP; or takes it from a folder, by a link."""

    archive: ClassVar[Archive]
    part: ClassVar[Part]
    resource = resources.DOWNLOAD
    worker_timeout = 0
    """A download takes the time it takes: it has time-outs of its own."""

    attempts = IntegerParameter(
        minimum=1,
        default=8,
        config_path=setting("attempts"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="how often a download is tried without a byte gained",
    )
    timeout = SecondsParameter(
        default=60.0,
        config_path=setting("timeout"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="seconds after which a silent server counts as gone",
    )
    min_rate = IntegerParameter(
        minimum=0,
        maximum=10**9,
        default=1000,
        config_path=setting("min_rate"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="bytes a second below which a server counts as silent, measured over a minute; 0 for none",
    )

    def output(self) -> luigi.LocalTarget:
        """Return the archive under its local name."""
        return luigi.LocalTarget(self.paths.archive(self.archive))

    def complete(self) -> bool:
        """Tell whether the archive is there, and is the file that was verified.

        One that somebody has put there is verified by `run`, once.
        """
        return is_remembered(Path(self.output().path), self._remembered())

    def _remembered(self) -> ArchiveRecord | None:
        """Return what is remembered of the archive, unless it is not the one that the build was begun with."""
        remembered = read_archive_record(self.paths.archive_record(self.archive))
        begun = self._begun_with
        return None if remembered and begun and remembered.md5 != begun.lower() else remembered

    @property
    def _begun_with(self) -> str | None:
        record = read_record(self.paths)
        return record.archives.get(self.archive.name) if record else None

    def digest(self) -> dict[str, str]:
        """Return the archive's MD5 sum by its local name, for the manifests of what is made from it."""
        remembered = self._remembered()
        md5 = remembered.md5 if remembered else self._begun_with
        return {self.archive.local_name: md5.lower()} if md5 else {}

    def size(self) -> int | None:
        """Return the archive's size in bytes, or None if only the source knows it."""
        for path in (self.output().path, self._local_path):
            if os.path.isfile(path):
                return os.path.getsize(path)
        return self.archive.size if self.origin == SOURCE else None

    def unverified_file(self) -> Path | None:
        """Return the archive if it is there and not verified yet: put there, or in the source and to be linked."""
        path, original = Path(self.output().path), Path(self._local_path)
        if self.complete():
            return None
        return next((file for file in (path, original) if os.path.isfile(file)), None)

    def size_to_come(self) -> int:
        """Return how many bytes the archive will take on the disk, at least, beyond those it has there."""
        path = Path(self.output().path)
        if path.exists() or self.unverified_file() is not None:
            return 0
        return max((self.size() or 0) - allocated_bytes(path), 0)

    @property
    def _local_path(self) -> str:
        return os.path.join(self.origin, self.archive.name)

    @property
    def quarantine_path(self) -> Path:
        """Where a repair puts a damaged archive; once it is downloaded again, it is removed there.

        So it is told apart from an archive that is merely gone: a user may delete it after the build.
        """
        return self.paths.quarantine(self.archive)

    def run(self) -> None:
        """Download, resume or link the archive, and verify it; verify one that somebody has put there.

        Does nothing if another process has done so: a scheduler that was restarted may give out what is complete.
        """
        if self.complete():
            return
        path = Path(self.output().path)
        try:
            record, progress = self.begin_build(), TaskProgress(self)
            if path.is_symlink() and not path.exists():
                # To a source that is gone.
                path.unlink()
            output = str(path.relative_to(self.data_dir))
            with timed(self.paths.timings, self.task_family, output, lambda: os.path.getsize(path)):
                md5 = self._verify(path, record, progress) if path.exists() else self._bring(record, progress)
            remember_archive(path, md5, self.paths.archive_record(self.archive))
        except OSError as error:
            raise disk.explain_os_error(error, path) from error
        self.quarantine_path.unlink(missing_ok=True)

    def check_source(self) -> None:
        """Raise `SourceError` if the archive has to come from a folder that does not hold what it is made of."""
        folder = self.source_folder
        if folder is None or self.output().exists():
            return
        found = find(folder, self.part, self.paths.dataset)
        if found is None:
            raise missing(folder, self.part)
        if found.is_read_in_place:
            raise SourceError(
                f"{found.path}: the {self.part.title} are read where they lie; nothing is to be downloaded"
            )

    def _bring(self, record: BuildRecord, progress: TaskProgress) -> str:
        """Download or link the archive; return its MD5 sum."""
        self.check_source()
        path, expected = Path(self.output().path), self._expected_md5(record)
        download(
            self.origin,
            self.archive.name,
            path,
            md5=expected,
            credentials=account_for(self.origin),
            cookies=self.read_cookies(),
            progress=progress,
            connections=self.connections,
            attempts=self.attempts,
            timeout=self.timeout,
            min_rate=self.min_rate,
            md5_of=self.md5_of,
        )
        return expected.lower() if expected else self.md5_of(path, progress)

    def md5_of(self, path: Path, progress: Progress) -> str:
        """Read the archive once, and return its MD5 sum. Raises OSError."""
        return md5_of_file(path, progress)

    def _verify(self, path: Path, record: BuildRecord, progress: TaskProgress) -> str:
        expected, md5 = self._expected_md5(record), self.md5_of(path, progress)
        if expected is not None and md5 != expected.lower():
            raise BuildError(
                f"{path}: its MD5 sum is {md5}, but {expected.lower()} was expected: it is damaged or another archive, "
                "and nothing is made from it. Delete it and run the build again, which downloads it"
            )
        return md5

    def md5(self) -> str | None:
        """Return the MD5 sum that the archive has to have, 32 hexadecimal digits; None if it is not known."""
        return self._expected_md5(read_record(self.paths))

    def has_given_md5(self) -> bool:
        """Tell whether the MD5 sum that the archive has to have was given, and not taken of the archive itself."""
        record = read_record(self.paths)
        return record is not None and record.archives.get(self.archive.name) is not None

    def _expected_md5(self, record: BuildRecord | None) -> str | None:
        """Return what the build was begun with, what was remembered, or what is given, in this order.

        Raises a `BuildError` if the file of checksums has no line for the archive.
        """
        name = self.archive.name
        remembered = self._remembered() if self._was_used() else None
        known = (record.archives.get(name) if record else None) or (remembered.md5 if remembered else None)
        if known is not None:
            return known
        if self.checksums == OFFICIAL and record is None:
            return self.official_md5(self.archive)
        given = self.given_checksums()[name]
        if given is None and self.checksums not in (OFFICIAL, NO_CHECKSUMS):
            raise BuildError(f"{self.checksums}: there is no line for {name}; add one")
        if given is None:
            logger.warning("%s is not verified: checksums are switched off", name)
        return given

    def _was_used(self) -> bool:
        """Tell whether something was made from the archive: until then, one of an unknown sum may be replaced."""
        if self.archive == BOUNDING_BOX_ARCHIVE:
            return self.paths.bounding_boxes.exists() or self.paths.annotations.exists()
        if self.archive == VALIDATION_BOX_ARCHIVE:
            return self.paths.validation_bounding_boxes.exists()
        split = next(split for split, archive in IMAGE_ARCHIVES.items() if archive == self.archive)
        return self.paths.index(split).exists()

    def ask_for_account(self) -> bool:
        """Ask for an account if the archive has to be downloaded, none is set and the source wants one."""
        if os.path.exists(self.output().path):
            return False
        if self.cookies == NO_COOKIES and not is_account_set(self.origin):
            ask_for_account(self.origin, self.archive.name, self.timeout)
        return True


class ImageDownload(DownloadTask):
    """Downloads the images of a split.

    Attributes
    ----------
    found : list of ImageLocation or None
        Where the images lie, if the archive was read for its MD5 sum when all of it was there; `indexing` uses it.
    """

    split: ClassVar[str]
    # Without a type here: the plugin of mypy would take it for a parameter.
    found = None

    def run(self) -> None:
        """Download, resume or link the archive, and verify it; forget what an earlier run has found in it."""
        self.found = None
        super().run()

    def size(self) -> int | None:
        """Return the archive's size in bytes, about that of the parquet files that it is made of."""
        files = self._parquet_files()
        return sum(file.stat().st_size for file in files) if files else super().size()

    def size_to_come(self) -> int:
        """Return how many bytes the archive will take on the disk; an import that goes on has most of them."""
        return max(super().size_to_come() - parquet_archive.allocated_bytes(self.paths.parquet_import(self.split)), 0)

    def _parquet_files(self) -> list[Path]:
        folder = self.source_folder
        return parquet_files(folder, self.split) if folder is not None else []

    def _bring(self, record: BuildRecord, progress: TaskProgress) -> str:
        """Download or link the archive, or make it of parquet files; return its MD5 sum."""
        files = self._parquet_files()
        if not files:
            return super()._bring(record, progress)
        path, known = Path(self.output().path), record.archives.get(self.archive.name)
        if known is not None:
            raise BuildError(
                f"{files[0].parent}: {self.data_dir} was begun with {self.archive.name} of the MD5 sum {known}, and an "
                "archive made of parquet files is another one: nothing is mixed. Use the source that it was begun "
                "with, or another --data-dir"
            )
        state = self.paths.parquet_import(self.split)
        md5 = import_archive(files, self.split, self.tables, path, state, progress)
        remembered = self._remembered() if self._was_used() else None
        if remembered is not None and remembered.md5 != md5:
            path.unlink()
            raise BuildError(
                f"{files[0].parent}: the images are not those that {self.data_dir} was made of: nothing is mixed. Use "
                "the files that it was made of, or another --data-dir"
            )
        return md5

    def md5_of(self, path: Path, progress: Progress) -> str:
        """Read the archive once, and return its MD5 sum; find the images meanwhile."""
        md5, self.found = official.read_whole(path, self.split, self.tables, progress)
        return md5


class DownloadTrain(ImageDownload):
    """Downloads the training images: a tar of one tar a synset, 148 GB."""

    split = TRAIN
    archive = TRAIN_ARCHIVE
    part = IMAGES[TRAIN]
    priority = 100

    def run(self) -> None:
        """Download, link or verify the archive; if that fails, remove what was extracted from it."""
        try:
            super().run()
        except BuildError:
            with suppress(OSError):
                ahead.refuse(self.paths.extracted_ahead)
            raise


class DownloadValidation(ImageDownload):
    """Downloads the validation images: a tar of 50,000 images, 6.7 GB."""

    split = VALIDATION
    archive = VALIDATION_ARCHIVE
    part = IMAGES[VALIDATION]
    priority = 60


class DownloadBoundingBoxes(DownloadTask):
    """Downloads the training images' bounding boxes: a tar.gz of 544,546 XML files."""

    archive = BOUNDING_BOX_ARCHIVE
    part = ANNOTATIONS[TRAIN]
    priority = 80


class DownloadValidationBoxes(DownloadTask):
    """Downloads the validation images' bounding boxes: a tgz of XML files, 2 MB."""

    archive = VALIDATION_BOX_ARCHIVE
    part = ANNOTATIONS[VALIDATION]
    priority = 55


DOWNLOADS: tuple[type[DownloadTask], ...] = (
    DownloadTrain,
    DownloadValidation,
    DownloadBoundingBoxes,
    DownloadValidationBoxes,
)

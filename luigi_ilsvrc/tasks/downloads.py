"""The official archives, downloaded from the source and verified."""

import logging
import os
from configparser import InterpolationError
from pathlib import Path
from typing import ClassVar

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc.dataset.archives import (
    BOUNDING_BOX_ARCHIVE,
    SOURCE,
    TRAIN_ARCHIVE,
    VALIDATION_ARCHIVE,
    Archive,
)
from luigi_ilsvrc.download.checksums import read_checksums
from luigi_ilsvrc.download.credentials import (
    ACCESS_KEY_VARIABLE,
    USERNAME_VARIABLE,
    Credentials,
    find_credentials,
)
from luigi_ilsvrc.download.download import download
from luigi_ilsvrc.download.partial_file import allocated_bytes
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.tasks.base import NO_CHECKSUMS, OFFICIAL, ILSVRCTask
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import SECTION, IntegerParameter, SecondsParameter, setting

logger = logging.getLogger("luigi-interface")


class DownloadTask(ILSVRCTask):
    """Downloads one archive over HTTP; or takes it from a folder, by hard link if that is possible, else by copy."""

    archive: ClassVar[Archive]
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

    def size(self) -> int | None:
        """Return the archive's size in bytes, or None if only the source knows it."""
        for path in (self.output().path, self._local_path):
            if os.path.isfile(path):
                return os.path.getsize(path)
        return self.archive.size if self.source == SOURCE else None

    def size_to_come(self) -> int:
        """Return how many bytes the archive will take on the disk, at least, beyond those it has there."""
        path = Path(self.output().path)
        if path.exists() or (os.path.isfile(self._local_path) and self._may_be_linked(path)):
            return 0
        return max((self.size() or 0) - allocated_bytes(path), 0)

    @property
    def _local_path(self) -> str:
        return os.path.join(self.source, self.archive.name)

    def _may_be_linked(self, path: Path) -> bool:
        return os.stat(self._local_path).st_dev == disk.nearest_folder(path).stat().st_dev

    @property
    def quarantine_path(self) -> Path:
        """Where a repair puts a damaged archive; once it is downloaded again, it is removed there.

        So it is told apart from an archive that is merely gone: a user may delete it after the build.
        """
        return self.paths.quarantine(self.archive)

    def run(self) -> None:
        """Download, resume or link the archive, and verify it."""
        self.output().makedirs()
        with TaskProgress(self) as progress:
            download(
                self.source,
                self.archive.name,
                Path(self.output().path),
                md5=self.md5(),
                credentials=self._credentials(),
                progress=progress,
                connections=self.connections,
                attempts=self.attempts,
                timeout=self.timeout,
                min_rate=self.min_rate,
            )
        self.quarantine_path.unlink(missing_ok=True)

    def md5(self) -> str | None:
        """Return the archive's MD5 sum, 32 hexadecimal digits; None if checksums are switched off.

        Raises a `BuildError` if the file of checksums has none for it.
        """
        if self.checksums == OFFICIAL:
            return self.archive.md5
        if self.checksums == NO_CHECKSUMS:
            logger.warning("%s is not verified: checksums are switched off", self.archive.name)
            return None
        sums = read_checksums(Path(self.checksums))
        if self.archive.name not in sums:
            raise BuildError(f"{self.checksums}: there is no line for {self.archive.name}; add one")
        return sums[self.archive.name]

    def _credentials(self) -> Credentials | None:
        return find_credentials(
            self.source,
            os.environ.get(USERNAME_VARIABLE) or _configured("username"),
            os.environ.get(ACCESS_KEY_VARIABLE) or _configured("access_key"),
        )


def _configured(name: str) -> str | None:
    config = luigi.configuration.get_config()
    try:
        return config.get(SECTION, name, None)
    except InterpolationError:
        # A key may contain a %, and the exception would quote it.
        return config.get(SECTION, name, None, raw=True)


class DownloadTrain(DownloadTask):
    """Downloads the training images: a tar of one tar a synset, 148 GB."""

    archive = TRAIN_ARCHIVE
    priority = 100


class DownloadValidation(DownloadTask):
    """Downloads the validation images: a tar of 50,000 images, 6.7 GB."""

    archive = VALIDATION_ARCHIVE
    priority = 60


class DownloadBoundingBoxes(DownloadTask):
    """Downloads the training images' bounding boxes: a tar.gz of 544,546 XML files."""

    archive = BOUNDING_BOX_ARCHIVE
    priority = 80


DOWNLOADS: tuple[type[DownloadTask], ...] = (DownloadTrain, DownloadValidation, DownloadBoundingBoxes)

"""The official archives, brought from the source and verified."""

import logging
import os
from configparser import InterpolationError
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc import archives, disk
from luigi_ilsvrc.archives import Archive
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.tasks.base import NO_CHECKSUMS, OFFICIAL, ILSVRCTask, setting
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import SUFFIX

if TYPE_CHECKING:
    from luigi_ilsvrc.download import Credentials

_BLOCK = 512
"""Bytes of a block in `os.stat_result`, whatever the file system's own are."""

logger = logging.getLogger("luigi-interface")


class DownloadTask(ILSVRCTask):
    """Brings one archive: over HTTP, or from a directory by hard link where that is possible, else by copy."""

    archive: ClassVar[Archive]
    unit = "B"
    worker_timeout = 0
    """A download takes the time it takes: it has time-outs of its own."""

    attempts = luigi.IntParameter(
        default=8,
        config_path=setting("attempts"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="how often a download is tried without a byte gained",
    )
    timeout = luigi.FloatParameter(
        default=60.0,
        config_path=setting("timeout"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="seconds after which a silent server counts as gone",
    )

    def output(self) -> luigi.LocalTarget:
        """Return the archive under its local name."""
        return luigi.LocalTarget(self.dataset / self.archive.local_name)

    def size(self) -> int | None:
        """Return the archive's size in bytes, or None where it is known to the source alone."""
        for path in (self.output().path, self._local_path):
            if os.path.isfile(path):
                return os.path.getsize(path)
        return self.archive.size if self.source == archives.SOURCE else None

    def size_to_come(self) -> int:
        """Return how many bytes the archive will take on the disk, at least, beyond those it has there."""
        path = Path(self.output().path)
        if path.exists() or (os.path.isfile(self._local_path) and self._may_be_linked(path)):
            return 0
        partial = path.with_name(f"{path.name}{SUFFIX}")
        # Not its length: between what several connections bring are gaps, which take no room yet.
        there = partial.stat().st_blocks * _BLOCK if partial.exists() else 0
        return max((self.size() or 0) - there, 0)

    @property
    def _local_path(self) -> str:
        return os.path.join(self.source, self.archive.name)

    def _may_be_linked(self, path: Path) -> bool:
        return os.stat(self._local_path).st_dev == disk.nearest_folder(path).stat().st_dev

    @property
    def set_aside(self) -> Path:
        """Where a repair puts a damaged archive, so that the build brings it again; then it is removed.

        An archive that is merely gone is not missed: a user may delete it after the build.
        """
        return self.dataset / f"{self.archive.local_name}.damaged"

    def run(self) -> None:
        """Download, resume or link the archive, and verify it."""
        from luigi_ilsvrc import download

        self.output().makedirs()
        progress = TaskProgress(self, self.unit)
        try:
            download.download(
                self.source,
                self.archive.name,
                Path(self.output().path),
                md5=self.md5(),
                credentials=self._credentials(),
                progress=progress,
                connections=self.connections,
                attempts=self.attempts,
                timeout=self.timeout,
            )
            self.set_aside.unlink(missing_ok=True)
        finally:
            progress.close()

    def md5(self) -> str | None:
        """Return the archive's MD5 sum, 32 hexadecimal digits; None where checksums are switched off.

        Raises a `BuildError` where the file of checksums has none for it.
        """
        from luigi_ilsvrc import download

        checksums = self._supplied["checksums"]
        if checksums == OFFICIAL:
            return self.archive.md5
        if checksums == NO_CHECKSUMS:
            logger.warning("%s is not verified: checksums are switched off", self.archive.name)
            return None
        sums = download.read_checksums(Path(checksums))
        if self.archive.name not in sums:
            raise BuildError(f"{checksums}: there is no line for {self.archive.name}; add one")
        return sums[self.archive.name]

    def _credentials(self) -> "Credentials | None":
        from luigi_ilsvrc import download

        return download.find_credentials(
            self.source,
            os.environ.get("IMAGENET_USERNAME") or _configured("username"),
            os.environ.get("IMAGENET_ACCESS_KEY") or _configured("access_key"),
        )


def _configured(name: str) -> str | None:
    config = luigi.configuration.get_config()
    try:
        return config.get("ilsvrc", name, None)
    except InterpolationError:
        # A key may hold a %, and the exception would quote it.
        return config.get("ilsvrc", name, None, raw=True)


class DownloadTrain(DownloadTask):
    """Brings the training images: a tar of one tar a synset, 148 GB."""

    archive = archives.TRAIN
    priority = 100


class DownloadValidation(DownloadTask):
    """Brings the validation images: a tar of 50,000 images, 6.7 GB."""

    archive = archives.VALIDATION
    priority = 60


class DownloadBoundingBoxes(DownloadTask):
    """Brings the training images' bounding boxes: a tar.gz of 544,546 XML files."""

    archive = archives.BOUNDING_BOXES
    priority = 80


DOWNLOADS: tuple[type[DownloadTask], ...] = (DownloadTrain, DownloadValidation, DownloadBoundingBoxes)

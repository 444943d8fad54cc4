"""The official archives, brought from the source and verified."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc import archives
from luigi_ilsvrc.archives import Archive
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.tasks.base import NO_CHECKSUMS, OFFICIAL, ILSVRCTask, setting
from luigi_ilsvrc.tasks.reporting import TaskProgress

if TYPE_CHECKING:
    from luigi_ilsvrc.download import Credentials

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
                md5=self._md5(),
                credentials=self._credentials(),
                progress=progress,
                attempts=self.attempts,
                timeout=self.timeout,
            )
        finally:
            progress.close()

    def _md5(self) -> str | None:
        from luigi_ilsvrc import download

        checksums = self._supplied()["checksums"]
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

        config = luigi.configuration.get_config()
        return download.find_credentials(
            self.source,
            os.environ.get("IMAGENET_USERNAME") or config.get("ilsvrc", "username", None),
            os.environ.get("IMAGENET_ACCESS_KEY") or config.get("ilsvrc", "access_key", None),
        )


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

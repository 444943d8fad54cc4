"""The bounding boxes as one CSV."""

from pathlib import Path

import luigi

from luigi_ilsvrc.tasks.base import OutputTask
from luigi_ilsvrc.tasks.downloads import DownloadBoundingBoxes
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import WholeTarget


class BoundingBoxCSV(OutputTask):
    """Reads the boxes of all training images, from the archive, or from extracted annotations where that is gone."""

    priority = 70
    unit = "files"

    def requires(self) -> list[luigi.Task]:
        """Require the archive, unless the annotations are there instead."""
        return [] if self._is_of_folders() else [self.clone(DownloadBoundingBoxes)]

    def output(self) -> WholeTarget:
        """Return ``bounding_boxes.csv``; see `boxes.write_csv`."""
        return WholeTarget(self.data_dir / "bounding_boxes.csv")

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Read the annotations and write the CSV."""
        from luigi_ilsvrc import boxes

        if self._is_of_folders():
            source = self._folders
            annotations = boxes.annotations_in_folders(source)
        else:
            source = self._archive
            annotations = boxes.annotations_in_archive(source)
        boxes.write_csv(annotations, self.read_synsets(), source, path, progress)

    @property
    def _archive(self) -> Path:
        return Path(self.clone(DownloadBoundingBoxes).output().path)

    @property
    def _folders(self) -> Path:
        return Path(self.clone(ExtractBoundingBoxes).output().path)

    def _is_of_folders(self) -> bool:
        return not self._archive.exists() and self._folders.is_dir()

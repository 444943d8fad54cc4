"""Where each image lies, for each split."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import luigi

from luigi_ilsvrc import tar_index
from luigi_ilsvrc.tasks.base import ILSVRCTask, OutputTask
from luigi_ilsvrc.tasks.downloads import DownloadTask, DownloadTrain, DownloadValidation
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import WholeDirectoryTarget

TRAIN = "train"
VALIDATION = "validation"


class IndexTask(OutputTask):
    """Finds where each image of a split lies: in the archive, or in class folders where those are all there is.

    The two are different outputs, so that an index of folders never stands in for one of the archive.
    """

    split: ClassVar[str]
    folder_name: ClassVar[str]
    download: ClassVar[type[DownloadTask]]

    @property
    def archive(self) -> Path:
        """The split's archive."""
        return self.dataset / self.download.archive.local_name

    @property
    def folders(self) -> Path:
        """The split's class folders, to be extracted or extracted already."""
        return self.dataset / self.folder_name

    def has_folders(self) -> bool:
        """Tell whether the class folders are all there."""
        raise NotImplementedError

    def has_images(self) -> bool:
        """Tell whether the images can be read without downloading anything."""
        return self.archive.exists() or self.has_folders()

    def _directory(self, name: str) -> Path:
        return self.dataset / "index" / name

    def _is_of_folders(self) -> bool:
        if (
            self._directory(self.split).exists()
            or self.archive.exists()
            or self.clone(self.download).set_aside.exists()
        ):
            return False
        return self.has_folders()

    def requires(self) -> list[luigi.Task]:
        """Require the archive, unless class folders are there instead."""
        return [] if self._is_of_folders() else [self.clone(self.download)]

    def output(self) -> WholeDirectoryTarget:
        """Return the folder of one CSV a synset; see `tar_index.write_index`."""
        return WholeDirectoryTarget(self._directory(f"{self.split}-folders" if self._is_of_folders() else self.split))


class IndexTrain(IndexTask):
    """Finds where each training image lies."""

    split = TRAIN
    folder_name = "training_images"
    download = DownloadTrain
    priority = 90
    unit = "B"

    def has_folders(self) -> bool:
        """Tell whether there is a class folder for each synset."""
        return self.folders.is_dir() and {path.name for path in self.folders.iterdir()}.issuperset(self.read_synsets())

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Index the archive or the class folders."""
        synsets = self.read_synsets()
        if self._is_of_folders():
            locations = tar_index.index_train_folders(self.folders, synsets, progress)
        else:
            locations = tar_index.index_train_archive(self.archive, synsets, progress)
        tar_index.write_index(locations, synsets, path)


class IndexValidation(IndexTask):
    """Finds where each validation image lies, and what it shows."""

    split = VALIDATION
    folder_name = "validation_images"
    download = DownloadValidation
    priority = 50
    unit = "B"

    def has_folders(self) -> bool:
        """Tell whether the validation images are sorted into class folders."""
        return self.folders.is_dir()

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Index the archive or the class folders, with the labels of the validation table."""
        labels, table = self.read_validation_labels()
        if self._is_of_folders():
            locations = tar_index.index_validation_folders(self.folders, labels, table, progress)
        else:
            locations = tar_index.index_validation_archive(self.archive, labels, table, progress)
        tar_index.write_index(locations, self.read_synsets(), path)


INDEX_TASKS: dict[str, type[IndexTask]] = {TRAIN: IndexTrain, VALIDATION: IndexValidation}


def missing_archive(task: ILSVRCTask, split: str, *made_of: luigi.Task) -> Iterator[luigi.Task]:
    """Yield the split's download where the archive was deleted after it was indexed, and there are no class folders.

    Until the index is there, it requires the download itself; `made_of` is what may be there without the index.
    """
    index = task.clone(INDEX_TASKS[split])
    if not index.has_images() and any(made.complete() for made in (index, *made_of)):
        yield task.clone(index.download)

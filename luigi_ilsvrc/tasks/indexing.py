"""Where each image lies, for each split."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import luigi

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.layouts import table as layouts
from luigi_ilsvrc.layouts.index import write_index
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.base import ILSVRCTask, OutputTask
from luigi_ilsvrc.tasks.downloads import DownloadTask, DownloadTrain, DownloadValidation
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget


class IndexTask(OutputTask):
    """Finds where each image of a split lies, in the layout that it is there in."""

    split: ClassVar[str]
    download: ClassVar[type[DownloadTask]]

    @property
    def layout(self) -> layouts.Layout:
        """The layout that is indexed; see `layouts.table.layout_of_images`."""
        return layouts.layout_of_images(self.paths, self.split, self.tables)

    def has_images(self) -> bool:
        """Tell whether the images can be read without downloading anything."""
        return layouts.has_images(self.paths, self.split, self.tables)

    def requires(self) -> list[luigi.Task]:
        """Require the archive, unless the images are there in another layout."""
        return [self.clone(self.download)] if self.layout.IS_DOWNLOADED else []

    def output(self) -> AtomicFolderTarget:
        """Return the folder of one CSV a synset; see `layouts.index.write_index`."""
        return AtomicFolderTarget(self.paths.index(self.split, self.layout.INDEX_SUFFIX))

    def make(self, path: Path, progress: Progress) -> None:
        """Index the archive or the class folders."""
        locations = self.layout.find_images(self.paths, self.split, self.tables, progress)
        write_index(locations, self.tables.synsets(), path)


class IndexTrain(IndexTask):
    """Finds where each training image lies."""

    split = TRAIN
    download = DownloadTrain
    priority = 90


class IndexValidation(IndexTask):
    """Finds where each validation image lies, and what it shows."""

    split = VALIDATION
    download = DownloadValidation
    priority = 50


INDEX_TASKS: dict[str, type[IndexTask]] = {TRAIN: IndexTrain, VALIDATION: IndexValidation}


def archive_if_needed(task: ILSVRCTask, split: str, *also_complete: luigi.Task) -> Iterator[luigi.Task]:
    """Yield the split's download if the archive was deleted after it was indexed, and there are no class folders.

    Until the index is there, it requires the download itself; `also_complete` is what may be there without the index.
    """
    index = task.clone(INDEX_TASKS[split])
    if not index.has_images() and any(made.complete() for made in (index, *also_complete)):
        yield task.clone(index.download)

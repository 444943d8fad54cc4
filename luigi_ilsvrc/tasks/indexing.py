"""Where each image lies, for each split."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import luigi

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts import table as layouts
from luigi_ilsvrc.layouts.counts import check_images
from luigi_ilsvrc.layouts.index import index_file, write_index
from luigi_ilsvrc.layouts.source_folders import folder_of_images, follow_source, link_images
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.downloads import DownloadTrain, DownloadValidation, ImageDownload
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget
from luigi_ilsvrc.tasks.outputs import DataSetTask

logger = logging.getLogger("luigi-interface")


class IndexTask(DataSetTask):
    """Finds where each image of a split lies, in the layout that it is there in."""

    split: ClassVar[str]
    download: ClassVar[type[ImageDownload]]

    @property
    def layout(self) -> layouts.Layout:
        """The layout that is indexed; see `layouts.table.layout_of_images`."""
        return layouts.layout_of_images(self.paths, self.split, self.tables)

    def layout_name(self) -> str:
        """Return a name of the layout, for people."""
        return next(name for name, layout in layouts.LAYOUTS.items() if layout is self.layout)

    def has_images(self) -> bool:
        """Tell whether the images can be read without downloading anything."""
        return layouts.has_images(self.paths, self.split, self.tables)

    def requires(self) -> list[luigi.Task]:
        """Require the archive, unless the images are there in another layout."""
        return [self.clone(self.download)] if self.layout.IS_DOWNLOADED else []

    def archive_digest(self) -> dict[str, str]:
        """Return the digest of the archive, if the images come from it."""
        return self.clone(self.download).digest() if self.layout.IS_DOWNLOADED else {}

    def facts(self) -> dict[str, str]:
        """Return the digests of the archive and of the label tables."""
        labels = () if self.split == TRAIN else (VALIDATION_SYNSET_LABELS,)
        return {**self.archive_digest(), **self.table_digests(UNIQUE_SYNSETS, *labels)}

    def read_by_synset(self) -> "tuple[IndexTask, tuple[str, ...]]":
        """Return what a task reads that reads the whole index; see `DataSetTask.reads`."""
        return self, tuple(map(index_file, self.tables.synsets()))

    def output(self) -> AtomicFolderTarget:
        """Return the folder of one CSV a synset; see `layouts.index.write_index`."""
        return AtomicFolderTarget(self.paths.index(self.split, self.layout.INDEX_SUFFIX))

    def make(self, path: Path, progress: Progress) -> None:
        """Index the archive or the class folders."""
        layout, synsets = self.layout, self.tables.synsets()
        locations = layout.find_images(self.paths, self.split, self.tables, progress)
        if not layout.IS_DOWNLOADED:
            logger.info("%s: %d images of class folders are indexed", self.split, len(locations))
        if self._has_no_checksum() and self.has_official_counts():
            check_images(self.split, (image.synset for image in locations), synsets, self._place())
        write_index(locations, synsets, path)
        if layout.IS_LINKED:
            # Before the index is there: from then on, others read the images through the link.
            link_images(self.paths, self.split, folder_of_images(self.paths, self.split))

    def make_output(self, progress: Progress) -> None:
        """Index the images. Of two processes with two sources at once, the one that was later is refused."""
        super().make_output(progress)
        if self.layout.IS_LINKED:
            follow_source(self.paths, self.tables)

    def _place(self) -> Path:
        if self.layout.IS_LINKED:
            return folder_of_images(self.paths, self.split)
        if self.layout.IS_DOWNLOADED:
            return Path(self.clone(self.download).output().path)
        return self.paths.class_folders(self.split)

    def _has_no_checksum(self) -> bool:
        """Tell whether no given MD5 sum says that the images are all there."""
        return not (self.layout.IS_DOWNLOADED and self.clone(self.download).has_given_md5())


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


@ImageDownload.event_handler(luigi.Event.SUCCESS)
def publish_what_was_found(download: ImageDownload) -> None:
    """Make the index of images that were found while the archive was read for its MD5 sum, which was right.

    It has to be made from the archive if that fails, and the task that does so says why.
    """
    locations, download.found = download.found, None
    if locations is None:
        return
    index = download.clone(INDEX_TASKS[download.split])
    with suppress(BuildError, OSError):
        if index.layout.IS_DOWNLOADED:
            index.publish(lambda path: write_index(locations, index.tables.synsets(), path))


def archive_if_needed(task: ILSVRCTask, split: str, *also_complete: luigi.Task) -> Iterator[luigi.Task]:
    """Yield the split's download if images have to be read from the archive, and it is not there as it was verified.

    It may have been deleted after it was indexed, without any class folders being there; or replaced. Until the index
    is there, it requires the download itself; `also_complete` is what may be there without the index.
    """
    index = task.clone(INDEX_TASKS[split])
    download = task.clone(index.download)
    if download.complete() or (index.has_images() and not download.output().exists()):
        return
    if any(made.complete() for made in (index, *also_complete)):
        yield download

"""Images and annotations, extracted into class folders."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import luigi

from luigi_ilsvrc.ahead import discard, extract_ahead, folder_of_command, is_refused, take_synset
from luigi_ilsvrc.dataset.boxes import check_same_boxes
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.extract import (
    check_in_place,
    extract_annotations,
    extract_sorted,
    extract_synset,
    has_broken_links,
    link_sorted,
    relative_link,
    remove_links,
)
from luigi_ilsvrc.layouts.index import ImageLocation, index_file, read_index, read_whole_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.table import Layout, layout_of_annotations
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.manifest import Files
from luigi_ilsvrc.storage.publish import new_link
from luigi_ilsvrc.tasks.base import BuildTask, BuildWrapperTask
from luigi_ilsvrc.tasks.downloads import DownloadBoundingBoxes, DownloadTask, DownloadTrain
from luigi_ilsvrc.tasks.indexing import IndexTask, IndexTrain, IndexValidation, archive_if_needed
from luigi_ilsvrc.tasks.luigi_support import resources
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.outputs import DataSetTask
from luigi_ilsvrc.tasks.parameters import RECORDED, ParameterError, SynsetParameter
from luigi_ilsvrc.timings import timed


class ExtractTrainAhead(BuildTask):
    """Extracts training images as long as their archive is being verified; see `ahead`.

    Nothing depends on what it has done: `ExtractTrainPerSynset` takes what it finds.
    """

    priority = 95
    resource = resources.EXTRACT
    worker_timeout = 0
    """It may take as long as the verification of the archive."""

    _has_ended = False

    def complete(self) -> bool:
        """Tell whether there is nothing to gain: the archive is verified, or wrong, or not there; or it has run."""
        return self._has_ended or self._archive() is None

    @property
    def ahead(self) -> Path:
        """The folder of this command."""
        return folder_of_command(self.paths.extracted_ahead)

    def _archive(self) -> Path | None:
        index = self.clone(IndexTrain)
        if index.output().exists() or not index.layout.IS_DOWNLOADED or not self._is_on_one_disk():
            return None
        archive = self.clone(DownloadTrain).unverified_file()
        return None if archive is None or is_refused(self.ahead) else archive

    def _is_on_one_disk(self) -> bool:
        places = (self.paths.extracted_ahead, self.paths.class_folders(TRAIN))
        return len({disk.nearest_folder(path).stat().st_dev for path in places}) == 1

    def run(self) -> None:
        """Extract until the archive is verified. What cannot be read or written is left to the tasks that have to."""
        archive = self._archive()
        # Who gets it from the scheduler belongs to another command.
        if archive is not None and self.source != RECORDED:
            with suppress(BuildError, OSError):
                self.begin_build()
                # The bytes count when they are published.
                with timed(self.paths.timings, self.task_family, "", lambda: 0):
                    extract_ahead(archive, self.tables.synsets(), self.ahead, self._is_over, TaskProgress(self))
        self._has_ended = True

    def _is_over(self, synset: str) -> bool:
        return self._archive() is None or self.clone(ExtractTrainPerSynset, synset=synset).output().exists()


class ImagesTask(DataSetTask):
    """A task that puts images into class folders: out of an archive, or as links to the folders that they lie in."""

    resource = resources.EXTRACT
    index_task: ClassVar[type[IndexTask]]

    @cached_property
    def index(self) -> IndexTask:
        """The task of the index."""
        return self.clone(self.index_task)

    def facts(self) -> dict[str, str]:
        """Return the digest of the archive."""
        return self.index.archive_digest()

    def images(self) -> list[ImageLocation]:
        """Read from the index where the images lie."""
        raise NotImplementedError

    def make_links(self, images: Sequence[ImageLocation]) -> None:
        """Publish links to images, or to their class folders."""
        raise NotImplementedError

    def make_output(self, progress: Progress) -> None:
        """Extract the images, or link to them.

        Links have no manifest: what they lead to is not the build's, and the index has the size of each image.
        """
        if not self.index.layout.IS_LINKED:
            super().make_output(progress)
            return
        self.begin_build()
        self.inputs()
        images = self.images()
        check_in_place(images, self.paths.dataset)
        self.make_links(images)


class ExtractTrainPerSynset(ImagesTask):
    """Extracts the training images of one synset."""

    synset = SynsetParameter(description="such as n01440764")
    priority = 20
    counted_as = "synsets"
    index_task = IndexTrain

    def requires(self) -> Iterator[luigi.Task]:
        """Require the index, and the archive if it has been deleted.

        Raises `ParameterError` if the synset is not in the table.
        """
        if self.synset not in self.tables.synsets():
            raise ParameterError(f"--synset: {self.synset} is not in the table {self.tables.unique_synsets}")
        yield self.clone(IndexTrain)
        yield from archive_if_needed(self, TRAIN)

    def output(self) -> AtomicFolderTarget:
        """Return the synset's class folder."""
        return AtomicFolderTarget(self.paths.class_folders(TRAIN) / self.synset)

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return the synset's part of the index."""
        return [(self.index, (index_file(self.synset),))]

    def images(self) -> list[ImageLocation]:
        """Read from the index where the synset's images lie."""
        return read_index(Path(self.index.output().path), self.synset)

    def make_links(self, images: Sequence[ImageLocation]) -> None:
        """Link to the class folder."""
        output = Path(self.output().path)
        new_link(output, relative_link((self.paths.dataset / images[0].file).parent, output))

    def make(self, path: Path, progress: Progress) -> Files:
        """Copy the synset's images out of the archive, or take those that were extracted ahead."""
        images = self.images()
        archive = Path(self.clone(DownloadTrain).output().path)
        ahead = folder_of_command(self.paths.extracted_ahead)
        if archive.exists() and (taken := take_synset(ahead, self.synset, archive, images, path)) is not None:
            return taken
        with ImageReader(self.paths.dataset, self.paths.class_folders(TRAIN)) as reader:
            return extract_synset(reader, images, path, progress)


class TrainImages(BuildWrapperTask):
    """All training images, in class folders."""

    def requires(self) -> list[luigi.Task]:
        """Require the images of each synset of the table; and what can be extracted until the archive is verified."""
        ahead = self.clone(ExtractTrainAhead)
        return [*self.synset_tasks(), *([ahead] if self._lacks_synsets() and not ahead.complete() else [])]

    def _lacks_synsets(self) -> bool:
        folders = self.paths.class_folders(TRAIN)
        return not folders.is_dir() or not set(os.listdir(folders)).issuperset(self.tables.synsets())

    def synset_tasks(self) -> list[ExtractTrainPerSynset]:
        """Return the tasks that extract the images of the synsets of the table."""
        return [self.clone(ExtractTrainPerSynset, synset=synset) for synset in self.tables.synsets()]

    def output(self) -> list[AtomicFolderTarget]:
        """Return the class folders, in the order of the table."""
        return [task.output() for task in self.synset_tasks()]

    def run(self) -> None:
        """Remove what was extracted ahead and not used."""
        discard(folder_of_command(self.paths.extracted_ahead))


class SortValidation(ImagesTask):
    """Extracts the validation images, straight into class folders."""

    priority = 30
    index_task = IndexValidation

    def requires(self) -> Iterator[luigi.Task]:
        """Require the index, and the archive if it has been deleted."""
        yield self.clone(IndexValidation)
        yield from archive_if_needed(self, VALIDATION)

    def output(self) -> AtomicFolderTarget:
        """Return the folder of class folders."""
        return AtomicFolderTarget(self.paths.class_folders(VALIDATION))

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return the index."""
        return [self.index.read_by_synset()]

    def images(self) -> list[ImageLocation]:
        """Read from the index where all images lie."""
        return list(read_whole_index(Path(self.index.output().path), self.tables.synsets()))

    def complete(self) -> bool:
        """Tell whether the class folders are there; if they are links, whether they lead to something."""
        if not super().complete():
            return False
        # Real folders are not looked through: that would take a thousand requests to a file server in each run.
        return not (self.index.layout.IS_LINKED and has_broken_links(Path(self.output().path)))

    def make_links(self, images: Sequence[ImageLocation]) -> None:
        """Link to the class folders, or to each image; in place of links that lead nowhere."""
        if has_broken_links(Path(self.output().path)):
            remove_links(Path(self.output().path))
        with self.output().temporary_path() as folder:
            link_sorted(images, self.paths.dataset, Path(folder), Path(self.output().path))

    def make(self, path: Path, progress: Progress) -> Files:
        """Copy the images out of the archive."""
        images = self.images()
        with ImageReader(self.paths.dataset, self.paths.class_folders(VALIDATION)) as reader:
            return extract_sorted(reader, images, path, progress)


class AnnotationTask(DataSetTask):
    """A task that reads the annotations of a split, in the layout that they are there in."""

    split: ClassVar[str] = TRAIN
    download: ClassVar[type[DownloadTask]] = DownloadBoundingBoxes

    @property
    def layout(self) -> Layout:
        """The layout; see `layouts.table.layout_of_annotations`."""
        return layout_of_annotations(self.paths, self.split)

    def requires(self) -> list[luigi.Task]:
        """Require the archive, unless the annotations are there in another layout."""
        return [self.clone(self.download)] if self.layout.IS_DOWNLOADED else []

    def facts(self) -> dict[str, str]:
        """Return the digest of the archive."""
        return self.clone(self.download).digest() if self.layout.IS_DOWNLOADED else {}


class ExtractBoundingBoxes(AnnotationTask):
    """Extracts the annotations of training images, one XML file an image; or links to the folder that they lie in."""

    priority = 10
    resource = resources.EXTRACT

    def output(self) -> AtomicFolderTarget:
        """Return the folder of class folders."""
        return AtomicFolderTarget(self.paths.annotations)

    def make_output(self, progress: Progress) -> None:
        """Extract the annotations, or link to them."""
        if not self.layout.IS_LINKED:
            super().make_output(progress)
            return
        self.begin_build()
        folder = self.layout.annotations_path(self.paths, self.split)
        annotations = self.layout.read_annotations(self.paths, self.split, self.tables)
        if self.paths.bounding_boxes.exists():
            check_same_boxes(annotations, self.tables.synsets(), folder, self.paths.bounding_boxes)
        new_link(Path(self.output().path), str(folder))

    def make(self, path: Path, progress: Progress) -> Files:
        """Copy the annotations out of the archive."""
        return extract_annotations(self.layout.read_annotations(self.paths, self.split, self.tables), path, progress)

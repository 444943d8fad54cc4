"""The class folders of a subset."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import luigi

from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.extract import class_folder_image, extract_sorted, has_broken_links, link_each
from luigi_ilsvrc.layouts.index import ImageLocation, read_whole_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Files
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS, archive_if_needed
from luigi_ilsvrc.tasks.luigi_support import resources
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget
from luigi_ilsvrc.tasks.outputs import DataSetTask
from luigi_ilsvrc.tasks.parameters import RECORDED, split_parameter
from luigi_ilsvrc.tasks.selection import BeginSubset


class SubsetImages(BeginSubset, DataSetTask):
    """Makes the class folders of a subset: links to images that lie in folders; the others are extracted.

    So nothing is read of images that are not in the subset, and nothing is stored twice.
    """

    split = split_parameter()
    priority = 20
    resource = resources.EXTRACT

    def requires(self) -> Iterator[luigi.Task]:
        """Require the index, and the archive if it has been deleted."""
        yield self.clone(INDEX_TASKS[self.split])
        yield from archive_if_needed(self, self.split)

    def output(self) -> AtomicFolderTarget:
        """Return the folder of class folders."""
        return AtomicFolderTarget(self.paths.subset_folders(self.name_of_subset, self.split))

    def complete(self) -> bool:
        """Tell whether the folder is there, and links in it lead to something, by the first one of each synset.

        Raises an error if the list of the subset is another than before.
        """
        if self.source != RECORDED:
            self.check_subset()
        return super().complete() and not has_broken_links(Path(self.output().path))

    def make_output(self, progress: Progress) -> None:
        """Make the folder, in place of one whose links lead nowhere: the images have been deleted, or lie elsewhere."""
        output = Path(self.output().path)
        if has_broken_links(output):
            shutil.rmtree(output)
        super().make_output(progress)

    def facts(self) -> dict[str, str]:
        """Return the digests of the archive, and of the list of the subset."""
        return {**self.clone(INDEX_TASKS[self.split]).archive_digest(), **self.subset_digest(self.split)}

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return the index."""
        return [self.clone(INDEX_TASKS[self.split]).read_by_synset()]

    def images(self, index: Path) -> list[ImageLocation]:
        """Read from an index where the images of the subset lie. Raises `SubsetError` if one is not there."""
        found = list(read_whole_index(index, self.tables.synsets()))
        if self.chosen is not None and self.chosen.images and self.split == TRAIN:
            self.chosen.check_images([image.name for image in found])
        takes = self.takes(self.split)
        return [image for image in found if takes(image.synset, image.name)]

    def make(self, path: Path, progress: Progress) -> Files:
        """Link to the images that lie in folders, and copy the others out of the archive.

        The manifest has the entries of those that were extracted: what links lead to is not of this output.
        """
        self.begin_subset()
        folders = self.paths.class_folders(self.split)
        images = self.images(Path(self.clone(INDEX_TASKS[self.split]).output().path))
        places = [(image, class_folder_image(image, self.paths.dataset, folders)) for image in images]
        for synset in {image.synset for image, _ in places}:
            (path / synset).mkdir()
        linked = [(image, place) for image, place in places if place is not None]
        link_each(linked, path, Path(self.output().path))
        with ImageReader(self.paths.dataset, folders) as reader:
            return extract_sorted(reader, [image for image, place in places if place is None], path, progress)

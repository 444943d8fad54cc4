"""The layouts that images and annotations may lie in, and which of them a data set has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.archives import IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts import class_folders, official, source_folders
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.progress import Progress


class Layout(Protocol):
    """What a module of this package offers.

    Attributes
    ----------
    INDEX_SUFFIX : str
        Ends the name of an index of this layout. Each layout has its own, so that an index of folders is never taken
        for one of the archive.
    IS_DOWNLOADED : bool
        Whether the files are the official archives, which are downloaded if they are missing.
    IS_LINKED : bool
        Whether class folders are links to what is there, and not copies of it.
    """

    INDEX_SUFFIX: str
    IS_DOWNLOADED: bool
    IS_LINKED: bool

    def has_images(self, paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
        """Tell whether the images of a split are there in this layout."""

    def find_images(
        self, paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress
    ) -> list[ImageLocation]:
        """Return where each image of a split lies. Raises `ArchiveError` or `TableError`."""

    def annotations_path(self, paths: DataSetPaths, split: str) -> Path:
        """Return the file or folder that holds the annotations of a split."""

    def has_annotations(self, paths: DataSetPaths, split: str) -> bool:
        """Tell whether the annotations of a split are there in this layout."""

    def read_annotations(self, paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
        """Yield the annotations of a split. Raises `ArchiveError` or `TableError`."""


LAYOUTS: dict[str, Layout] = {
    "official archives": official,
    "class folders": class_folders,
    "folders of the source": source_folders,
}
"""By a name for people; if images are there in several layouts, the first counts."""


def layout_of_images(paths: DataSetPaths, split: str, tables: LabelTables) -> Layout:
    """Return the layout that the images of a split are to be indexed in.

    One that was indexed stays, as long as its images are there. The official archive counts also if it was deleted
    after it was indexed, if a repair has removed it, or if there is nothing yet.
    """
    if paths.quarantine(IMAGE_ARCHIVES[split]).exists():
        return official
    indexed = [layout for layout in LAYOUTS.values() if paths.index(split, layout.INDEX_SUFFIX).exists()]
    if official in indexed:
        return official
    candidates = [*indexed, *LAYOUTS.values()]
    return next((layout for layout in candidates if layout.has_images(paths, split, tables)), official)


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    """Tell whether the images of a split can be read without downloading anything.

    Of an archive that was indexed, those that were extracted from it will do.
    """
    if layout_of_images(paths, split, tables) is not official:
        return True
    return any(layout.has_images(paths, split, tables) for layout in (official, class_folders))


def layout_of_annotations(paths: DataSetPaths, split: str) -> Layout:
    """Return the layout that the annotations are to be read in: the official archive if there are none yet."""
    return next((layout for layout in LAYOUTS.values() if layout.has_annotations(paths, split)), official)

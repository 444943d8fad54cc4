"""Folders of the source, read where they lie.

As soon as the images of a split are indexed in the source, the build has a symbolic link to their folder,
``ilsvrc2012/index/source-<split>``. So the index holds paths below ``ilsvrc2012``, which stay right if the source is
moved.
"""

from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts import sources
from luigi_ilsvrc.layouts.class_folders import index_train, index_validation, read_folder
from luigi_ilsvrc.layouts.index import ImageLocation, read_whole_index
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.publish import replace_link

# The layout, see `layouts.table.Layout` ----------------------------------------------------------------

INDEX_SUFFIX = "-source"
IS_DOWNLOADED = False
IS_LINKED = True


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    """Tell whether the source has a folder of the images of a split, or had it when they were indexed."""
    return paths.source_link(split).is_symlink() or _place(paths, sources.IMAGES[split]) is not None


def find_images(
    paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find the images of a split in their folder; see `class_folders.index_train` and `index_validation`."""
    return _find(paths, folder_of_images(paths, split), split, tables, progress)


def annotations_path(paths: DataSetPaths, split: str) -> Path:
    """Return the folder of annotations. Raises `SourceError` if there is none."""
    part = sources.ANNOTATIONS[split]
    place = _place(paths, part)
    if place is None:
        raise sources.missing(paths.source or paths.data_dir, part)
    return place


def has_annotations(paths: DataSetPaths, split: str) -> bool:
    """Tell whether the source has a folder of annotations."""
    return _place(paths, sources.ANNOTATIONS[split]) is not None


def read_annotations(paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
    """Yield the annotations; see `class_folders.read_folder`."""
    return read_folder(annotations_path(paths, split), split, tables)


# The source ----------------------------------------------------------------


def _place(paths: DataSetPaths, part: sources.Part) -> Path | None:
    """Return the folder of a part in the source, if it is read where it lies."""
    if paths.source is None:
        return None
    found = sources.find(paths.source, part, paths.dataset)
    return found.path if found is not None and found.is_read_in_place else None


def folder_of_images(paths: DataSetPaths, split: str) -> Path:
    """Return the folder of a split's images: that in the source of this run, or else the one that was indexed.

    Raises `SourceError` if it is gone.
    """
    place = _place(paths, sources.IMAGES[split])
    return _linked(paths, split) if place is None else place


def _linked(paths: DataSetPaths, split: str) -> Path:
    link = paths.source_link(split)
    if not link.is_dir():
        gone = link.readlink() if link.is_symlink() else link
        raise sources.SourceError(
            f"{gone}: {paths.data_dir} was begun with this folder of its source, and it is gone. Mount or restore it, "
            "or give the --source that has it now"
        )
    return link.readlink()


def _find(
    paths: DataSetPaths, folder: Path, split: str, tables: LabelTables, progress: Progress
) -> list[ImageLocation]:
    name = str(paths.source_link(split).relative_to(paths.dataset))
    if split == TRAIN:
        return index_train(folder, tables.synsets(), progress, name)
    return index_validation(folder, tables.validation_labels(), tables.validation_synset_labels, progress, name)


# The links ----------------------------------------------------------------


def source_links(paths: DataSetPaths) -> list[Path]:
    """Return the links that a build may have."""
    return [paths.source_link(split) for split in SPLITS]


def link_images(paths: DataSetPaths, split: str, folder: Path) -> None:
    """Link to the folder that the images of a split were indexed in. Raises OSError."""
    replace_link(paths.source_link(split), str(folder))


def follow_source(paths: DataSetPaths, tables: LabelTables) -> None:
    """Link to the folders of the source of this run, if it has what was indexed in another one.

    Raises
    ------
    SourceError
        If the source of this run has other images than those that were indexed.
    OSError
        If a link cannot be made.
    """
    for split in SPLITS:
        link, folder = paths.source_link(split), _place(paths, sources.IMAGES[split])
        is_indexed = paths.index(split, INDEX_SUFFIX).exists()
        if is_indexed and folder is not None and not (link.is_symlink() and link.readlink() == folder):
            _check_same(paths, split, folder, tables)
            link_images(paths, split, folder)


def check_there(paths: DataSetPaths) -> None:
    """Raise `SourceError` if the images of a split were indexed in a folder that is gone."""
    for split in SPLITS:
        if paths.index(split, INDEX_SUFFIX).exists():
            _linked(paths, split)


def _check_same(paths: DataSetPaths, split: str, folder: Path, tables: LabelTables) -> None:
    indexed = set(read_whole_index(paths.index(split, INDEX_SUFFIX), tables.synsets()))
    others = indexed.symmetric_difference(_find(paths, folder, split, tables, no_progress))
    if others:
        raise sources.SourceError(
            f"{folder}: its images are not those that {paths.data_dir} was begun with; {len(others):,} differ in name, "
            f"folder or size, such as {min(others).name}: nothing is mixed. Use the source it was begun with, or "
            "another --data-dir"
        )

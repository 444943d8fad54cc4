"""Folders of the source, read where they lie.

A build has a symbolic link to each, ``ilsvrc2012/index/source-<part>``. So an index holds paths below ``ilsvrc2012``
that stay right if the source is moved.
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
    """Tell whether the source has a folder of the images of a split, or had it: then it is not to be downloaded."""
    return _link(paths, sources.IMAGES[split]).is_symlink()


def find_images(
    paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find the images of a split in its folder; see `class_folders.index_train` and `index_validation`."""
    link = _link(paths, sources.IMAGES[split])
    return _find(link.resolve(), str(link.relative_to(paths.dataset)), split, tables, progress)


def annotations_path(paths: DataSetPaths, split: str) -> Path:
    """Return the folder of annotations."""
    return _link(paths, sources.ANNOTATIONS[split])


def has_annotations(paths: DataSetPaths, split: str) -> bool:
    """Tell whether the source has a folder of annotations, or had it."""
    return annotations_path(paths, split).is_symlink()


def read_annotations(paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
    """Yield the annotations; see `class_folders.read_folder`."""
    return read_folder(annotations_path(paths, split).resolve(), split, tables)


def _find(folder: Path, name: str, split: str, tables: LabelTables, progress: Progress) -> list[ImageLocation]:
    if split == TRAIN:
        return index_train(folder, tables.synsets(), progress, name)
    return index_validation(folder, tables.validation_labels(), tables.validation_synset_labels, progress, name)


# The links ----------------------------------------------------------------


def source_links(paths: DataSetPaths) -> list[Path]:
    """Return the links that a build may have."""
    return [_link(paths, part) for part in sources.PARTS]


def _link(paths: DataSetPaths, part: sources.Part) -> Path:
    return paths.source_link(part.name)


def link_folders(paths: DataSetPaths, folder: Path, tables: LabelTables) -> None:
    """Link to what a source folder has that is read where it lies.

    Where it lies may change from run to run. The images may not, once they were indexed.

    Raises
    ------
    SourceError
        If the folder cannot be read, or has other images than those that were indexed.
    OSError
        If a link cannot be made.
    """
    for part in sources.PARTS:
        found = sources.find(folder, part)
        link = _link(paths, part)
        if found is None or not found.is_read_in_place or (link.is_symlink() and link.readlink() == found.path):
            continue
        if link.is_symlink() and part.name in SPLITS:
            _check_same(paths, part.name, found.path, tables)
        replace_link(link, str(found.path))


def check_links(paths: DataSetPaths) -> None:
    """Raise `SourceError` if a folder of the source that was read in place is gone."""
    for link in source_links(paths):
        if link.is_symlink() and not link.is_dir():
            raise sources.SourceError(
                f"{link.readlink()}: {paths.data_dir} was begun with this folder of its source, and it is gone. Mount "
                "or restore it, or give the --source that has it now"
            )


def _check_same(paths: DataSetPaths, split: str, folder: Path, tables: LabelTables) -> None:
    index = paths.index(split, INDEX_SUFFIX)
    if not index.exists():
        return
    name = str(paths.source_link(split).relative_to(paths.dataset))
    indexed = set(read_whole_index(index, tables.synsets()))
    others = indexed.symmetric_difference(_find(folder, name, split, tables, no_progress))
    if others:
        raise sources.SourceError(
            f"{folder}: its images are not those that {paths.data_dir} was begun with; {len(others):,} differ in name, "
            f"folder or size, such as {min(others).name}: nothing is mixed. Use the source it was begun with, or "
            "another --data-dir"
        )

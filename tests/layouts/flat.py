"""A layout of the tests' own: all images of a split in one folder, ``<synset>+<image>``, all annotations in another."""

from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.progress import Progress

NAME = "flat folders"
INDEX_SUFFIX = "-flat"
IS_DOWNLOADED = False
IS_LINKED = False


def folder(paths: DataSetPaths, contents: str) -> Path:
    """Return the folder of ``train`` or ``validation`` images, or of ``train-annotations``."""
    return paths.dataset / "flat" / contents


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    return folder(paths, split).is_dir()


def find_images(paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress) -> list[ImageLocation]:
    found = []
    for path in folder(paths, split).iterdir():
        synset, _, name = path.name.partition("+")
        found.append(ImageLocation(name, synset, str(path.relative_to(paths.dataset)), 0, path.stat().st_size))
    return found


def annotations_path(paths: DataSetPaths, split: str) -> Path:
    return folder(paths, f"{split}-annotations")


def has_annotations(paths: DataSetPaths, split: str) -> bool:
    return annotations_path(paths, split).is_dir()


def read_annotations(paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
    for path in annotations_path(paths, split).iterdir():
        synset, _, image = path.stem.partition("+")
        yield Annotation(synset, image, path.read_bytes())

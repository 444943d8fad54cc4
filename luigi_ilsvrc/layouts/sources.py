"""What a source folder holds: archives, folders of images, folders of annotations, in any of the forms that we know."""

from pathlib import Path
from typing import NamedTuple, Protocol

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts import class_folders, kaggle, official, parquet


class SourceError(BuildError):
    """A source does not hold what is to be built from it."""


class Form(Protocol):
    """What a module of this package offers for a form of source folders.

    Attributes
    ----------
    IS_READ_IN_PLACE : bool
        Whether images and annotations are folders, which are read where they lie. If not, the archives are made or
        linked from what is found.
    """

    IS_READ_IN_PLACE: bool

    def images(self, split: str) -> list[str]:
        """Return where the images of a split may lie, below a source folder."""

    def annotations(self, split: str) -> list[str]:
        """Return where the annotations of a split may lie, below a source folder."""

    def is_recognised(self, path: Path) -> bool:
        """Tell whether one of these places holds what it has to. Raises OSError if it cannot be read."""


FORMS: dict[str, Form] = {
    "official archives": official,
    "Kaggle's tree": kaggle,
    "class folders": class_folders,
    "Hugging Face's parquet": parquet,
}
"""By a name for people; of each part, the first form that has it counts."""


class Part(NamedTuple):
    """A part of a data set that a source may have: images, or else annotations, of a split.

    Attributes
    ----------
    title : str
        For people.
    split : str
        The split.
    of_images : bool
        Whether it is images.
    without : str
        What to do if there are none, after other advice.
    """

    title: str
    split: str
    of_images: bool
    without: str = ""

    def places(self, form: Form) -> list[str]:
        """Return where the part may lie in a form of source folders."""
        return form.images(self.split) if self.of_images else form.annotations(self.split)


IMAGES = {
    TRAIN: Part("training images", TRAIN, of_images=True),
    VALIDATION: Part("validation images", VALIDATION, of_images=True),
}
ANNOTATIONS = {
    TRAIN: Part(
        *("annotations of training images", TRAIN),
        of_images=False,
        without=", or build without boxes (--bounding-boxes false)",
    ),
    VALIDATION: Part(
        *("annotations of validation images", VALIDATION),
        of_images=False,
        without=", or build without --validation-boxes true",
    ),
}
PARTS = (*IMAGES.values(), *ANNOTATIONS.values())


class Found(NamedTuple):
    """Where a part lies in a source folder, and the name of its form."""

    form: str
    path: Path

    @property
    def is_read_in_place(self) -> bool:
        """Whether it is a folder that is read where it lies."""
        return FORMS[self.form].IS_READ_IN_PLACE


def find(folder: Path, part: Part, dataset: Path | None = None) -> Found | None:
    """Return where a part lies in a source folder; None if it does not hold it.

    What lies in `dataset`, the build's own folder, is not of the source.

    Raises
    ------
    SourceError
        If a place cannot be read.
    """
    for name, form in FORMS.items():
        for place in part.places(form):
            path = folder / place
            try:
                if form.is_recognised(path) and not _is_below(path, dataset):
                    return Found(name, path)
            except OSError as error:
                raise SourceError(
                    f"{path}: the source cannot be read: {error.strerror}; make it readable, or give another --source"
                ) from error
    return None


def _is_below(path: Path, dataset: Path | None) -> bool:
    return dataset is not None and path.resolve().is_relative_to(dataset.resolve())


def parquet_files(folder: Path, split: str) -> list[Path]:
    """Return Hugging Face's files of a split if they are what a source folder has of it; see `parquet.find_files`."""
    found = find(folder, IMAGES[split])
    is_parquet = found is not None and FORMS[found.form] is parquet
    return parquet.find_files(folder, split) if is_parquet else []


def describe(folder: Path, dataset: Path | None = None) -> list[str]:
    """Return a line for each part that a source folder holds; see `find`. Raises `SourceError`."""
    found = {part.title: find(folder, part, dataset) for part in PARTS}
    return [f"{title}: {it.path} ({it.form})" for title, it in found.items() if it is not None]


def missing(folder: Path, part: Part) -> SourceError:
    """Return the error that says that a source folder lacks a part, and where it was looked for."""
    places = [place for form in FORMS.values() for place in part.places(form)]
    if not folder.is_dir():
        return SourceError(f"{folder}: there is no such folder, or it may not be read; give another --source")
    return SourceError(
        f"{folder}: there are no {part.title}. They were looked for as {', '.join(places)}: none of these is there, or "
        f"none holds what its name says. Put them there, or give another --source{part.without}"
    )


def supplied_tables(folder: Path) -> dict[str, Path]:
    """Return the label tables that a source folder holds, by their official names: under these, or Kaggle's own."""
    names = (UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS, SYNSET_ENGLISH_KEY)
    candidates = [{name: folder / name for name in names}, kaggle.tables(folder)]
    found = {name: next((files[name] for files in candidates if files[name].is_file()), None) for name in names}
    return {name: path for name, path in found.items() if path is not None}

"""Kaggle's copy of ILSVRC: the tree of its competition "ImageNet Object Localization Challenge".

https://www.kaggle.com/competitions/imagenet-object-localization-challenge/data: ``ILSVRC/Data/CLS-LOC/train`` has class
folders, ``ILSVRC/Data/CLS-LOC/val`` has images in no folders, ``ILSVRC/Annotations/CLS-LOC`` has the same of
annotations. The label tables lie beside ``ILSVRC``.
"""

from pathlib import Path

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.layouts import class_folders

_ROOTS = ("ILSVRC", "")
_FOLDERS = {TRAIN: "train", VALIDATION: "val"}
_MAPPING = "LOC_synset_mapping.txt"
_TABLES = {
    UNIQUE_SYNSETS: _MAPPING,
    SYNSET_ENGLISH_KEY: _MAPPING,
    VALIDATION_SYNSET_LABELS: "LOC_val_solution.csv",
}

# The form of a source, see `layouts.sources.Form` ----------------------------------------------------------------

IS_READ_IN_PLACE = True
is_recognised = class_folders.is_recognised


def images(split: str) -> list[str]:
    """Return where the images of a split lie, below ``ILSVRC`` or the folder that holds it."""
    return [str(Path(root, "Data/CLS-LOC", _FOLDERS[split])) for root in _ROOTS]


def annotations(split: str) -> list[str]:
    """Return where the annotations of a split lie, below ``ILSVRC`` or the folder that holds it."""
    return [str(Path(root, "Annotations/CLS-LOC", _FOLDERS[split])) for root in _ROOTS]


# The label tables ----------------------------------------------------------------


def tables(folder: Path) -> dict[str, Path]:
    """Return Kaggle's files in place of label tables, by their official names; `dataset.synsets` reads both."""
    beside = folder.parent if (folder / "Data/CLS-LOC").is_dir() else folder
    return {name: beside / file for name, file in _TABLES.items()}

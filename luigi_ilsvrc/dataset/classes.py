"""The table of classes: ``label,index,synset,words,train_images,validation_images``."""

import csv
from collections.abc import Mapping
from pathlib import Path

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION

COLUMNS = ("label", "index", "synset", "words", "train_images", "validation_images")
"""The label counts from 1, as in the records; the index from 0, as torchvision and most networks count."""


def write_classes(words: Mapping[str, str], counts: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Write a row for each class, with a header.

    Parameters
    ----------
    words : mapping
        The English words of each synset, in the order of the labels.
    counts : mapping
        How many images each synset has, by split.
    path : Path
        The file.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for index, (synset, text) in enumerate(words.items()):
            writer.writerow((index + 1, index, synset, text, counts[TRAIN][synset], counts[VALIDATION][synset]))

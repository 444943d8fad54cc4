"""The label tables of a miniature: lines of the challenge's own tables."""

import random
from collections.abc import Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    read_class_names,
    read_synsets,
)
from luigi_ilsvrc.miniature.directory import save_lines
from luigi_ilsvrc.miniature.images import DISGUISED_PNG


def choose_synsets(count: int, seed: int) -> list[str]:
    """Return `count` synsets of the challenge in the order of its table; that of `DISGUISED_PNG` is one of them."""
    required = DISGUISED_PNG.partition("_")[0]
    others = [synset for synset in read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS) if synset != required]
    return sorted([required, *random.Random(f"{seed} synsets").sample(others, count - 1)])


def choose_validation_labels(synsets: Sequence[str], count: int, seed: int) -> list[str]:
    """Return the synset of each validation image: as many of each as possible, in random order."""
    labels = [synsets[number % len(synsets)] for number in range(count)]
    random.Random(f"{seed} validation labels").shuffle(labels)
    return labels


def save_tables(directory: Path, synsets: Sequence[str], validation_labels: Sequence[str]) -> None:
    """Write the three label tables to `directory`."""
    class_names = read_class_names(PACKAGED_TABLES / SYNSET_ENGLISH_KEY, synsets)
    save_lines(directory / UNIQUE_SYNSETS, synsets)
    save_lines(directory / VALIDATION_SYNSET_LABELS, validation_labels)
    save_lines(directory / SYNSET_ENGLISH_KEY, (f"{synset}\t{name}" for synset, name in class_names.items()))

from collections import Counter
from pathlib import Path

from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    read_class_names,
    read_synsets,
    read_validation_labels,
)
from luigi_ilsvrc.miniature import DISGUISED_PNG
from luigi_ilsvrc.miniature.tables import choose_synsets
from tests.miniature.reading import SYNSETS, VALIDATION_IMAGES


def test_the_tables_are_those_of_the_challenge_for_fewer_synsets(small: Path) -> None:
    synsets = read_synsets(small / UNIQUE_SYNSETS)
    assert len(synsets) == SYNSETS
    assert synsets == sorted(synsets)
    assert set(synsets) <= set(read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS))
    assert read_class_names(small / SYNSET_ENGLISH_KEY, synsets) == read_class_names(
        PACKAGED_TABLES / SYNSET_ENGLISH_KEY, synsets
    )


def test_the_synset_of_the_png_is_always_chosen() -> None:
    assert all(choose_synsets(1, seed) == [DISGUISED_PNG.partition("_")[0]] for seed in range(3))


def test_validation_labels_are_spread_evenly(small: Path) -> None:
    labels = read_validation_labels(small / VALIDATION_SYNSET_LABELS, read_synsets(small / UNIQUE_SYNSETS))
    assert set(Counter(labels).values()) == {VALIDATION_IMAGES // SYNSETS}
    assert labels != sorted(labels)

from collections import Counter

import pytest

from luigi_ilsvrc.miniature import FULL, MiniatureError
from luigi_ilsvrc.miniature.counts import Counts, check_counts, images_per_synset


@pytest.mark.parametrize(
    ("counts", "facts"),
    [
        (Counts(0, 20, 4, 8), ["synsets is 0", "1 to 1000"]),
        (Counts(1001, 2000, 2000, 8), ["synsets is 1001", "1 to 1000"]),
        (Counts(5, 4, 5, 1), ["train_images is 4", "5 synsets"]),
        (Counts(5, 20, 4, 8), ["validation_images is 4", "5 synsets"]),
        (Counts(2, 20, 4, 21), ["xml_files is 21", "1 to 20"]),
        (Counts(2, 20, 4, 0), ["xml_files is 0", "1 to 20"]),
    ],
)
def test_an_impossible_count_is_an_error_that_names_it(counts: Counts, facts: list[str]) -> None:
    with pytest.raises(MiniatureError) as raised:
        check_counts(counts)
    assert all(fact in str(raised.value) for fact in facts)


@pytest.mark.parametrize("counts", [Counts(1, 1, 1, 1), Counts(1000, 1000, 1000, 1000)])
def test_the_smallest_counts_are_possible(counts: Counts) -> None:
    check_counts(counts)


def test_the_full_count_is_possible() -> None:
    check_counts(Counts(**{name: value for name, value in FULL.items() if name != "tiny"}))


def test_the_full_count_has_synsets_of_732_to_1300_images() -> None:
    counts = images_per_synset(1000, 1_281_167, seed=1)
    assert (len(counts), sum(counts), min(counts), max(counts)) == (1000, 1_281_167, 732, 1300)
    assert Counter(counts)[1300] > 850


@pytest.mark.parametrize(("synsets", "images"), [(1, 1), (1, 7), (3, 3), (3, 4), (10, 400), (7, 1000), (1000, 1999)])
def test_any_count_of_images_is_divided_among_the_synsets(synsets: int, images: int) -> None:
    counts = images_per_synset(synsets, images, seed=1)
    assert (len(counts), sum(counts)) == (synsets, images)
    assert min(counts) >= 1

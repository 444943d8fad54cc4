from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.synsets import TableError
from luigi_ilsvrc.layouts.image_names import ANNOTATION, check_images, check_train_images, validation_numbers
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError


def location(name: str, size: int = 1) -> ImageLocation:
    return ImageLocation(name, "n01440764", "training_images.tar", 0, size)


def validation_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}.JPEG"


def test_images_without_a_fault_are_returned_as_they_are() -> None:
    images = [location("n01440764_2.JPEG"), location("n01440764_1.JPEG")]
    assert check_train_images(images, "here") == images


@pytest.mark.parametrize("name", ["n01440764_1.jpeg", "n01440764_.JPEG", "n0144076_1.JPEG", "n01440764_1.JPEG.txt", ""])
def test_a_training_image_of_another_name_is_refused_with_its_place(name: str) -> None:
    with pytest.raises(ArchiveError, match=f"^here: '{name}' "):
        check_train_images([location(name)], "here")


@pytest.mark.parametrize("images", [[], [location("a", 0)], [location("a"), location("b"), location("a")]])
def test_no_images_an_empty_one_and_one_twice_are_refused_with_their_place(images: list[ImageLocation]) -> None:
    with pytest.raises(ArchiveError, match="^here: "):
        check_images(images, "here")


@given(st.permutations(range(1, 8)))
def test_the_number_of_a_validation_image_is_that_of_its_name(numbers: list[int]) -> None:
    names = map(validation_name, numbers)
    assert validation_numbers(names, len(numbers), Path("images"), Path("table")) == numbers


@pytest.mark.parametrize("labels", [0, 2, 4])
def test_another_number_of_labels_than_images_is_refused_with_both(labels: int) -> None:
    with pytest.raises(TableError, match=f"^table:{labels}: .* {labels} .*images.* 3 "):
        validation_numbers(map(validation_name, (1, 2, 3)), labels, Path("images"), Path("table"))


@pytest.mark.parametrize("number", [0, 4, 99_999_999])
def test_a_number_outside_the_table_is_refused(number: int) -> None:
    with pytest.raises(ArchiveError, match=f"{validation_name(number)}.*table.* {number}$"):
        validation_numbers(map(validation_name, (1, 2, number)), 3, Path("images"), Path("table"))


@pytest.mark.parametrize("path", ["n01440764/n01440764_10.xml", "./n01440764/n01440764_10.xml"])
def test_the_path_of_an_annotation_gives_synset_and_image(path: str) -> None:
    match = ANNOTATION.fullmatch(path)
    assert match is not None
    assert match.groups() == ("n01440764", "n01440764_10")


@pytest.mark.parametrize("path", ["n01440764_10.xml", "../n01440764_10.xml", "n01440764/n01440764_10.xml.partial"])
def test_another_path_is_not_that_of_an_annotation(path: str) -> None:
    assert not ANNOTATION.fullmatch(path)

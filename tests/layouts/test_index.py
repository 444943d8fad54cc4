import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.layouts.index import (
    FIELDS,
    ImageLocation,
    index_file,
    parse_location,
    read_index,
    read_rows,
    read_whole_index,
    write_index,
)
from luigi_ilsvrc.layouts.tar import ArchiveError
from tests.layouts.archives import SYNSETS

LOCATIONS = [
    ImageLocation("n01443537_22.JPEG", "n01443537", "training_images.tar", 1536, 1200),
    ImageLocation("n01440764_10.JPEG", "n01440764", "training_images.tar", 9728, 5),
    ImageLocation("n01443537_3.JPEG", "n01443537", "training_images/n01443537/n01443537_3.JPEG", 0, 4),
]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    write_index(LOCATIONS, SYNSETS, tmp_path)
    return tmp_path


def test_an_index_has_a_file_for_each_synset(index: Path) -> None:
    assert sorted(path.name for path in index.iterdir()) == sorted(map(index_file, SYNSETS))


def test_an_index_is_read_back_as_written_and_sorted(index: Path) -> None:
    assert [image for synset in SYNSETS for image in read_index(index, synset)] == sorted(LOCATIONS)


def test_a_whole_index_is_read_synset_by_synset(index: Path) -> None:
    assert [image.synset for image in read_whole_index(index, reversed(SYNSETS))] == [
        "n01443537",
        "n01443537",
        "n01440764",
    ]


def test_a_synset_without_images_has_an_empty_file(tmp_path: Path) -> None:
    write_index([], SYNSETS, tmp_path)
    assert read_index(tmp_path, SYNSETS[0]) == []


def test_a_synset_that_was_not_indexed_is_named(index: Path) -> None:
    with pytest.raises(ArchiveError, match=f"{index}: n02105855"):
        read_index(index, "n02105855")


def test_rows_are_those_of_the_file_with_the_name_of_their_image(index: Path) -> None:
    rows = read_rows(index, "n01443537")
    assert [name for name, _ in rows] == ["n01443537_22.JPEG", "n01443537_3.JPEG"]
    parsed = [parse_location(dict(zip(FIELDS, next(csv.reader([row])), strict=True))) for _, row in rows]
    assert parsed == read_index(index, "n01443537")


@given(offset=st.integers(0, 2**60), size=st.integers(0, 2**40))
def test_any_offset_and_size_are_kept(tmp_path_factory: pytest.TempPathFactory, offset: int, size: int) -> None:
    directory = tmp_path_factory.mktemp("index")
    location = ImageLocation("a", "n01440764", "training_images.tar", offset, size)
    write_index([location], SYNSETS, directory)
    assert read_index(directory, "n01440764") == [location]

from pathlib import Path

import pytest

from luigi_ilsvrc.storage.details import read_details, write_details
from luigi_ilsvrc.storage.trailer import DamagedFileError

LINES = "image,height\nn01440764_1.JPEG,375\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "details" / "shard.csv"
    write_details(path, LINES)
    return path


def test_details_are_read_as_they_were_written(path: Path) -> None:
    assert read_details(path) == LINES


def test_details_of_an_earlier_output_are_replaced(path: Path) -> None:
    write_details(path, "image\n")
    assert read_details(path) == "image\n"


def test_details_that_were_cut_anywhere_are_damaged(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedFileError, match="damaged"):
            read_details(path)


def test_every_changed_byte_is_found(path: Path) -> None:
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(DamagedFileError, match="damaged"):
            read_details(path)


def test_missing_details_are_named(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="none.csv is missing"):
        read_details(tmp_path / "none.csv")

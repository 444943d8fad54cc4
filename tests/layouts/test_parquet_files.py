"""Which parquet files a folder has, by their names."""

from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.layouts.parquet import find_files
from luigi_ilsvrc.layouts.tar import ArchiveError

HASH = "-0a1b2c3d4e5f6071"


def touch(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


@pytest.mark.parametrize("place", ["", "data"])
@pytest.mark.parametrize("ending", ["", HASH])
def test_the_files_of_a_split_are_found_in_order(tmp_path: Path, place: str, ending: str) -> None:
    names = [f"train-{number:05}-of-00003{ending}.parquet" for number in range(3)]
    files = touch(tmp_path / place, *names)
    touch(tmp_path / place, "validation-00000-of-00001.parquet", "test-00000-of-00028.parquet", "README.md")
    assert find_files(tmp_path, TRAIN) == files
    assert find_files(tmp_path, VALIDATION) == [tmp_path / place / "validation-00000-of-00001.parquet"]


def test_files_of_other_names_are_taken_as_they_are(tmp_path: Path) -> None:
    files = touch(tmp_path, "train-a.parquet", "train-b.parquet")
    assert find_files(tmp_path, TRAIN) == files


def test_a_folder_without_such_files_and_none_at_all_have_none(tmp_path: Path) -> None:
    touch(tmp_path, "ILSVRC2012_img_train.tar", "trainer.parquet", "data")
    for folder in (tmp_path, tmp_path / "missing"):
        assert [find_files(folder, split) for split in SPLITS] == [[], []]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "data", "train-00000-of-00004.parquet", "train-00002-of-00004.parquet")
    with pytest.raises(ArchiveError) as raised:
        find_files(tmp_path, TRAIN)
    assert str(raised.value) == (
        f"{tmp_path}/data: train-00001-of-00004.parquet is missing, one of 2 of 4 files; download the rest"
    )


@pytest.mark.parametrize(
    "other",
    ["train-00000-of-00002.parquet", f"train-00000-of-00001{HASH}.parquet", "train-a.parquet"],
    ids=["count", "twice", "name"],
)
def test_files_of_several_copies_are_refused(tmp_path: Path, other: str) -> None:
    touch(tmp_path, "train-00000-of-00001.parquet", other)
    with pytest.raises(ArchiveError, match=f"^{tmp_path}: train-0.* and train-.* several copies .* keep the files of"):
        find_files(tmp_path, TRAIN)

import re
from pathlib import Path

import pytest

from luigi_ilsvrc.datasets import DatasetError
from luigi_ilsvrc.datasets.shards import find_shards
from luigi_ilsvrc.formats.tfrecord import shard_name
from tests.datasets.shards import touch_shards


def names(split: str, count: int) -> list[str]:
    return [shard_name(split, shard, count) for shard in range(count)]


@pytest.mark.parametrize("count", [1, 3, 16])
def test_all_shards_are_found_in_order_whatever_their_number(tmp_path: Path, count: int) -> None:
    touch_shards(tmp_path, *names("train", count))
    assert [path.name for path in find_shards(tmp_path, "train")] == names("train", count)


def test_the_shards_of_the_other_split_and_other_files_are_not_of_interest(tmp_path: Path) -> None:
    unfinished = "train-00000-of-00002.host-1-2-3.partial"
    touch_shards(tmp_path, *names("train", 2), *names("validation", 3), "features.json", unfinished)
    assert [path.name for path in find_shards(str(tmp_path), "validation")] == names("validation", 3)


def test_shards_are_found_in_another_folder(tmp_path: Path) -> None:
    records = touch_shards(tmp_path, *names("train", 2), folder="tfrecords-10percent")
    assert find_shards(tmp_path, "train", "tfrecords-10percent") == [records / name for name in names("train", 2)]


def error(data_dir: Path, split: str = "train", folder: str = "tfrecords") -> str:
    with pytest.raises(DatasetError) as caught:
        find_shards(data_dir, split, folder)
    [line] = str(caught.value).splitlines()
    return line


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    assert error(tmp_path / "none") == f"{tmp_path}/none: there is no build in this folder, which has no ilsvrc2012/"


def test_a_build_without_shards_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ilsvrc2012").mkdir()
    assert re.match(r".*/tfrecords: the shards cannot be read: No such file or directory; give", error(tmp_path))


def test_a_split_without_shards_is_an_error(tmp_path: Path) -> None:
    touch_shards(tmp_path, *names("train", 2))
    assert "/tfrecords: there are no validation shards; run BuildAll" in error(tmp_path, "validation")


def test_a_word_that_is_no_split_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert error(tmp_path, "val") == "split: 'val' is none of 'train', 'validation'"


def test_missing_shards_are_named_with_the_option_that_makes_them(tmp_path: Path) -> None:
    touch_shards(tmp_path, *(name for name in names("train", 16) if name not in (names("train", 16)[3:5])))
    assert "2 of 16 train shards are missing: train-00003-of-00016, train-00004-of-00016; run" in error(tmp_path)
    assert error(tmp_path).endswith("--train-shards 16")


def test_of_many_missing_shards_the_first_ten_are_named(tmp_path: Path) -> None:
    touch_shards(tmp_path, shard_name("train", 0, 1024))
    assert "1023 of 1024 train shards are missing" in error(tmp_path)
    assert "train-00010-of-01024 and 1013 more;" in error(tmp_path)


def test_shards_of_two_counts_are_refused(tmp_path: Path) -> None:
    touch_shards(tmp_path, *names("train", 2), *names("train", 4))
    assert "train shards of several builds, with 2, 4 shards; delete" in error(tmp_path)

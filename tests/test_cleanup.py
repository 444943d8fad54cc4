import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.cleanup import remove_unfinished, unfinished_outputs
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.download.partial_file import companion_files
from luigi_ilsvrc.storage.publish import new_file, new_folder, partial_path


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    return DataSetPaths(tmp_path)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    """What the module logs; `caplog` has nothing of it once Luigi's log has taken it over."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, collector = logging.getLogger("luigi_ilsvrc.cleanup"), Collector()
    logger.addHandler(collector)
    yield messages
    logger.removeHandler(collector)


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


# Outputs -------------------------------------------------------------------------------------------------------------


def test_unfinished_files_and_folders_are_removed(paths: DataSetPaths) -> None:
    file = touch(partial_path(paths.records("tfrecords") / "train-00000-of-00008"))
    folder = partial_path(paths.class_folders("train") / "n01440764")
    touch(folder / "n01440764_1.JPEG")
    remove_unfinished(paths)
    assert not file.exists()
    assert not folder.exists()


def test_finished_outputs_and_users_files_stay(paths: DataSetPaths) -> None:
    kept = [
        touch(paths.bounding_boxes),
        touch(paths.records("tfrecords") / "train-00000-of-00008"),
        touch(paths.records("tfrecords") / "mine.partial"),
        touch(paths.class_folders("train") / "n01440764" / "n01440764_1.JPEG"),
        touch(paths.data_dir / "thesis.partial"),
    ]
    remove_unfinished(paths)
    assert all(path.exists() for path in kept)


def test_a_file_that_a_process_is_writing_stays(paths: DataSetPaths) -> None:
    with new_file(paths.bounding_boxes) as path:
        assert list(unfinished_outputs(paths)) == [path]
        remove_unfinished(paths)
        assert path.exists()
    assert paths.bounding_boxes.exists()


def test_a_folder_that_a_process_is_writing_stays(paths: DataSetPaths) -> None:
    with new_folder(paths.annotations) as path:
        (path / "n01440764").mkdir()
        remove_unfinished(paths)
        assert (path / "n01440764").exists()


def test_a_link_in_the_place_of_an_unfinished_output_is_not_followed(
    paths: DataSetPaths, tmp_path: Path, warnings: list[str]
) -> None:
    other = touch(tmp_path / "elsewhere" / "file")
    link = partial_path(paths.annotations)
    link.parent.mkdir()
    link.symlink_to(other.parent)
    remove_unfinished(paths)
    assert other.exists()
    assert len(warnings) == 1
    assert str(link) in warnings[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove files from any folder")
def test_what_may_not_be_removed_is_logged_and_stays(paths: DataSetPaths, warnings: list[str]) -> None:
    path = touch(partial_path(paths.records("tfrecords") / "train-00000-of-00008"))
    path.parent.chmod(0o555)
    remove_unfinished(paths)
    path.parent.chmod(0o755)
    assert path.exists()
    assert str(path) in warnings[0]


def test_a_folder_without_a_build_is_left_as_it_is(paths: DataSetPaths) -> None:
    remove_unfinished(paths)
    assert os.listdir(paths.data_dir) == []


# Downloads -----------------------------------------------------------------------------------------------------------


def test_a_download_that_can_be_resumed_stays(paths: DataSetPaths) -> None:
    archive = paths.archive(TRAIN_ARCHIVE)
    kept = [touch(partial_path(archive)), *map(touch, companion_files(archive))]
    assert list(unfinished_outputs(paths)) == []
    remove_unfinished(paths)
    assert all(path.exists() for path in kept)


def test_all_that_a_download_left_beside_an_archive_that_is_there_is_removed(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    left = [touch(partial_path(archive)), *map(touch, companion_files(archive))]
    assert sorted(unfinished_outputs(paths)) == sorted(left)
    remove_unfinished(paths)
    assert os.listdir(paths.dataset) == [archive.name]


def test_the_record_of_a_partial_file_that_is_gone_is_removed_if_the_archive_is_there(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    for path in companion_files(archive):
        touch(path)
    remove_unfinished(paths)
    assert os.listdir(paths.dataset) == [archive.name]


def test_the_partial_file_of_a_download_that_is_still_going_on_stays(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    with new_file(archive) as partial:
        remove_unfinished(paths)
        assert partial.exists()


def test_one_archive_that_is_there_does_not_end_the_download_of_another(paths: DataSetPaths) -> None:
    touch(paths.archive(TRAIN_ARCHIVE))
    partial = touch(partial_path(paths.archive(VALIDATION_ARCHIVE)))
    remove_unfinished(paths)
    assert partial.exists()

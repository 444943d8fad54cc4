import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.cleanup import abandoned_outputs, remove_abandoned
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.download.partial_file import companion_files
from luigi_ilsvrc.storage.publish import new_file, new_folder
from luigi_ilsvrc.storage.temporary import partial_path
from tests.support.abandoned import left_by_a_dead_process, left_by_another_host

HOUR = 3600.0


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


def remove(paths: DataSetPaths) -> None:
    remove_abandoned(paths, max_age=HOUR)


def abandoned(paths: DataSetPaths) -> list[Path]:
    return sorted(abandoned_outputs(paths, max_age=HOUR))


# Outputs -------------------------------------------------------------------------------------------------------------


def test_files_and_folders_that_dead_processes_left_are_removed(paths: DataSetPaths) -> None:
    file = left_by_a_dead_process(paths.records("tfrecords") / "train-00000-of-00008")
    folder = left_by_a_dead_process(paths.class_folders("train") / "n01440764", is_folder=True)
    remove(paths)
    assert not file.exists()
    assert not folder.exists()


def test_finished_outputs_and_users_files_stay(paths: DataSetPaths) -> None:
    kept = [
        touch(paths.bounding_boxes),
        touch(paths.records("tfrecords") / "train-00000-of-00008"),
        touch(paths.records("tfrecords") / "mine.partial"),
        left_by_a_dead_process(paths.records("tfrecords") / "mine"),
        touch(paths.class_folders("train") / "n01440764" / "n01440764_1.JPEG"),
        touch(paths.data_dir / "thesis.partial"),
    ]
    remove(paths)
    assert all(path.exists() for path in kept)


def test_a_file_that_a_process_is_writing_stays(paths: DataSetPaths) -> None:
    with new_file(paths.bounding_boxes) as path:
        assert abandoned(paths) == []
        remove(paths)
        assert path.exists()
    assert paths.bounding_boxes.exists()


def test_a_folder_that_a_process_is_writing_stays(paths: DataSetPaths) -> None:
    with new_folder(paths.annotations) as path:
        (path / "n01440764").mkdir()
        remove(paths)
        assert (path / "n01440764").exists()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_another_host_left_is_removed_when_it_is_old(paths: DataSetPaths, is_folder: bool) -> None:
    output = paths.class_folders("train") / "n01440764"
    old = left_by_another_host(output, 2 * HOUR, is_folder=is_folder)
    new = left_by_another_host(output, HOUR / 2, is_folder=is_folder)
    assert abandoned(paths) == [old]
    remove(paths)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_link_in_the_place_of_an_unfinished_output_is_removed_and_not_followed(
    paths: DataSetPaths, tmp_path: Path
) -> None:
    other = touch(tmp_path / "elsewhere" / "file")
    link = left_by_a_dead_process(paths.annotations)
    link.unlink()
    link.symlink_to(other.parent)
    remove(paths)
    assert other.exists()
    assert not link.is_symlink()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove files from any folder")
def test_what_may_not_be_removed_is_logged_and_stays(paths: DataSetPaths, warnings: list[str]) -> None:
    path = left_by_a_dead_process(paths.records("tfrecords") / "train-00000-of-00008")
    path.parent.chmod(0o555)
    remove(paths)
    path.parent.chmod(0o755)
    assert path.exists()
    assert str(path) in warnings[0]


def test_a_folder_without_a_build_is_left_as_it_is(paths: DataSetPaths) -> None:
    remove(paths)
    assert os.listdir(paths.data_dir) == []


# Downloads -----------------------------------------------------------------------------------------------------------


def test_a_download_that_can_be_resumed_stays(paths: DataSetPaths) -> None:
    archive = paths.archive(TRAIN_ARCHIVE)
    kept = [touch(partial_path(archive)), *map(touch, companion_files(archive))]
    assert abandoned(paths) == []
    remove(paths)
    assert all(path.exists() for path in kept)


def test_all_that_a_download_left_beside_an_archive_that_is_there_is_removed(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    left = [touch(partial_path(archive)), *map(touch, companion_files(archive))]
    assert abandoned(paths) == sorted(left)
    remove(paths)
    assert os.listdir(paths.dataset) == [archive.name]


def test_the_record_of_a_partial_file_that_is_gone_is_removed_if_the_archive_is_there(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    for path in companion_files(archive):
        touch(path)
    remove(paths)
    assert os.listdir(paths.dataset) == [archive.name]


def test_the_partial_file_of_a_download_that_is_still_going_on_stays(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE))
    with touch(partial_path(archive)).open() as partial:
        fcntl.flock(partial, fcntl.LOCK_EX)
        remove(paths)
        assert partial_path(archive).exists()


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks."""

    def raise_error(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", raise_error)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_what_is_left_beside_an_archive_that_is_there_is_removed_when_it_is_old(
    paths: DataSetPaths,
) -> None:
    partial = touch(partial_path(touch(paths.archive(TRAIN_ARCHIVE))))
    assert abandoned(paths) == []
    os.utime(partial, (0, 0))
    remove(paths)
    assert not partial.exists()


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_files_that_stand_for_them_are_removed(paths: DataSetPaths) -> None:
    lock = touch(paths.lock(paths.bounding_boxes))
    remove(paths)
    assert not lock.exists()


def test_one_archive_that_is_there_does_not_end_the_download_of_another(paths: DataSetPaths) -> None:
    touch(paths.archive(TRAIN_ARCHIVE))
    partial = touch(partial_path(paths.archive(VALIDATION_ARCHIVE)))
    remove(paths)
    assert partial.exists()

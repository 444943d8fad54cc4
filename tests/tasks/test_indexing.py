"""The index of an archive that was read for its MD5 sum: the archive is not read for it again."""

import os
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from tests.support.in_process import run

SPLITS = pytest.mark.parametrize(
    ("download", "index"), [("DownloadTrain", "train"), ("DownloadValidation", "validation")]
)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@SPLITS
def test_an_archive_that_is_linked_is_indexed_while_it_is_verified(
    ilsvrc: Path, built: Path, tmp_path: Path, download: str, index: str
) -> None:
    assert run(download, "--source", ilsvrc, "--data-dir", tmp_path).is_well
    parts = Path("ilsvrc2012", "index", index), Path("ilsvrc2012", "index", "manifests", "index", f"{index}.csv")
    assert contents(tmp_path / parts[0]) == contents(built / parts[0])
    assert (tmp_path / parts[1]).read_bytes() == (built / parts[1]).read_bytes()


@SPLITS
def test_an_archive_that_was_put_there_is_indexed_while_it_is_verified(
    ilsvrc: Path, built: Path, tmp_path: Path, download: str, index: str
) -> None:
    shutil.copytree(built / "ilsvrc2012", tmp_path / "ilsvrc2012", ignore=lambda *_: {"index"}, dirs_exist_ok=True)
    assert run(download, "--source", ilsvrc, "--data-dir", tmp_path).is_well
    folder = Path("ilsvrc2012", "index", index)
    assert contents(tmp_path / folder) == contents(built / folder)


def test_an_archive_of_another_sum_is_not_indexed(ilsvrc: Path, tmp_path: Path) -> None:
    source, data_dir = tmp_path / "source", tmp_path / "data"
    shutil.copytree(ilsvrc, source)
    with (source / TRAIN_ARCHIVE.name).open("r+b") as archive:
        archive.seek(-600, os.SEEK_END)
        archive.write(b"\0" * 10 + b"x")
    assert not run("DownloadTrain", "--source", source, "--data-dir", data_dir).is_well
    assert not (data_dir / "ilsvrc2012" / "index" / "train").exists()


def test_an_archive_without_a_known_sum_that_is_none_is_named_by_the_task_of_the_index(
    ilsvrc: Path, tmp_path: Path
) -> None:
    source, data_dir = tmp_path / "source", tmp_path / "data"
    shutil.copytree(ilsvrc, source, ignore=lambda *_: {"MD5SUMS"})
    os.truncate(source / TRAIN_ARCHIVE.name, 20_000)
    arguments = ("--source", source, "--data-dir", data_dir, "--checksums", "none")
    assert run("DownloadTrain", *arguments).is_well
    failed = run("IndexTrain", *arguments)
    assert failed.is_clear
    assert "truncated" in failed.output

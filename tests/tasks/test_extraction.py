"""What is extracted while the archive is verified, by whole commands."""

import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc import DownloadTrain, ExtractTrainAhead, TrainImages
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from tests.support.in_process import run
from tests.support.running import QUICK, contents

AHEAD = Path("ilsvrc2012", "index", "extracted_ahead.partial")


def test_what_is_extracted_before_the_archive_is_verified_is_not_in_its_place(ilsvrc: Path, tmp_path: Path) -> None:
    assert run("ExtractTrainAhead", "--source", ilsvrc, "--data-dir", tmp_path).is_well
    assert len(list((tmp_path / AHEAD).glob("n*/*.JPEG"))) == 90
    assert not (tmp_path / "ilsvrc2012" / "training_images").exists()
    assert not (tmp_path / "ilsvrc2012" / "training_images.tar").exists()


def test_a_build_takes_what_was_extracted_ahead(ilsvrc: Path, built_without_shards: Path, tmp_path: Path) -> None:
    where = ("--source", ilsvrc, "--data-dir", tmp_path)
    assert run("ExtractTrainAhead", *where).is_well
    extracted = {path.name: path.stat().st_ino for path in (tmp_path / AHEAD).glob("n*/*.JPEG")}
    assert run("BuildAll", *where, *QUICK).is_well
    images = (tmp_path / "ilsvrc2012" / "training_images").glob("n*/*.JPEG")
    assert {path.name: path.stat().st_ino for path in images} == extracted
    assert contents(tmp_path) == contents(built_without_shards)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_of_a_wrong_archive_is_left(ilsvrc: Path, tmp_path: Path, workers: int) -> None:
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    where = ("--source", source, "--data-dir", tmp_path / "data")
    with (source / TRAIN_ARCHIVE.name).open("r+b") as archive:
        archive.seek(2000)
        archive.write(b"x")
    assert run("ExtractTrainAhead", *where).is_well
    failed = run("BuildAll", *where, *QUICK, "--workers", workers)
    assert "MD5 sum" in failed.output
    assert not failed.is_well
    assert not (tmp_path / "data" / AHEAD).is_dir()
    assert not (tmp_path / "data" / "ilsvrc2012" / "training_images").exists()


@pytest.mark.parametrize("source", ["folder", "server"])
def test_images_are_extracted_ahead_only_from_an_archive_that_is_there(
    ilsvrc: Path, tmp_path: Path, source: str
) -> None:
    given = {"folder": str(ilsvrc), "server": "https://image-net.example"}[source]
    tables = {name: str(ilsvrc / f"{name}.txt") for name in ("unique_synsets", "validation_synset_labels")}
    families = [type(task) for task in TrainImages(data_dir=tmp_path, source=given, **tables).requires()]
    assert (ExtractTrainAhead in families) == (source == "folder")


def test_nothing_is_extracted_ahead_from_a_verified_archive(ilsvrc: Path, tmp_path: Path) -> None:
    assert run("DownloadTrain", "--source", ilsvrc, "--data-dir", tmp_path).is_well
    assert DownloadTrain(data_dir=tmp_path, source=str(ilsvrc)).complete()
    assert ExtractTrainAhead(data_dir=tmp_path, source=str(ilsvrc)).complete()

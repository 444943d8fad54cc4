"""What is extracted while the archive is verified, by whole commands."""

import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc import DownloadTrain, ExtractTrainAhead, TrainImages
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.tasks import extraction
from tests.support.in_process import run
from tests.support.running import QUICK, contents


def left(data_dir: Path) -> list[Path]:
    return list((data_dir / "ilsvrc2012" / "index").glob("extracted_ahead*"))


def test_what_is_extracted_before_the_archive_is_verified_is_not_in_its_place(ilsvrc: Path, tmp_path: Path) -> None:
    assert run("ExtractTrainAhead", "--source", ilsvrc, "--data-dir", tmp_path).is_well
    [ahead] = left(tmp_path)
    assert len(list(ahead.glob("n*/*.JPEG"))) == 90
    assert not (tmp_path / "ilsvrc2012" / "training_images").exists()
    assert not (tmp_path / "ilsvrc2012" / "training_images.tar").exists()


@pytest.mark.slow
def test_a_build_takes_what_it_has_extracted_ahead(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process, so that the order is sure: what is extracted ahead, then the download, then the rest."""
    monkeypatch.setattr(ExtractTrainAhead, "priority", 1000)
    where = ("--source", ilsvrc, "--data-dir", tmp_path)
    with monkeypatch.context() as patch:
        # Whoever extracts anything after that, fails.
        patch.setattr(extraction, "extract_synset", None)
        done = run("BuildAll", *where, *QUICK)
    assert done.is_well, done.output
    assert contents(tmp_path) == contents(built_without_shards)


def test_what_a_killed_command_has_left_is_removed_by_the_next_build(ilsvrc: Path, tmp_path: Path) -> None:
    where = ("--source", ilsvrc, "--data-dir", tmp_path)
    assert run("ExtractTrainAhead", *where).is_well
    assert run("BuildAll", *where, *QUICK).is_well
    assert left(tmp_path) == []


@pytest.mark.parametrize("priority", [1000, 0], ids=["extracted before", "extracted never"])
def test_nothing_of_a_wrong_archive_is_left(
    ilsvrc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, priority: int
) -> None:
    monkeypatch.setattr(ExtractTrainAhead, "priority", priority)
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    where = ("--source", source, "--data-dir", tmp_path / "data")
    with (source / TRAIN_ARCHIVE.name).open("r+b") as archive:
        archive.seek(2000)
        archive.write(b"x")
    failed = run("BuildAll", *where, *QUICK)
    assert "MD5 sum" in failed.output
    assert not failed.is_well
    assert not any(path.is_dir() for path in left(tmp_path / "data"))
    assert not (tmp_path / "data" / "ilsvrc2012" / "training_images").exists()


@pytest.mark.parametrize("source", ["folder", "server"])
def test_images_are_extracted_ahead_only_from_an_archive_that_is_there(
    ilsvrc: Path, tmp_path: Path, source: str
) -> None:
    (tmp_path / "data").mkdir()
    given = {"folder": str(ilsvrc), "server": "https://image-net.example"}[source]
    tables = {name: str(ilsvrc / f"{name}.txt") for name in ("unique_synsets", "validation_synset_labels")}
    families = [type(task) for task in TrainImages(data_dir=tmp_path / "data", source=given, **tables).requires()]
    assert (ExtractTrainAhead in families) == (source == "folder")


def test_nothing_is_extracted_ahead_from_a_verified_archive(ilsvrc: Path, tmp_path: Path) -> None:
    assert run("DownloadTrain", "--source", ilsvrc, "--data-dir", tmp_path).is_well
    assert DownloadTrain(data_dir=tmp_path, source=str(ilsvrc)).complete()
    assert ExtractTrainAhead(data_dir=tmp_path, source=str(ilsvrc)).complete()


def test_class_folders_that_are_there_need_no_extraction_before_their_archive_is_verified(
    built: Path, ilsvrc: Path, tmp_path: Path
) -> None:
    shutil.copytree(built / "ilsvrc2012" / "training_images", tmp_path / "ilsvrc2012" / "training_images")
    shutil.copy2(ilsvrc / TRAIN_ARCHIVE.name, tmp_path / "ilsvrc2012" / TRAIN_ARCHIVE.local_name)
    done = run("TrainImages", "--source", ilsvrc, "--data-dir", tmp_path)
    assert done.is_well, done.output


def test_who_checks_that_tasks_are_complete_after_their_run_finds_it_so(ilsvrc: Path, tmp_path: Path) -> None:
    where = ("--source", ilsvrc, "--data-dir", tmp_path)
    assert run("ExtractTrainAhead", *where, "--worker-check-complete-on-run").is_well

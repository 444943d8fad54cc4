from pathlib import Path

import pytest

from luigi_ilsvrc import miniature
from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES, SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS
from luigi_ilsvrc.errors import BuildError
from tests.miniature.reading import annotation_tar, files, headers, members, write_small, write_tiny


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, small: Path) -> None:
    assert files(write_small(tmp_path)) == files(small)


def test_another_seed_gives_other_archives(tmp_path: Path) -> None:
    one, other = (files(write_tiny(tmp_path / str(seed), seed=seed)) for seed in (1, 2))
    assert all(one[archive.name] != other[archive.name] for archive in ARCHIVES)


def test_two_in_five_training_images_are_annotated_by_default(tmp_path: Path) -> None:
    assert len(members(annotation_tar(write_tiny(tmp_path, train_images=50)))) == 20


def test_a_thousand_synsets_are_those_of_the_challenge(tmp_path: Path) -> None:
    write_tiny(tmp_path, synsets=1000, train_images=3000, validation_images=2000)
    assert (tmp_path / UNIQUE_SYNSETS).read_bytes() == (PACKAGED_TABLES / UNIQUE_SYNSETS).read_bytes()
    assert (tmp_path / SYNSET_ENGLISH_KEY).read_bytes() == (PACKAGED_TABLES / SYNSET_ENGLISH_KEY).read_bytes()
    tars = members(tmp_path / TRAIN_ARCHIVE.name)
    assert len(tars) == 1000
    assert sum(len(headers(tar)) for tar in tars.values()) == 3000


def test_progress_counts_every_file(tmp_path: Path) -> None:
    reports: list[tuple[str, int, int | None, str]] = []
    miniature.write(
        tmp_path,
        synsets=1,
        train_images=10,
        validation_images=5,
        xml_files=3,
        tiny=True,
        progress=lambda *report: reports.append(report),
    )
    assert reports[-1] == ("writing bounding boxes", 18, 18, "files")


def test_an_earlier_miniature_is_rewritten(tmp_path: Path) -> None:
    again = write_tiny(write_tiny(tmp_path / "again", seed=1), seed=2)
    assert files(again) == files(write_tiny(tmp_path / "once", seed=2))


def _interrupt(stage: str, done: int, total: int | None, unit: str) -> None:
    raise KeyboardInterrupt


def test_an_interrupted_archive_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        miniature.write(tmp_path, synsets=1, train_images=5, validation_images=5, tiny=True, progress=_interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [miniature.MARKER]


def test_an_interrupted_rewrite_leaves_no_sums_of_the_earlier_archives(tmp_path: Path) -> None:
    write_tiny(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        miniature.write(tmp_path, tiny=True, progress=_interrupt)
    assert not (tmp_path / "MD5SUMS").exists()


def test_impossible_counts_leave_no_directory(tmp_path: Path) -> None:
    with pytest.raises(miniature.MiniatureError):
        write_tiny(tmp_path / "new", synsets=0)
    assert not (tmp_path / "new").exists()


def test_a_miniature_error_is_a_build_error() -> None:
    assert issubclass(miniature.MiniatureError, BuildError)

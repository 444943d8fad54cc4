"""Images that are extracted while their archive is verified: taken if they are of the verified file, and whole."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc import ahead as module
from luigi_ilsvrc.ahead import discard, extract_ahead, extracted_synsets, is_refused, refuse, take_synset
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.official import index_train
from luigi_ilsvrc.progress import no_progress
from luigi_ilsvrc.storage.manifest import entry_of
from tests.layouts.archives import SYNSETS, images_in, train_tar


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "training_images.tar"
    path.write_bytes(train_tar())
    return path


@pytest.fixture
def ahead(tmp_path: Path) -> Path:
    return tmp_path / "index" / "extracted_ahead"


def never(synset: str) -> bool:
    return False


def extract(archive: Path, ahead: Path, is_over: Callable[[str], bool] = never) -> None:
    extract_ahead(archive, SYNSETS, ahead, is_over, no_progress)


def images_of(archive: Path, synset: str) -> list[ImageLocation]:
    return [image for image in index_train(archive, SYNSETS) if image.synset == synset]


def take(archive: Path, ahead: Path, folder: Path) -> set[str] | None:
    folder.mkdir(exist_ok=True)
    files = take_synset(ahead, SYNSETS[0], archive, images_of(archive, SYNSETS[0]), folder)
    if files is None:
        assert os.listdir(folder) == []
        return None
    assert files == {path.name: entry_of(path.read_bytes()) for path in folder.iterdir()}
    return set(files)


def test_what_was_extracted_is_taken_byte_for_byte(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    assert extracted_synsets(ahead, archive) == set(SYNSETS)
    names = take(archive, ahead, tmp_path / "folder")
    assert names == {image.name for image in images_of(archive, SYNSETS[0])}
    expected = images_in(archive)
    assert all((tmp_path / "folder" / name).read_bytes() == expected[name] for name in names or ())
    assert extracted_synsets(ahead, archive) == set(SYNSETS[1:])


def test_nothing_is_left_when_all_is_taken(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    for synset in SYNSETS:
        (tmp_path / synset).mkdir()
        assert take_synset(ahead, synset, archive, images_of(archive, synset), tmp_path / synset)
    assert not ahead.exists()


def test_what_was_extracted_is_linked_to_its_archive_by_a_hard_link_too(
    archive: Path, ahead: Path, tmp_path: Path
) -> None:
    extract(archive, ahead)
    (tmp_path / "link.tar").hardlink_to(archive)
    assert take(tmp_path / "link.tar", ahead, tmp_path / "folder")


def test_nothing_is_taken_that_was_extracted_from_another_file(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    shutil.copy2(archive, tmp_path / "copy.tar")
    assert take(tmp_path / "copy.tar", ahead, tmp_path / "folder") is None


def test_nothing_is_taken_that_was_extracted_before_the_archive_changed(
    archive: Path, ahead: Path, tmp_path: Path
) -> None:
    extract(archive, ahead)
    os.utime(archive, (1, 1))
    assert take(archive, ahead, tmp_path / "folder") is None


def test_nothing_is_taken_that_was_extracted_before_the_host_was_started_anew(
    archive: Path, ahead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(archive, ahead)
    monkeypatch.setattr(module, "this_host", lambda: "another_start")
    assert take(archive, ahead, tmp_path / "folder") is None


def test_nothing_is_taken_of_a_synset_that_lacks_a_file(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    next((ahead / SYNSETS[0]).glob("*.JPEG")).unlink()
    assert take(archive, ahead, tmp_path / "folder") is None


def test_nothing_is_taken_through_a_planted_link(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    ahead.rename(tmp_path / "elsewhere")
    ahead.symlink_to(tmp_path / "elsewhere")
    assert take(archive, ahead, tmp_path / "folder") is None
    assert len(list((tmp_path / "elsewhere" / SYNSETS[0]).glob("*.JPEG"))) == len(images_of(archive, SYNSETS[0]))


def test_a_synset_that_was_not_finished_is_extracted_anew(archive: Path, ahead: Path, tmp_path: Path) -> None:
    (ahead / SYNSETS[0]).mkdir(parents=True)
    (ahead / SYNSETS[0] / images_of(archive, SYNSETS[0])[0].name).write_bytes(b"half")
    assert take(archive, ahead, tmp_path / "folder") is None
    (ahead / SYNSETS[0]).mkdir(parents=True)
    extract(archive, ahead)
    assert take(archive, ahead, tmp_path / "folder")


def test_it_ends_when_it_is_over(archive: Path, ahead: Path) -> None:
    asked: list[str] = []

    def is_second(synset: str) -> bool:
        asked.append(synset)
        return len(asked) == 2

    extract(archive, ahead, is_second)
    assert extracted_synsets(ahead, archive) == {asked[0]}


def test_what_is_discarded_while_it_is_extracted_is_not_begun_again(archive: Path, ahead: Path) -> None:
    def discard_all(synset: str) -> bool:
        discard(ahead)
        return False

    with pytest.raises(FileNotFoundError):
        extract(archive, ahead, discard_all)
    assert os.listdir(ahead.parent) == []


def test_of_a_refused_archive_nothing_is_left_and_it_is_known_until_it_changes(archive: Path, ahead: Path) -> None:
    def refuse_it(synset: str) -> bool:
        refuse(ahead, archive)
        return False

    with pytest.raises(OSError):
        extract(archive, ahead, refuse_it)
    assert os.listdir(ahead.parent) == [ahead.name]
    assert is_refused(ahead, archive)
    os.utime(archive, (1, 1))
    assert not is_refused(ahead, archive)
    extract(archive, ahead)
    assert extracted_synsets(ahead, archive) == set(SYNSETS)

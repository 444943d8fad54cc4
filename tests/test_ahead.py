"""Images that are extracted while their archive is verified: taken if they are of the verified file, and whole."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc import ahead as module
from luigi_ilsvrc.ahead import discard, extract_ahead, folder_of_command, is_refused, refuse, take_synset
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.official import index_train
from luigi_ilsvrc.progress import no_progress
from luigi_ilsvrc.storage.manifest import entry_of
from tests.layouts.archives import SYNSETS, images_in, train_tar
from tests.support.running import PROJECT


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "training_images.tar"
    path.write_bytes(train_tar())
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "index" / "extracted_ahead"


@pytest.fixture
def ahead(place: Path) -> Path:
    return folder_of_command(place)


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


COMMAND = """
import os, sys
from pathlib import Path
from luigi_ilsvrc.ahead import folder_of_command
ahead = folder_of_command(Path(sys.argv[1]))
(ahead / "n01440764").mkdir(parents=True)
if os.fork() == 0:
    sys.exit()
os.wait()
print(ahead.exists())
"""


def test_what_was_extracted_is_gone_when_the_command_ends_and_not_when_one_of_its_children_does(place: Path) -> None:
    command = [sys.executable, "-c", COMMAND, str(place)]
    assert subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout == b"True\n"
    assert os.listdir(place.parent) == []


def test_what_was_extracted_is_taken_byte_for_byte(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    assert set(os.listdir(ahead)) == set(SYNSETS)
    names = take(archive, ahead, tmp_path / "folder")
    assert names == {image.name for image in images_of(archive, SYNSETS[0])}
    expected = images_in(archive)
    assert all((tmp_path / "folder" / name).read_bytes() == expected[name] for name in names or ())
    assert set(os.listdir(ahead)) == set(SYNSETS[1:])


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


def test_nothing_is_taken_of_a_synset_that_lacks_a_file(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    next((ahead / SYNSETS[0]).glob("*.JPEG")).unlink()
    assert take(archive, ahead, tmp_path / "folder") is None


def test_nothing_is_taken_of_a_synset_with_a_file_that_was_cut(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    os.truncate(next((ahead / SYNSETS[0]).glob("*.JPEG")), 1)
    assert take(archive, ahead, tmp_path / "folder") is None


def test_nothing_is_taken_of_a_synset_with_a_link_in_it(archive: Path, ahead: Path, tmp_path: Path) -> None:
    extract(archive, ahead)
    image = next((ahead / SYNSETS[0]).glob("*.JPEG"))
    image.rename(tmp_path / "elsewhere")
    image.symlink_to(tmp_path / "elsewhere")
    assert take(archive, ahead, tmp_path / "folder") is None


def test_images_that_cannot_be_moved_are_left_to_who_extracts_them(
    archive: Path, ahead: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_to_move(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))

    extract(archive, ahead)
    monkeypatch.setattr(Path, "rename", refuse_to_move)
    assert take(archive, ahead, tmp_path / "folder") is None


def test_a_synset_has_its_name_when_it_is_on_the_disk(
    archive: Path, ahead: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))

    monkeypatch.setattr(module, "sync_folder_contents", fail)
    with pytest.raises(OSError) as raised:
        extract(archive, ahead)
    assert raised.value.errno == errno.EIO
    assert [name for name in os.listdir(ahead) if name in SYNSETS] == []


def test_it_ends_when_it_is_over(archive: Path, ahead: Path) -> None:
    asked: list[str] = []

    def is_second(synset: str) -> bool:
        asked.append(synset)
        return len(asked) == 2

    extract(archive, ahead, is_second)
    assert os.listdir(ahead) == [asked[0]]


def test_what_is_refused_while_it_is_extracted_is_removed_and_not_begun_again(
    archive: Path, place: Path, ahead: Path
) -> None:
    def refuse_it(synset: str) -> bool:
        refuse(place)
        return False

    for _ in range(2):
        with pytest.raises(OSError):
            extract(archive, ahead, refuse_it)
        assert os.listdir(ahead.parent) == [ahead.name]
        assert is_refused(ahead)
    discard(ahead)
    assert not is_refused(ahead)


def test_a_command_that_extracts_nothing_leaves_no_refusal(place: Path) -> None:
    refuse(place)
    assert not place.parent.exists()

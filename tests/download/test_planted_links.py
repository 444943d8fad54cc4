"""Links that another user has put where a download writes."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.download.partial_record import read_record
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.storage.publish import publish_file, replace_file
from tests.download.helpers import BODY, NAME, Fetch, assert_only_file, beside, leave_partial, partial_of, record_file
from tests.support.hostile_server import HostileServer

Plant = Callable[[Path, Path], None]


def symbolic(target: Path, name: Path) -> None:
    name.symlink_to(target)


def hard(target: Path, name: Path) -> None:
    os.link(target, name)


def nowhere(target: Path, name: Path) -> None:
    name.symlink_to(target.with_name("nowhere"))


def folder_of(target: Path, name: Path) -> None:
    name.symlink_to(target.parent)


PLANTS = pytest.mark.parametrize("plant", [symbolic, hard, nowhere, folder_of])


@PLANTS
@pytest.mark.parametrize("suffix", [".partial", ".partial.json", ".partial.new", ".partial.link"])
@pytest.mark.parametrize("from_folder", [False, True], ids=["server", "folder"])
def test_a_planted_link_is_not_followed(
    from_folder: bool,
    suffix: str,
    plant: Plant,
    server: HostileServer,
    folder: Path,
    destination: Path,
    tmp_path: Path,
    fetch: Fetch,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    precious = home / "precious"
    precious.write_bytes(b"precious")
    plant(precious, destination.with_name(destination.name + suffix))
    fetch(folder if from_folder else server.url, destination)
    assert_only_file(destination)
    assert precious.read_bytes() == b"precious"
    assert sorted(path.name for path in home.iterdir()) == ["precious"]


def test_a_pipe_in_the_place_of_a_file_is_replaced(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    os.mkfifo(partial_of(destination))
    os.mkfifo(record_file(destination))
    fetch(server.url, destination)
    assert_only_file(destination)


def test_a_folder_in_the_place_of_the_partial_file_is_an_error_with_its_name(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    partial_of(destination).mkdir()
    with pytest.raises(DownloadError, match=r"training_images.tar.partial: Is a directory; .*remove it"):
        fetch(server.url, destination)


def test_a_destination_that_is_a_link_to_nothing_is_an_error(
    server: HostileServer, destination: Path, tmp_path: Path, fetch: Fetch
) -> None:
    destination.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DownloadError, match=r"training_images.tar is a symbolic link to a file that does not exist"):
        fetch(server.url, destination)
    assert not (tmp_path / "nowhere").exists()


def test_a_record_is_not_read_by_a_link(server: HostileServer, destination: Path) -> None:
    leave_partial(server, destination)
    assert read_record(partial_of(destination)) is not None
    record_file(destination).rename(destination.parent / "other")
    record_file(destination).symlink_to(destination.parent / "other")
    assert read_record(partial_of(destination)) is None


def test_a_file_is_replaced_in_one_step_and_a_link_of_its_name_too(tmp_path: Path) -> None:
    precious, path = tmp_path / NAME, tmp_path / "record"
    precious.write_bytes(b"precious")
    path.symlink_to(precious)
    replace_file(path, b"new")
    assert (path.read_bytes(), path.is_symlink(), precious.read_bytes()) == (b"new", False, b"precious")


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("has_renameat2", [True, False])
def test_publishing_never_replaces_a_file(
    has_links: bool, has_renameat2: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    if not has_renameat2:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    temporary, path = tmp_path / "temporary", tmp_path / "path"
    temporary.write_bytes(BODY)
    assert publish_file(temporary, path)
    assert_only_file(path)
    temporary.write_bytes(b"later")
    assert not publish_file(temporary, path)
    assert path.read_bytes() == BODY
    assert beside(path) == ["path", "temporary"]

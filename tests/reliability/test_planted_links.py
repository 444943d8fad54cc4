"""Symbolic links that somebody else has put into the data directory are not followed: nothing outside is touched."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN
from tests.reliability.kill import differences, tables_and_checksums
from tests.support.in_process import Run, run
from tests.support.running import SHARDS, contents, http_server

pytestmark = pytest.mark.slow

Outside = Mapping[Path, tuple[int, bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of somebody's, outside the data directory."""
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    for name in ("thesis.txt", "folder/notes.txt"):
        (home / name).write_text("years of work\n" * 1000)
    for path in (*home.rglob("*"), home):
        os.utime(path, (1, 1))
    return home


def state(folder: Path) -> Outside:
    """Return time and contents of all that is in a folder, and of the folder."""
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *folder.rglob("*"))
    }


def files_of_a_build(data_dir: Path) -> list[Path]:
    """Return what a build writes that is a file of its own and no folder of class folders."""
    paths = DataSetPaths(data_dir)
    archives = [paths.archive(archive) for archive in ARCHIVES]
    outputs = [*archives, paths.bounding_boxes]
    made_on_the_way = [
        path.with_name(f"{path.name}{ending}")
        for path in outputs
        for ending in (".partial", ".partial.json", ".partial.new", ".partial.json.partial", ".partial.link")
    ]
    manifests = [paths.manifest(path) for path in (paths.bounding_boxes, paths.annotations, paths.index(TRAIN))]
    records = [paths.build_record, paths.build_record_copy, *map(paths.archive_record, ARCHIVES)]
    locks = [paths.lock(path) for path in (paths.bounding_boxes, paths.index(TRAIN), paths.annotations)]
    return [*made_on_the_way, *manifests, *records, *locks, paths.tables / "0123-unique_synsets.txt"]


FILES = [path.relative_to("/data") for path in files_of_a_build(Path("/data"))]

FOLDERS = [
    Path("ilsvrc2012/training_images/n02105855.partial"),
    Path("ilsvrc2012/training_bounding_boxes.partial"),
    Path("ilsvrc2012/index/train.partial"),
    Path("ilsvrc2012/index/manifests"),
    Path("ilsvrc2012/index/manifests/training_images"),
    Path("ilsvrc2012/index/tables"),
    Path("ilsvrc2012/index/locks"),
    Path("ilsvrc2012/index"),
    Path("ilsvrc2012/verification"),
    Path("ilsvrc2012/tfrecords"),
    Path("ilsvrc2012/training_images"),
]


def is_right_or_clear(done: Run) -> bool:
    return done.is_well or done.is_clear


def plant(data_dir: Path, name: Path, target: Path) -> None:
    link = data_dir / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "http"])
@pytest.mark.parametrize("target", ["thesis.txt", "missing.txt", "folder"])
def test_links_in_place_of_files_are_not_followed(
    ilsvrc: Path, built: Path, tmp_path: Path, home: Path, over_http: bool, target: str
) -> None:
    before = state(home)
    for number, name in enumerate(FILES):
        data_dir = tmp_path / f"data-{number}"
        plant(data_dir, name, home / target)
        with http_server(ilsvrc) as url:
            given = ["--source", url, *tables_and_checksums(ilsvrc)] if over_http else ["--source", ilsvrc]
            done = run("BuildAll", "--data-dir", data_dir, *given, *SHARDS, "--formats", "none")
        assert state(home) == before, name
        assert is_right_or_clear(done), f"{name}: {done.output}"
        shutil.rmtree(data_dir)


@pytest.mark.parametrize("name", FOLDERS, ids=str)
def test_links_in_place_of_folders_do_not_lead_outside(ilsvrc: Path, tmp_path: Path, home: Path, name: Path) -> None:
    before = state(home)
    data_dir = tmp_path / "data"
    plant(data_dir, name, home / "folder")
    options = ("--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    done = run("BuildAll", *options)
    assert {path: it for path, it in state(home).items() if path in before and path.is_file()} == {
        path: it for path, it in before.items() if path.is_file()
    }
    assert is_right_or_clear(done), done.output
    run("VerifyBuild", *options, "--repair", "true")
    assert (home / "folder" / "notes.txt").read_bytes() == before[home / "folder" / "notes.txt"][1]


@pytest.mark.parametrize("pattern", ["*.json", "*-damage.txt"])
def test_links_in_place_of_verification_files_are_not_followed(
    ilsvrc: Path, data_dir: Path, home: Path, pattern: str
) -> None:
    options = ("--data-dir", data_dir, "--source", ilsvrc, *SHARDS, "--date", "2026-01-02")
    before = state(home)
    plant(data_dir, Path("ilsvrc2012/verification", pattern.replace("*", "2026-01-02")), home / "thesis.txt")
    (data_dir / "bounding_boxes.csv").write_text("damaged")
    for command in (("VerifyBuild",), ("VerifyBuild", "--repair", "true"), ("BuildAll",), ("VerifyBuild",)):
        shown = [*options] if command[0] == "VerifyBuild" else [*options[:-2]]
        done = run(command[0], *shown, *command[1:])
        assert state(home) == before
        assert is_right_or_clear(done), done.output


def test_links_that_are_damage_are_removed_and_not_what_they_lead_to(
    ilsvrc: Path, data_dir: Path, built: Path, home: Path
) -> None:
    before = state(home)
    dataset = data_dir / "ilsvrc2012"
    replaced = [
        *(dataset / "tfrecords" / "train-00000-of-00008", dataset / "index" / "train", dataset / "validation_images"),
        *(data_dir / "bounding_boxes.csv", dataset / TRAIN_ARCHIVE.local_name),
        *(next((dataset / "training_images").iterdir()), dataset / "index" / "manifests" / "tfrecords"),
    ]
    for path in replaced:
        target = home / "folder" if path.is_dir() else home / "thesis.txt"
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target)
    options = ("--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    for command in (("VerifyBuild",), ("VerifyBuild", "--repair", "true"), ("BuildAll",), ("VerifyBuild",)):
        done = run(command[0], *options, *command[1:])
        assert {path: it for path, it in state(home).items() if path.is_file()} == {
            path: it for path, it in before.items() if path.is_file()
        }
        assert is_right_or_clear(done), done.output
    assert (dataset / "validation_images").exists()


def test_a_link_to_another_disk_in_place_of_the_data_directory_is_followed(
    ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "data").symlink_to(disk)
    done = run("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, *SHARDS)
    assert done.is_well, done.output
    assert differences(disk, contents(built)) == []

"""A layout is added by an entry in `layouts.table.LAYOUTS`, and by nothing else."""

import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS
from tests.layouts import flat
from tests.support.changed_tables import luigi_with
from tests.support.running import SHARDS, contents

REGISTER = "from luigi_ilsvrc.layouts.table import LAYOUTS; from tests.layouts import flat; LAYOUTS[flat.NAME] = flat"
TABLES = ("unique_synsets.txt", "validation_synset_labels.txt", "synset_english_key.txt")


@pytest.fixture
def only_tables(ilsvrc: Path, tmp_path: Path) -> Path:
    """A source folder without the archives."""
    directory = tmp_path / "tables"
    directory.mkdir()
    for name in TABLES:
        shutil.copy(ilsvrc / name, directory)
    return directory


@pytest.fixture
def flattened(built: Path, tmp_path: Path) -> Path:
    """The images and annotations of a build in the new layout, and nothing else."""
    data_dir = tmp_path / "data"
    whole, paths = DataSetPaths(built), DataSetPaths(data_dir)
    folders = {split: whole.class_folders(split) for split in SPLITS} | {"train-annotations": whole.annotations}
    for name, class_folders in folders.items():
        flat.folder(paths, name).mkdir(parents=True)
        for path in class_folders.glob("*/*"):
            shutil.copy(path, flat.folder(paths, name) / f"{path.parent.name}+{path.name}")
    return data_dir


def build(data_dir: Path, source: Path, *options: object) -> tuple[int, str]:
    given = ("--data-dir", data_dir, "--source", source, *SHARDS, "--workers", "2")
    return luigi_with(REGISTER, "BuildAll", *given, *options)


@pytest.mark.slow
def test_it_gives_the_same_records_boxes_and_class_folders_as_the_archives(
    flattened: Path, built: Path, only_tables: Path
) -> None:
    status, output = build(flattened, only_tables)
    assert (status, "Download" in output) == (0, False), output
    paths, expected = DataSetPaths(flattened), DataSetPaths(built)
    assert contents(paths.records("tfrecords")) == contents(expected.records("tfrecords"))
    assert paths.bounding_boxes.read_bytes() == expected.bounding_boxes.read_bytes()
    for split in SPLITS:
        assert contents(paths.class_folders(split)) == contents(expected.class_folders(split))
    assert contents(paths.annotations) == contents(expected.annotations)


@pytest.mark.slow
def test_a_build_from_it_is_complete_when_it_ends(flattened: Path, only_tables: Path) -> None:
    assert build(flattened, only_tables)[0] == 0
    before = contents(flattened)
    status, output = build(flattened, only_tables)
    assert (status, "Did not run any tasks" in output) == (0, True), output
    assert contents(flattened) == before


@pytest.mark.slow
def test_records_are_made_from_it_alone(flattened: Path, built: Path, only_tables: Path) -> None:
    given = ("--split", "train", "--shard", "3", "--num-shards", "8", "--data-dir", flattened, "--source", only_tables)
    status, output = luigi_with(REGISTER, "TFRecordShard", *given)
    assert status == 0, output
    name = "train-00003-of-00008"
    folders = [DataSetPaths(data_dir).records("tfrecords") for data_dir in (flattened, built)]
    assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert not DataSetPaths(flattened).class_folders("train").exists()

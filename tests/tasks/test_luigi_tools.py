"""Luigi's own ways to configure, look at and run tasks, with those of a build."""

import os
import re
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import luigi
import pytest

from luigi_ilsvrc import BuildAll, TFRecords, TrainImages
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from tests.support.running import PROJECT, SHARDS, address, luigid, start_luigi
from tests.support.running import luigi as run_luigi

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent


def tool(name: str, *arguments: object, **environment: str) -> str:
    """Run one of Luigi's programs; return what it wrote."""
    done = subprocess.run(
        [PROGRAMS / name, *map(str, arguments)],
        env={**os.environ, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


# Configuration -------------------------------------------------------------------------------------------------------

TOML = """
[ilsvrc]
data_dir = "{data_dir}"
source = "{source}"
train_shards = 8
validation_shards = 3
"""


def test_a_luigi_toml_gives_folder_source_and_numbers_of_shards(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.toml"
    config.write_text(TOML.format(data_dir=tmp_path / "data", source=ilsvrc))
    status, output = run_luigi("BuildAll", config=config, LUIGI_CONFIG_PARSER="toml")
    assert status == 0, output
    assert f"{tmp_path / 'data'} is complete" in output
    assert "8 train and 3 validation tfrecord shards" in output


def test_a_setting_that_does_not_exist_is_refused_in_a_luigi_toml_too(tmp_path: Path) -> None:
    config = tmp_path / "luigi.toml"
    config.write_text("[ilsvrc]\ntfrecords = false\n")
    _, output = run_luigi("BuildAll", "--data-dir", tmp_path, config=config, LUIGI_CONFIG_PARSER="toml")
    assert "[ilsvrc] tfrecords in Luigi's configuration: there is no such setting" in output.splitlines()[-1]


def test_a_luigi_cfg_may_take_settings_from_the_environment(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text("[ilsvrc]\ndata_dir = ${SCRATCH}/imagenet\nsource = ${ARCHIVES}\n")
    status, output = run_luigi("BoundingBoxCSV", config=config, SCRATCH=str(tmp_path), ARCHIVES=str(ilsvrc))
    assert status == 0, output
    assert (tmp_path / "imagenet" / "bounding_boxes.csv").exists()


def test_a_setting_of_one_task_goes_before_that_of_all(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"[ilsvrc]\ndata_dir = {tmp_path / 'all'}\n[BoundingBoxCSV]\ndata_dir = {tmp_path / 'one'}\n")
    status, output = run_luigi("BoundingBoxCSV", "--source", ilsvrc, config=config)
    assert status == 0, output
    assert (tmp_path / "one" / "bounding_boxes.csv").exists()


# Programs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(ilsvrc: Path, tmp_path: Path) -> tuple[object, ...]:
    """A build that has not begun."""
    return "--module", "luigi_ilsvrc", "BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, *SHARDS


def test_luigi_deps_names_what_lies_between_a_task_and_another_with_the_outputs(
    task: tuple[object, ...], tmp_path: Path
) -> None:
    written = tool("luigi-deps", *task, "--upstream-family", "DownloadTrain")
    assert f"[FileSystem] {tmp_path}/data/ilsvrc2012/tfrecords/train-00007-of-00008" in written
    assert f"[FileSystem] {tmp_path}/data/ilsvrc2012/training_images.tar" in written
    assert "BoundingBoxCSV(" not in written


def test_luigi_deps_tree_draws_the_graph(task: tuple[object, ...]) -> None:
    written = tool("luigi-deps-tree", *task)
    # Once for the build, once for the report on it.
    assert written.count("[ExtractTrainPerSynset-") == 2 * 5
    # Below all shards, the indexes of those of each split, and the metadata of all.
    assert written.count("[TFRecordShard-") == 2 * 3 * 11


def test_luigi_grep_finds_tasks_by_status(task: tuple[object, ...], tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        start_luigi(*task[2:], "--workers", 0, *address(port)).communicate(timeout=120)
        written = tool("luigi-grep", *address(port), "--prefix", "TFRecordShard", "--status", "PENDING")
    assert len(re.findall(r"^TFRecordShard", written, re.M)) == 11


# Python --------------------------------------------------------------------------------------------------------------


def test_a_script_builds_with_luigi_build(ilsvrc: Path, tmp_path: Path) -> None:
    program = (
        "import luigi, luigi_ilsvrc, sys\n"
        "build = luigi_ilsvrc.BuildAll(data_dir=sys.argv[1], source=sys.argv[2], train_shards=8, validation_shards=3)\n"
        "print(luigi.build([build], local_scheduler=True, workers=2, log_level='WARNING'), build.complete())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "data", ilsvrc], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("True True\n", "")


def test_a_task_that_requires_a_wrapper_has_all_outputs_as_its_input(built: Path, ilsvrc: Path) -> None:
    class Train(luigi.Task):
        def requires(self) -> luigi.Task:
            return TFRecords(data_dir=built, source=str(ilsvrc), train_shards=8, validation_shards=3)

    shards = Train().input()
    assert [Path(shard.path).name for shard in shards[:2]] == ["train-00000-of-00008", "train-00001-of-00008"]
    assert len(shards) == 11
    assert all(isinstance(shard, AtomicTarget) and shard.exists() for shard in shards)


def test_the_output_of_a_wrapper_is_that_of_what_it_requires_in_the_same_order(built: Path, ilsvrc: Path) -> None:
    folders = TrainImages(data_dir=built, source=str(ilsvrc)).output()
    assert sorted(Path(folder.path) for folder in folders) == sorted(
        (built / "ilsvrc2012" / "training_images").iterdir()
    )
    build = BuildAll(data_dir=built, source=str(ilsvrc), train_shards=8, validation_shards=3)
    assert len(build.output()) == len(build.requires())


# luigid --------------------------------------------------------------------------------------------------------------


@contextmanager
def build_with_luigid(ilsvrc: Path, tmp_path: Path, settings: str) -> Iterator[int]:
    """Yield the port of a luigid of these settings, after a build of the boxes."""
    # luigid reads it from its folder.
    (tmp_path / "luigi.cfg").write_text(settings)
    with luigid(tmp_path) as port:
        build = start_luigi("BoundingBoxCSV", "--data-dir", tmp_path / "data", "--source", ilsvrc, *address(port))
        output, _ = build.communicate(timeout=120)
        assert build.returncode == 0, output
        yield port


def page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}") as answer:
        return str(answer.read().decode())


def test_luigid_keeps_the_history_of_a_build(ilsvrc: Path, tmp_path: Path) -> None:
    database = tmp_path / "history.db"
    settings = f"[scheduler]\nrecord_task_history = true\n[task_history]\ndb_connection = sqlite:///{database}\n"
    with build_with_luigid(ilsvrc, tmp_path, settings) as port:
        assert "BoundingBoxCSV" in page(port, "history")
    rows = sqlite3.connect(database).execute("SELECT name FROM tasks").fetchall()
    assert sorted(rows) == [("BoundingBoxCSV",), ("DownloadBoundingBoxes",)]


def test_luigid_gives_prometheus_the_metrics_of_a_build(ilsvrc: Path, tmp_path: Path) -> None:
    with build_with_luigid(ilsvrc, tmp_path, "[scheduler]\nmetrics_collector = prometheus\n") as port:
        assert 'luigi_task_done_total{family="BoundingBoxCSV"} 1.0' in page(port, "metrics")

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.storage.temporary import temporary_path
from tests.reliability.kill import Build, Tormentor, leftovers, wait_until
from tests.support.abandoned import left_by_a_dead_process, left_by_another_host
from tests.support.running import LOG_TASKS, QUICK, SHARDS, contents, luigi

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc"),
]


class SlowHandler(SimpleHTTPRequestHandler):
    def copyfile(self, source: Any, outputfile: Any) -> None:
        while piece := source.read(200):
            outputfile.write(piece)
            time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def slow_server(directory: Path) -> Iterator[str]:
    """Serve a folder so slowly that the client can be killed in the middle of any file."""
    with QuietServer(("127.0.0.1", 0), partial(SlowHandler, directory=str(directory))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def downloading(ilsvrc: Path, data_dir: Path, *options: str) -> Iterator[Build]:
    """Yield a build that has just begun to receive the training archive, and would for minutes."""
    tables = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in tables for word in (f"--{name.replace('_', '-')}", ilsvrc / f"{name}.txt")]
    partial_file = data_dir / "ilsvrc2012" / f"{TRAIN_ARCHIVE.local_name}.partial"
    with slow_server(ilsvrc) as url:
        build = Build(
            ["BuildAll", "--data-dir", data_dir, "--source", url, "--checksums", "none", *given, *QUICK, *options],
            data_dir.with_name("log"),
        )
        try:
            assert wait_until(lambda: partial_file.exists() and partial_file.stat().st_size > 0, 120), build.said()
            yield build
        finally:
            build.end()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_worker_leaves_no_process_behind_and_the_next_run_completes(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path, number: int, workers: str
) -> None:
    data_dir = tmp_path / "data"
    with downloading(ilsvrc, data_dir, "--workers", workers) as build:
        assert bool(build.children()) == (workers == "2")
        os.kill(build.worker.pid, number)
        assert build.is_gone(within=45), build.said()
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *QUICK)
    assert status == 0, output
    assert contents(data_dir) == contents(built_without_shards)


def test_the_killed_child_of_a_worker_fails_its_task_alone(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with downloading(ilsvrc, data_dir, "--workers", "2") as build:
        assert wait_until(lambda: len(build.children()) == 2, 60)
        for child in build.children():
            # A short task may end by itself meanwhile, and the next one begin.
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        assert wait_until(lambda: "died unexpectedly with exit code -9" in build.said(), 60), build.said()
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *QUICK)
    assert status == 0, output
    assert contents(data_dir) == contents(built_without_shards)


def test_builds_killed_at_random_end_like_an_undisturbed_one(ilsvrc: Path, tmp_path: Path) -> None:
    outcome = Tormentor(ilsvrc, tmp_path, seed=7, options=[*QUICK]).torment(4)
    assert outcome.kills == 4
    assert outcome.is_good, outcome


# What killed processes leave beside outputs that are complete ---------------------------------------------------------


@pytest.fixture
def data_dir(built_without_shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built_without_shards, tmp_path / "data"))


def build_again(data_dir: Path, source: Path) -> str:
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", source, *QUICK, *LOG_TASKS)
    assert status == 0, output
    return output


def test_a_run_clears_what_was_killed_after_its_output_was_complete(
    data_dir: Path, built_without_shards: Path, ilsvrc: Path
) -> None:
    dataset = data_dir / "ilsvrc2012"
    left_by_a_dead_process(data_dir / "bounding_boxes.csv")
    left_by_a_dead_process(dataset / "training_images" / "n02105855", is_folder=True)
    left_by_a_dead_process(dataset / "index" / "manifests" / "training_images" / "n02105855.csv")
    left_by_a_dead_process(dataset / "index" / "manifests" / "training_images.tar.json")
    left_by_a_dead_process(dataset / "index" / "build.json")
    left_by_a_dead_process(dataset / "index" / "train-plan-of-00099", is_folder=True)
    left_by_a_dead_process(dataset / "tfrecords" / "train-00000-of-00099")
    left_by_another_host(dataset / "validation_images", 25 * 3600, is_folder=True)
    for ending in (".partial", ".partial.json", ".partial.link"):
        (dataset / f"{TRAIN_ARCHIVE.local_name}{ending}").write_text("half")
    output = build_again(data_dir, ilsvrc)
    assert output.count("running   ") == output.count("running   BuildAll") == 1
    (dataset / "tfrecords").rmdir()
    assert contents(data_dir) == contents(built_without_shards)


def test_what_another_process_is_writing_is_not_cleared(data_dir: Path, ilsvrc: Path) -> None:
    ours = temporary_path(data_dir / "ilsvrc2012" / "training_images" / "n02105855")
    ours.mkdir()
    theirs = left_by_another_host(data_dir / "bounding_boxes.csv", 23 * 3600)
    build_again(data_dir, ilsvrc)
    assert {data_dir / name for name in leftovers(data_dir)} == {ours, theirs}


def test_what_another_host_left_is_cleared_after_hours_of_ones_choice(
    data_dir: Path, built_without_shards: Path, ilsvrc: Path
) -> None:
    left_by_another_host(data_dir / "bounding_boxes.csv", 2 * 3600)
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *QUICK, "--leftover-hours", "1")
    assert status == 0, output
    assert contents(data_dir) == contents(built_without_shards)


def test_a_download_that_can_be_resumed_is_not_cleared(data_dir: Path, ilsvrc: Path) -> None:
    archive = data_dir / "ilsvrc2012" / TRAIN_ARCHIVE.local_name
    archive.unlink()
    for ending in (".partial", ".partial.json"):
        archive.with_name(f"{archive.name}{ending}").write_text("half")
    build_again(data_dir, ilsvrc)
    assert len(leftovers(data_dir)) == 2


def test_other_peoples_files_in_the_data_dir_are_not_cleared(data_dir: Path, ilsvrc: Path) -> None:
    (data_dir / "thesis.partial").write_text("half")
    build_again(data_dir, ilsvrc)
    assert leftovers(data_dir) == ["thesis.partial"]


def test_a_changed_number_of_shards_leaves_nothing_of_a_killed_build(data_dir: Path, ilsvrc: Path) -> None:
    left_by_a_dead_process(data_dir / "ilsvrc2012" / "tfrecords" / "train-00000-of-00099")
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS)
    assert status == 0, output
    assert leftovers(data_dir) == []

"""What a person sees in luigid's web view of a build, and does there."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc import BuildAll
from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE
from tests.reliability.kill import tables_and_checksums
from tests.support.running import PROJECT, SHARDS, address, http_server, luigid, start_luigi
from tests.support.web_view import CHROMIUM, DRIVER, MISSING, WebView, web_view

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The port of a luigid."""
    with luigid(tmp_path) as port:
        yield port


@pytest.fixture
def view(port: int) -> Iterator[WebView]:
    """Its page."""
    with web_view(port) as view:
        yield view


@pytest.fixture
def impatient(tmp_path: Path) -> Path:
    """A configuration with which a download fails at once."""
    config = tmp_path / "luigi.cfg"
    config.write_text((PROJECT / "luigi.cfg").read_text().replace("# attempts = 8", "attempts = 1"))
    return config


def test_the_progress_of_a_download_and_of_the_whole_build_can_be_watched(
    ilsvrc: Path, tmp_path: Path, port: int, view: WebView
) -> None:
    # It takes far longer than the test, which kills it.
    rate = (ilsvrc / TRAIN_ARCHIVE.name).stat().st_size // 400
    with http_server(ilsvrc, rate=rate) as url:
        build = start_luigi(
            *("BuildAll", "--data-dir", tmp_path / "data", "--source", url, *tables_and_checksums(ilsvrc)),
            *("--workers", 2, *SHARDS, *address(port)),
        )
        try:
            open_with_status(view, "DownloadTrain")
            assert view.show_status().startswith("downloading: ")
            assert view.wait_for(lambda: view.status().endswith(" left"))
            assert 0 < view.wait_for(view.percentage) < 100
            open_with_status(view, "BuildAll")
            assert " of 35 tasks; synsets 0 of 5; shards 0 of 11; " in view.show_status()
            assert view.wait_for(lambda: "; downloading: " in view.status())
        finally:
            build.kill()
            build.communicate()


def open_with_status(view: WebView, name: str) -> None:
    """Open the list of a task's rows when it has a status message."""
    deadline = time.monotonic() + 90
    view.open_tasks(name=name)
    while not view.has_status() and time.monotonic() < deadline:
        view.open_tasks(name=name)


def test_a_failure_is_read_and_forgiven_and_then_everything_is_done(
    ilsvrc: Path, tmp_path: Path, port: int, view: WebView, impatient: Path
) -> None:
    data_dir, source = tmp_path / "data", Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    whole = (source / TRAIN_ARCHIVE.name).read_bytes()
    (source / TRAIN_ARCHIVE.name).write_bytes(whole[:-1])
    command = ("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, *address(port))
    output, _ = start_luigi(*command, config=impatient).communicate(timeout=120)
    view.open_tasks("FAILED")
    assert view.count("FAILED") == 1
    assert "DownloadTrain" in view.rows()[0]
    error = view.show_error()
    assert f"{source / TRAIN_ARCHIVE.name}: the MD5 sum is " in error.replace("\n", "")
    assert "The file is damaged, or it is another one: download it again" in " ".join(error.split())
    view.open_tasks("FAILED")
    view.forgive()
    view.open_tasks("PENDING")
    assert view.count("FAILED") == 0
    view.open_tasks(name="BuildAll")
    assert "the MD5 sum is " in view.show_status()
    (source / TRAIN_ARCHIVE.name).write_bytes(whole)
    build = start_luigi(*command)
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 0, output
    view.open_tasks("DONE")
    assert [view.count(status) for status in ("PENDING", "RUNNING", "FAILED")] == [0, 0, 0]
    view.open_tasks(name="BuildAll")
    assert f"{data_dir} is complete: " in view.show_status()


def test_all_of_an_error_is_seen_without_scrolling_sideways(
    tmp_path: Path, port: int, view: WebView, impatient: Path
) -> None:
    command = ("DownloadTrain", "--data-dir", tmp_path / "data", "--source", "http://127.0.0.1:9/x", *address(port))
    start_luigi(*command, config=impatient).communicate(timeout=120)
    view.open_tasks("FAILED")
    assert "check --source and the network, and run again." in " ".join(view.show_error().split())
    assert view.hidden_columns() == 0


def test_what_fails_before_anything_is_scheduled_is_seen_there(
    ilsvrc: Path, tmp_path: Path, port: int, view: WebView
) -> None:
    source = Path(shutil.copytree(ilsvrc, tmp_path / "source"))
    with (source / "validation_synset_labels.txt").open("a") as table:
        table.write("tench\n")
    build = start_luigi("BuildAll", "--data-dir", tmp_path / "data", "--source", source, *SHARDS, *address(port))
    output, _ = build.communicate(timeout=120)
    assert build.returncode == 35, output
    view.open_tasks("FAILED")
    assert "BuildAll" in view.rows()[0]
    assert "'tench' is not a synset" in " ".join(view.show_error().split())


def test_the_graph_of_the_whole_data_set_is_drawn(tmp_path: Path, port: int, view: WebView) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for archive in ARCHIVES:
        (source / archive.name).touch()
    build = start_luigi(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", source, "--checksums", "none"),
        *("--workers", 0, *address(port)),
    )
    output, _ = build.communicate(timeout=600)
    task = BuildAll(data_dir=tmp_path / "data", source=str(source))
    view.open_graph(task.task_id)
    # A folder as the source: one more than from a server, for the extraction while the archive is verified.
    assert view.nodes() == 2172, output

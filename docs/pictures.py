"""Makes the pictures of README: luigid's web view of builds that run while they are taken.

Run ``.venv/bin/python -m docs.pictures`` in the project's folder, with the packages of ``[test]`` and with Debian's
chromium and chromium-driver. It takes a minute.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc import BuildAll, miniature
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from tests.reliability.kill import tables_and_checksums
from tests.support.running import address, http_server, luigid, start_luigi
from tests.support.web_view import WebView, web_view

_PICTURES = Path(__file__).parent
_SHARDS_IN_PICTURE = 384
"""The picture of a running build is taken when so many of its 1152 shards are made."""
_TASKS = 2171
_DOWNLOAD_SECONDS = 40


def main() -> None:
    """Take all pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _picture_running_build(folder)
        _picture_download_and_graph(folder)


def _picture_running_build(folder: Path) -> None:
    """Take the list of tasks of a build in the shape of the real one: 1000 synsets, 1152 shards."""
    source = folder / "full"
    miniature.write(source, synsets=1000, train_images=4000, validation_images=1000, xml_files=1600, tiny=True)
    with _building(folder / "list", source, "--workers", 2) as (view, data_dir):
        shards = data_dir / "ilsvrc2012" / "tfrecords"
        view.wait_for(lambda: len(list(shards.glob("*-of-*[0-9]"))) > _SHARDS_IN_PICTURE, patience=600)
        view.open_tasks("RUNNING")
        while sum(map(view.count, ("PENDING", "RUNNING", "DONE"))) != _TASKS:
            # The page asks for each status by itself, and a task may have got another one meanwhile.
            view.open_tasks("RUNNING")
        view.save_picture(_PICTURES / "web-view.png")


def _picture_download_and_graph(folder: Path) -> None:
    """Take the status of a download that runs, and the graph of a small build."""
    source = folder / "small"
    miniature.write(source, synsets=5, train_images=200, validation_images=50)
    rate = (source / TRAIN_ARCHIVE.name).stat().st_size // _DOWNLOAD_SECONDS
    shards = ("--train-shards", 4, "--validation-shards", 2)
    with (
        http_server(source, rate=rate) as url,
        _building(folder / "download", url, *shards, "--workers", 3, *tables_and_checksums(source)) as (view, data_dir),
    ):
        time.sleep(_DOWNLOAD_SECONDS / 3)
        view.open_tasks("RUNNING")
        view.show_status()
        view.save_picture(_PICTURES / "download.png")
        build = BuildAll(data_dir=data_dir, source=url, train_shards=4, validation_shards=2)
        view.open_graph(build.task_id)
        view.save_picture(_PICTURES / "graph.png", height=2450)


@contextmanager
def _building(folder: Path, source: object, *options: object) -> Iterator[tuple[WebView, Path]]:
    """Yield luigid's page while a build runs, and the build's folder; the build is stopped afterwards."""
    folder.mkdir()
    data_dir = folder / "imagenet"
    with luigid(folder) as port, web_view(port) as view:
        build = start_luigi("BuildAll", "--data-dir", data_dir, "--source", source, *options, *address(port))
        try:
            yield view, data_dir
        finally:
            build.terminate()
            build.communicate()


if __name__ == "__main__":
    main()

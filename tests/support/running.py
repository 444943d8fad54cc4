"""Runs Luigi as a user does: as a process of its own, with this project's luigi.cfg."""

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

PROJECT = Path(__file__).parents[2]
SHARDS = ("--train-shards", "8", "--validation-shards", "3")
QUICK = ("--formats", "none")
LOG_TASKS = ("--ilsvrc-log-tasks", "true")
"""Luigi's lines that a task is running, and done."""


def start_luigi(
    *arguments: object, config: Path | None = PROJECT / "luigi.cfg", **environment: str
) -> subprocess.Popen[str]:
    """Start ``luigi --module luigi_ilsvrc …`` in a folder without a configuration of its own."""
    settings = {"LUIGI_CONFIG_PATH": str(config)} if config else {}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", *map(str, arguments)],
        env={**kept, **settings, **environment},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def luigi(*arguments: object, config: Path | None = PROJECT / "luigi.cfg", **environment: str) -> tuple[int, str]:
    """Run Luigi on a scheduler of its own; return its exit status and what it said."""
    process = start_luigi(*arguments, "--local-scheduler", config=config, **environment)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def contents(directory: Path) -> dict[str, str]:
    """Return the MD5 of every file below a folder, by its path in it; empty folders too.

    What two builds of the same data differ in is left out: where the source lay, when an archive was written, and how
    long everything took.
    """
    return {
        str(path.relative_to(directory)): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in directory.rglob("*")
        if not (path.name == "build.json" or (path.parent.name == "manifests" and path.suffix == ".json"))
        if "timings" not in (path.name, path.parent.name) and path.name != "report.html"
    }


def times(directory: Path) -> dict[str, int]:
    """Return when each file and folder was last changed."""
    return {str(path): path.stat().st_mtime_ns for path in (directory, *directory.rglob("*"))}


class _QuietHandler(SimpleHTTPRequestHandler):
    def __init__(self, *args: Any, delay: float, rate: int | None, **kwargs: Any) -> None:
        self._delay = delay
        self._rate = rate
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        time.sleep(self._delay)
        super().do_GET()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        if self._rate is None:
            super().copyfile(source, outputfile)
            return
        while chunk := source.read(self._rate // 10):
            outputfile.write(chunk)
            time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        # Clients are killed in the middle of a body.
        pass


@contextmanager
def http_server(directory: Path, delay: float = 0, rate: int | None = None) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does, on loopback; yield its URL.

    Each file comes after `delay` seconds, with at most `rate` bytes a second.
    """
    handler = partial(_QuietHandler, directory=str(directory), delay=delay, rate=rate)
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def luigid(directory: Path, port: int | None = None) -> Iterator[int]:
    """Run a central scheduler on loopback, its state in a folder; yield its port, by default a free one."""
    if port is None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "import luigi.cmdline; luigi.cmdline.luigid()"),
            *("--address", "127.0.0.1", "--port", str(port), "--state-path", str(directory / "luigid.pickle")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def address(port: int) -> tuple[object, ...]:
    """Return the options with which Luigi's programs find a luigid on loopback."""
    return ("--scheduler-host", "127.0.0.1", "--scheduler-port", port)


def wait_for_port(port: int) -> None:
    """Wait until a server takes connections on loopback. Raises TimeoutError."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"no server on port {port}")

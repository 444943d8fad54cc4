"""Serves a folder over HTTP on loopback, as fast as the kernel can or no faster than asked for.

``python -m tests.benchmarks.server DIR [BYTES_PER_SECOND]`` prints its URL. Knows HEAD, Range and ETag.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from tests.benchmarks.measure import environment
from tests.support.running import PROJECT

_PIECE = 1 << 16
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, directory: Path, limit: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.directory = directory
        self.limit = limit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        with self._file() as file:
            self._send_head(file)

    def do_GET(self) -> None:
        with self._file() as file:
            start, end = self._send_head(file)
            self.wfile.flush()
            if self.server.limit is None:
                self.connection.sendfile(file, start, end - start)
            else:
                self._drip(file, start, end, self.server.limit)

    def _file(self) -> BinaryIO:
        return (self.server.directory / Path(self.path).name).open("rb")

    def _send_head(self, file: BinaryIO) -> tuple[int, int]:
        size = file.seek(0, 2)
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, end = (int(asked[1]), min(int(asked[2] or size) + 1, size)) if asked else (0, size)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Content-Type", "application/x-tar")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size:x}"')
        self.end_headers()
        return start, end

    def _drip(self, file: BinaryIO, start: int, end: int, limit: int) -> None:
        began = time.monotonic()
        for position in range(start, end, _PIECE):
            time.sleep(max(0.0, began + (position - start) / limit - time.monotonic()))
            self.connection.sendfile(file, position, min(_PIECE, end - position))


@contextmanager
def serve(directory: Path, limit: int | None = None) -> Iterator[str]:
    """Serve a folder from a process of its own; yield its URL.

    Parameters
    ----------
    directory : Path
        The folder.
    limit : int, optional
        Bytes per second for each connection.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.server", str(directory), *([str(limit)] if limit else [])],
        env=environment(),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def main() -> None:
    """Serve until terminated."""
    with _Server(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

"""A web server that serves a folder to one account, or to a browser that is logged in.

``python -m tests.support.account_server FOLDER PORT`` serves it to all hosts.
"""

import base64
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

USERNAME = "somebody-special"
ACCESS_KEY = "very%secret-key"
SESSION = "very-secret-session"
"""The value of the cookie ``session`` of a browser that is logged in."""


class AccountServer(ThreadingHTTPServer):
    """Serves a folder to those who are logged in; `requests` has the header Authorization of each request."""

    daemon_threads = True

    def __init__(self, directory: Path, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), partial(_AccountsOnly, directory=str(directory)))
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _AccountsOnly(SimpleHTTPRequestHandler):
    server: AccountServer

    def do_GET(self) -> None:
        self.server.requests.append(self.headers.get("Authorization"))
        expected = "Basic " + base64.b64encode(f"{USERNAME}:{ACCESS_KEY}".encode()).decode()
        if expected == self.headers.get("Authorization") or self.headers.get("Cookie") == f"session={SESSION}":
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="ImageNet"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def running(directory: Path) -> Iterator[AccountServer]:
    """Serve a folder on loopback; yield the server."""
    with AccountServer(directory) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def accounts_only(directory: Path) -> Iterator[str]:
    """Serve a folder on loopback; yield its URL."""
    with running(directory) as server:
        yield server.url


if __name__ == "__main__":
    with AccountServer(Path(sys.argv[1]), "0.0.0.0", int(sys.argv[2])) as everywhere:
        everywhere.serve_forever()

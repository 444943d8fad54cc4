"""A web server that serves a folder to one account, as image-net.org does.

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


class _AccountsOnly(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(f"{USERNAME}:{ACCESS_KEY}".encode()).decode()
        if self.headers.get("Authorization") == expected:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="ImageNet"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _server(directory: Path, address: str, port: int) -> ThreadingHTTPServer:
    return ThreadingHTTPServer((address, port), partial(_AccountsOnly, directory=str(directory)))


@contextmanager
def accounts_only(directory: Path) -> Iterator[str]:
    """Serve a folder on loopback; yield its URL."""
    with _server(directory, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    with _server(Path(sys.argv[1]), "0.0.0.0", int(sys.argv[2])) as everywhere:
        everywhere.serve_forever()

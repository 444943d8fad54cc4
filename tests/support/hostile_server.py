"""A real HTTP server on loopback that sends faulty replies, as a test wants them.

It serves one body under every path. Each request is answered by the next behaviour of `script`; after the last one by
`serve`, which is correct: ranges, If-Range, ETag, Content-Length.
"""

import base64
import fcntl
import hashlib
import os
import re
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

Behaviour = Callable[["Handler"], None]

_LONGEST_TEST = 120.0


class Request(NamedTuple):
    path: str
    headers: Message


class HostileServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, body: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = body
        self.etag: str | None = '"first"'
        self.accept_ranges: str | None = None
        self.sent: list[int] = []
        self.script: list[Behaviour] = []
        self.requests: list[Request] = []
        self.is_stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/data"

    @property
    def url_by_another_name(self) -> str:
        return f"http://localhost:{self.server_port}/data"

    def header(self, name: str) -> list[str | None]:
        return [request.headers[name] for request in self.requests]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: in these tests clients break connections."""


@contextmanager
def running(body: bytes) -> Iterator[HostileServer]:
    with HostileServer(body) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.is_stopping.set()
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    server: HostileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.requests.append(Request(self.path, self.headers))
        behaviour = self.server.script.pop(0) if self.server.script else serve
        behaviour(self)

    def do_CONNECT(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def head(self, status: int, **headers: object) -> None:
        """Send the status and headers; underscores in names stand for hyphens, None leaves a header out."""
        self.send_response(status)
        headers = {"ETag": self.server.etag, "Accept-Ranges": self.server.accept_ranges, **headers}
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def rest(self) -> tuple[int, bytes]:
        """Send the head of a correct reply; return the requested offset and the body from there on."""
        body = self.server.body
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
        unchanged = self.headers["If-Range"] in (None, self.server.etag)
        if not wanted or not unchanged:
            self.head(200, Content_Length=len(body))
            return 0, body
        start, end = int(wanted[1]), int(wanted[2] or len(body) - 1) + 1
        if start >= len(body):
            self.head(416, Content_Range=f"bytes */{len(body)}", Content_Length=0)
            return start, b""
        content_range = f"bytes {start}-{end - 1}/{len(body)}"
        self.head(206, Content_Length=end - start, Content_Range=content_range)
        return start, body[start:end]


def serve(handler: Handler) -> None:
    _, rest = handler.rest()
    handler.server.sent.append(len(rest))
    handler.wfile.write(rest)


def close_at(count: int) -> Behaviour:
    """Announce the whole length and close the connection after `count` bytes."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(handler.rest()[1][:count])
        handler.close_connection = True

    return behave


def reset_at(count: int) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.wfile.write(handler.rest()[1][:count])
        while any(fcntl.ioctl(handler.connection, termios.TIOCOUTQ, bytes(4))):
            time.sleep(0.001)  # a reset discards what the client has not acknowledged yet
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(handler.connection.detach())
        handler.close_connection = True

    return behave


def stall_at(count: int) -> Behaviour:
    """Send `count` bytes, then nothing; keep the connection open."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(handler.rest()[1][:count])
        handler.server.is_stopping.wait(_LONGEST_TEST)
        handler.close_connection = True

    return behave


def hold_at(count: int, resume: threading.Event) -> Behaviour:
    def behave(handler: Handler) -> None:
        _, rest = handler.rest()
        handler.wfile.write(rest[:count])
        resume.wait(_LONGEST_TEST)
        handler.wfile.write(rest[count:])

    return behave


def drip(handler: Handler) -> None:
    _, rest = handler.rest()
    for start in range(0, len(rest), 1000):
        handler.wfile.write(rest[start : start + 1000])
        time.sleep(0.001)


def answer(status: int, body: bytes = b"", **headers: object) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.head(status, **{"Content_Length": len(body), **headers})
        handler.wfile.write(body)

    return behave


PAGE = b"\n<!DOCTYPE html><html><title>Sign in</title>" + b" " * 2000


def page(content_type: str) -> Behaviour:
    return answer(200, PAGE, Content_Type=content_type)


def drip_page(handler: Handler) -> None:
    handler.head(200, Content_Length=len(PAGE), Content_Type="application/x-tar")
    handler.wfile.write(PAGE[:1])
    time.sleep(0.1)
    handler.wfile.write(PAGE[1:])


def ignore_range(handler: Handler) -> None:
    handler.head(200, Content_Length=len(handler.server.body))
    handler.wfile.write(handler.server.body)


def ignore_range_and_close_at(count: int) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.head(200, Content_Length=len(handler.server.body))
        handler.wfile.write(handler.server.body[:count])
        handler.close_connection = True

    return behave


def shift_range(start: int, total: int) -> Behaviour:
    """Answer every request with the bytes from `start` on of a file of `total` bytes."""

    def behave(handler: Handler) -> None:
        body = handler.server.body[start:]
        handler.head(206, Content_Length=len(body), Content_Range=f"bytes {start}-{total - 1}/{total}")
        handler.wfile.write(body)

    return behave


def in_parts(size: int) -> Behaviour:
    """Send at most `size` bytes as a 206, as some caches do."""

    def behave(handler: Handler) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:-1])
        part, total = handler.server.body[start : start + size], len(handler.server.body)
        handler.head(206, Content_Length=len(part), Content_Range=f"bytes {start}-{start + len(part) - 1}/{total}")
        handler.wfile.write(part)

    return behave


def flip_a_byte(handler: Handler) -> None:
    body = bytearray(handler.server.body)
    body[len(body) // 2] ^= 1
    handler.head(200, Content_Length=len(body))
    handler.wfile.write(body)


def chunked(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    for start in range(0, len(handler.server.body), 10_000):
        chunk = handler.server.body[start : start + 10_000]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
    handler.wfile.write(b"0\r\n\r\n")


def break_chunked(handler: Handler) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    handler.wfile.write(b"%x\r\n%b\r\n" % (50_000, handler.server.body[:50_000]))
    handler.close_connection = True


def until_closed(handler: Handler) -> None:
    """Send no length: the end of the connection is the end of the file."""
    handler.protocol_version = "HTTP/1.0"
    handler.head(200)
    handler.wfile.write(handler.server.body)
    handler.close_connection = True


def raw(*parts: bytes, seconds: float = 0) -> Behaviour:
    """Send bytes as they are, without a status of our own, and close; wait so long after each part."""

    def behave(handler: Handler) -> None:
        for part in parts:
            handler.wfile.write(part)
            handler.server.is_stopping.wait(seconds)
        handler.close_connection = True

    return behave


def endless(begin: bytes, part: bytes) -> Behaviour:
    """Send `begin`, and then `part` again and again, until the client has enough."""

    def behave(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(begin)
        with suppress(OSError):
            while not handler.server.is_stopping.is_set():
                handler.wfile.write(part)

    return behave


def trickle(first: int, size: int, seconds: float) -> Behaviour:
    """Send `first` bytes of a correct reply at once, and the rest in parts of `size` bytes with a pause before each."""

    def behave(handler: Handler) -> None:
        _, rest = handler.rest()
        handler.close_connection = True
        handler.wfile.write(rest[:first])
        with suppress(OSError):
            for start in range(first, len(rest), size):
                if handler.server.is_stopping.wait(seconds):
                    return
                handler.wfile.write(rest[start : start + size])

    return behave


def redirect(url: str) -> Behaviour:
    return answer(302, Location=url)


def ask_for_basic(username: str, access_key: str, then: Behaviour = serve) -> Behaviour:
    expected = "Basic " + base64.b64encode(f"{username}:{access_key}".encode()).decode()

    def behave(handler: Handler) -> None:
        if handler.headers["Authorization"] == expected:
            then(handler)
        else:
            answer(401, WWW_Authenticate='Basic realm="ImageNet"')(handler)

    return behave


def ask_for_digest(username: str, access_key: str) -> Behaviour:
    """RFC 2617 without qop."""

    def behave(handler: Handler) -> None:
        def md5(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        expected = md5(f"{md5(f'{username}:ImageNet:{access_key}')}:once:{md5(f'GET:{handler.path}')}")
        if f'response="{expected}"' in (handler.headers["Authorization"] or ""):
            serve(handler)
        else:
            answer(401, WWW_Authenticate='Digest realm="ImageNet", nonce="once"')(handler)

    return behave

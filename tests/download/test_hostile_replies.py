"""What no server should send: each is a clear error, or tried again; nothing hangs, and no traceback."""

import re
from pathlib import Path

import pytest

from luigi_ilsvrc.download.http_adapter import MAX_OVERHEAD
from luigi_ilsvrc.download.server_text import number, shown
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.download.transfer import MAX_BACKOFF
from tests.download.helpers import ACCOUNT, BODY, Fetch, assert_only_file, beside, leave_partial
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

DIGITS = "9" * 5_000
ESCAPES = "\x1b[31mred\x1b[0m\x07\x9b2J" + "x" * 500
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = f"Content-Length: {len(BODY)}\r\n".encode()


def head(*lines: str) -> bytes:
    return "\r\n".join(("HTTP/1.1 200 OK", *lines, "", "")).encode("latin-1")


TRANSIENT = {
    "length of 5,000 digits": hostile.answer(200, BODY, Content_Length=DIGITS),
    "negative length": hostile.answer(200, BODY, Content_Length="-5"),
    "length that is no number": hostile.answer(200, BODY, Content_Length="many"),
    "two lengths": hostile.raw(head("Content-Length: 5", "Content-Length: 7"), BODY),
    "length with an underscore": hostile.answer(200, BODY, Content_Length="307_200"),
    "range of 5,000 digits": hostile.answer(206, BODY, Content_Range=f"bytes 0-{DIGITS}/{DIGITS}"),
    "negative range": hostile.answer(206, BODY, Content_Range="bytes -5-9/10"),
    "range that ends before it starts": hostile.answer(206, BODY, Content_Range=f"bytes 9-5/{len(BODY)}"),
    "range beyond the length": hostile.answer(206, BODY, Content_Range="bytes 0-99/10"),
    "range of another length": hostile.answer(206, BODY, Content_Range=f"bytes 0-9/{len(BODY)}"),
    "no range": hostile.answer(206, BODY),
    "several ranges": hostile.answer(206, BODY, Content_Type="multipart/byteranges; boundary=x"),
    "no status": hostile.raw(BODY),
    "status of another protocol": hostile.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "status that is no number": hostile.raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "status of five digits": hostile.raw(b"HTTP/1.1 20000 OK\r\n\r\n"),
    "TLS": hostile.raw(b"\x15\x03\x01\x00\x02\x02\x50"),
    "nothing": hostile.raw(),
    "half a head": hostile.raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a header of 100 kB": hostile.raw(head("X: " + "x" * 100_000), BODY),
    "1,000 headers": hostile.raw(head(*(f"X-{n}: y" for n in range(1000))), BODY),
    "endless headers": hostile.endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "endless 100 Continue": hostile.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "endless status": hostile.endless(b"HTTP/1.1 200 ", b"OK" * 1000),
    "chunk without a length": hostile.raw(CHUNKED, b"zz\r\n" + BODY),
    "chunk of a negative length": hostile.raw(CHUNKED, b"-5\r\n" + BODY),
    "chunk of a length of 5,000 digits": hostile.raw(CHUNKED, b"f" * 5_000 + b"\r\n" + BODY[:1000]),
    "endless extension of a chunk": hostile.endless(CHUNKED + b"1;", b"x" * 1000),
    "endless trailers": hostile.endless(CHUNKED + b"200\r\n" + BODY[:512] + b"\r\n0\r\n", b"X: y\r\n" * 1000),
    "status 425": hostile.answer(425),
}


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT)
def test_an_invalid_reply_is_tried_again(
    reply: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [reply]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(fetch.waits) == 1


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT)
def test_invalid_replies_only_are_a_clear_error(
    reply: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [reply] * 9
    with pytest.raises(DownloadError, match="images.tar: .* 2 attempts") as caught:
        fetch(server.url, destination, attempts=2)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("reply", TRANSIENT.values(), ids=TRANSIENT)
def test_an_invalid_reply_to_a_resumed_download_is_survived(
    reply: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.script = [reply]
    fetch(server.url, destination)
    assert_only_file(destination)


def test_a_part_that_is_longer_than_its_range_is_cut(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    def too_long(handler: hostile.Handler) -> None:
        span = f"bytes 100000-199999/{len(BODY)}"
        handler.head(206, Transfer_Encoding="chunked", Content_Range=span)
        part = BODY[100_000:200_000] + b"x" * 50_000
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part))

    leave_partial(server, destination)
    server.script = [too_long]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == ["bytes=100000-", "bytes=200000-"]


def test_a_416_with_a_range_of_5000_digits_means_starting_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.script = [hostile.answer(416, Content_Range=f"bytes */{DIGITS}")]
    fetch(server.url, destination)
    assert_only_file(destination)


@pytest.mark.parametrize("value", [DIGITS, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_an_absurd_retry_after_is_limited(value: str, server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(503, Retry_After=value)]
    fetch(server.url, destination)
    assert fetch.waits == [MAX_BACKOFF]


@pytest.mark.parametrize(
    "value",
    [f"-{DIGITS}", "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 +9999", "1e999", "nan", "\x1b[2J", " "],
)
def test_a_retry_after_that_is_none_is_ignored(
    value: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(503, Retry_After=value)]
    fetch(server.url, destination)
    assert 0 <= fetch.waits[0] <= 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("file:///etc/passwd", "redirects to file:"),
        ("ftp://elsewhere/file", "redirects to ftp:"),
        ("data:text/plain,hello", "redirects to data:"),
        ("javascript:alert(1)", "redirects to javascript:"),
        ("http://[broken", "invalid URL"),
        ("http://host:99999999/", "invalid URL"),
        ("http://" + "a" * 70 + ".org/", "invalid URL"),
        ("http://\xff\xfe/", "invalid URL"),
    ],
)
def test_a_redirect_that_cannot_be_followed_is_an_error_at_once(
    target: str, expected: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect(target)]
    with pytest.raises(DownloadError, match=f"images.tar: the server {expected}|{expected}") as caught:
        fetch(server.url, destination)
    assert "--source" in str(caught.value)
    assert str(caught.value).isprintable()
    assert fetch.waits == []


def test_a_redirect_without_a_target_is_an_error(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(302)]
    with pytest.raises(DownloadError, match=r"images.tar answered 302 Found.*--source"):
        fetch(server.url, destination)


def test_a_network_that_asks_for_a_login_says_so(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(511)]
    with pytest.raises(DownloadError, match=r"511 .*network asks for a login"):
        fetch(server.url, destination)


CHALLENGES = {
    "no nonce": 'Digest realm="x"',
    "empty nonce": 'Digest realm="x", nonce=""',
    "no realm": 'Digest nonce="once"',
    "unknown algorithm": 'Digest realm="x", nonce="once", algorithm=ROT13',
    "unknown quality of protection": 'Digest realm="x", nonce="once", qop="auth-int"',
    "nothing else": "Digest",
    "an escape": 'Digest realm="\x1b[2J", nonce="once"',
    "50,000 characters": 'Digest realm="' + "x" * 50_000 + '", algorithm=MD5',
}


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES)
def test_a_digest_that_is_not_usable_is_a_clear_error(
    challenge: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(401, WWW_Authenticate=challenge)]
    with pytest.raises(DownloadError, match="images.tar: the server asks for a Digest login that is not us") as caught:
        fetch(server.url, destination, credentials=ACCOUNT)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    assert len(server.requests) == 1


def test_an_endless_body_of_a_refusal_is_not_read(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    refusal = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n\r\n'
    server.script = [hostile.endless(refusal, b"x" * 10_000)] * 2
    with pytest.raises(DownloadError, match="401"):
        fetch(server.url, destination, credentials=ACCOUNT)


def test_a_digest_may_be_one_of_several_offers(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    offers = 'Negotiate, Digest realm="x", nonce="y", algorithm=ROT13, Basic realm="x"'
    server.script = [hostile.answer(401, WWW_Authenticate=offers)]
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)
    assert (server.header("Authorization")[1] or "").startswith("Basic ")


REPLIES_WITH_ESCAPES = {
    "reason": hostile.raw(f"HTTP/1.1 404 {ESCAPES}\r\n\r\n".encode("latin-1")),
    "transient reason": hostile.raw(f"HTTP/1.1 503 {ESCAPES}\r\n\r\n".encode("latin-1")),
    "content type": hostile.raw(head(f"Content-Type: {ESCAPES}"), hostile.PAGE),
    "status": hostile.raw(f"{ESCAPES}\r\n\r\n".encode("latin-1")),
    "length": hostile.raw(head(f"Content-Length: {ESCAPES}"), BODY),
    "target": hostile.raw(f"HTTP/1.1 302 Found\r\nLocation: /{ESCAPES}\r\n\r\n".encode("latin-1")),
    "chunk": hostile.raw(CHUNKED, f"{ESCAPES}\r\n".encode("latin-1"), BODY),
    "lines that are no headers": hostile.raw(head(ESCAPES, "\x00", ": x"), b"x" * 1000),
}


@pytest.mark.parametrize("reply", REPLIES_WITH_ESCAPES.values(), ids=REPLIES_WITH_ESCAPES)
def test_what_a_server_says_is_escaped_and_cut(
    reply: hostile.Behaviour,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script = [reply, reply, hostile.answer(404)]
    with pytest.raises(DownloadError) as caught:
        fetch(server.url, destination)
    for text in (str(caught.value), *caplog.messages):
        assert text.isprintable()
        assert not re.search("x{301}", text)
    assert "Traceback" not in caplog.text
    assert beside(destination) == []


def test_a_text_that_is_shown_is_escaped_and_cut() -> None:
    assert shown("Not Found") == "Not Found"
    assert shown("a\nb\x1b[0m\x9b\\ü") == r"a\nb\x1b[0m\x9b\\ü"
    assert shown("\u202ea\u2028") == r"\u202ea\u2028"
    assert shown("x" * 100) == "x" * 80 + "…"
    assert shown("\0" * 10**7) == (r"\x00" * 20) + "…"


@pytest.mark.parametrize("text", ["", "-1", "1_0", "٣", "1.0", "+1", DIGITS, "0x10"])
def test_only_decimal_digits_are_a_number(text: str) -> None:
    assert number(text) is None
    assert number(" 17 ") == 17


def test_headers_may_have_the_usual_size(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    lines = [f"X-{n}: {'y' * 8000}" for n in range(80)]
    assert 600_000 < len(head(*lines)) < MAX_OVERHEAD
    server.script = [hostile.raw(head(*lines, f"Content-Length: {len(BODY)}"), BODY)]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert fetch.waits == []

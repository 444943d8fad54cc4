"""A file on a web server as a source."""

import copy
import email.utils
import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.cookies import extract_cookies_to_jar
from urllib3.exceptions import HTTPError

from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.download.archive_check import FIRST_BYTES, NOTHING, PAGE, unexpected_content
from luigi_ilsvrc.download.credentials import ACCESS_KEY_VARIABLE, USERNAME_VARIABLE, Credentials
from luigi_ilsvrc.download.http_adapter import WINDOW_SECONDS, Adapter, RateLimit
from luigi_ilsvrc.download.http_errors import explain, explain_invalid_url, proxy_login_advice, proxy_variable
from luigi_ilsvrc.download.login import DigestLogin, Login, is_login_offered, login, no_login
from luigi_ilsvrc.download.server_text import is_validator, number, shown
from luigi_ilsvrc.download.source import CHUNK, DownloadError, FileVersion, HttpOptions, Reply, TransientError
from luigi_ilsvrc.download.urls import host_of, is_web_url, without_secrets

_TRANSIENT_STATUSES = {408, 425, 429, 500, 502, 503, 504}
_MAX_REDIRECTS = 20
_TERMS = f"The terms have to be accepted once, at {archives.SIGN_UP}"


class HttpFile:
    """A file on a web server.

    The account is sent to the host of `source` only, and only when it asks for one; a cookie, to the
    URLs that it is for.

    Attributes
    ----------
    address : str
        The URL, for messages: without the query, which may contain a signature.
    """

    def __init__(self, source: str, name: str, credentials: Credentials | None, options: HttpOptions) -> None:
        parts = urlsplit(source)
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}", fragment="").geturl()
        self.address = without_secrets(self._url)
        if "@" in parts.netloc:
            raise DownloadError(
                f"{self.address}: the source URL contains a user name, and URLs are written to logs. Remove it, and "
                f"set {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment"
            )
        self._host = host_of(self._url)
        self._name = name
        self._credentials = credentials
        self._options = options
        self._cookies = options.cookies
        self._session = _session(options)
        self._login: Login = no_login
        self._response: requests.Response | None = None
        self._requested = self._url

    def for_thread(self) -> "HttpFile":
        """Return the same file with connections of its own; see `ParallelSource`."""
        other = copy.copy(self)
        other._session = _session(self._options)
        other._response = None
        return other

    @contextmanager
    def open(self, start: int = 0, version: FileVersion | None = None, end: int | None = None) -> Iterator[Reply]:
        """Ask for the bytes from `start` up to `end`, if the file is still `version`; see `Source`.

        The server decides: the reply may start or end at another offset, and may be of another version.
        """
        with closing(self._get(self._range_headers(start, version, end))) as response:
            self._response = response
            status = response.status_code
            if status == 200:
                yield self._whole_file(response)
            elif status == 206:
                yield self._part(response)
            elif status == 416 and start:
                yield self._nothing_left(response, start)
            else:
                raise self._error(response)

    def refusal(self) -> str | None:
        """Ask for the first bytes; return the status if the server asks for an account, or refuses the one it was sent.

        None if it answers anything else, whether that is the file or not. Raises what `open` raises.
        """
        with closing(self._get(self._range_headers(0, None, FIRST_BYTES))) as response:
            is_asked = response.status_code == 401 and host_of(response.url) == self._host
            is_offered = is_asked and is_login_offered(response.headers.get("WWW-Authenticate", ""))
            is_refused = response.status_code == 403 and self._login is not no_login
            return _status(response) if is_offered or is_refused else None

    def abort(self) -> None:
        """End the reply that another thread reads; see `ParallelSource`."""
        response = self._response
        if response is not None:
            # A reply that has just ended has no connection to shut down.
            with suppress(OSError, ValueError, RuntimeError):
                response.raw.shutdown()

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
        self._session.close()

    def _range_headers(self, start: int, version: FileVersion | None, end: int | None) -> dict[str, str]:
        """Return the headers that ask for a part of one version only (RFC 9110, 13.1.5 and 14.2)."""
        if not start and end is None:
            return {}
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        if version is None or self._is_told_by_length(version.total):
            return headers
        is_strong = version.etag and not version.etag.startswith("W/")
        validator = version.etag if is_strong else version.modified
        return {**headers, **({"If-Range": validator} if validator else {})}

    def _is_told_by_length(self, total: int | None) -> bool:
        return self._options.has_checksum and total is not None

    def _get(self, headers: dict[str, str]) -> requests.Response:
        response = self._follow_redirects(headers)
        if response.status_code == 401 and host_of(response.url) == self._host:
            new_login = self._new_login(response.headers.get("WWW-Authenticate", ""))
            if new_login is not None:
                response.close()
                self._login = new_login
                response = self._follow_redirects(headers)
        return response

    def _new_login(self, challenge: str) -> Login | None:
        """Return how to log in, unless that was tried already; a server may have a new number for a digest."""
        if self._login is no_login:
            return login(challenge, self._credentials, self.address)
        if not isinstance(self._login, DigestLogin):
            return None
        renewed = login(challenge, self._credentials, self.address)
        is_new = isinstance(renewed, DigestLogin) and renewed.nonce != self._login.nonce
        return renewed if is_new else None

    def _follow_redirects(self, headers: dict[str, str]) -> requests.Response:
        # Not left to requests, which would send the redirect's host an entry of ~/.netrc, or a digest.
        url = self._url
        for _ in range(_MAX_REDIRECTS):
            response = self._request(url, headers)
            target = self._redirect_target(response)
            if target is None:
                return response
            response.close()
            url = target
        raise DownloadError(f"{self.address}: more than {_MAX_REDIRECTS} redirects; check --source")

    def _request(self, url: str, headers: dict[str, str]) -> requests.Response:
        self._requested = url
        try:
            auth = self._login if host_of(url) == self._host else no_login
            given = {**headers, **self._cookies.headers(url)}
            with self._network_errors():
                response = self._session.get(
                    url, headers=given, auth=auth, timeout=self._options.timeout, stream=True, allow_redirects=False
                )
            extract_cookies_to_jar(self._cookies.jar, response.request, response.raw)  # type: ignore[no-untyped-call]
            return response
        except (ValueError, OverflowError):
            raise explain_invalid_url(url, self.address, is_redirect=url != self._url) from None

    def _redirect_target(self, response: requests.Response) -> str | None:
        try:
            target = self._session.get_redirect_target(response)
            if target is None:
                return None
            url = urljoin(response.url, target)
        except ValueError:
            raise DownloadError(f"{self.address}: the server redirects to an invalid URL; check --source") from None
        if not is_web_url(url):
            raise DownloadError(
                f"{self.address}: the server redirects to {shown(url.partition(':')[0])}:, which is not a URL of a web "
                "server; check --source"
            )
        return url

    def _whole_file(self, response: requests.Response) -> Reply:
        version = self._version(response, _content_length(response))
        has_ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
        chunks = self._checked_chunks(response, version.total)
        return Reply(version, 0, chunks, self if has_ranges else None, response.close)

    def _part(self, response: requests.Response) -> Reply:
        span = _content_range(response)
        if span is None or _content_length(response) not in (None, span.last - span.start + 1):
            raise TransientError("status 206 with an invalid Content-Range: starting over", start_over=True)
        version = self._version(response, span.total)
        count = span.last - span.start + 1
        chunks = self._read_chunks(response) if span.start else self._checked_chunks(response, count)
        return Reply(version, span.start, _first(chunks, count), self, response.close)

    def _nothing_left(self, response: requests.Response, start: int) -> Reply:
        span = re.fullmatch(r"bytes \*/([0-9]+)", response.headers.get("Content-Range", ""))
        if span is None or number(span[1]) != start:
            raise TransientError(
                "the partial file is longer than the file on the server: starting over", start_over=True
            )
        return Reply(FileVersion(self.address, start), start, ())

    def _version(self, response: requests.Response, total: int | None) -> FileVersion:
        if self._is_told_by_length(total):
            return FileVersion(self.address, total)
        texts = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
        return FileVersion(self.address, total, *(text if is_validator(text) else None for text in texts))

    def _checked_chunks(self, response: requests.Response, length: int | None) -> Iterable[bytes]:
        """Return the body; look at its first bytes before anything that is kept is replaced by it."""
        chunks = self._read_chunks(response)
        first_bytes = b""
        while len(first_bytes) < FIRST_BYTES and (chunk := next(chunks, b"")):
            first_bytes += chunk
        content_type = response.headers.get("Content-Type", "")
        found = unexpected_content(self._name, content_type, first_bytes)
        if found and found != PAGE and len(first_bytes) < FIRST_BYTES and length is None:
            raise TransientError(f"the reply ended at byte {len(first_bytes):,}")
        if found:
            is_page = found in (PAGE, NOTHING)
            advice = f"Usually this is a login page: {self._account_advice} {_TERMS}" if is_page else _CHECK
            raise DownloadError(
                f"{_shown_url(response)} sent {found} (Content-Type: {shown(content_type) or 'none'}) instead of "
                f"{self._name}. {advice}"
            )
        return itertools.chain((first_bytes,), chunks)

    def _read_chunks(self, response: requests.Response) -> Iterator[bytes]:
        # read1, not read or iter_content: those wait until a chunk is full, and lose it if the connection breaks.
        # Not decoded: a .tar.gz that a server sends with "Content-Encoding: gzip" is stored as it is.
        raw: Any = response.raw
        with self._network_errors():
            while chunk := raw.read1(CHUNK, decode_content=False):
                yield chunk

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPError) as error:
            # An invalid URL; but an invalid header is the server's.
            if isinstance(error, ValueError) and not isinstance(error, requests.exceptions.InvalidHeader):
                raise
            raise explain(error, self._requested) from None

    def _error(self, response: requests.Response) -> DownloadError | TransientError:
        status = _status(response)
        if response.status_code in _TRANSIENT_STATUSES:
            return TransientError(status, retry_after=_seconds(response.headers.get("Retry-After", "")))
        return DownloadError(f"{_shown_url(response)} answered {status}: {self._status_advice(response)}")

    def _status_advice(self, response: requests.Response) -> str:
        if response.status_code in (401, 403):
            return f"{self._account_advice} {_TERMS}"
        if response.status_code == 407:
            return proxy_login_advice(proxy_variable(response.url))
        if response.status_code == 511:
            return "this network asks for a login (open any page in a browser on this machine), or needs a proxy"
        return _CHECK

    @property
    def _account_advice(self) -> str:
        verb = "check" if self._credentials else "set"
        netrc = f"~/.netrc for {self._host[1]}"
        account = f"{verb} {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment, or {netrc}"
        if self._cookies.path is None:
            return f"{account}, or give the cookies of a browser that is logged in with --cookies."
        return f"{self._cookie_advice}: export them again from a browser that is logged in; or {account}."

    @property
    def _cookie_advice(self) -> str:
        path, host = self._cookies.path, self._host[1]
        if self._cookies.headers(self._url):
            return f"the cookies of {path} may have expired"
        return f"{path} has no valid cookie for {host}"


_CHECK = "check --source, and the name of the file"


@dataclass(frozen=True)
class _Span:
    start: int
    last: int
    total: int | None


def _session(options: HttpOptions) -> requests.Session:
    session = requests.Session()
    # With a compressed body, neither its length nor its offsets would be the file's.
    session.headers["Accept-Encoding"] = "identity"
    # Not left to requests, which would send a cookie that is for one host to the hosts below it, too.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # Not shorter than the time-out: a server may be silent until then.
    adapter = Adapter(RateLimit(options.min_rate, max(WINDOW_SECONDS, options.timeout)))
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {shown(response.reason or '')}".strip()


def _shown_url(response: requests.Response) -> str:
    return shown(without_secrets(response.url), limit=200)


def _content_length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length")
    length = None if text is None else number(text)
    if text is not None and length is None and "Transfer-Encoding" not in response.headers:
        raise TransientError(f"the server sent an invalid Content-Length: {shown(text)}")
    return length


def _content_range(response: requests.Response) -> _Span | None:
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        return None
    start, last, total = (number(text) for text in match.groups())
    is_known = start is not None and last is not None and (total is not None or match[3] == "*")
    if not is_known or start is None or last is None:
        return None
    return _Span(start, last, total) if start <= last and (total is None or last < total) else None


def _first(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Yield the first `count` bytes: a server may send more than it says."""
    for chunk in chunks:
        yield chunk[:count]
        count -= len(chunk)
        if count <= 0:
            return


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3)."""
    if re.fullmatch(r"\s*[0-9]+\s*", retry_after):
        # Of thousands of digits: infinity.
        return float(retry_after)
    try:
        when = email.utils.parsedate_to_datetime(retry_after).replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())

"""A file on a web server as a source."""

import copy
import email.utils
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from http.client import HTTPException
from typing import Any, TypeAlias
from urllib.parse import quote, urljoin, urlsplit

import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth
from urllib3.exceptions import HTTPError

from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.download.archive_check import FIRST_BYTES, unexpected_content
from luigi_ilsvrc.download.credentials import ACCESS_KEY_VARIABLE, USERNAME_VARIABLE, Credentials
from luigi_ilsvrc.download.source import CHUNK, DownloadError, FileVersion, Reply, TransientError
from luigi_ilsvrc.download.urls import host_of, without_secrets

_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
_MAX_REDIRECTS = 20
_TERMS = f"The terms have to be accepted once, at {archives.SIGN_UP}"

_Login: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class HttpFile:
    """A file on a web server. The account is sent to the host of `source` only, and only when it asks for one.

    Attributes
    ----------
    address : str
        The URL, for messages: without the query, which may contain a signature.
    """

    stage = "downloading"
    original = None

    def __init__(self, source: str, name: str, credentials: Credentials | None, timeout: float) -> None:
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
        self._timeout = timeout
        self._session = _session()
        self._login: _Login = _no_login
        self._response: requests.Response | None = None

    def for_thread(self) -> "HttpFile":
        """Return the same file with connections of its own; see `ParallelSource`."""
        other = copy.copy(self)
        other._session = _session()
        other._response = None
        return other

    @contextmanager
    def open(self, start: int = 0, version: FileVersion | None = None, end: int | None = None) -> Iterator[Reply]:
        """Ask for the bytes from `start` up to `end`, if the file is still `version`; see `Source`.

        The server decides: the reply may start or end at another offset, and may be of another version.
        """
        with _network_errors(), closing(self._get(_range_headers(start, version, end))) as response:
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

    def _get(self, headers: dict[str, str]) -> requests.Response:
        response = self._follow_redirects(headers)
        if response.status_code == 401 and self._login is _no_login and host_of(response.url) == self._host:
            login = _login(response.headers.get("WWW-Authenticate", ""), self._credentials)
            if login is not None:
                response.close()
                self._login = login
                response = self._follow_redirects(headers)
        return response

    def _follow_redirects(self, headers: dict[str, str]) -> requests.Response:
        # Not left to requests, which would send the redirect's host an entry of ~/.netrc, or a digest.
        url = self._url
        for _ in range(_MAX_REDIRECTS):
            try:
                login = self._login if host_of(url) == self._host else _no_login
                response = self._session.get(
                    url, headers=headers, auth=login, timeout=self._timeout, stream=True, allow_redirects=False
                )
                target = self._session.get_redirect_target(response)
                if target is None:
                    return response
                response.close()
                url = urljoin(url, target)
            except ValueError:
                raise DownloadError(f"{self.address}: invalid URL, or redirect to one; check --source") from None
        raise DownloadError(f"{self.address}: more than {_MAX_REDIRECTS} redirects; check --source")

    def _whole_file(self, response: requests.Response) -> Reply:
        length = response.headers.get("Content-Length", "")
        version = self._version(response, int(length) if length.isdecimal() else None)
        has_ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
        return Reply(version, 0, self._checked_chunks(response), self if has_ranges else None, response.close)

    def _part(self, response: requests.Response) -> Reply:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if span is None:
            raise TransientError("status 206 with an invalid Content-Range: starting over", start_over=True)
        version = self._version(response, None if span[2] == "*" else int(span[2]))
        start = int(span[1])
        chunks = _read_chunks(response) if start else self._checked_chunks(response)
        return Reply(version, start, chunks, self, response.close)

    def _nothing_left(self, response: requests.Response, start: int) -> Reply:
        span = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            raise TransientError(
                "the partial file is longer than the file on the server: starting over", start_over=True
            )
        return Reply(FileVersion(self.address, start), start, ())

    def _version(self, response: requests.Response, total: int | None) -> FileVersion:
        return FileVersion(self.address, total, response.headers.get("ETag"), response.headers.get("Last-Modified"))

    def _checked_chunks(self, response: requests.Response) -> Iterable[bytes]:
        """Return the body; look at its first bytes before anything that is kept is replaced by it."""
        chunks = _read_chunks(response)
        first_bytes = b""
        while len(first_bytes) < FIRST_BYTES and (chunk := next(chunks, b"")):
            first_bytes += chunk
        content_type = response.headers.get("Content-Type", "")
        found = unexpected_content(self._name, content_type, first_bytes)
        if found:
            raise DownloadError(
                f"{without_secrets(response.url)} sent {found} (Content-Type: {content_type or 'none'}) instead of "
                f"{self._name}. Usually this is a login page: {self._account_advice} {_TERMS}"
            )
        return itertools.chain((first_bytes,), chunks)

    def _error(self, response: requests.Response) -> DownloadError | TransientError:
        status = f"{response.status_code} {response.reason}".strip()
        if response.status_code in _TRANSIENT_STATUSES:
            return TransientError(status, retry_after=_seconds(response.headers.get("Retry-After", "")))
        about_account = response.status_code in (401, 403)
        advice = f"{self._account_advice} {_TERMS}" if about_account else "check --source, and the name of the file"
        return DownloadError(f"{without_secrets(response.url)} answered {status}: {advice}")

    @property
    def _account_advice(self) -> str:
        verb = "check" if self._credentials else "set"
        netrc = f"~/.netrc for {self._host[1]}"
        return f"{verb} {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment, or {netrc}."


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials; given as `auth`, it also keeps requests from reading ~/.netrc."""
    return request


def _login(challenge: str, credentials: Credentials | None) -> _Login | None:
    """Return how to log in as the header WWW-Authenticate asks, if that is possible."""
    if credentials is None:
        return None
    if "digest" in challenge.lower():
        return HTTPDigestAuth(credentials.username, credentials.access_key)
    if "basic" in challenge.lower():
        return HTTPBasicAuth(credentials.username.encode(), credentials.access_key.encode())
    return None


def _session() -> requests.Session:
    session = requests.Session()
    # With a compressed body, neither its length nor its offsets would be the file's.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _range_headers(start: int, version: FileVersion | None, end: int | None) -> dict[str, str]:
    """Return the headers that ask for a part of one version only (RFC 9110, 13.1.5 and 14.2)."""
    if not start and end is None:
        return {}
    is_strong = version and version.etag and not version.etag.startswith("W/")
    validator = version and (version.etag if is_strong else version.modified)
    last = "" if end is None else end - 1
    return {"Range": f"bytes={start}-{last}", **({"If-Range": validator} if validator else {})}


def _read_chunks(response: requests.Response) -> Iterator[bytes]:
    # read1, not read or iter_content: those wait until a chunk is full, and lose it if the connection breaks.
    # Not decoded: a .tar.gz that a server sends with "Content-Encoding: gzip" is stored as it is.
    raw: Any = response.raw
    with _network_errors():
        while chunk := raw.read1(CHUNK, decode_content=False):
            yield chunk


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3)."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = email.utils.parsedate_to_datetime(retry_after).replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


@contextmanager
def _network_errors() -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        # The innermost one has the cause; the outer ones repeat the URL with its query.
        reason: BaseException = error
        while isinstance(inner := reason.__cause__ or reason.__context__, (OSError, HTTPError, HTTPException)):
            reason = inner
        raise TransientError(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__) from None

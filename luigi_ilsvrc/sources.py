"""Where a file's bytes come from: a folder or a web server.

`find` returns one of two kinds of source; both answer `open` with a `Reply`, the bytes from some offset on. What is
done with the bytes is not known here. Nothing is retried here either: `PassingError` says that it may help.
"""

import copy
import email.utils
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from http.client import HTTPException
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import url2pathname

import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth
from urllib3.exceptions import HTTPError

from luigi_ilsvrc import archives
from luigi_ilsvrc.errors import BuildError

CHUNK = 1 << 18
"""Bytes read at once. Each piece costs an allocation of this size, and TLS fills no more than 16 KiB of it: measured,
1 MiB is slower for both HTTP and HTTPS."""

USERNAME_VARIABLE = "IMAGENET_USERNAME"
ACCESS_KEY_VARIABLE = "IMAGENET_ACCESS_KEY"

_PASSING_STATUSES = {408, 429, 500, 502, 503, 504}
_MOST_REDIRECTS = 20
_TERMS = f"The terms have to be accepted once, at {archives.SIGN_UP}"

_TAR_BLOCK = 512
_TAR_MAGIC = slice(257, 262), b"ustar"  # since POSIX.1-1988; older tars have none
_GZIP_MAGIC = slice(0, 2), b"\x1f\x8b"
_TEXT = re.compile(rb"(\xef\xbb\xbf)?\s*(<[!?a-z]|\{\s*[\"}]|\[\s*[\"\[{])", re.IGNORECASE)
_TEXT_TYPES = ("text/html", "application/xhtml", "application/json", "text/xml", "application/xml")

_Login: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class DownloadError(BuildError):
    """A file could not be brought from its source; what came so far is kept where it is of use."""


class PassingError(Exception):
    """A source failed in a way that may pass.

    Parameters
    ----------
    reason : str
        What a person is told.
    retry_after : float, optional
        Seconds that the source asks to wait.
    start_over : bool, optional
        Whether the bytes kept so far are known to be of no use.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, start_over: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.start_over = start_over


@dataclass(frozen=True)
class Credentials:
    """An account at a source; no text made of it shows either part."""

    username: str = field(repr=False)
    access_key: str = field(repr=False)


def find_credentials(url: str, username: str | None, access_key: str | None) -> Credentials | None:
    """Return what is given explicitly, else what ``~/.netrc`` (or ``$NETRC``) holds for the host of `url`, else None.

    Raises
    ------
    DownloadError
        Where only one of the two is given.
    """
    if username and access_key:
        return Credentials(username, access_key)
    if username or access_key:
        raise DownloadError(
            f"only one of {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} is set; set both, or neither to use ~/.netrc"
        )
    entry = requests.utils.get_netrc_auth(url) if _is_web(url) else None
    return Credentials(*entry) if entry else None


@dataclass(frozen=True)
class Version:
    """What tells one state of a file from another; what is not known is None.

    Attributes
    ----------
    address : str
        Its URL without the query, or its path.
    total : int or None
        Bytes in all.
    etag, modified : str or None
        ETag and Last-Modified as the server words them; of a local file, `modified` is the time in nanoseconds.
    """

    address: str
    total: int | None = None
    etag: str | None = None
    modified: str | None = None

    def joined_with(self, other: "Version") -> "Version | None":
        """Return what the two know together, or None where they contradict each other."""
        mine, others = asdict(self), asdict(other)
        if any(None not in (mine[key], others[key]) and mine[key] != others[key] for key in mine):
            return None
        return Version(**{key: others[key] if mine[key] is None else mine[key] for key in mine})


@dataclass(frozen=True)
class Reply:
    """The bytes of `version` from offset `start` on, maybe not up to the end; each piece is valid until the next."""

    version: Version
    start: int
    pieces: Iterable[bytes | memoryview]
    has_ranges: bool = False
    """Whether the source is known to send any part of the file by itself."""
    close: Callable[[], None] = lambda: None
    """Ends the reply before its last byte."""


def find(source: str, name: str, credentials: Credentials | None, timeout: float) -> "WebFile | LocalFile":
    """Return where the file `name` of `source` is read.

    Raises
    ------
    DownloadError
        Where `source` is neither an ``http(s)://`` or ``file://`` URL nor a folder with that file, or where it holds a
        user name.
    """
    try:
        if _is_web(source):
            return WebFile(source, name, credentials, timeout)
        if source.lower().startswith("file://"):
            return LocalFile(Path(url2pathname(urlsplit(source).path)), name)
    except ValueError:
        raise DownloadError(f"{name}: the source is not a valid URL; check --source") from None
    if "://" in source:
        raise DownloadError(f"{_address(source)}: a source is an http(s) or file URL, or a local folder")
    return LocalFile(Path(source).expanduser(), name)


def pieces(file: FileIO) -> Iterator[memoryview]:
    """Read to the end; each piece is valid until the next one.

    Raises
    ------
    DownloadError
        Where the disk does not give the bytes.
    """
    buffer = memoryview(bytearray(CHUNK))
    while True:
        try:
            count = file.readinto(buffer)
        except OSError as error:
            raise DownloadError(f"cannot read {file.name!s}: {error.strerror}") from None
        if not count:
            return
        yield buffer[:count]


class LocalFile:
    """A file in a folder; it is only ever read.

    Attributes
    ----------
    path : Path
        The file itself, symbolic links resolved.
    address : str
        The same, for messages.
    """

    stage = "copying"

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / name
        if not os.path.isfile(path):  # Path.is_file would raise where the folder may not be read
            official = ", ".join(known.name for known in (archives.TRAIN, archives.VALIDATION, archives.BOUNDING_BOXES))
            raise DownloadError(
                f"{path} is not there, or may not be seen. A source folder holds the archives under their official "
                f"names: {official}"
            )
        self.path = path.resolve()
        self.address = str(self.path)

    @contextmanager
    def open(self, start: int = 0, version: Version | None = None, end: int | None = None) -> Iterator[Reply]:
        """Read from `start` on, or from 0 where the file is not `version` any more; always to its end."""
        try:
            file = FileIO(self.path)
        except OSError as error:
            raise DownloadError(f"cannot read {self.path}: {error.strerror}") from None
        with file:
            status = os.fstat(file.fileno())
            present = Version(self.address, status.st_size, modified=str(status.st_mtime_ns))
            begin = start if version == present else 0
            file.seek(begin)
            yield Reply(present, begin, pieces(file))


class WebFile:
    """A file behind HTTP; talks to the source's own host as the account, and to all others as nobody.

    Attributes
    ----------
    address : str
        The URL, for messages: without the query, which may hold a signature.
    """

    stage = "downloading"

    def __init__(self, source: str, name: str, credentials: Credentials | None, timeout: float) -> None:
        parts = urlsplit(source)
        self._url = parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}", fragment="").geturl()
        self.address = _address(self._url)
        if "@" in parts.netloc:
            raise DownloadError(
                f"{self.address}: the source holds a user name. URLs end up in logs: take it out, and set "
                f"{USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment"
            )
        self._host = _host(self._url)
        self._name = name
        self._credentials = credentials
        self._timeout = timeout
        self._session = _session()
        self._login: _Login = _as_nobody
        self._response: requests.Response | None = None

    def twin(self) -> "WebFile":
        """Return the same file, to be asked for from another thread."""
        twin = copy.copy(self)
        twin._session = _session()
        twin._response = None
        return twin

    @contextmanager
    def open(self, start: int = 0, version: Version | None = None, end: int | None = None) -> Iterator[Reply]:
        """Ask for the bytes from `start` on, up to `end` if that is given, if the file is still `version`.

        The reply may nevertheless start or end at another offset, or be of another version. Raises `PassingError` also
        while the reply is read.
        """
        with _network_errors(), closing(self._get(_range(start, version, end))) as response:
            self._response = response
            status = response.status_code
            if status == 200:
                yield self._all(response)
            elif status == 206:
                yield self._part(response)
            elif status == 416 and start:
                yield self._nothing_left(response, start)
            else:
                raise self._refusal(response)

    def hang_up(self) -> None:
        """End the reply that another thread is waiting for; that thread gets a `PassingError` or the reply's end."""
        response = self._response
        if response is not None:
            # There is nothing to shut down where the reply has just ended by itself.
            with suppress(OSError, ValueError, RuntimeError):
                response.raw.shutdown()

    def close(self) -> None:
        """Give back the connections that are kept for the next question."""
        self._session.close()

    def _get(self, headers: dict[str, str]) -> requests.Response:
        response = self._follow(headers)
        if response.status_code == 401 and self._login is _as_nobody and _host(response.url) == self._host:
            login = _login(response.headers.get("WWW-Authenticate", ""), self._credentials)
            if login is not None:
                response.close()
                self._login = login
                response = self._follow(headers)
        return response

    def _follow(self, headers: dict[str, str]) -> requests.Response:
        # Not left to requests, which would answer for a redirect's host from ~/.netrc, or with a digest.
        url = self._url
        for _ in range(_MOST_REDIRECTS):
            try:
                login = self._login if _host(url) == self._host else _as_nobody
                response = self._session.get(
                    url, headers=headers, auth=login, timeout=self._timeout, stream=True, allow_redirects=False
                )
                target = self._session.get_redirect_target(response)
                if target is None:
                    return response
                response.close()
                url = urljoin(url, target)
            except ValueError:
                raise DownloadError(f"{self.address} is no valid URL, or redirects to none; check --source") from None
        raise DownloadError(f"{self.address}: more than {_MOST_REDIRECTS} redirects; check --source")

    def _all(self, response: requests.Response) -> Reply:
        length = response.headers.get("Content-Length", "")
        version = self._version(response, int(length) if length.isdecimal() else None)
        has_ranges = response.headers.get("Accept-Ranges", "").lower() == "bytes"
        return Reply(version, 0, self._from_the_first(response), has_ranges, response.close)

    def _part(self, response: requests.Response) -> Reply:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if span is None:
            raise PassingError("206 without a usable Content-Range: starting over", start_over=True)
        version = self._version(response, None if span[2] == "*" else int(span[2]))
        start = int(span[1])
        pieces = _body(response) if start else self._from_the_first(response)
        return Reply(version, start, pieces, True, response.close)

    def _nothing_left(self, response: requests.Response, start: int) -> Reply:
        span = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != start:
            raise PassingError("the part kept here reaches beyond the file's end: starting over", start_over=True)
        return Reply(Version(self.address, start), start, ())

    def _version(self, response: requests.Response, total: int | None) -> Version:
        return Version(self.address, total, response.headers.get("ETag"), response.headers.get("Last-Modified"))

    def _from_the_first(self, response: requests.Response) -> Iterable[bytes]:
        """Return the body, after a look at its first bytes: what is no archive must not displace what is kept."""
        body = _body(response)
        head = b""
        while len(head) < _TAR_BLOCK and (piece := next(body, b"")):
            head += piece
        content_type = response.headers.get("Content-Type", "")
        found = _other_than_archive(self._name, content_type, head)
        if found:
            raise DownloadError(
                f"{_address(response.url)} answered with {found} (Content-Type: {content_type or 'none'}) in place of "
                f"{self._name}. Mostly that is a login page: {self._account_advice} {_TERMS}"
            )
        return itertools.chain((head,), body)

    def _refusal(self, response: requests.Response) -> DownloadError | PassingError:
        status = f"{response.status_code} {response.reason}".strip()
        if response.status_code in _PASSING_STATUSES:
            return PassingError(status, retry_after=_seconds(response.headers.get("Retry-After", "")))
        about_account = response.status_code in (401, 403)
        advice = f"{self._account_advice} {_TERMS}" if about_account else "check --source, and the name of the file"
        return DownloadError(f"{_address(response.url)} answered {status}: {advice}")

    @property
    def _account_advice(self) -> str:
        verb = "check" if self._credentials else "set"
        netrc = f"~/.netrc for {self._host[1]}"
        return f"{verb} {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment, or {netrc}."


def _is_web(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def _address(url: str) -> str:
    """Return `url` as it may be shown and kept: without a user name, and without the signature a query may hold."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _as_nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Send no credentials; given as `auth`, it keeps requests from looking into ~/.netrc by itself."""
    return request


def _login(challenge: str, credentials: Credentials | None) -> _Login | None:
    """Return the answer to a WWW-Authenticate header, where there is one."""
    if credentials is None:
        return None
    if "digest" in challenge.lower():
        return HTTPDigestAuth(credentials.username, credentials.access_key)
    if "basic" in challenge.lower():
        return HTTPBasicAuth(credentials.username.encode(), credentials.access_key.encode())
    return None


def _session() -> requests.Session:
    session = requests.Session()
    # Compressed on the way, neither lengths nor offsets would be the file's.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _range(start: int, version: Version | None, end: int | None) -> dict[str, str]:
    """Return the headers that ask for a part of one version only (RFC 9110, 13.1.5 and 14.2)."""
    if not start and end is None:
        return {}
    is_strong = version and version.etag and not version.etag.startswith("W/")
    validator = version and (version.etag if is_strong else version.modified)
    last = "" if end is None else end - 1
    return {"Range": f"bytes={start}-{last}", **({"If-Range": validator} if validator else {})}


def _body(response: requests.Response) -> Iterator[bytes]:
    # read1 and not read or iter_content: those wait until a piece is full, and lose what they had when the link breaks.
    # Undecoded, because a .tar.gz that a server labels "Content-Encoding: gzip" is wanted as it is.
    raw: Any = response.raw
    with _network_errors():
        while piece := raw.read1(CHUNK, decode_content=False):
            yield piece


def _other_than_archive(name: str, content_type: str, head: bytes) -> str | None:
    """Say what `head` is, where it is not what `name` promises."""
    place, magic = _GZIP_MAGIC if name.endswith(".gz") else _TAR_MAGIC
    if head[place] == magic:
        return None
    if content_type.lower().startswith(_TEXT_TYPES) or _TEXT.match(head):
        return "a page or a message"
    if not head:
        return "nothing"
    if name.endswith(".gz"):
        return "something that is not gzip"
    place, magic = _GZIP_MAGIC
    return "something gzip-compressed" if head[place] == magic else None


def _seconds(retry_after: str) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
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
        # The innermost says it best; the outer ones repeat the URL with its query.
        reason: BaseException = error
        while isinstance(inner := reason.__cause__ or reason.__context__, (OSError, HTTPError, HTTPException)):
            reason = inner
        raise PassingError(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__) from None

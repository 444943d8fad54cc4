"""Cookies of a browser, for mirrors behind a login.

`http.cookiejar` decides which cookie is for which URL, and when it has expired. Its reader of such files is not used:
its errors quote the line, to it 0 is a date of 1970 and not "until the browser is closed", and it wants a first line
that some tools do not write.
"""

import os
import re
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from pathlib import Path

from luigi_ilsvrc.errors import BuildError

_HTTP_ONLY = "#HttpOnly_"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FLAGS = {"TRUE": True, "FALSE": False}
_DOMAIN = re.compile(r"\.?[^\s./]\S*")
_EXPIRES = re.compile(r"(-?[0-9]{1,15})(\.[0-9]*)?|")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class CookieError(BuildError):
    """A file of cookies cannot be read, or is none."""


def _empty_jar() -> CookieJar:
    # By default, http.cookiejar sends a cookie that is for one host to the hosts below it, too.
    return CookieJar(DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))


@dataclass(frozen=True)
class Cookies:
    """Cookies, of a file and of the servers that were asked; may be used by several threads.

    Attributes
    ----------
    path : Path or None
        The file, which is never written; None if there is none.
    jar : CookieJar
        The cookies; not in the `repr`, so that they cannot get into a log.
    """

    path: Path | None = None
    jar: CookieJar = field(default_factory=_empty_jar, repr=False)

    def headers(self, url: str) -> dict[str, str]:
        """Return the header Cookie with the valid cookies for a URL; nothing if there are none.

        Raises ValueError if `url` is not a URL.
        """
        request = urllib.request.Request(url)
        self.jar.add_cookie_header(request)
        value = request.get_header("Cookie")
        return {"Cookie": value} if value else {}


def read_cookies(path: str | os.PathLike[str]) -> Cookies:
    """Read a file of cookies, as extensions of browsers and curl write it (Netscape format).

    One line a cookie, of seven fields with tabs between them: domain, whether hosts below it are meant (``TRUE`` or
    ``FALSE``), path, whether it is for https only, seconds since 1970 when it expires (0: when the browser is closed),
    name, value. ``#HttpOnly_`` before the domain keeps it from scripts; other lines with ``#``, and blank ones, are
    skipped. The format is that of https://curl.se/docs/http-cookies.html.

    Raises
    ------
    CookieError
        If the file cannot be read, a line has another form, or there is no cookie. The message names the line and does
        not quote it.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CookieError(f"{path}: {error.strerror}; give a readable file of cookies with --cookies") from None
    cookies = Cookies(Path(path))
    # As Latin-1, in which http.client sends headers: whatever the bytes are, they are sent as they are.
    for number, line in enumerate(content.removeprefix(_BYTE_ORDER_MARK).decode("latin-1").split("\n"), start=1):
        if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
            continue
        cookie = _cookie(line.rstrip("\r").removeprefix(_HTTP_ONLY).split("\t"))
        if cookie is None:
            raise CookieError(
                f"{path}, line {number}: not a cookie; seven fields with tabs between them are expected: export the "
                "cookies from a browser in the Netscape format"
            )
        cookies.jar.set_cookie(cookie)
    if not len(cookies.jar):
        raise CookieError(
            f"{path}: it has no cookies; export them from a browser that is logged in, in the Netscape format"
        )
    return cookies


def _cookie(fields: list[str]) -> Cookie | None:
    """Return the cookie of a line's fields; None if they are none. An empty value may be left out with its tab."""
    if len(fields) == 6:
        fields = [*fields, ""]
    if len(fields) != 7 or any(map(_CONTROL.search, fields)):
        return None
    domain, with_hosts_below, path, secure, expires, name, value = (text.strip(" ") for text in fields)
    date = _EXPIRES.fullmatch(expires)
    is_valid = _DOMAIN.fullmatch(domain) and path.startswith("/") and date and (name or value)
    if not is_valid or not {with_hosts_below.upper(), secure.upper()} <= _FLAGS.keys() or date is None:
        return None
    is_for_hosts_below = _FLAGS[with_hosts_below.upper()]
    seconds = int(date[1] or 0)
    return Cookie(
        version=0,
        # One without a name is sent as its value alone.
        name=name or value,
        value=value if name else None,
        port=None,
        port_specified=False,
        domain=_jar_domain(domain, is_for_hosts_below),
        domain_specified=is_for_hosts_below,
        domain_initial_dot=is_for_hosts_below,
        path=path,
        path_specified=True,
        secure=_FLAGS[secure.upper()],
        # Some tools write -1 in place of 0.
        expires=seconds if seconds > 0 else None,
        discard=seconds <= 0,
        comment=None,
        comment_url=None,
        rest={},
    )


def _jar_domain(domain: str, is_for_hosts_below: bool) -> str:
    """Return a domain as http.cookiejar compares it: to it, a host without a dot is one of ``.local``."""
    name = domain.lower().lstrip(".")
    name = name if "." in name else f"{name}.local"
    return f".{name}" if is_for_hosts_below else name

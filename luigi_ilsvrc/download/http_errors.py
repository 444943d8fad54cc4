"""What went wrong between here and a web server, and whether another attempt may help."""

import os
import ssl
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from luigi_ilsvrc.download.server_text import shown
from luigi_ilsvrc.download.source import DownloadError, TransientError
from luigi_ilsvrc.download.urls import without_secrets

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # in the order in which requests looks for them
_PROXY_SCHEMES = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"}


def explain(error: Exception, url: str) -> DownloadError | TransientError:
    """Return the error to raise for what requests or urllib3 raised when `url` was requested or read.

    It is a `DownloadError` if no further attempt can help: what is wrong is the set-up of this machine, or a
    certificate.
    """
    cause = _innermost(error)
    reason = _reason(cause)
    if isinstance(cause, ssl.SSLCertVerificationError | CertificateError):
        return DownloadError(
            f"{_shown_url(url)}: the server's TLS certificate is not accepted: {reason}. Check --source and this "
            f"machine's clock; for a certificate authority of your own, set {_BUNDLES[0]} to the file of its "
            "certificate"
        )
    if isinstance(cause, OSError) and urlsplit(url).scheme == "https":
        problem = _bundle_problem()
        if problem:
            return DownloadError(f"{_shown_url(url)}: {problem}")
    if isinstance(error, requests.exceptions.ProxyError) or "Tunnel connection failed" in reason:
        return _proxy_error(url, reason)
    return TransientError(reason)


def explain_invalid_url(url: str, address: str, is_redirect: bool) -> DownloadError:
    """Return the error to raise if requests or urllib3 refused to request `url`: it or the proxy's URL is invalid."""
    problem = _proxy_problem(url)
    if problem:
        return DownloadError(f"{_shown_url(url)}: {problem}")
    what = f"the server redirects to an invalid URL, {_shown_url(url)}" if is_redirect else "invalid URL"
    return DownloadError(f"{address}: {what}; check --source")


def proxy_variable(url: str) -> str | None:
    """Return the name of the environment variable that sets the proxy for `url`; None if it has none."""
    if _proxy_of(url) is None:
        return None
    names = (f"{urlsplit(url).scheme}_proxy", "all_proxy")
    candidates = [variant for name in names for variant in (name.upper(), name)]
    return next((name for name in candidates if os.environ.get(name)), candidates[0])


def _proxy_of(url: str) -> str | None:
    return select_proxy(url, get_environ_proxies(url, no_proxy=None))


def _innermost(error: BaseException) -> BaseException:
    """Return the cause of all; the outer ones repeat it in other words."""
    while True:
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, OSError | HTTPError | HTTPException | CertificateError):
            return error
        error = inner


def _reason(error: BaseException) -> str:
    try:
        text = getattr(error, "verify_message", None) or getattr(error, "strerror", None) or str(error)
    except ValueError:
        # A number of thousands of digits.
        text = ""
    return shown(str(text) or type(error).__name__, limit=200)


def _shown_url(url: str) -> str:
    try:
        return shown(without_secrets(url), limit=200)
    except ValueError:
        return shown(url.partition(":")[0]) + "://…"


def _bundle_problem() -> str | None:
    variable = next((name for name in _BUNDLES if os.environ.get(name)), None)
    if variable is None:
        return None
    path = os.environ[variable]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        reason = "it holds no certificates" if isinstance(error, ssl.SSLError) else error.strerror
        return f"cannot use the certificates of {path}, which {variable} names: {reason}; correct or unset {variable}"
    return None


def _proxy_problem(url: str) -> str | None:
    variable, proxy = proxy_variable(url), _proxy_of(url)
    if variable is None or proxy is None:
        return None
    try:
        # Its URL may contain a password: it is not shown.
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        is_valid = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        return f"{variable} is not the URL of a proxy; set it to http://host:port, or unset it"
    if parts.scheme.startswith("socks"):
        return f"{variable} names a SOCKS proxy, which needs a package: pip install 'requests[socks]'"
    return None


def _proxy_error(url: str, reason: str) -> DownloadError | TransientError:
    variable = proxy_variable(url) or "the proxy's variable"
    problem = f"the proxy of {variable} does not work: {reason}"
    if " 407 " in reason or " 403 " in reason:
        return DownloadError(f"{_shown_url(url)}: {problem}; {proxy_login_advice(variable)}")
    return TransientError(f"{problem}; correct or unset {variable}")


def proxy_login_advice(variable: str | None) -> str:
    """Return what to do if a proxy asks for a login."""
    name = variable or "HTTPS_PROXY"
    return f"set {name} to http://user:password@host:port as the proxy needs it, or unset it"

"""How to log in at a web server that asks for it: Basic (RFC 7617) or Digest (RFC 7616)."""

import hashlib
import re
import secrets
import threading
from collections.abc import Callable
from typing import TypeAlias

from requests import PreparedRequest
from requests.auth import HTTPBasicAuth

from luigi_ilsvrc.download.credentials import Credentials
from luigi_ilsvrc.download.server_text import shown
from luigi_ilsvrc.download.source import DownloadError

Login: TypeAlias = Callable[[PreparedRequest], PreparedRequest]
"""Adds an account to a request."""

_HASHES = {"MD5": "md5", "SHA": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
_SCHEME = re.compile(r"(?:^|,)\s*(?=(?:basic|bearer|digest|negotiate|ntlm)\b)", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))', re.IGNORECASE)


def no_login(request: PreparedRequest) -> PreparedRequest:
    """Send no credentials; given as `auth`, it also keeps requests from reading ~/.netrc."""
    return request


def login(challenge: str, credentials: Credentials | None, address: str) -> Login | None:
    """Return how to log in as the header WWW-Authenticate asks.

    Parameters
    ----------
    challenge : str
        The header; it may offer several ways.
    credentials : Credentials or None
        The account, if there is one.
    address : str
        What the error names.

    Returns
    -------
    callable or None
        Something to be given to requests as `auth`; None if there is no account, or no known way is offered.

    Raises
    ------
    DownloadError
        If a digest is the only way, and it lacks a part or is of an unknown kind.
    """
    if credentials is None:
        return None
    offers = [offer.strip() for offer in _SCHEME.split(challenge)]
    digests = [offer for offer in offers if offer.lower().startswith("digest")]
    usable = [parameters for parameters in map(_parameters, digests) if _missing(parameters) is None]
    if usable:
        return DigestLogin(usable[0], credentials)
    if any(offer.lower().startswith("basic") for offer in offers):
        return HTTPBasicAuth(credentials.username.encode(), credentials.access_key.encode())
    if digests:
        raise DownloadError(
            f"{address}: the server asks for a Digest login that is not usable, because "
            f"{_missing(_parameters(digests[0]))}: {shown(digests[0])}. Ask those who run it, or use another --source"
        )
    return None


def is_login_offered(challenge: str) -> bool:
    """Tell whether the header WWW-Authenticate offers a way to log in that `login` knows."""
    try:
        return login(challenge, Credentials("", ""), "") is not None
    except DownloadError:
        return False


class DigestLogin:
    """Logs in by digests; may be used by several threads.

    Attributes
    ----------
    nonce : str
        The server's number; when it sends another one, the login has to be made again.
    """

    def __init__(self, parameters: dict[str, str], credentials: Credentials) -> None:
        self.nonce = parameters["nonce"]
        self._parameters = parameters
        self._credentials = credentials
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the header Authorization."""
        # In UTF-8: http.client encodes text as Latin-1.
        header = self._header(request.method or "GET", request.path_url).encode().decode("latin-1")
        request.headers["Authorization"] = header
        return request

    def _header(self, method: str, path: str) -> str:
        with self._lock:
            self._count += 1
            count = f"{self._count:08x}"
        given, once = self._parameters, secrets.token_hex(8)
        algorithm = given.get("algorithm", "MD5")
        account = self._hash(f"{self._credentials.username}:{given['realm']}:{self._credentials.access_key}")
        if algorithm.upper().endswith("-SESS"):
            account = self._hash(f"{account}:{self.nonce}:{once}")
        has_qop = "qop" in given
        middle = f"{self.nonce}:{count}:{once}:auth" if has_qop else self.nonce
        response = self._hash(f"{account}:{middle}:{self._hash(f'{method}:{path}')}")
        username = self._credentials.username.replace("\\", r"\\").replace('"', r"\"")
        parts = [
            f'username="{username}", realm="{given["realm"]}", nonce="{self.nonce}", uri="{path}"',
            f'response="{response}"',
            *([f"algorithm={algorithm}"] if "algorithm" in given else []),
            *([f'opaque="{given["opaque"]}"'] if "opaque" in given else []),
            *([f'qop=auth, nc={count}, cnonce="{once}"'] if has_qop else []),
        ]
        return "Digest " + ", ".join(parts)

    def _hash(self, text: str) -> str:
        name = _HASHES[_algorithm(self._parameters)]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()


def _parameters(offer: str) -> dict[str, str]:
    """Return the parameters of a challenge, by their names in lower case; quoted ones as they stand."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(offer):
        found.setdefault(match[1].lower(), match[3] if match[2] is None else match[2])
    return found


def _algorithm(parameters: dict[str, str]) -> str:
    return parameters.get("algorithm", "MD5").upper().removesuffix("-SESS")


def _missing(parameters: dict[str, str]) -> str | None:
    """Return what makes a digest unusable, or None."""
    if not all(value.isprintable() for value in parameters.values()):
        return "it has control characters"
    if not parameters.get("nonce"):
        return "it has no nonce"
    if "realm" not in parameters:
        return "it has no realm"
    if _algorithm(parameters) not in _HASHES:
        return "its algorithm is unknown"
    if "auth" not in re.split(r"[,\s]+", parameters.get("qop", "auth").lower()):
        return "its quality of protection (qop) is unknown"
    return None

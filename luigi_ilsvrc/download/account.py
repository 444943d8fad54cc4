"""Asks the person at the terminal for an account, if the source wants one."""

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TextIO

from luigi_ilsvrc.download.credentials import (
    ACCESS_KEY_VARIABLE,
    USERNAME_VARIABLE,
    Credentials,
    remember_credentials,
)
from luigi_ilsvrc.download.source import DownloadError, HttpOptions, TransientError
from luigi_ilsvrc.download.urls import host_of

ATTEMPTS = 3
"""How often a person is asked."""

_LONGEST_TIMEOUT = 15.0
"""Seconds to wait for an answer: a person waits too, and the download itself is more patient."""


class AccountError(DownloadError):
    """The source wants an account, and nobody has given one that it accepts."""


def can_ask() -> bool:
    """Tell whether a person can be asked: standard input is a terminal, and this process may read from it."""
    try:
        # A job in the background would be stopped.
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, ValueError, OSError):
        return False


def ask_for_account(source: str, name: str, timeout: float) -> None:
    """Ask for an account at the terminal if `source` wants one, and remember it for this process and its forks.

    Whether it wants one is found out by a request for the first bytes of a file: it has to ask for a login that we know
    (see `login`). If it does something else, nobody is asked: a login page cannot be answered by an account, and what
    is wrong with the network is explained by the download.

    Parameters
    ----------
    source : str
        A URL prefix; see `download`.
    name : str
        A file that has to be downloaded.
    timeout : float
        Seconds to wait for the server, at most; see `HttpOptions`.

    Raises
    ------
    AccountError
        If none was given, or those that were given are refused.
    """
    if _refusal(source, name, None, timeout) is None:
        return
    host = str(host_of(source)[1])
    advice = f"set {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment, or ~/.netrc for {host}"
    with _terminal() as show:
        show(f"{host} asks for an account. It is kept in memory until the command ends.")
        for _ in range(ATTEMPTS):
            try:
                credentials = _read_credentials(host, show)
            except EOFError:
                show()
                raise AccountError(f"{host} asks for an account, and none was given: {advice}") from None
            except KeyboardInterrupt:
                show()
                raise
            refusal = _refusal(source, name, credentials, timeout) if credentials else "both are needed"
            if credentials and refusal is None:
                remember_credentials(source, credentials)
                return
            show(f"{host} does not accept this user name and access key: {refusal}")
    raise AccountError(f"{host} has accepted none of {ATTEMPTS} accounts: run again with the right one, or {advice}")


def _refusal(source: str, name: str, credentials: Credentials | None, timeout: float) -> str | None:
    # Here, because only a web server needs requests.
    from luigi_ilsvrc.download.http import HttpFile

    try:
        file = HttpFile(source, name, credentials, HttpOptions(min(timeout, _LONGEST_TIMEOUT)))
    except ValueError:
        return None
    try:
        return file.refusal()
    except (DownloadError, TransientError):
        return None
    finally:
        file.close()


def _read_credentials(host: str, show: Callable[..., None]) -> Credentials | None:
    """Return what is typed; None if a part is missing or is no text. Raises EOFError for Ctrl-D."""
    show(f"User name for {host}: ", end="")
    try:
        username = sys.stdin.readline()
        if not username:
            raise EOFError
        access_key = getpass.getpass("Access key (not shown): ")
        f"{username}{access_key}".encode()
    except UnicodeError:
        return None
    given = Credentials(username.strip(), access_key.strip())
    return given if given.username and given.access_key else None


@contextmanager
def _terminal() -> Iterator[Callable[..., None]]:
    """Yield a `print` to the terminal: not to standard error, which may be a file, as `getpass` does not."""
    terminal: TextIO
    try:
        terminal = open("/dev/tty", "w")  # noqa: SIM115 - closed below, if there is one
    except OSError:
        terminal = sys.stderr
    try:
        yield partial(print, file=terminal, flush=True)
    finally:
        if terminal is not sys.stderr:
            terminal.close()

"""Accounts at a source."""

from dataclasses import dataclass, field

from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.download.urls import Host, host_of, is_web_url

USERNAME_VARIABLE = "IMAGENET_USERNAME"
"""The environment variable of the user name."""

ACCESS_KEY_VARIABLE = "IMAGENET_ACCESS_KEY"
"""The environment variable of the access key."""


@dataclass(frozen=True)
class Credentials:
    """An account at a source; neither part is in its `repr`, so that it cannot get into a log."""

    username: str = field(repr=False)
    access_key: str = field(repr=False)


_remembered: dict[Host, Credentials] = {}
# Not in os.environ: the programs that a process starts get that, and it can be read in /proc.


def remember_credentials(url: str, credentials: Credentials) -> None:
    """Let `find_credentials` return an account for the host of `url`, in this process and in those that it forks."""
    _remembered[host_of(url)] = credentials


def find_credentials(url: str, username: str | None, access_key: str | None) -> Credentials | None:
    """Return the given account, or else what ``~/.netrc`` (or ``$NETRC``) has for the host of `url`, or else None.

    The last place is what `remember_credentials` was told.

    Parameters
    ----------
    url : str
        The source; a folder has no account.
    username, access_key : str or None
        The account, if it was given explicitly. An empty one counts as not given.

    Raises
    ------
    DownloadError
        If only one of the two is given.
    """
    if username and access_key:
        return Credentials(username, access_key)
    if username or access_key:
        raise DownloadError(
            f"only one of {USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} is set; set both, or neither to use ~/.netrc"
        )
    return (_from_netrc(url) or _remembered.get(host_of(url))) if is_web_url(url) else None


def _from_netrc(url: str) -> Credentials | None:
    # Here, because only a web server needs requests.
    from requests.utils import get_netrc_auth

    entry = get_netrc_auth(url)
    return Credentials(*entry) if entry else None

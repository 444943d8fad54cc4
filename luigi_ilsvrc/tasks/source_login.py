"""What every task can be given to log in at the source: cookies and an account."""

import os
from configparser import InterpolationError

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc.download.account import can_ask
from luigi_ilsvrc.download.cookies import Cookies, read_cookies
from luigi_ilsvrc.download.credentials import (
    ACCESS_KEY_VARIABLE,
    USERNAME_VARIABLE,
    Credentials,
    find_credentials,
)
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.tasks.luigi_support.unfinished import unfinished_tasks
from luigi_ilsvrc.tasks.parameters import SECTION, FileParameter, setting

NO_COOKIES = "none"


class SourceLoginTask(luigi.Task):
    """A task that may download, or that requires one that may."""

    cookies = FileParameter(
        words=(NO_COOKIES,),
        default=NO_COOKIES,
        config_path=setting("cookies"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description=f"a file of cookies from a browser, for a source behind a login, or {NO_COOKIES}",
    )

    def read_cookies(self) -> Cookies | None:
        """Return the cookies for the source; None if there are none. Raises a `CookieError` if the file is no good."""
        return None if self.cookies == NO_COOKIES else read_cookies(self.cookies)

    def ask_for_account(self) -> bool:
        """Ask the person at the terminal for an account, if the task will download and the source wants one.

        Returns whether it will download; False for most tasks. Raises an `AccountError` if no account is given.
        """
        return False

    def ask_for_account_of_command(self) -> None:
        """Let the first of the tasks that will download ask for an account, if somebody can be asked."""
        if can_ask():
            for task in unfinished_tasks(self, SourceLoginTask):
                if task.ask_for_account():
                    break


def account_for(source: str) -> Credentials | None:
    """Return the account for a source: of the environment, the configuration, ``~/.netrc``, or as it was typed.

    Raises a `DownloadError` if only one half of it is set.
    """
    return find_credentials(
        source,
        os.environ.get(USERNAME_VARIABLE) or _configured("username"),
        os.environ.get(ACCESS_KEY_VARIABLE) or _configured("access_key"),
    )


def is_account_set(source: str) -> bool:
    """Tell whether there is an account for a source, or one half of it; what is wrong then is said by its download."""
    try:
        return account_for(source) is not None
    except DownloadError:
        return True


def _configured(name: str) -> str | None:
    config = luigi.configuration.get_config()
    try:
        return config.get(SECTION, name, None)
    except InterpolationError:
        # A key may contain a %, and the exception would quote it.
        return config.get(SECTION, name, None, raw=True)

"""What every task can be given to log in at the source."""

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc.download.cookies import Cookies, read_cookies
from luigi_ilsvrc.tasks.parameters import FileParameter, setting

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

"""Whether a source wants an account that can be asked for, and whether it accepts one."""

import pytest

from luigi_ilsvrc.download.account import can_ask
from luigi_ilsvrc.download.credentials import Credentials, find_credentials, remember_credentials
from luigi_ilsvrc.download.http import HttpFile
from luigi_ilsvrc.download.source import DownloadError, HttpOptions, TransientError
from tests.download.helpers import ACCOUNT, NAME
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

WRONG = Credentials("ada", "wrong")
BASIC = hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key)
DIGEST = hostile.ask_for_digest(ACCOUNT.username, ACCOUNT.access_key)


def refusal(server: HostileServer, credentials: Credentials | None = None) -> str | None:
    return HttpFile(server.url, NAME, credentials, HttpOptions(timeout=1)).refusal()


def test_a_server_that_sends_the_file_wants_no_account_and_sends_little(server: HostileServer) -> None:
    assert refusal(server) is None
    assert server.header("Range") == ["bytes=0-511"]


@pytest.mark.parametrize("asking", [BASIC, DIGEST])
def test_a_server_that_asks_for_a_login_wants_an_account(server: HostileServer, asking: hostile.Behaviour) -> None:
    server.script = [asking]
    assert refusal(server) == "401 Unauthorized"


@pytest.mark.parametrize("asking", [BASIC, DIGEST])
def test_the_right_account_is_accepted_and_a_wrong_one_refused(
    server: HostileServer, asking: hostile.Behaviour
) -> None:
    server.script = [asking] * 4
    assert refusal(server, WRONG) == "401 Unauthorized"
    assert refusal(server, ACCOUNT) is None


def test_an_account_that_may_not_have_the_file_is_refused(server: HostileServer) -> None:
    server.script = [hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=hostile.answer(403))] * 2
    assert refusal(server, ACCOUNT) == "403 Forbidden"


@pytest.mark.parametrize(
    "answer",
    [
        hostile.answer(403),
        hostile.answer(401),
        hostile.answer(401, WWW_Authenticate='Bearer realm="x"'),
        hostile.answer(401, WWW_Authenticate='Digest realm="x"'),
        hostile.answer(404),
        hostile.page("text/html"),
    ],
)
def test_what_no_account_can_answer_wants_none(server: HostileServer, answer: hostile.Behaviour) -> None:
    server.script = [answer]
    assert refusal(server) is None


def test_a_login_at_another_host_is_not_one_of_the_source(server: HostileServer, other_server: HostileServer) -> None:
    server.script = [hostile.redirect(f"{other_server.url_by_another_name}/login")]
    other_server.script = [BASIC]
    assert refusal(server) is None


@pytest.mark.parametrize("answer", [hostile.raw(b""), hostile.redirect("ftp://example.org")])
def test_a_source_that_cannot_be_asked_is_an_error(server: HostileServer, answer: hostile.Behaviour) -> None:
    server.script = [answer]
    with pytest.raises((DownloadError, TransientError)):
        refusal(server)


def test_an_account_is_remembered_for_its_host_alone() -> None:
    remember_credentials("https://mirror.test/data", ACCOUNT)
    assert find_credentials("https://mirror.test/other", None, None) == ACCOUNT
    assert find_credentials("https://mirror.test/data", "grace", "key") == Credentials("grace", "key")
    for other in ("http://mirror.test/data", "https://mirror.test:8443/data", "https://other.test/data"):
        assert find_credentials(other, None, None) is None


def test_nobody_is_asked_without_a_terminal() -> None:
    assert not can_ask()

import logging
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.download.credentials import Credentials, find_credentials
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import ACCOUNT, Fetch, assert_only_file, beside, record_file
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_explicit_credentials_have_priority_over_netrc(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine image-net.org login grace password other\n")
    assert find_credentials(archives.SOURCE, "ada", "key") == Credentials("ada", "key")


def test_netrc_is_searched_for_the_host_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine image-net.org login grace password other\n")
    assert find_credentials(archives.SOURCE, None, None) == Credentials("grace", "other")
    assert find_credentials("https://elsewhere.org/data", None, None) is None
    assert find_credentials("/data/imagenet", None, None) is None


@pytest.mark.parametrize(("username", "access_key"), [("ada", None), (None, "key"), ("ada", "")])
def test_a_user_name_without_a_key_or_a_key_without_a_user_name_is_an_error(
    username: str | None, access_key: str | None
) -> None:
    with pytest.raises(DownloadError, match="IMAGENET_USERNAME and IMAGENET_ACCESS_KEY"):
        find_credentials(archives.SOURCE, username, access_key)


def test_credentials_are_sent_after_the_server_asks_and_then_always(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    asking = hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=hostile.close_at(100_000))
    server.script = [asking, asking]
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)
    assert [value is not None for value in server.header("Authorization")] == [False, True, True]


def test_credentials_are_not_sent_to_a_server_that_does_not_ask(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server.url, destination, credentials=ACCOUNT)
    assert server.header("Authorization") == [None]


def test_a_server_may_ask_for_a_digest(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_digest(ACCOUNT.username, ACCOUNT.access_key)] * 3
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)


def test_credentials_may_contain_any_characters(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_basic("åda", "schlüssel☃")] * 2
    fetch(server.url, destination, credentials=Credentials("åda", "schlüssel☃"))
    assert_only_file(destination)


@pytest.mark.parametrize("credentials", [None, ACCOUNT])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_variables_and_the_terms(
    status: int, credentials: Credentials | None, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(status, WWW_Authenticate="Basic")] * 2
    with pytest.raises(DownloadError, match=f"images.tar .*{status}") as caught:
        fetch(server.url, destination, credentials=credentials)
    for expected in ("IMAGENET_USERNAME", "IMAGENET_ACCESS_KEY", archives.SIGN_UP):
        assert expected in str(caught.value)
    assert beside(destination) == []


@pytest.mark.parametrize(
    "asking", [hostile.ask_for_basic("ada", "s3cret-key"), hostile.ask_for_digest("ada", "s3cret-key")]
)
def test_another_host_after_a_redirect_gets_no_credentials_even_if_it_asks(
    asking: hostile.Behaviour,
    server: HostileServer,
    other_server: HostileServer,
    destination: Path,
    fetch: Fetch,
    tmp_path: Path,
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login ada password s3cret-key\n")
    to_the_other = hostile.redirect(f"{other_server.url_by_another_name}/x?sig=1")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key", then=to_the_other)] * 2
    other_server.script = [asking]
    with pytest.raises(DownloadError, match=r"http://localhost:\d+/data/x .*401"):
        fetch(server.url, destination, credentials=ACCOUNT)
    assert other_server.header("Authorization") == [None]


def test_if_another_host_asks_no_host_gets_credentials(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect(other_server.url)] * 2
    other_server.script = [hostile.ask_for_basic("ada", "s3cret-key")] * 2
    with pytest.raises(DownloadError, match="401"):
        fetch(server.url, destination, credentials=ACCOUNT)
    assert server.header("Authorization") == [None]
    assert other_server.header("Authorization") == [None]


def test_a_redirect_to_another_host_is_followed_without_credentials(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    to_the_other = hostile.redirect(f"{other_server.url}/mirror")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key", then=to_the_other)] * 2
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)
    assert server.header("Authorization")[1] is not None
    assert other_server.header("Authorization") == [None]


def test_netrc_is_not_used_by_requests_itself(
    server: HostileServer, destination: Path, fetch: Fetch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login ada password s3cret-key\n")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key")]
    with pytest.raises(DownloadError, match="401"):
        fetch(server.url, destination)
    assert server.header("Authorization") == [None]


def test_credentials_in_a_source_url_are_an_error_that_does_not_repeat_them(destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="IMAGENET_USERNAME and IMAGENET_ACCESS_KEY") as caught:
        fetch("https://ada:s3cret-key@image-net.org/data", destination)
    assert "https://image-net.org/data/images.tar" in str(caught.value)
    assert "ada" not in str(caught.value)
    assert "s3cret-key" not in str(caught.value)


def test_no_secret_is_in_an_error_a_log_or_a_record(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="luigi_ilsvrc")
    asking = hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=hostile.close_at(1000))
    server.script = [asking, asking, hostile.answer(503), hostile.answer(403)]
    with pytest.raises(DownloadError) as caught:
        fetch(server.url + "?sig=signature", destination, credentials=ACCOUNT)
    record = record_file(destination).read_text()
    for text in (str(caught.value), caplog.text, record, repr(ACCOUNT), str(ACCOUNT)):
        for secret in (ACCOUNT.username + ":", ACCOUNT.access_key, "signature"):
            assert secret not in text

import logging
from pathlib import Path

import pytest

from luigi_ilsvrc.download.cookies import CookieError, Cookies, read_cookies
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import ACCOUNT, NAME, Fetch, assert_only_file, record_file
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

LATER = 4_000_000_000
HEAD = "# Netscape HTTP Cookie File\n# This is a generated file! Do not edit.\n\n"


def line(
    domain: str = "example.org",
    below: str = "FALSE",
    path: str = "/",
    secure: str = "FALSE",
    expires: object = LATER,
    name: str = "session",
    value: str = "s3cret",
) -> str:
    return "\t".join([domain, below, path, secure, str(expires), name, value])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cookies.txt"


def cookies(file: Path, *lines: str) -> Cookies:
    file.write_text(HEAD + "".join(f"{line}\n" for line in lines))
    return read_cookies(file)


def sent_to(url: str, cookies: Cookies) -> str | None:
    return cookies.headers(url).get("Cookie")


# The file ------------------------------------------------------------------------------------------------------------


def test_a_cookie_of_a_browser_is_sent_to_its_host(file: Path) -> None:
    assert sent_to("https://example.org/data/x.tar", cookies(file, line())) == "session=s3cret"


@pytest.mark.parametrize("expires", [0, "", -1])
def test_a_cookie_that_lasts_until_the_browser_is_closed_is_kept(file: Path, expires: object) -> None:
    assert sent_to("https://example.org/x", cookies(file, line(expires=expires))) == "session=s3cret"


def test_a_date_may_have_decimals(file: Path) -> None:
    assert sent_to("https://example.org/x", cookies(file, line(expires=f"{LATER}.25"))) == "session=s3cret"


def test_a_cookie_that_is_kept_from_scripts_is_read(file: Path) -> None:
    assert sent_to("https://example.org/x", cookies(file, f"#HttpOnly_{line()}")) == "session=s3cret"


def test_an_expired_cookie_is_not_sent(file: Path) -> None:
    read = cookies(file, line(expires=1_000_000_000, name="old"), line(name="new"))
    assert sent_to("https://example.org/x", read) == "new=s3cret"


@pytest.mark.parametrize("content", [f"\N{BYTE ORDER MARK}{HEAD}{line()}\n", f"{HEAD}{line()}\n".replace("\n", "\r\n")])
def test_a_file_may_come_from_windows(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    assert sent_to("https://example.org/x", read_cookies(file)) == "session=s3cret"


def test_a_file_needs_no_first_line(file: Path) -> None:
    file.write_text(line())
    assert sent_to("https://example.org/x", read_cookies(file)) == "session=s3cret"


@pytest.mark.parametrize("text", [line(value=""), line(value="").rstrip("\t")])
def test_a_value_may_be_empty(file: Path, text: str) -> None:
    assert sent_to("https://example.org/x", cookies(file, text)) == "session="


def test_a_cookie_may_have_no_name(file: Path) -> None:
    assert sent_to("https://example.org/x", cookies(file, line(name=""))) == "s3cret"


NONSENSE = {
    "spaces in place of tabs": line().replace("\t", " "),
    "too few fields": "\t".join(line().split("\t")[:5]),
    "too many fields": line(value="s3cret\tmore"),
    "no domain": line(domain=""),
    "no path": line(path="s3cret"),
    "no truth": line(secure="s3cret"),
    "no date": line(expires="s3cret"),
    "neither name nor value": line(name="", value=""),
    "a control character": line(value="s3cret\x01"),
    "a line within a value": line(value="s3cret\rEvil: 1"),
    "JSON": '[{"name": "session", "value": "s3cret"}]',
    "HTML": "<!DOCTYPE html><title>s3cret</title>",
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_line_that_is_no_cookie_is_named_by_file_and_number_and_not_quoted(file: Path, text: str) -> None:
    with pytest.raises(CookieError, match=f"^{file}, line 5: not a cookie; .* Netscape format$") as caught:
        cookies(file, line(), text)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_not_text_is_named(file: Path) -> None:
    file.write_bytes(b"SQLite format 3\0" + bytes(range(256)))
    with pytest.raises(CookieError, match=f"^{file}, line 1: "):
        read_cookies(file)


@pytest.mark.parametrize("content", ["", HEAD])
def test_a_file_without_cookies_is_an_error(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(CookieError, match=f"^{file}: it has no cookies; export them"):
        read_cookies(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(CookieError, match=f"^{file}: No such file or directory; .*--cookies$"):
        read_cookies(file)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CookieError, match=f"^{tmp_path}: Is a directory; "):
        read_cookies(tmp_path)


# Which cookie for which URL ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "is_sent"),
    [
        (line(), "https://example.org/", True),
        (line(), "https://data.example.org/", False),
        (line(), "https://badexample.org/", False),
        (line(), "https://example.org.evil.net/", False),
        (line(), "https://example.org@evil.net/", False),
        (line(domain=".example.org", below="TRUE"), "https://example.org/", True),
        (line(domain=".example.org", below="TRUE"), "https://data.example.org/", True),
        (line(domain="example.org", below="TRUE"), "https://data.example.org/", True),
        (line(domain=".example.org", below="TRUE"), "https://badexample.org/", False),
        (line(domain=".example.org", below="FALSE"), "https://data.example.org/", False),
        (line(domain="Example.ORG"), "https://example.org/", True),
        (line(domain="mirror"), "http://mirror/", True),
        (line(domain="mirror"), "http://other/", False),
        (line(domain="192.0.2.7"), "http://192.0.2.7:8080/", True),
        (line(domain="192.0.2.7"), "http://192.0.2.70/", False),
        (line(path="/data"), "https://example.org/data", True),
        (line(path="/data"), "https://example.org/data/x.tar", True),
        (line(path="/data"), "https://example.org/database", False),
        (line(path="/data"), "https://example.org/", False),
        (line(secure="TRUE"), "https://example.org/", True),
        (line(secure="TRUE"), "http://example.org/", False),
        (line(secure="false"), "http://example.org/", True),
    ],
)
def test_a_cookie_is_sent_only_to_the_hosts_paths_and_schemes_that_it_is_for(
    file: Path, text: str, url: str, is_sent: bool
) -> None:
    assert (sent_to(url, cookies(file, text)) is not None) == is_sent


# Downloads -----------------------------------------------------------------------------------------------------------


def wants(cookie: str, then: hostile.Behaviour = hostile.serve) -> hostile.Behaviour:
    """Serve to those who have a cookie; show others the login page."""

    def behave(handler: hostile.Handler) -> None:
        given = (handler.headers["Cookie"] or "").split("; ")
        (then if cookie in given else hostile.page("text/html"))(handler)

    return behave


def test_a_mirror_that_wants_a_cookie_gets_it_with_each_request(
    server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    server.script = [wants("session=s3cret", hostile.close_at(100_000)), wants("session=s3cret")]
    fetch(server.url, destination, cookies=cookies(file, line(domain="127.0.0.1")))
    assert_only_file(destination)


def test_several_connections_send_it_too(server: HostileServer, destination: Path, fetch: Fetch, file: Path) -> None:
    server.accept_ranges = "bytes"
    fetch(server.url, destination, connections=2, cookies=cookies(file, line(domain="127.0.0.1")))
    assert_only_file(destination)
    assert set(server.header("Cookie")) == {"session=s3cret"}


def test_a_value_is_sent_as_its_bytes_are(server: HostileServer, destination: Path, fetch: Fetch, file: Path) -> None:
    fetch(server.url, destination, cookies=cookies(file, line(domain="127.0.0.1", value="schlüssel☃")))
    [sent] = server.header("Cookie")
    assert sent is not None
    assert sent.encode("latin-1").decode() == "session=schlüssel☃"


def test_after_a_redirect_each_host_gets_its_own_cookies_alone(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    server.script = [hostile.redirect(f"{other_server.url_by_another_name}/{NAME}")]
    both = cookies(file, line(domain="127.0.0.1", name="first"), line(domain="localhost", name="second"))
    fetch(server.url, destination, cookies=both)
    assert_only_file(destination)
    assert server.header("Cookie") == ["first=s3cret"]
    assert other_server.header("Cookie") == ["second=s3cret"]


def test_after_a_redirect_another_host_gets_no_cookie_of_the_first(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    server.script = [hostile.redirect(f"{other_server.url_by_another_name}/{NAME}")]
    fetch(server.url, destination, cookies=cookies(file, line(domain="127.0.0.1")))
    assert other_server.header("Cookie") == [None]


def test_a_cookie_that_a_server_sets_takes_the_place_of_the_old_one(
    server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    renew = hostile.answer(302, Location=f"{server.url}/{NAME}", Set_Cookie="session=renewed; Path=/")
    server.script = [renew, wants("session=renewed")]
    fetch(server.url, destination, cookies=cookies(file, line(domain="127.0.0.1")))
    assert_only_file(destination)
    assert server.header("Cookie") == ["session=s3cret", "session=renewed"]
    assert "renewed" not in file.read_text()


def test_a_cookie_that_a_server_sets_is_sent_back_without_a_file(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [
        hostile.answer(302, Location=f"{server.url}/{NAME}", Set_Cookie="visit=1; Path=/"),
        wants("visit=1"),
    ]
    fetch(server.url, destination)
    assert_only_file(destination)


def test_a_cookie_that_a_server_sets_for_itself_is_not_sent_to_the_hosts_below_it(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a proxy, one server is all hosts.
    monkeypatch.setenv("http_proxy", server.url)
    below = f"http://data.mirror.test/{NAME}"
    server.script = [hostile.answer(302, Location=below, Set_Cookie="session=s3cret; Path=/")]
    fetch("http://mirror.test", destination)
    assert_only_file(destination)
    assert [request.path for request in server.requests] == [f"http://mirror.test/{NAME}", below]
    assert server.header("Cookie") == [None, None]


def test_a_login_page_is_explained_by_cookies_that_may_have_expired(
    server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    server.script = [wants("session=other")]
    with pytest.raises(DownloadError, match=rf"login page: the cookies of {file} may have expired: export them again"):
        fetch(server.url, destination, cookies=cookies(file, line(domain="127.0.0.1")))


def test_a_login_page_is_explained_by_a_file_without_a_cookie_for_the_host(
    server: HostileServer, destination: Path, fetch: Fetch, file: Path
) -> None:
    server.script = [hostile.answer(403)]
    expired = cookies(file, line(domain="127.0.0.1", expires=1_000_000_000))
    with pytest.raises(DownloadError, match=rf"403 Forbidden: {file} has no valid cookie for 127\.0\.0\.1: export"):
        fetch(server.url, destination, cookies=expired)


def test_without_cookies_a_login_page_is_explained_by_the_account_and_by_cookies(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.page("text/html")]
    with pytest.raises(DownloadError, match="login page: set IMAGENET_USERNAME .*, or give the cookies .* --cookies"):
        fetch(server.url, destination)


def test_no_cookie_is_in_an_error_a_log_or_a_record(
    server: HostileServer, destination: Path, fetch: Fetch, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sets = hostile.answer(302, Location=f"{server.url}/{NAME}", Set_Cookie="other=s3t-by-server; Path=/")
    server.script = [sets, hostile.close_at(1000), hostile.answer(503), hostile.answer(403)]
    read = cookies(file, line(domain="127.0.0.1"))
    with pytest.raises(DownloadError) as caught:
        fetch(server.url, destination, cookies=read, credentials=ACCOUNT)
    for text in (str(caught.value), caplog.text, record_file(destination).read_text(), repr(read)):
        assert "s3cret" not in text
        assert "s3t-by-server" not in text

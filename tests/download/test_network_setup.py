"""What is wrong with this machine's certificates or proxy: said at once, with what to set."""

import os
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import BODY, Fetch, assert_only_file
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of our own for localhost, and its key, in one file."""
    path = tmp_path_factory.mktemp("certificate") / "localhost.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    try:
        subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl makes the certificate of these tests")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def secure_url(server: HostileServer, certificate: Path) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server.url_by_another_name.replace("http:", "https:")


@pytest.fixture
def proxy() -> Iterator[HostileServer]:
    with hostile.running(BODY) as server:
        yield server


def test_an_unknown_certificate_is_an_error_at_once(secure_url: str, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match=r"https://localhost.*certificate is not accepted.*REQUESTS_CA_BUNDLE"):
        fetch(secure_url, destination)
    assert fetch.waits == []


def test_a_certificate_of_another_host_is_an_error_at_once(
    secure_url: str, certificate: Path, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with pytest.raises(DownloadError, match=r"certificate is not accepted.*127\.0\.0\.1"):
        fetch(secure_url.replace("localhost", "127.0.0.1"), destination)
    assert fetch.waits == []


def test_a_certificate_authority_of_ones_own_may_be_set(
    secure_url: str, certificate: Path, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    fetch(secure_url, destination)
    assert_only_file(destination)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("contents", [None, b"", b"no certificate"], ids=["missing", "empty", "invalid"])
def test_a_bad_file_of_certificates_is_an_error_at_once_that_names_it(
    contents: bytes | None,
    variable: str,
    secure_url: str,
    destination: Path,
    fetch: Fetch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "bundle.pem"
    if contents is not None:
        bundle.write_bytes(contents)
    monkeypatch.setenv(variable, str(bundle))
    with pytest.raises(DownloadError, match=f"{bundle}.*correct or unset {variable}"):
        fetch(secure_url, destination)
    assert fetch.waits == []


def test_no_tls_behind_an_https_url_is_an_error_with_the_reason(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with pytest.raises(DownloadError, match="(?i)wrong.version.number|record layer"):
        fetch(server.url.replace("http:", "https:"), destination, attempts=1)


@pytest.mark.parametrize("value", ["http://", "http://[broken", "http://host:port", "gopher://host:70", "http://:3128"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_invalid_proxy_is_an_error_at_once_that_names_its_variable(
    value: str, scheme: str, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(variable, value)
    with pytest.raises(DownloadError, match=f"{variable} is not the URL of a proxy"):
        fetch(f"{scheme}://elsewhere.invalid/data", destination)
    assert fetch.waits == []


WITHOUT_SOCKS = """
import sys
from pathlib import Path
# As if the package was not installed.
sys.modules["socks"] = None
from luigi_ilsvrc.download.download import download
download("http://elsewhere.invalid/data", "images.tar", Path(sys.argv[1]), md5=None, attempts=1)
"""


def test_a_socks_proxy_without_its_package_is_an_error_at_once(destination: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOCKS, destination],
        env={**os.environ, "all_proxy": "socks5h://localhost:1080"},
        capture_output=True,
        text=True,
    )
    assert re.search("(?i)all_proxy names a SOCKS proxy, which needs a package", done.stderr.splitlines()[-1])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unreachable_proxy_is_tried_again_and_named(
    scheme: str, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile.running(BODY) as gone:
        port = gone.server_port
    variable = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(variable, f"http://ada:s3cret@127.0.0.1:{port}")
    with pytest.raises(DownloadError, match=f"proxy of {variable} does not work: Connection refused.* 2 att") as caught:
        fetch(f"{scheme}://elsewhere.invalid/data", destination, attempts=2)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_a_login_is_an_error_at_once(
    scheme: str, proxy: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"{scheme.upper()}_PROXY"
    monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.server_port}")
    proxy.script = [hostile.answer(407)]
    with pytest.raises(DownloadError, match=f"407.*{variable} to http://user:password@"):
        fetch(f"{scheme}://elsewhere.invalid/data", destination)
    assert fetch.waits == []


def test_a_download_by_a_proxy_is_complete(
    proxy: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    proxy.script = [hostile.close_at(100_000)]
    fetch("http://elsewhere.invalid/data?sig=a", destination)
    assert_only_file(destination)
    assert {request.path for request in proxy.requests} == {"http://elsewhere.invalid/data/images.tar?sig=a"}

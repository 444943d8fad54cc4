import pytest

from luigi_ilsvrc.download.urls import host_of, is_web_url, without_secrets


@pytest.mark.parametrize("url", ["http://host/data", "HTTPS://host/data"])
def test_http_and_https_urls_are_web_urls(url: str) -> None:
    assert is_web_url(url)


@pytest.mark.parametrize("source", ["/data", "data", "file:///data", "s3://bucket", "httpdata"])
def test_folders_and_other_urls_are_not_web_urls(source: str) -> None:
    assert not is_web_url(source)


def test_a_url_that_is_shown_has_no_user_name_key_or_signature() -> None:
    assert without_secrets("https://ada:key@host:8000/data/x.tar?sig=abc#part") == "https://host:8000/data/x.tar"


def test_a_host_has_the_default_port_of_its_scheme() -> None:
    assert host_of("https://host/data") == host_of("https://HOST:443/other") == ("https", "host", 443)
    assert host_of("http://host") != host_of("https://host")

import base64
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account_server import ACCESS_KEY, SESSION, USERNAME, accounts_only
from tests.support.running import PROJECT, SHARDS, luigi, luigid, start_luigi

pytestmark = pytest.mark.slow

SECRETS = [
    secret.encode()
    for secret in (
        USERNAME,
        ACCESS_KEY,
        SESSION,
        base64.b64encode(f"{USERNAME}:{ACCESS_KEY}".encode()).decode().rstrip("="),
    )
]


def command_lines() -> Iterator[bytes]:
    """What ``ps`` shows to everybody."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


@pytest.mark.parametrize("login", ["account", "cookies"])
def test_after_a_build_that_needed_a_login_it_is_found_nowhere(
    ilsvrc: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, login: str
) -> None:
    cookies = tmp_path_factory.mktemp("browser") / "cookies.txt"
    cookies.write_text(f"#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{SESSION}\n")
    account = {"IMAGENET_USERNAME": USERNAME, "IMAGENET_ACCESS_KEY": ACCESS_KEY}
    data_dir = tmp_path / "data"
    tables = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in tables for word in (f"--{name.replace('_', '-')}", ilsvrc / f"{name}.txt")]
    shown: list[bytes] = []
    with accounts_only(ilsvrc) as url, luigid(tmp_path) as port:
        build = start_luigi(
            *("BuildAll", "--data-dir", data_dir, "--source", url, "--checksums", ilsvrc / "MD5SUMS", *given, *SHARDS),
            *("--scheduler-host", "127.0.0.1", "--scheduler-port", port, "--workers", "2", "--log-level", "DEBUG"),
            *(("--cookies", cookies) if login == "cookies" else ()),
            config=PROJECT / "luigi.cfg",
            **(account if login == "account" else {}),
        )
        said: list[str] = []
        reader = threading.Thread(target=lambda: said.append(build.communicate(timeout=120)[0]))
        reader.start()
        while reader.is_alive():
            shown += command_lines()
            time.sleep(0.1)
        assert build.returncode == 0, said
        for call in ("task_list?data={%22status%22:%22DONE%22,%22upstream_status%22:%22%22}", "graph", "worker_list"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{call}") as page:
                shown.append(page.read())
    # luigid writes its state when it ends.
    shown += [(tmp_path / "luigid.pickle").read_bytes(), said[0].encode()]
    shown += [path.read_bytes() for path in data_dir.rglob("*") if path.is_file()]
    assert sum(b"DownloadTrain" in text for text in shown) > 3
    assert [secret for secret in SECRETS if any(secret in text for text in shown)] == []


def test_an_account_that_is_refused_is_not_in_the_error(ilsvrc: Path, tmp_path: Path) -> None:
    with accounts_only(ilsvrc) as url:
        build = start_luigi(
            *("DownloadTrain", "--data-dir", tmp_path, "--source", url, "--local-scheduler", "--log-level", "DEBUG"),
            IMAGENET_USERNAME="wrong-name",
            IMAGENET_ACCESS_KEY="wrong-key",
        )
        output, _ = build.communicate(timeout=60)
    assert build.returncode == 30
    assert "401" in output
    assert "wrong-name" not in output
    assert "wrong-key" not in output


def test_an_account_in_the_configuration_may_hold_any_character(ilsvrc: Path, tmp_path: Path) -> None:
    config = tmp_path / "luigi.cfg"
    config.write_text(f"[ilsvrc]\nusername = {USERNAME}\naccess_key = {ACCESS_KEY}\nchecksums = {ilsvrc}/MD5SUMS\n")
    with accounts_only(ilsvrc) as url:
        status, output = luigi("DownloadTrain", "--data-dir", tmp_path / "data", "--source", url, config=config)
    assert ACCESS_KEY not in output
    assert (tmp_path / "data" / "ilsvrc2012" / "training_images.tar").exists(), (status, output)

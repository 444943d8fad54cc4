"""The command asks at the terminal for an account, only if one is needed and none is set."""

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from luigi_ilsvrc.tasks.luigi_support.interrupts import MESSAGE
from tests.support import account_server, hostile_server
from tests.support.account_server import ACCESS_KEY, USERNAME, AccountServer
from tests.support.running import PROJECT, QUICK, SHARDS, contents, http_server, luigi, luigid
from tests.support.terminal import lines_shown, run_in_terminal

pytestmark = pytest.mark.slow

NAME, KEY = "User name for 127.0.0.1: ", "Access key (not shown): "
RIGHT = [(NAME, f"{USERNAME}\n"), (KEY, f"{ACCESS_KEY}\n")]
WRONG = [(NAME, "somebody-else\n"), (KEY, "wrong-key\n")]
CTRL_C, CTRL_D = "\x03", "\x04"
NOTHING = [(NAME, CTRL_D)]
"""If there is a prompt where none is expected, the command ends."""


@pytest.fixture
def server(ilsvrc: Path) -> Iterator[AccountServer]:
    with account_server.running(ilsvrc) as server:
        yield server


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def tables(ilsvrc: Path) -> list[object]:
    """What a source folder would supply by itself."""
    names = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in names for word in (f"--{name.replace('_', '-')}", ilsvrc / f"{name}.txt")]
    return [*given, "--checksums", ilsvrc / "MD5SUMS"]


def run(*command: object, answers: Sequence[tuple[str, str]] = NOTHING, **environment: str) -> tuple[int, str]:
    """Run Luigi in a terminal; see `in_terminal`."""
    scheduler = () if "--scheduler-port" in command else ("--local-scheduler",)
    luigi_command = [sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", *command, *scheduler]
    return in_terminal(luigi_command, answers, **environment)


def in_terminal(
    command: Sequence[object], answers: Sequence[tuple[str, str]] = NOTHING, **environment: str
) -> tuple[int, str]:
    """Run a command in a terminal, without an account of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    settings = {"LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), "PYTHONPATH": str(PROJECT), "NETRC": "/dev/null"}
    return run_in_terminal(command, {**kept, **settings, **environment}, answers)


def by_shell(program: str, *options: object) -> list[object]:
    """Return a command of bash in whose program "$@" is a DownloadTrain with options."""
    command = [sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", "DownloadTrain", "--local-scheduler"]
    return ["/bin/bash", "-c", program, "-", *command, *options]


def errors(written: str) -> list[str]:
    assert "Traceback" not in written, written
    return [line for line in lines_shown(written) if line.startswith("ERROR: ")]


# Asked ---------------------------------------------------------------------------------------------------------------


def test_what_is_typed_builds_the_same_in_all_processes(
    server: AccountServer, built: Path, data_dir: Path, tables: list[object]
) -> None:
    build = ("BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *SHARDS, "--workers", 2)
    status, written = run(*build, answers=RIGHT)
    assert status == 0, written
    assert written.count(NAME) == written.count(KEY) == 1
    assert contents(data_dir) == contents(built)


@pytest.mark.parametrize("task", [("DownloadTrain",), ("BoundingBoxCSV",), ("ExtractTrainPerSynset", "--synset")])
def test_each_task_that_needs_a_download_asks(
    server: AccountServer, ilsvrc: Path, data_dir: Path, tables: list[object], task: tuple[str, ...]
) -> None:
    synset = (ilsvrc / "unique_synsets.txt").read_text().split()[0]
    command = (*task, synset) if task[-1] == "--synset" else task
    status, written = run(*command, "--data-dir", data_dir, "--source", server.url, *tables, answers=RIGHT)
    assert status == 0, written
    assert written.count(NAME) == 1


def test_a_wrong_account_is_said_to_be_wrong_and_asked_for_again(
    server: AccountServer, data_dir: Path, tables: list[object]
) -> None:
    build = ("DownloadTrain", "--data-dir", data_dir, "--source", server.url, *tables)
    status, written = run(*build, answers=[*WRONG, *RIGHT])
    assert status == 0, written
    lines = lines_shown(written)
    refused = lines.index("127.0.0.1 does not accept this user name and access key: 401 Unauthorized")
    assert lines[refused + 1] == f"{NAME}{USERNAME}"


def test_after_three_wrong_accounts_nothing_is_scheduled(
    server: AccountServer, data_dir: Path, tables: list[object]
) -> None:
    build = ("BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *QUICK)
    status, written = run(*build, answers=[*WRONG, (NAME, "\n"), (KEY, "\n"), *WRONG])
    assert status == 35
    assert errors(written)[-1].startswith(
        "ERROR: BuildAll: 127.0.0.1 has accepted none of 3 accounts: run again with the right one, or set IMAGENET_"
    )
    assert not data_dir.exists()


def test_ctrl_c_at_a_prompt_ends_with_one_line(server: AccountServer, data_dir: Path, tables: list[object]) -> None:
    for answers in ([(NAME, CTRL_C)], [(NAME, f"{USERNAME}\n"), (KEY, CTRL_C)]):
        status, written = run(
            "BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *QUICK, answers=answers
        )
        assert status != 0
        assert lines_shown(written)[-2:] == [MESSAGE, ""]
        assert "Traceback" not in written
        assert not data_dir.exists()


def test_ctrl_d_at_a_prompt_ends_with_one_line(server: AccountServer, data_dir: Path, tables: list[object]) -> None:
    for answers in ([(NAME, CTRL_D)], [(NAME, f"{USERNAME}\n"), (KEY, CTRL_D)]):
        status, written = run(
            "BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *QUICK, answers=answers
        )
        assert status == 35
        assert errors(written)[-1].startswith(
            "ERROR: BuildAll: 127.0.0.1 asks for an account, and none was given: set IMAGENET_USERNAME and "
        )
        assert not data_dir.exists()


def test_a_key_that_is_typed_is_found_nowhere(
    server: AccountServer, data_dir: Path, tables: list[object], tmp_path: Path
) -> None:
    shown: list[bytes] = []
    has_ended = threading.Event()
    # Of this test's processes alone: other tests give the same account in the environment.
    mark = str(tmp_path).encode()

    def look() -> None:
        while not has_ended.wait(0.05):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    texts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
                except OSError:
                    continue
                shown.extend(texts if any(mark in text for text in texts) else ())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        with luigid(tmp_path) as port:
            build = ("BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *SHARDS, "--workers", 2)
            address = ("--scheduler-host", "127.0.0.1", "--scheduler-port", port, "--log-level", "DEBUG")
            status, written = run(*build, *address, answers=RIGHT, TEST_THAT_LOOKS=str(tmp_path))
    finally:
        has_ended.set()
        looking.join()
    assert status == 0, written
    assert any(b"BuildAll\0" in text for text in shown)
    assert any(f"TEST_THAT_LOOKS={tmp_path}".encode() in text for text in shown)
    shown += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(ACCESS_KEY.encode() in text for text in [*shown, written.encode()])
    # The name alone is echoed, once.
    assert not any(USERNAME.encode() in text for text in shown)
    assert written.count(USERNAME) == 1


def test_prompts_are_not_written_to_a_log_in_a_file(
    server: AccountServer, data_dir: Path, tables: list[object], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    options = ("--data-dir", data_dir, "--source", server.url, *tables)
    status, written = in_terminal(by_shell(f'exec "$@" > {log} 2>&1', *options), RIGHT)
    assert status == 0, written
    assert NAME in written
    assert KEY in written
    assert "account" not in log.read_text()


# Not asked -----------------------------------------------------------------------------------------------------------


def test_without_a_terminal_nobody_is_asked_and_the_download_says_what_to_set(
    server: AccountServer, data_dir: Path
) -> None:
    status, output = luigi("DownloadTrain", "--data-dir", data_dir, "--source", server.url, NETRC="/dev/null")
    assert status == 30
    assert NAME not in output
    assert "answered 401 Unauthorized: set IMAGENET_USERNAME and IMAGENET_ACCESS_KEY in the environment" in output


def test_a_job_in_the_background_is_not_asked(server: AccountServer, data_dir: Path) -> None:
    options = ("--data-dir", data_dir, "--source", server.url)
    status, written = in_terminal(by_shell('set -m; "$@" & wait $!', *options))
    assert status == 30, written
    assert NAME not in written


def test_a_source_that_wants_no_account_asks_for_none(ilsvrc: Path, data_dir: Path, tables: list[object]) -> None:
    with http_server(ilsvrc) as url:
        status, written = run("DownloadTrain", "--data-dir", data_dir, "--source", url, *tables)
    assert status == 0, written
    assert NAME not in written


def test_a_login_page_is_explained_and_nobody_is_asked_for_what_could_not_answer_it(data_dir: Path) -> None:
    with hostile_server.running(b"") as server:
        server.script = [hostile_server.page("text/html")] * 2
        status, written = run("DownloadTrain", "--data-dir", data_dir, "--source", server.url)
    assert status == 30
    assert NAME not in written
    assert "Usually this is a login page: set IMAGENET_USERNAME" in errors(written)[-1]
    assert "--cookies" in errors(written)[-1]


def test_a_source_that_does_not_answer_is_explained_by_the_download(data_dir: Path) -> None:
    options = ("--source", "http://127.0.0.1:9", "--attempts", 1)
    status, written = run("DownloadTrain", "--data-dir", data_dir, *options)
    assert status == 30
    assert NAME not in written
    assert "Connection refused" in errors(written)[-1]


@pytest.mark.parametrize("where", ["environment", "half of the environment", "configuration", "netrc", "cookies"])
def test_if_something_is_set_nobody_is_asked(server: AccountServer, data_dir: Path, tmp_path: Path, where: str) -> None:
    config, netrc, cookies = tmp_path / "luigi.cfg", tmp_path / "netrc", tmp_path / "cookies.txt"
    config.write_text("[ilsvrc]\nusername = ada\naccess_key = key\n[retcode]\ntask_failed = 30\n")
    netrc.write_text("machine 127.0.0.1 login ada password key\n")
    cookies.write_text("127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tkey\n")
    options = ("--cookies", cookies) if where == "cookies" else ()
    environments: dict[str, dict[str, str]] = {
        "environment": {"IMAGENET_USERNAME": "ada", "IMAGENET_ACCESS_KEY": "key"},
        "half of the environment": {"IMAGENET_USERNAME": "ada"},
        "configuration": {"LUIGI_CONFIG_PATH": str(config)},
        "netrc": {"NETRC": str(netrc)},
    }
    command = ("DownloadTrain", "--data-dir", data_dir, "--source", server.url, *options)
    status, written = run(*command, answers=NOTHING, **environments.get(where, {}))
    assert status == 30, written
    assert NAME not in written


def test_a_build_that_downloads_nothing_does_not_ask_its_source(
    server: AccountServer, built: Path, data_dir: Path, tables: list[object]
) -> None:
    shutil.copytree(built, data_dir, copy_function=shutil.copy2)
    (data_dir / "ilsvrc2012" / "tfrecords" / "train-00003-of-00008").unlink()
    status, written = run("BuildAll", "--data-dir", data_dir, "--source", server.url, *tables, *SHARDS)
    assert status == 0, written
    assert NAME not in written
    assert server.requests == []
    assert contents(data_dir) == contents(built)

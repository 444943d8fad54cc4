"""Ctrl-C in a terminal, which sends SIGINT to the worker and to its children at once."""

import os
import pty
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from luigi_ilsvrc.tasks.luigi_support.interrupts import MESSAGE
from tests.reliability.test_killed import slow_server
from tests.support.running import LOG_TASKS, PROJECT, QUICK, contents, luigi

pytestmark = pytest.mark.slow

_CTRL_C = b"\3"
_BETWEEN_PRESSES = 0.05
_BUSY = ("--train-shards", "1024", *LOG_TASKS)


class Interrupted(NamedTuple):
    """A build that ended in a terminal."""

    status: int
    screen: str


def interrupt(*arguments: object, when: Callable[[str], bool], times: int = 1) -> Interrupted:
    """Run Luigi in a terminal; press Ctrl-C when the screen says so, and perhaps again as fast as somebody can."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir("/")
        command = [sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", *map(str, arguments), "--local-scheduler"]
        os.execve(sys.executable, command, {**os.environ, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg")})
    screen, pressed, next_press = "", 0, 0.0
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.02)[0]:
            try:
                screen += os.read(terminal, 1 << 16).decode()
            except OSError:
                # The last process has closed it.
                break
        if pressed < times and time.monotonic() > next_press and (pressed or when(screen)):
            os.write(terminal, _CTRL_C)
            pressed += 1
            next_press = time.monotonic() + _BETWEEN_PRESSES
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    return Interrupted(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), screen.replace("\r", ""))


def check(build: Interrupted) -> None:
    lines = [line for line in build.screen.replace("^C", "").splitlines() if line.strip()]
    assert lines[-1] == MESSAGE, build.screen[-3000:]
    assert build.screen.count(MESSAGE) == 1
    assert "Traceback" not in build.screen, build.screen
    # Shells say 130.
    assert build.status == -signal.SIGINT


def scheduling(screen: str) -> bool:
    return "has status   PENDING" in screen and "Done scheduling" not in screen


def running(screen: str) -> bool:
    return screen.count("running   ") > 12


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("when", [scheduling, running])
def test_ctrl_c_leaves_one_line_on_the_screen(
    ilsvrc: Path, tmp_path: Path, when: Callable[[str], bool], workers: int, times: int
) -> None:
    build = interrupt(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, "--workers", workers, *_BUSY),
        when=when,
        times=times,
    )
    check(build)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_download_records_what_it_has_and_the_next_run_continues(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path, workers: int
) -> None:
    data_dir = tmp_path / "data"
    tables = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in tables for word in (f"--{name.replace('_', '-')}", ilsvrc / f"{name}.txt")]
    partial = data_dir / "ilsvrc2012" / "training_images.tar.partial"
    with slow_server(ilsvrc) as url:
        build = interrupt(
            *("BuildAll", "--data-dir", data_dir, "--source", url, "--checksums", "none", *given, *QUICK),
            *("--workers", workers),
            when=lambda screen: partial.exists() and partial.stat().st_size > 0,
        )
    check(build)
    assert partial.with_name(f"{partial.name}.json").exists()
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *QUICK)
    assert status == 0, output
    assert contents(data_dir) == contents(built_without_shards)


@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_at_a_random_moment(ilsvrc: Path, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    times, lines = rng.choice([1, 2, 3]), rng.randrange(10, 3000)
    build = interrupt(
        *("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, "--workers", rng.choice([1, 2, 3]), *_BUSY),
        when=lambda screen: screen.count("\n") > lines,
        times=times,
    )
    check(build)

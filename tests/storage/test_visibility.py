"""Seeing what another host has published, after the file system shows it."""

import threading
import time
from pathlib import Path

from luigi_ilsvrc.storage.visibility import exists, wait_until_seen


def test_what_is_there_exists(tmp_path: Path) -> None:
    assert exists(tmp_path)


def test_what_is_not_there_does_not_exist(tmp_path: Path) -> None:
    assert not exists(tmp_path / "missing")


def test_nothing_exists_in_a_folder_that_does_not(tmp_path: Path) -> None:
    assert not exists(tmp_path / "missing" / "file")


def test_what_is_visible_is_not_waited_for(tmp_path: Path) -> None:
    started = time.monotonic()
    assert wait_until_seen(lambda: True, [tmp_path], 60)
    assert time.monotonic() - started < 30


def test_what_becomes_visible_is_waited_for(tmp_path: Path) -> None:
    output = tmp_path / "output"
    threading.Timer(0.3, output.touch).start()
    assert wait_until_seen(output.exists, [tmp_path], 60)


def test_what_stays_invisible_is_waited_for_a_bounded_time(tmp_path: Path) -> None:
    assert not wait_until_seen((tmp_path / "output").exists, [tmp_path, tmp_path / "missing"], 0.3)


def test_without_patience_the_answer_comes_at_once(tmp_path: Path) -> None:
    asked: list[None] = []

    def is_seen() -> bool:
        asked.append(None)
        return False

    assert not wait_until_seen(is_seen, [tmp_path], 0)
    assert len(asked) == 1

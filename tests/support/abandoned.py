"""What processes leave when they are killed while they make an output."""

import os
import socket
import time
from multiprocessing import Process
from pathlib import Path

from luigi_ilsvrc.storage.temporary import temporary_path


def left_by_a_dead_process(output: Path, *, is_folder: bool = False) -> Path:
    """Let a process begin an output, and die; return what is left, under its temporary name."""
    output.parent.mkdir(parents=True, exist_ok=True)
    before = set(output.parent.iterdir())
    process = Process(target=_begin, args=(output, is_folder))
    process.start()
    process.join()
    [left] = set(output.parent.iterdir()) - before
    return left


def left_by_another_host(output: Path, seconds_ago: float, *, is_folder: bool = False) -> Path:
    """Return what a process of another host has begun, and last changed so many seconds ago."""
    own = temporary_path(output)
    # The name of this host stands in it, and more that tells hosts apart.
    host = "".join(character if character.isalnum() else "_" for character in socket.gethostname())
    left = own.with_name(own.name.replace(f".{host}", ".another", 1))
    assert left != own
    _make(left, is_folder)
    os.utime(left, (time.time() - seconds_ago,) * 2)
    return left


def _begin(output: Path, is_folder: bool) -> None:
    _make(temporary_path(output), is_folder)


def _make(path: Path, is_folder: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        path.mkdir()
        (path / "begun").write_text("half")
    else:
        path.write_text("half")

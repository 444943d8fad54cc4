"""Small file systems, mounted for a test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _mount(*arguments: object) -> bool:
    command = ["mount", *map(str, arguments)]
    return os.geteuid() == 0 and subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


@contextmanager
def mounted(directory: Path, size: str) -> Iterator[Path]:
    """Mount an empty file system of a size such as ``1m``; skip the test where that is not permitted."""
    directory.mkdir(parents=True, exist_ok=True)
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory):
        pytest.skip("to mount a small file system takes root and the right to mount")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def remount(directory: Path, options: str) -> None:
    """Change a mounted file system: ``size=2m``, ``ro``."""
    assert _mount("-o", f"remount,{options}", directory)

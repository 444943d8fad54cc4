"""Small file systems and small files, for a test."""

import os
import resource
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


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process write `size` bytes to a file and no more, as where a disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def remount(directory: Path, options: str) -> None:
    """Change a mounted file system: ``size=2m``, ``ro``."""
    assert _mount("-o", f"remount,{options}", directory)

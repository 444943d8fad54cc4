"""Outputs that are whole when they exist, however many processes make them and whenever they die."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import luigi

from luigi_ilsvrc.locks import wait_for_lock

SUFFIX = ".partial"


class WholeTarget(luigi.LocalTarget):
    """A file that appears under its name when it is complete.

    Its `temporary_path` is Luigi's, with three promises more: the name is always ``<path>.partial``, so that the next
    run clears what a killed one left; it is locked, so that of two processes one waits for the other; and it is removed
    when making the output fails.
    """

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """Yield a path to write to, empty at first; when the block ends without an exception it becomes the output.

        A second process waits here until the first is done. It must then look whether the output exists already.
        """
        # Not self.makedirs(), which keeps quiet about what went wrong.
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        path = Path(f"{self.path}{SUFFIX}")
        with self._locked(path):
            self._clear(path)
            try:
                yield str(path)
            except BaseException:
                self._remove(path)
                raise
            if self.exists():
                self._remove(path)
            else:
                path.rename(self.path)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        while True:
            descriptor = self._open(path)
            try:
                wait_for_lock(descriptor, path)
                if self._is_at(descriptor, path):
                    yield
                    return
            finally:
                os.close(descriptor)

    @staticmethod
    def _is_at(descriptor: int, path: Path) -> bool:
        """Tell whether what was locked is still there, and not renamed or removed by who held the lock before."""
        try:
            return os.path.samestat(os.fstat(descriptor), path.stat())
        except FileNotFoundError:
            return False

    def _open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)

    def _clear(self, path: Path) -> None:
        os.truncate(path, 0)

    def _remove(self, path: Path) -> None:
        path.unlink()


class WholeDirectoryTarget(WholeTarget):
    """A folder that appears under its name, with all that is in it, when it is complete."""

    def _open(self, path: Path) -> int:
        while True:
            with suppress(FileExistsError):
                path.mkdir()
            with suppress(FileNotFoundError):
                return os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def _clear(self, path: Path) -> None:
        for entry in list(os.scandir(path)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def _remove(self, path: Path) -> None:
        shutil.rmtree(path)

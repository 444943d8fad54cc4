"""Outputs as Luigi's targets; see `luigi_ilsvrc.storage.publish`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import luigi

from luigi_ilsvrc.storage import publish, visibility


class _OutputTarget(luigi.LocalTarget):
    """An output on a file system that other hosts may write to, too."""

    def exists(self) -> bool:
        """Tell whether it is there; its folder is looked up afresh before it counts as missing."""
        return visibility.exists(Path(self.path))


class AtomicTarget(_OutputTarget):
    """A file that appears under its name when it is complete."""

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """Yield a path to write to, an empty file at first; see `publish.new_file`."""
        with publish.new_file(Path(self.path)) as path:
            yield str(path)


class AtomicFolderTarget(_OutputTarget):
    """A folder that appears under its name, with all that is in it, when it is complete."""

    @contextmanager
    def temporary_path(self) -> Iterator[str]:
        """Yield an empty folder to fill; see `publish.new_folder`."""
        with publish.new_folder(Path(self.path)) as path:
            yield str(path)

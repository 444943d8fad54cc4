"""Tasks with one output, and the manifests of what belongs to the data set."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import luigi

from luigi_ilsvrc.build_record import digest_of
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.details import write_details
from luigi_ilsvrc.storage.locks import output_lock
from luigi_ilsvrc.storage.manifest import (
    Files,
    Manifest,
    check_as_written,
    read_files,
    read_size,
    serialize_manifest,
)
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.base import BuildTask, ILSVRCTask
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.timings import timed


class OutputTask(ILSVRCTask):
    """A task with one output, which `make` writes under a temporary name."""

    def output(self) -> AtomicTarget | AtomicFolderTarget:
        """Return the file or folder that the task makes."""
        raise NotImplementedError

    def make(self, path: Path, progress: Progress) -> Any:
        """Write the output to `path`."""
        raise NotImplementedError

    def run(self) -> None:
        """Make the output, unless another process has just done so."""
        path = Path(self.output().path)
        try:
            self.make_output(TaskProgress(self))
        except OSError as error:
            raise disk.explain_os_error(error, path) from error

    def make_output(self, progress: Progress) -> None:
        """Make and publish the output. Raises OSError."""
        with self.output().temporary_path() as path:
            self.make(Path(path), progress)


class DataSetTask(OutputTask, BuildTask):
    """A task whose output is part of the data set.

    Beside the index stands a manifest of each output: what it holds, and what it was made from. It is there when the
    output is. So are the details of some outputs: what was seen while they were made. Each task compares what it was
    given with the build's record.
    """

    has_details: ClassVar[bool] = False
    """Whether `make` also writes details; see `write_details`."""

    def make(self, path: Path, progress: Progress) -> Files | None:
        """Write the output to `path`; return the entries of its files if that costs less than reading them again."""
        raise NotImplementedError

    def facts(self) -> dict[str, str]:
        """Return the digests of archives and label tables that the output is made from, by their official names."""
        raise NotImplementedError

    def reads(self) -> "list[tuple[DataSetTask, tuple[str, ...]]]":
        """Return the tasks whose outputs this one reads, and which files of them; none for an output that is a file."""
        return []

    def inputs(self) -> dict[str, str]:
        """Return the digest of each thing that the output is made from, after checking what other tasks have made.

        Raises
        ------
        ManifestError
            As `checked_digest`.
        """
        digests = self.facts()
        for task, names in self.reads():
            digests |= task.checked_digest(*names)
        return digests

    def table_digests(self, *names: str) -> dict[str, str]:
        """Return the SHA-256 of label tables, by their official names."""
        return {name: digest_of(name, self.table_paths[name]) for name in names}

    def checked_digest(self, *names: str) -> dict[str, str]:
        """Return the digest of files of the output, by their path, after comparing them with its manifest.

        Whoever reads the output calls this first.

        Parameters
        ----------
        *names : str
            Paths in the output; none if that is a file.

        Raises
        ------
        ManifestError
            If a file is not as it was written, or the manifest is missing or damaged; it says what to do.
        """
        output = Path(self.output().path)
        return self.name_digest(check_as_written(output, names or [""], Path(self.manifest().path)))

    def name_digest(self, files: Files) -> dict[str, str]:
        """Return the digest of files of the output by its path, or by that of the file if there is one only."""
        output = Path(self.output().path)
        path = output / next(iter(files)) if len(files) == 1 else output
        return {str(path.relative_to(self.data_dir)): Manifest(files).digest}

    def size_reader(self) -> Callable[[], int]:
        """Return what tells the size of the output's files, of a folder by its manifest."""
        output = self.output()
        if isinstance(output, AtomicFolderTarget):
            return functools.partial(read_size, Path(self.manifest().path))
        return functools.partial(os.path.getsize, output.path)

    def relative_output(self) -> str:
        """Return the output's path below the data directory."""
        return str(Path(self.output().path).relative_to(self.data_dir))

    def manifest(self) -> luigi.LocalTarget:
        """Return the file that says what the output holds; see `storage.manifest`."""
        return luigi.LocalTarget(self.paths.manifest(Path(self.output().path)))

    def details(self) -> luigi.LocalTarget:
        """Return the file of what was seen while the output was made, of a task that `has_details`."""
        return luigi.LocalTarget(self.paths.details(Path(self.output().path)))

    def write_details(self, lines: str) -> None:
        """Write what was seen while the output was made; `make` does that, before the output is published."""
        write_details(Path(self.details().path), lines)

    def make_output(self, progress: Progress) -> None:
        """Make and publish the output and its manifest, unless another process has just done so."""
        self.publish(lambda path: self.make(path, progress))

    def publish(self, make: Callable[[Path], Files | None]) -> None:
        """Make the output in another way than `make`; otherwise as `make_output`."""
        self.begin_build()
        target = self.output()
        with output_lock(self.paths.lock(Path(target.path)), Path(target.path)):
            if not target.exists():
                timing = timed(self.paths.timings, self.task_family, self.relative_output(), self.size_reader())
                with timing, target.temporary_path() as temporary:
                    inputs = self.inputs()
                    files = make(Path(temporary))
                    self.compare_with_record()
                    if files is None:
                        files = read_files(Path(temporary))
                    self.write_manifest(Manifest(files, inputs, self.relative_output()))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest of an output that is about to be published, in place of that of a former one."""
        replace_file(Path(self.manifest().path), serialize_manifest(manifest))

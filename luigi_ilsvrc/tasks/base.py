"""What all tasks share: parameters, the places of outputs, and how an output is made."""

import os
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import luigi
from luigi.parameter import MissingParameterException, ParameterVisibility

from luigi_ilsvrc.build_record import BuildRecord, begin, compare, digest_of, read_record
from luigi_ilsvrc.dataset.archives import ARCHIVES, CHECKSUM_FILE, SOURCE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    LabelTables,
)
from luigi_ilsvrc.download.checksums import read_checksums
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.locks import output_lock
from luigi_ilsvrc.storage.manifest import Files, Manifest, check_as_written, read_files, serialize_manifest
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.luigi_support import logs, processes
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import (
    AbsolutePathParameter,
    FileParameter,
    IntegerParameter,
    ParameterError,
    SourceParameter,
    SwitchParameter,
    option,
    setting,
)

OFFICIAL = "official"
NO_CHECKSUMS = "none"
PACKAGED = "packaged"

_SUPPLIED_BY_FOLDER = {
    "checksums": (OFFICIAL, CHECKSUM_FILE),
    "unique_synsets": (PACKAGED, UNIQUE_SYNSETS),
    "validation_synset_labels": (PACKAGED, VALIDATION_SYNSET_LABELS),
    "synset_english_key": (PACKAGED, SYNSET_ENGLISH_KEY),
}
"""By parameter: its default, and the file of a source folder that takes the place of the default."""


def _table_parameter(name: str, description: str) -> FileParameter:
    return FileParameter(
        words=(PACKAGED,),
        default=PACKAGED,
        config_path=setting(name),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description=f"{description}, or {PACKAGED}",
    )


class ILSVRCTask(luigi.Task):
    """A task of the build of one data set.

    What it needs from the set-up is a parameter, so that a worker on another host builds the same. If the source is a
    folder that holds label tables or checksums, these parameters have the paths of its files from the moment that a
    task is made: on a host that does not see the folder, the task fails, and does not use the packaged tables.
    """

    data_dir = AbsolutePathParameter(
        default=Path("."),
        config_path=setting("data_dir"),
        description="where the outputs go",
    )
    source = SourceParameter(
        default=SOURCE,
        config_path=setting("source"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="a URL prefix or a folder that holds the archives under their official names",
    )
    checksums = FileParameter(
        words=(OFFICIAL, NO_CHECKSUMS),
        default=OFFICIAL,
        config_path=setting("checksums"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description=f"{OFFICIAL}, a path to an md5sum file, or {NO_CHECKSUMS}",
    )
    unique_synsets = _table_parameter("unique_synsets", "a table of synsets, one a line")
    validation_synset_labels = _table_parameter(
        "validation_synset_labels", "a table of the validation images' synsets, one a line"
    )
    synset_english_key = _table_parameter("synset_english_key", "a table of <synset><TAB><words>")

    connections = IntegerParameter(
        minimum=1,
        default=4,
        config_path=setting("connections"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="how many connections a download uses; 1 for servers that want it",
    )

    check_counts = SwitchParameter(
        default=True,
        config_path=setting("check_counts"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="false accepts folders with other numbers of images and annotations than ILSVRC2012 has",
    )

    @classmethod
    @cache
    def get_params(cls) -> Any:
        """Return names and parameters, as Luigi does.

        It looks for them among all attributes of the class, several times for each task: with 2,155 tasks that was a
        third of what it takes to find a build complete.
        """
        return super().get_params()

    @classmethod
    def get_param_values(cls, params: Any, args: Any, kwargs: Any) -> list[tuple[str, Any]]:
        """Return names and values, as Luigi does, with the files of a source folder in place of defaults.

        Raises
        ------
        ParameterError
            If a value makes no sense, or is missing.
        """
        logs.install()
        try:
            values = super().get_param_values(params, args, kwargs)
        except MissingParameterException:
            missing = next(
                name for name, item in params if name not in kwargs and not item.has_task_value(cls.task_family, name)
            )
            raise ParameterError(f"{option(missing)}: {cls.task_family} needs it, and it has no default") from None
        except ValueError as error:
            # Luigi wraps the errors of values in its configuration.
            if isinstance(error.__cause__, ParameterError):
                raise error.__cause__ from None
            raise
        return _with_files_of_folder(values)

    @cached_property
    def paths(self) -> DataSetPaths:
        """Where the outputs of the build lie."""
        return DataSetPaths(self.data_dir)

    @cached_property
    def tables(self) -> LabelTables:
        """The label tables of the build: those that were given, else those that it was begun with, else the packaged.

        Raises a `BuildRecordError` if the build's record is damaged.
        """
        return LabelTables(*self.table_paths.values())

    @cached_property
    def table_paths(self) -> dict[str, Path]:
        """The files of the label tables, by their official names; see `tables`."""
        record = read_record(self.paths)
        given = {
            UNIQUE_SYNSETS: self.unique_synsets,
            VALIDATION_SYNSET_LABELS: self.validation_synset_labels,
            SYNSET_ENGLISH_KEY: self.synset_english_key,
        }
        return {name: self._table_path(name, value, record) for name, value in given.items()}

    def _table_path(self, name: str, given: str, record: BuildRecord | None) -> Path:
        packaged = PACKAGED_TABLES / name
        if given != PACKAGED and (record is None or os.path.isfile(given)):
            return Path(given)
        if record is None or record.tables.get(name) == digest_of(packaged):
            return packaged
        # Also if this host does not see the file that was given: the record has what the build was begun with.
        return self.paths.table(name, record.tables.get(name, ""))

    def has_official_counts(self) -> bool:
        """Tell whether folders have to hold as many files as ILSVRC2012: with its own tables, unless switched off."""
        packaged = PACKAGED_TABLES / UNIQUE_SYNSETS
        return self.check_counts and digest_of(self.tables.unique_synsets) == digest_of(packaged)

    def given_checksums(self) -> dict[str, str | None]:
        """Return the MD5 sum of each archive, by official name, by the checksums that were given; None if none was."""
        names = [archive.name for archive in ARCHIVES]
        is_visible = os.path.isfile(self.checksums) or read_record(self.paths) is None
        if self.checksums in (OFFICIAL, NO_CHECKSUMS) or not is_visible:
            return dict.fromkeys(names)
        sums = read_checksums(self.checksums)
        return {name: sums.get(name) for name in names}

    def compare_with_record(self) -> None:
        """Raise a `BuildRecordError` if the build was begun with other tables or checksums."""
        record = read_record(self.paths)
        if record is not None:
            compare(self.paths, record, self.table_paths, self.given_checksums())

    def begin_build(self) -> BuildRecord:
        """Write down what the build is begun with, or compare it if that was done; see `build_record.begin`."""
        archives = self.given_checksums()
        if self.checksums == OFFICIAL and read_record(self.paths) is None:
            archives = {archive.name: archive.md5 for archive in ARCHIVES}
        return begin(self.paths, self.table_paths, archives, self.source)

    def on_failure(self, exception: BaseException) -> Any:
        """Give the scheduler the message alone if a person can act on it."""
        return str(exception) if isinstance(exception, BuildError) else super().on_failure(exception)


def _with_files_of_folder(values: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    given = dict(values)
    files = {
        name: os.path.join(given["source"], file)
        for name, (default, file) in _SUPPLIED_BY_FOLDER.items()
        if given[name] == default
    }
    supplied = {name: path for name, path in files.items() if os.path.isfile(path)}
    return [(name, supplied.get(name, value)) for name, value in values] if supplied else values


processes.install(ILSVRCTask)


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
            with TaskProgress(self) as progress:
                self.make_output(progress)
        except OSError as error:
            raise disk.explain_os_error(error, path) from error

    def make_output(self, progress: Progress) -> None:
        """Make and publish the output. Raises OSError."""
        with self.output().temporary_path() as path:
            self.make(Path(path), progress)


class DataSetTask(OutputTask):
    """A task whose output is part of the data set.

    Beside the index stands a manifest of each output: what it holds, and what it was made from. It is there when the
    output is. The first task of a build to run writes the build's record; each compares what it was given with that.
    """

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
        return {name: digest_of(self.table_paths[name]) for name in names}

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

    def relative_output(self) -> str:
        """Return the output's path below the data directory."""
        return str(Path(self.output().path).relative_to(self.data_dir))

    def manifest(self) -> luigi.LocalTarget:
        """Return the file that says what the output holds; see `storage.manifest`."""
        return luigi.LocalTarget(self.paths.manifest(Path(self.output().path)))

    def make_output(self, progress: Progress) -> None:
        """Make and publish the output and its manifest, unless another process has just done so."""
        self.begin_build()
        target = self.output()
        with output_lock(self.paths.lock(Path(target.path)), Path(target.path)):
            if not target.exists():
                with target.temporary_path() as temporary:
                    inputs = self.inputs()
                    files = self.make(Path(temporary), progress)
                    self.write_manifest(Manifest(files or read_files(Path(temporary)), inputs, self.relative_output()))

    def write_manifest(self, manifest: Manifest) -> None:
        """Write the manifest of an output that is about to be published, in place of that of a former one."""
        replace_file(Path(self.manifest().path), serialize_manifest(manifest))

"""What all tasks share: parameters, the places of outputs, and how an output is made."""

import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import luigi
from luigi.parameter import MissingParameterException, ParameterVisibility

from luigi_ilsvrc.build_record import (
    BuildRecord,
    await_record,
    begin,
    compare,
    digest_of,
    read_used_record,
)
from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES, CHECKSUM_FILE, IMAGE_ARCHIVES, SOURCE, Archive
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    LabelTables,
)
from luigi_ilsvrc.download.checksums import read_checksums
from luigi_ilsvrc.download.urls import is_web_url, without_secrets
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts.source_folders import follow_source
from luigi_ilsvrc.layouts.sources import parquet_files, supplied_tables
from luigi_ilsvrc.storage import disk, visibility
from luigi_ilsvrc.tasks.luigi_support import build_worker, logs, resources, scheduling
from luigi_ilsvrc.tasks.parameters import (
    RECORDED,
    AbsolutePathParameter,
    FileParameter,
    IntegerParameter,
    ParameterError,
    SourceParameter,
    SwitchParameter,
    ilsvrc_log,
    option,
    setting,
    unwrapped_errors,
)
from luigi_ilsvrc.tasks.source_login import SourceLoginTask

OFFICIAL = "official"
NO_CHECKSUMS = "none"
PACKAGED = "packaged"

_SUPPLIED_BY_FOLDER = {
    "checksums": (OFFICIAL, CHECKSUM_FILE),
    "unique_synsets": (PACKAGED, UNIQUE_SYNSETS),
    "validation_synset_labels": (PACKAGED, VALIDATION_SYNSET_LABELS),
    "synset_english_key": (PACKAGED, SYNSET_ENGLISH_KEY),
}
"""By parameter: its default, and what a source folder may hold in place of the default."""


def _table_parameter(name: str, description: str) -> FileParameter:
    return FileParameter(
        words=(PACKAGED, RECORDED),
        default=PACKAGED,
        config_path=setting(name),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description=f"{description}, or {PACKAGED}",
    )


class ILSVRCTask(SourceLoginTask):
    """A task of the build of one data set.

    Source, label tables and checksums are given to a command, which writes them to the build's record. The scheduler is
    sent the word `RECORDED` in their place, and who gets a task from it reads the record. So what the scheduler
    remembers of an earlier command cannot build. If the source is a folder that holds label tables or checksums, these
    parameters have the paths of its files from the moment that a task is made.
    """

    resource: ClassVar[str] = ""
    """The resource that bounds how many tasks of this kind run at once, on all hosts; see `luigi_support.resources`."""

    counted_as: ClassVar[str] = ""
    """What tasks of this kind are counted as in the progress of a whole command, such as synsets; nothing for most."""

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
        description="a URL prefix, or a folder of archives, class folders, Kaggle's tree, or Hugging Face's parquet",
    )
    checksums = FileParameter(
        words=(OFFICIAL, NO_CHECKSUMS, RECORDED),
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
            with unwrapped_errors():
                values = super().get_param_values(params, args, kwargs)
        except MissingParameterException:
            missing = next(
                name for name, item in params if name not in kwargs and not item.has_task_value(cls.task_family, name)
            )
            raise ParameterError(f"{option(missing)}: {cls.task_family} needs it, and it has no default") from None
        return _with_files_of_folder(values)

    @staticmethod
    def params_of_scheduler(params: Mapping[str, str]) -> dict[str, str]:
        """Return parameters, as strings, as the scheduler may have them: `RECORDED` for what is in the record."""
        return {name: RECORDED if name in _IN_THE_RECORD else value for name, value in params.items()}

    def process_resources(self) -> dict[str, int]:
        """Return what the task takes of Luigi's resources, of those that the scheduler knows."""
        given: dict[str, int] = super().process_resources()
        return {**given, **(resources.of_one(self.resource) if self.resource else {})}

    @cached_property
    def paths(self) -> DataSetPaths:
        """Where the outputs of the build lie."""
        return DataSetPaths(self.data_dir, self.source_folder)

    @cached_property
    def tables(self) -> LabelTables:
        """The label tables of the build: those that were given, else those that it was begun with, else the packaged.

        Raises a `BuildRecordError` if the build's record is damaged.
        """
        return LabelTables(*self.table_paths.values())

    @cached_property
    def table_paths(self) -> dict[str, Path]:
        """The files of the label tables, by their official names; see `tables`."""
        record = self.record()
        given = {
            UNIQUE_SYNSETS: self.unique_synsets,
            VALIDATION_SYNSET_LABELS: self.validation_synset_labels,
            SYNSET_ENGLISH_KEY: self.synset_english_key,
        }
        return {name: self._table_path(name, value, record) for name, value in given.items()}

    def record(self) -> BuildRecord | None:
        """Return the build's record; None if there is none, or nothing was made yet from the tables that it names.

        A task that comes from the scheduler takes it as it is, and waits for it. Raises a `BuildRecordError` if it is
        damaged, or if such a task finds none.
        """
        # Without the source, which may be that of the record.
        paths = DataSetPaths(self.data_dir)
        return await_record(paths, visibility.patience()) if self.source == RECORDED else read_used_record(paths)

    def _table_path(self, name: str, given: str, record: BuildRecord | None) -> Path:
        packaged = PACKAGED_TABLES / name
        if given not in (PACKAGED, RECORDED) and (record is None or os.path.isfile(given)):
            return Path(given)
        if record is None or record.tables.get(name) == digest_of(name, packaged):
            return packaged
        # Also if this host does not see the file that was given: the record has what the build was begun with.
        return self.paths.table(name, record.tables.get(name, ""))

    def has_official_counts(self) -> bool:
        """Tell whether folders have to hold as many files as ILSVRC2012: with its own tables, unless switched off."""
        if not self.check_counts:
            return False
        files = (self.tables.unique_synsets, PACKAGED_TABLES / UNIQUE_SYNSETS)
        return len({digest_of(UNIQUE_SYNSETS, path) for path in files}) == 1

    def given_checksums(self) -> dict[str, str | None]:
        """Return the MD5 sum of each archive, by official name, by the checksums that were given; None if none was."""
        names = [archive.name for archive in ALL_ARCHIVES]
        is_visible = os.path.isfile(self.checksums) or self.record() is None
        if self.checksums in (OFFICIAL, NO_CHECKSUMS, RECORDED) or not is_visible:
            return dict.fromkeys(names)
        sums = read_checksums(self.checksums)
        return {archive.name: None if self._is_made(archive) else sums.get(archive.name) for archive in ALL_ARCHIVES}

    def official_md5(self, archive: Archive) -> str | None:
        """Return the official MD5 sum of an archive; None if it is made here, of Hugging Face's parquet files."""
        return None if self._is_made(archive) else archive.md5

    def _is_made(self, archive: Archive) -> bool:
        folder = self.source_folder
        split = next((split for split in SPLITS if IMAGE_ARCHIVES[split] == archive), None)
        return folder is not None and split is not None and bool(parquet_files(folder, split))

    def compare_with_record(self) -> None:
        """Raise a `BuildRecordError` if the build was begun with other tables or checksums."""
        record = self.record()
        if record is not None:
            compare(self.paths, record, self.table_paths, self.given_checksums())

    def begin_build(self, *, is_command: bool = False) -> BuildRecord:
        """Write down what the build is begun with, or compare it if that was done; see `build_record.begin`."""
        record = self.record()
        archives = self.given_checksums()
        if self.checksums == OFFICIAL and record is None:
            archives = {archive.name: self.official_md5(archive) for archive in ALL_ARCHIVES}
        # A URL's query may be a signature.
        source = without_secrets(self.source) if is_web_url(self.source) else self.source
        if source == RECORDED:
            assert record is not None
            source = record.source
        return begin(self.paths, self.table_paths, archives, source, is_command=is_command)

    @cached_property
    def origin(self) -> str:
        """Where the archives come from: the source that was given, or that of the build's record."""
        record = self.record() if self.source == RECORDED else None
        return record.source if record else self.source

    @property
    def source_folder(self) -> Path | None:
        """The source, if it is a folder."""
        return folder_of(self.origin)

    def follow_source(self) -> None:
        """Read from the source of this command what was indexed in another one; see `layouts.source_folders`."""
        try:
            follow_source(self.paths, self.tables)
        except OSError as error:
            raise disk.explain_os_error(error, self.paths.index_folder) from error

    @property
    def short_name(self) -> str:
        """The family, and the parameters that have no default: they tell tasks of one build apart."""
        given = [
            f"{name}={getattr(self, name)}"
            for name, parameter in self.get_params()
            if not parameter.has_task_value(self.task_family, name)
        ]
        return f"{self.task_family}({', '.join(given)})" if given else str(self.task_family)

    def size_reader(self) -> Callable[[], int] | None:
        """Return what tells, when the task is done, how many bytes it has made; None for most tasks.

        It does not use the task any more, and raises OSError or a `BuildError`.
        """
        return None

    def result(self) -> str:
        """Return what was made in one line, for the end of the log of a command of this task; empty for most tasks."""
        return ""

    def end_on_this_host(self) -> None:
        """Do what this host alone can do, after a worker on another one has run the task; nothing for most tasks."""

    def on_failure(self, exception: BaseException) -> Any:
        """Give the scheduler the message alone if a person can act on it."""
        return str(exception) if isinstance(exception, BuildError) else super().on_failure(exception)


_IN_THE_RECORD = ("source", *_SUPPLIED_BY_FOLDER)


def _with_files_of_folder(values: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    given = dict(values)
    wanted = {name: file for name, (default, file) in _SUPPLIED_BY_FOLDER.items() if given[name] == default}
    if not wanted or (folder := folder_of(given["source"])) is None:
        return values
    found = {CHECKSUM_FILE: folder / CHECKSUM_FILE, **supplied_tables(folder)}
    supplied = {name: str(found[file]) for name, file in wanted.items() if file in found and found[file].is_file()}
    return [(name, supplied.get(name, value)) for name, value in values]


def folder_of(source: str) -> Path | None:
    """Return a source that is a folder; None if it is not, or lies where the build's record says."""
    return None if source == RECORDED or is_web_url(source) else Path(source)


def _shows_tasks() -> bool:
    with unwrapped_errors():
        return bool(ilsvrc_log().tasks)


build_worker.install(ILSVRCTask, _shows_tasks)


class BuildTask(ILSVRCTask):
    """A task that makes a part of the build, or all of it."""

    def deps(self) -> list[luigi.Task]:
        """Return what is required; when a command schedules the first task of a build, write the build's record.

        Before the scheduler knows the task: a worker on another host may get it at once. What would otherwise stop a
        download later is checked before that.
        """
        is_first = self.source != RECORDED and scheduling.is_first_of(self.data_dir)
        if is_first:
            self.read_cookies()
            self.follow_source()
            if is_web_url(self.source):
                self.ask_for_account_of_command()
        required = super().deps()
        if is_first:
            try:
                self.begin_build(is_command=True)
            except OSError as error:
                raise disk.explain_os_error(error, self.paths.build_record) from error
        return required


class BuildWrapperTask(BuildTask, luigi.WrapperTask):
    """A task that stands for the outputs of others."""

    def output(self) -> Any:
        """Return what the tasks that it requires return, in their order: a task that requires it has this as input."""
        return self.input()

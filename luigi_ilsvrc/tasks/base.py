"""What all tasks share: parameters, the places of outputs, and how an output is made."""

import os
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import luigi
from luigi.parameter import MissingParameterException, ParameterVisibility

from luigi_ilsvrc.dataset.archives import CHECKSUM_FILE, SOURCE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    LabelTables,
)
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.manifest import Manifest, build_manifest, write_manifest
from luigi_ilsvrc.tasks.luigi_support import logs, parent_death
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress
from luigi_ilsvrc.tasks.parameters import (
    AbsolutePathParameter,
    FileParameter,
    IntegerParameter,
    ParameterError,
    SourceParameter,
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
        """The label tables of the build."""
        return LabelTables(
            *(
                PACKAGED_TABLES / name if given == PACKAGED else Path(given)
                for given, name in (
                    (self.unique_synsets, UNIQUE_SYNSETS),
                    (self.validation_synset_labels, VALIDATION_SYNSET_LABELS),
                    (self.synset_english_key, SYNSET_ENGLISH_KEY),
                )
            )
        )

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


parent_death.install(ILSVRCTask)


class OutputTask(ILSVRCTask):
    """A task with one output, which `make` writes under a temporary name.

    Beside the index stands a manifest of each output; it is there when the output is.
    """

    has_manifest: ClassVar[bool] = True
    """False if the output's format has checksums of its own."""

    def output(self) -> AtomicTarget | AtomicFolderTarget:
        """Return the file or folder that the task makes."""
        raise NotImplementedError

    def make(self, path: Path, progress: Progress) -> Manifest | None:
        """Write the output to `path`; return its manifest if that costs less than reading it again."""
        raise NotImplementedError

    def manifest(self) -> AtomicTarget:
        """Return the file that says what the output holds; see `storage.manifest`."""
        return AtomicTarget(self.paths.manifest(Path(self.output().path)))

    def run(self) -> None:
        """Make the output, unless another process has just done so."""
        target = self.output()
        try:
            with TaskProgress(self) as progress, target.temporary_path() as path:
                if not target.exists():
                    manifest = self.make(Path(path), progress)
                    if self.has_manifest:
                        self._write_manifest(manifest or build_manifest(Path(path)))
        except OSError as error:
            raise disk.explain_os_error(error, Path(target.path)) from error

    def _write_manifest(self, manifest: Manifest) -> None:
        target = self.manifest()
        if target.exists():
            # Of an output that has been deleted since.
            target.remove()
        with target.temporary_path() as path:
            write_manifest(manifest, Path(path))

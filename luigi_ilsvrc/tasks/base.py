"""What all tasks share: parameters, the folders of the data set, and how an output is made."""

import os
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import luigi
from luigi.parameter import ConfigPath, ParameterVisibility

from luigi_ilsvrc import archives, disk, synsets
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.manifest import Manifest, describe, write_manifest
from luigi_ilsvrc.tasks import logs, orphans
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import WholeTarget

OFFICIAL = "official"
NO_CHECKSUMS = "none"
PACKAGED = "packaged"
CHECKSUM_FILE = "MD5SUMS"

logs.install()


class ParameterError(BuildError):
    """A parameter has a value that makes no sense."""


def setting(name: str) -> ConfigPath:
    """Let the section ``[ilsvrc]`` of Luigi's configuration supply a parameter, for all tasks at once."""
    return {"section": "ilsvrc", "name": name}


def _absolute(path: str) -> str:
    return _normal(path) if os.path.isabs(path) else os.path.abspath(os.path.expanduser(path))


@cache
def _normal(path: str) -> str:
    # The same few paths come with each task.
    return os.path.normpath(path)


class AbsolutePathParameter(luigi.PathParameter):
    """A path, made absolute without ``..`` or ``~``, so that it means the same to every worker."""

    def normalize(self, x: Any) -> Path:
        """Return the absolute path."""
        return Path(_absolute(str(x)))


class NumberParameter(luigi.IntParameter):
    """A whole number."""

    def parse(self, x: str) -> int:
        """Return the number; raises `ParameterError` where it is none."""
        try:
            return int(x)
        except ValueError as error:
            raise ParameterError(f"{x!r} is not a whole number") from error


class CountParameter(NumberParameter):
    """A whole number above 0."""

    def normalize(self, x: Any) -> int:
        """Return the number; raises `ParameterError` where it is not above 0."""
        if x < 1:
            raise ParameterError(f"{x} is too small a count; give 1 or more")
        return int(x)


class SwitchParameter(luigi.BoolParameter):
    """``true`` or ``false``, spelled out."""

    parsing = luigi.BoolParameter.EXPLICIT_PARSING

    def parse(self, x: str | bool) -> bool:
        """Return the truth; raises `ParameterError` where it is neither."""
        try:
            return bool(super().parse(x))
        except ValueError as error:
            raise ParameterError(f"{x!r} is neither true nor false") from error


class LocationParameter(luigi.Parameter):
    """A URL, one of a few words, or else a path, made absolute.

    Parameters
    ----------
    words : tuple of str
        What is not taken for a path.
    """

    def __init__(self, *, words: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self._words = words

    def normalize(self, x: Any) -> str:
        """Return the URL without a final slash, the word, or the absolute path.

        Raises `ParameterError` where the URL holds a user name: parameters are sent to the scheduler and shown.
        """
        location = str(x)
        if location in self._words:
            return location
        if "://" not in location:
            return _absolute(location)
        try:
            url = urlsplit(location)
        except ValueError as error:
            raise ParameterError(f"{location} is not a URL: {error}") from error
        if url.scheme == "file":
            return _absolute(url2pathname(url.path))
        if url.username is not None:
            raise ParameterError(
                "the URL holds a user name, and parameters are shown to everybody: take it out, and set "
                "IMAGENET_USERNAME and IMAGENET_ACCESS_KEY in the environment"
            )
        return location.rstrip("/")


def _table_parameter(name: str, description: str) -> LocationParameter:
    return LocationParameter(
        words=(PACKAGED,),
        default=PACKAGED,
        config_path=setting(name),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description=description,
    )


class ILSVRCTask(luigi.Task):
    """A task of the build of one data set.

    Whatever it needs from the set-up is a parameter, so that a worker on another host builds the same.
    """

    data_dir = AbsolutePathParameter(
        default=Path("."),
        config_path=setting("data_dir"),
        description="where the outputs go",
    )
    source = LocationParameter(
        default=archives.SOURCE,
        config_path=setting("source"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="a URL prefix or a directory that holds the archives under their official names",
    )
    checksums = LocationParameter(
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

    connections = CountParameter(
        default=4,
        config_path=setting("connections"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="how many connections a download uses; 1 for servers that want it",
    )

    unit: ClassVar[str] = "images"
    """What the task's progress counts."""

    @property
    def dataset(self) -> Path:
        """The folder that the outputs but ``bounding_boxes.csv`` are below."""
        return self.data_dir / "ilsvrc2012"

    @classmethod
    @cache
    def get_params(cls) -> Any:
        """Return names and parameters, as Luigi does.

        It looks for them among all attributes of the class, several times for each task: with 2,155 tasks that was a
        third of what it takes to find a build complete.
        """
        return super().get_params()

    def clone(self, cls: Any = None, **kwargs: Any) -> Any:
        """Clone the task; what the source directory supplies by itself travels on by its path.

        So a worker on a host that does not see that directory fails, instead of taking the packaged tables.
        """
        return super().clone(cls, **{**self._supplied, **kwargs})

    @cached_property
    def _supplied(self) -> dict[str, str]:
        return {
            "checksums": self._supply(self.checksums, OFFICIAL, CHECKSUM_FILE),
            "unique_synsets": self._supply(self.unique_synsets, PACKAGED, synsets.UNIQUE_SYNSETS),
            "validation_synset_labels": self._supply(
                self.validation_synset_labels, PACKAGED, synsets.VALIDATION_SYNSET_LABELS
            ),
            "synset_english_key": self._supply(self.synset_english_key, PACKAGED, synsets.SYNSET_ENGLISH_KEY),
        }

    def _supply(self, value: str, default: str, name: str) -> str:
        path = os.path.join(self.source, name)
        return path if value == default and os.path.isfile(path) else value

    def _table(self, name: str) -> Path:
        supplied = self._supplied[name.removesuffix(".txt")]
        return synsets.PACKAGED_TABLES / name if supplied == PACKAGED else Path(supplied)

    def read_synsets(self) -> list[str]:
        """Read the challenge's synsets, in the order of their labels; see `synsets.read_synsets`."""
        return synsets.read_synsets(self._table(synsets.UNIQUE_SYNSETS))

    def read_validation_labels(self) -> tuple[list[str], Path]:
        """Read the validation images' synsets, and say from which file; see `synsets.read_validation_labels`."""
        path = self._table(synsets.VALIDATION_SYNSET_LABELS)
        return synsets.read_validation_labels(path, self.read_synsets()), path

    def read_english(self) -> dict[str, str]:
        """Read the synsets' English, in the order of their labels; see `synsets.read_english`."""
        return synsets.read_english(self._table(synsets.SYNSET_ENGLISH_KEY), self.read_synsets())

    def on_failure(self, exception: BaseException) -> Any:
        """Give the scheduler the message alone where a person can act on it."""
        return str(exception) if isinstance(exception, BuildError) else super().on_failure(exception)


orphans.install(ILSVRCTask)


class OutputTask(ILSVRCTask):
    """A task with one output, which `make` writes under a temporary name.

    Beside the index stands a manifest of each output; it is there when the output is.
    """

    has_manifest: ClassVar[bool] = True
    """False where the output's format has checksums of its own."""

    def output(self) -> WholeTarget:
        """Return the file or folder that the task makes."""
        raise NotImplementedError

    def make(self, path: Path, progress: TaskProgress) -> Manifest | None:
        """Write the output to `path`; return its manifest where that costs less than reading it again."""
        raise NotImplementedError

    def manifest(self) -> WholeTarget:
        """Return the file that says what the output holds; see `luigi_ilsvrc.manifest`."""
        relative = os.path.relpath(self.output().path, self.dataset).removeprefix("../")
        return WholeTarget(self.dataset / "index" / "manifests" / f"{relative}.csv")

    def run(self) -> None:
        """Make the output, unless another process has just done so."""
        target = self.output()
        progress = TaskProgress(self, self.unit)
        try:
            with target.temporary_path() as path:
                if not target.exists():
                    manifest = self.make(Path(path), progress)
                    if self.has_manifest:
                        self._write_manifest(manifest or describe(Path(path)))
        except OSError as error:
            raise disk.refusal(error, Path(target.path)) from error
        finally:
            progress.close()

    def _write_manifest(self, manifest: Manifest) -> None:
        target = self.manifest()
        if target.exists():
            # Of an output that has been deleted since.
            target.remove()
        with target.temporary_path() as path:
            write_manifest(manifest, Path(path))

"""Parameters that refuse a value that makes no sense, with one line that names the parameter.

The same checks hold for the command line, Luigi's configuration and Python.
"""

import datetime
import math
import operator
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import luigi
from luigi.parameter import ConfigPath

from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.synsets import SYNSET
from luigi_ilsvrc.download.credentials import ACCESS_KEY_VARIABLE, USERNAME_VARIABLE
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.formats.table import FORMATS
from luigi_ilsvrc.tasks.luigi_support import logs

SECTION = "ilsvrc"
"""The section of Luigi's configuration that supplies parameters for all tasks at once."""

NO_FORMATS = "none"

RECORDED = "recorded"
"""In place of a source, a table or checksums: those that the build's record has."""

_settings = {"username", "access_key"}


class ParameterError(BuildError):
    """A parameter has a value that makes no sense, or is missing."""


@contextmanager
def unwrapped_errors() -> Iterator[None]:
    """Let a `ParameterError` come through the block: Luigi wraps those of values that it takes from elsewhere."""
    try:
        yield
    except ValueError as error:
        if isinstance(error.__cause__, ParameterError):
            raise error.__cause__ from None
        raise


def setting(name: str) -> ConfigPath:
    """Let the section ``[ilsvrc]`` of Luigi's configuration supply a parameter, for all tasks at once."""
    _settings.add(name)
    return {"section": SECTION, "name": name}


def check_settings() -> None:
    """Raise `ParameterError` if the section ``[ilsvrc]`` has a setting that does not exist."""
    try:
        # A luigi.toml has this, and no list of its sections.
        found = luigi.configuration.get_config()[SECTION]
    except KeyError:
        return
    unknown = sorted({name.replace("-", "_") for name in found} - _settings)
    if unknown:
        raise ParameterError(
            f"[{SECTION}] {unknown[0]} in Luigi's configuration: there is no such setting; take it out, or use one of "
            f"{', '.join(sorted(_settings))}"
        )


def option(name: str) -> str:
    """Return a parameter's name as the command line takes it."""
    return f"--{name.replace('_', '-')}"


class CheckedParameter(luigi.Parameter[Any]):
    """A parameter that knows its own name."""

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self._option = option(f"{owner.__name__}_{name}" if issubclass(owner, luigi.Config) else name)

    def invalid(self, reason: str) -> ParameterError:
        """Return the error that says why a value makes no sense."""
        # Luigi reads the command line, and logs what is wrong with it, before there is a task.
        logs.install()
        return ParameterError(f"{self._option}: {reason}")


class AbsolutePathParameter(CheckedParameter, luigi.PathParameter):
    """A path, made absolute without ``..`` or ``~``, so that it means the same to every worker."""

    def normalize(self, x: Any) -> Path:
        """Return the absolute path."""
        if not isinstance(x, (str, Path)) or not str(x) or "\0" in str(x):
            raise self.invalid(f"{x!r} is not a path")
        return Path(absolute(str(x)))


def absolute(path: str) -> str:
    """Return a path without ``..`` or ``~``, so that it means the same to every worker."""
    return _normal(path) if path.startswith("/") else os.path.abspath(os.path.expanduser(path))


@cache
def _normal(path: str) -> str:
    # The same few paths come with each task.
    return os.path.normpath(path)


class IntegerParameter(CheckedParameter, luigi.IntParameter):
    """A whole number.

    Parameters
    ----------
    minimum, maximum : int
        The smallest and the largest value.
    """

    def __init__(self, *, minimum: int, maximum: int = 99_999, **options: Any) -> None:
        super().__init__(**options)
        self._minimum = minimum
        self._maximum = maximum

    def parse(self, x: str) -> int:
        """Return the number; raises `ParameterError` if it is none."""
        try:
            return int(x)
        except ValueError as error:
            raise self.invalid(f"{x!r} is not a whole number") from error

    def normalize(self, x: Any) -> int:
        """Return the number; raises `ParameterError` if it is none, too small or too large."""
        try:
            number = operator.index(x)
        except TypeError as error:
            raise self.invalid(f"{x!r} is not a whole number") from error
        if isinstance(x, bool) or not self._minimum <= number <= self._maximum:
            raise self.invalid(f"{x} is not a number from {self._minimum} to {self._maximum:,}")
        return number


class _TimeParameter(CheckedParameter, luigi.FloatParameter):
    _unit: ClassVar[str]
    _is_zero_allowed: ClassVar[bool]

    def parse(self, x: str) -> float:
        """Return the number; raises `ParameterError` if it is none."""
        try:
            return float(x)
        except ValueError as error:
            raise self.invalid(f"{x!r} is not a number of {self._unit}") from error

    def normalize(self, x: Any) -> float:
        """Return the number; raises `ParameterError` if it is none, or too small."""
        is_number = isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)
        if not is_number or x < 0 or (x == 0 and not self._is_zero_allowed):
            least = "of at least 0" if self._is_zero_allowed else "above 0"
            raise self.invalid(f"{x!r} is not a number of {self._unit} {least}")
        return float(x)


class SecondsParameter(_TimeParameter):
    """A number of seconds above 0."""

    _unit, _is_zero_allowed = "seconds", False


class MinutesParameter(_TimeParameter):
    """A number of minutes; 0 for no limit."""

    _unit, _is_zero_allowed = "minutes", True


class SwitchParameter(CheckedParameter, luigi.BoolParameter):
    """``true`` or ``false``, spelled out."""

    parsing = luigi.BoolParameter.EXPLICIT_PARSING

    def parse(self, x: str | bool) -> bool:
        """Return the truth; raises `ParameterError` if it is neither."""
        try:
            return bool(super().parse(x))
        except ValueError as error:
            raise self.invalid(f"{x!r} is neither true nor false") from error

    def normalize(self, x: Any) -> bool:
        """Return the truth; raises `ParameterError` if it is neither."""
        return x if isinstance(x, bool) else self.parse(str(x))

    def serialize(self, x: bool) -> str:
        """Return the word, as it is given."""
        return str(x).lower()


class ChoiceParameter(CheckedParameter, luigi.Parameter[str]):
    """One of a few words.

    Parameters
    ----------
    choices : collection of str
        The words; may change after the parameter is made.
    """

    def __init__(self, *, choices: Collection[str], **options: Any) -> None:
        super().__init__(**options)
        self._choices = choices

    def normalize(self, x: Any) -> str:
        """Return the word; raises `ParameterError` if it is another one."""
        if not isinstance(x, str) or x not in self._choices:
            raise self.invalid(f"{x!r} is not one of {', '.join(self._choices)}")
        return x


def split_parameter() -> ChoiceParameter:
    """Return a parameter that takes a split."""
    return ChoiceParameter(choices=SPLITS, description=" or ".join(SPLITS))


class SynsetParameter(CheckedParameter, luigi.Parameter[str]):
    """A synset."""

    def normalize(self, x: Any) -> str:
        """Return the synset; raises `ParameterError` if it is none."""
        if not SYNSET.fullmatch(str(x)):
            raise self.invalid(f"{x!r} is not a synset such as n01440764")
        return str(x)


class DateParameter(CheckedParameter, luigi.DateParameter):
    """A date, as ISO 8601 writes it."""

    def parse(self, x: str) -> datetime.date:
        """Return the date; raises `ParameterError` if it is none."""
        try:
            return datetime.date.fromisoformat(x)
        except ValueError as error:
            raise self.invalid(f"{x!r} is not a date such as 2026-11-22") from error

    def normalize(self, x: Any) -> datetime.date:
        """Return the date; raises `ParameterError` if it is none."""
        if isinstance(x, datetime.datetime):
            return x.date()
        if not isinstance(x, datetime.date):
            raise self.invalid(f"{x!r} is not a date, such as datetime.date(2026, 11, 22)")
        return x


class PartParameter(CheckedParameter, luigi.Parameter[str]):
    """A part of a whole, such as ``3/7``: the third of seven."""

    def normalize(self, x: Any) -> str:
        """Return the part; raises `ParameterError` if it is none."""
        match = re.fullmatch(r"([0-9]{1,5})/([0-9]{1,5})", str(x))
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise self.invalid(f"{x!r} is not a part such as 3/7, which is the third of seven")
        return f"{int(match[1])}/{int(match[2])}"


class FormatsParameter(CheckedParameter, luigi.Parameter[tuple[str, ...]]):
    """Names of formats, separated by commas, or ``none``; see `formats.table.FORMATS`."""

    def parse(self, x: str) -> tuple[str, ...]:
        """Return the names; see `normalize`."""
        return self.normalize(x)

    def serialize(self, x: Collection[str]) -> str:
        """Return the names as `parse` takes them."""
        return ",".join(x) or NO_FORMATS

    def normalize(self, x: Any) -> tuple[str, ...]:
        """Return the names in the order of the table, each once; raises `ParameterError` if one is unknown."""
        names = [name.strip() for name in x.split(",")] if isinstance(x, str) else list(x)
        if names == [NO_FORMATS]:
            return ()
        unknown = [name for name in names if name not in FORMATS]
        if unknown:
            given, known = ",".join(map(str, names)), ", ".join(FORMATS)
            raise self.invalid(
                f"{unknown[0]!r} in {given!r} is not a format; give {known}, separated by commas, or {NO_FORMATS} alone"
            )
        return tuple(name for name in FORMATS if name in names)


class FileParameter(CheckedParameter, luigi.Parameter[str]):
    """One of a few words, or else the path of a file, made absolute.

    Parameters
    ----------
    words : tuple of str
        What is not taken for a path.
    """

    def __init__(self, *, words: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._words = words

    def normalize(self, x: Any) -> str:
        """Return the word, or the absolute path; raises `ParameterError` if it is neither."""
        path = str(x)
        if path in self._words:
            return path
        if not isinstance(x, (str, Path)) or not path or "\0" in path or "://" in path:
            raise self.invalid(f"{path!r} is not a path; give the path of a file, or {' or '.join(self._words)}")
        return absolute(path)


class SourceParameter(CheckedParameter, luigi.Parameter[str]):
    """A URL prefix, or the path of a folder, made absolute; or `RECORDED`."""

    def normalize(self, x: Any) -> str:
        """Return the URL without a final slash, or the absolute path.

        Raises `ParameterError` if it is neither, or if the URL holds a user name: parameters are sent to the scheduler
        and shown.
        """
        source = str(x)
        if source == RECORDED:
            return source
        if "://" not in source:
            if not isinstance(x, (str, Path)) or not source or "\0" in source:
                raise self.invalid(f"{source!r} is not a URL or the path of a folder")
            return absolute(source)
        try:
            url = urlsplit(source)
            _ = url.port
        except ValueError as error:
            raise self.invalid(f"not a valid URL: {error}") from error
        if url.scheme == "file":
            return absolute(url2pathname(url.path))
        if url.username is not None:
            raise self.invalid(
                "the URL holds a user name, and parameters are shown to everybody: take it out, and set "
                f"{USERNAME_VARIABLE} and {ACCESS_KEY_VARIABLE} in the environment"
            )
        if url.scheme.lower() not in ("http", "https") or not url.hostname:
            raise self.invalid(f"{source!r} is not an http, https or file URL, or the path of a folder")
        return source.rstrip("/")


class ilsvrc_log(luigi.Config):  # noqa: N801 - Luigi makes the option of it: --ilsvrc-log-tasks
    """What the log of a command has, whatever its tasks are."""

    tasks = SwitchParameter(
        default=False,
        config_path=setting("log_tasks"),
        description="true shows what Luigi's worker says of each task, of which a build has thousands",
    )

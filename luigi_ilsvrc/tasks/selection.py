"""Which images the records are made of, and how large these are."""

import os
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc.dataset.resize import MAX, SHORT, Resize, library, parse_size
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.dataset.subsets import ALL, PACKAGED, Subset, SubsetError, parse_subset, read_subset, subset_name
from luigi_ilsvrc.formats.plan import Takes, take_all
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.kept import as_kept, keep_lines, kept_lines
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.bounding_boxes import BoxesTask
from luigi_ilsvrc.tasks.parameters import (
    RECORDED,
    CheckedParameter,
    IntegerParameter,
    ParameterError,
    absolute,
    setting,
)

NO_RESIZE = "none"


class SubsetParameter(CheckedParameter, luigi.Parameter[str]):
    """`subsets.ALL`, the name of a packaged subset, or the path of a list, made absolute."""

    def normalize(self, x: Any) -> str:
        """Return the name or the absolute path; raises `ParameterError` if outputs cannot have the list's name."""
        value = str(x)
        if value == ALL:
            return value
        if not isinstance(x, (str, Path)) or not value or "\0" in value:
            raise self.invalid(f"{value!r} is not {ALL}, a packaged subset or the path of a list")
        try:
            subset_name(value)
        except SubsetError as error:
            raise self.invalid(str(error)) from error
        return value if value in PACKAGED else absolute(value)


class SizeParameter(CheckedParameter, luigi.Parameter[str]):
    """A size of images such as ``short:256``, or `NO_RESIZE`; see `dataset.resize.parse_size`."""

    def normalize(self, x: Any) -> str:
        """Return the size; raises `ParameterError` if it is none."""
        if x == NO_RESIZE:
            return NO_RESIZE
        try:
            side, pixels = parse_size(str(x))
        except ValueError as error:
            raise self.invalid(f"{error}; or {NO_RESIZE}") from error
        return f"{side}:{pixels}"


class SubsetTask(BoxesTask):
    """A task that is about the images of a subset, or about all."""

    subset = SubsetParameter(
        default=ALL,
        config_path=setting("subset"),
        description=f"{ALL}, {', '.join(PACKAGED)}, or a file of synsets or of image names, one a line",
    )

    @property
    def name_of_subset(self) -> str:
        """The name of the subset, which outputs have in theirs; empty for the whole data set."""
        return "" if self.subset == ALL else subset_name(self.subset)

    @cached_property
    def chosen(self) -> Subset | None:
        """The subset: as its outputs were begun, else as it is given; None for the whole data set.

        Raises `SubsetError` if there is no such list, or it is invalid.
        """
        if self.subset == ALL:
            return None
        given, begun = self._given_and_begun()
        # Of two that are equal, the given one: its messages name the user's file, and the lines of that.
        return begun if self._is_mixed(given, begun) else given

    @property
    def subset_list(self) -> Path:
        """The list of the subset, as its outputs were begun with it."""
        return self.paths.subset_list(self.name_of_subset)

    def _given_and_begun(self) -> tuple[Subset, Subset | None]:
        """Return the list as it is given, and as it was written down.

        What was written down will do if the file is there no longer, or is that of another host.
        """
        lines = kept_lines(self.subset_list)
        begun = None if lines is None else _parse_begun(lines, self.name_of_subset, str(self.subset_list))
        is_gone = self.source == RECORDED or (self.subset not in PACKAGED and not os.path.lexists(self.subset))
        return begun if begun is not None and is_gone else _read_given(self.subset), begun

    def _is_mixed(self, given: Subset, begun: Subset | None) -> bool:
        """Tell whether anything is there that was made of another list than is given."""
        if begun is None or begun == given:
            return False
        # All lists of images take the same validation images.
        splits = [TRAIN] if begun.images and given.images else SPLITS
        name = self.name_of_subset
        sizes = ("", f"-{SHORT}[0-9]*", f"-{MAX}[0-9]*")
        patterns = [f"*-{name}{size}/*{split}-*" for size in sizes for split in splits]
        plans = [f"index/{split}-plan-{name}-of-*" for split in splits]
        folders = [self.paths.subset_folders(name, split) for split in splits]
        made = any(True for pattern in (*patterns, *plans) for _ in self.paths.dataset.glob(pattern))
        return made or any(folder.exists() for folder in folders)

    def check_subset(self) -> None:
        """Raise an error if the list is invalid, lists a synset that the table has not, or is another than before.

        A file that is there no longer is no error, once the outputs were begun: the list is written down.
        """
        if self.subset != ALL:
            given, begun = self._given_and_begun()
            given.check_synsets(self.tables.synsets())
            self._refuse_other(given, begun)

    def _refuse_other(self, given: Subset, begun: Subset | None) -> None:
        if self._is_mixed(given, begun):
            raise ParameterError(
                f"--subset: {given.where} is not the list that the subset {given.name} of {self.data_dir} was begun "
                f"with, {self.subset_list}: nothing is mixed. Give that list, or rename yours; or delete the outputs "
                "of the subset and its copy"
            )

    def begin_subset(self) -> None:
        """Write down the list, for later runs and for workers on other hosts, or compare it if that was done."""
        if self.subset == ALL:
            return
        self.check_subset()
        given, begun = self._given_and_begun()
        lines = given.serialize().decode()
        try:
            if begun is not None and begun != given:
                # Nothing was made of it: it may have listed images that are not there.
                replace_file(self.subset_list, as_kept(lines))
            keep_lines(self.subset_list, lines)
        except OSError as error:
            raise disk.explain_os_error(error, self.subset_list) from error
        # Of two commands at once, the list of the first holds.
        self._refuse_other(*self._given_and_begun())

    def takes(self, split: str) -> Takes:
        """Return what tells, by synset and file name, whether an image of a split is chosen."""
        return take_all if self.chosen is None else partial(self.chosen.takes, split)

    def takes_all(self, split: str) -> bool:
        """Tell whether all images of a split are chosen."""
        return self.chosen is None or (split == VALIDATION and bool(self.chosen.images))

    def subset_digest(self, *splits: str) -> dict[str, str]:
        """Return the digest of the list, by a name for people; none if it does not matter to these splits."""
        if self.chosen is None or (splits and all(map(self.takes_all, splits))):
            return {}
        return {f"subset {self.chosen.name}": self.chosen.digest}


class BeginSubset(SubsetTask):
    """A task that writes down the list of the subset before the scheduler knows of it."""

    def deps(self) -> list[luigi.Task]:
        """Return what is required, after writing down the list of the subset."""
        required: list[luigi.Task] = super().deps()
        if self.subset != ALL and self.source != RECORDED:
            self.begin_subset()
        return required


class RecordsTask(SubsetTask):
    """A task that is about records: of which images, and of which size."""

    resize = SizeParameter(
        default=NO_RESIZE,
        config_path=setting("resize"),
        description=f"short:N or max:N, in pixels: larger images are made smaller in the records; {NO_RESIZE} for none",
    )
    quality = IntegerParameter(
        minimum=1,
        maximum=100,
        default=90,
        config_path=setting("quality"),
        description="JPEG quality of images that are made smaller",
    )

    @property
    def resizing(self) -> Resize | None:
        """How large images may be in the records; None for as they are."""
        return None if self.resize == NO_RESIZE else Resize(*parse_size(self.resize), self.quality)

    @property
    def selection(self) -> str:
        """What the names of folders end in: ``-10percent-short256``; empty for the whole data set as it is."""
        size = "" if self.resizing is None else self.resizing.name
        return "".join(f"-{name}" for name in (self.name_of_subset, size) if name)

    def size_of_records(self) -> dict[str, str]:
        """Return what has to be the same for all records of a folder, and stands in the manifests, by name."""
        if self.resizing is None:
            return {}
        return {"resize": self.resize, "quality": str(self.quality)}

    def library_of_records(self) -> dict[str, str]:
        """Return what else the bytes of images depend on that are made smaller. Raises a `BuildError`."""
        return {} if self.resizing is None else {"library": library()}


def _read_given(value: str) -> Subset:
    """Read a subset once, as long as its file is the same: each of several tasks asks."""
    try:
        status = None if value in PACKAGED else os.stat(value)
    except (OSError, ValueError):
        return read_subset(value)
    return _read(value, *((status.st_mtime_ns, status.st_size, status.st_ino) if status else ()))


@lru_cache(maxsize=4)
def _read(value: str, *state: int) -> Subset:
    return read_subset(value)


@lru_cache(maxsize=4)
def _parse_begun(lines: str, name: str, where: str) -> Subset:
    return parse_subset(lines.encode(), name, where)

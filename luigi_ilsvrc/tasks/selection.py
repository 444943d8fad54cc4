"""Which images the records are made of, and how large these are."""

from functools import cached_property, partial
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc.dataset.resize import Resize, library, parse_size
from luigi_ilsvrc.dataset.subsets import ALL, PACKAGED, Subset, SubsetError, parse_subset, read_subset, subset_name
from luigi_ilsvrc.formats.plan import Takes, take_all
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.kept import keep, kept
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
        begun = self._begun_subset()
        return read_subset(self.subset) if begun is None else begun

    def _begun_subset(self) -> Subset | None:
        path = self.paths.subset_list(self.name_of_subset)
        text = kept(path)
        return None if text is None else parse_subset(text.encode(), self.name_of_subset, str(path))

    def check_subset(self) -> None:
        """Raise an error if the list is invalid, lists a synset that the table has not, or is another than before."""
        if self.subset == ALL:
            return
        # A worker on another host may not see the file: what holds is the copy.
        given = read_subset(self.subset) if self.source != RECORDED else self.chosen
        assert given is not None
        given.check_synsets(self.tables.synsets())
        begun = self._begun_subset()
        if begun is not None and begun != given:
            path = self.paths.subset_list(given.name)
            raise ParameterError(
                f"--subset: {given.where} is not the list that the subset {given.name} of {self.data_dir} was begun "
                f"with, {path}: nothing is mixed. Give that list, or rename yours; or delete the outputs of the subset "
                "and its copy"
            )

    def begin_subset(self) -> None:
        """Write down the list, for later runs and for workers on other hosts, or compare it if that was done."""
        self.check_subset()
        if self.chosen is not None:
            path = self.paths.subset_list(self.chosen.name)
            try:
                keep(path, self.chosen.serialize().decode())
            except OSError as error:
                raise disk.explain_os_error(error, path) from error

    def takes(self, split: str) -> Takes:
        """Return what tells, by synset and file name, whether an image of a split is chosen."""
        return take_all if self.chosen is None else partial(self.chosen.takes, split)

    def subset_digest(self) -> dict[str, str]:
        """Return the digest of the list, by a name for people."""
        return {} if self.chosen is None else {f"subset {self.chosen.name}": self.chosen.digest}


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

"""The plan of a split; and for each format the task of one shard and the task of all shards."""

import types
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast

import luigi
from luigi.parameter import ParameterVisibility

from luigi_ilsvrc.build_record import begin_boxes, begun_boxes
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY
from luigi_ilsvrc.formats.details import serialize_records
from luigi_ilsvrc.formats.plan import plan_file, read_plan, write_plan
from luigi_ilsvrc.formats.shard import write_shard
from luigi_ilsvrc.formats.table import FORMATS, Format
from luigi_ilsvrc.layouts.index import read_whole_index
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.kept import keep_lines, kept_lines
from luigi_ilsvrc.storage.manifest import Files, ManifestError, read_manifest
from luigi_ilsvrc.tasks.base import BuildWrapperTask, ILSVRCTask
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS, archive_if_needed
from luigi_ilsvrc.tasks.luigi_support import resources
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget
from luigi_ilsvrc.tasks.outputs import DataSetTask, OutputTask
from luigi_ilsvrc.tasks.parameters import (
    RECORDED,
    ChoiceParameter,
    FormatsParameter,
    IntegerParameter,
    ParameterError,
    option,
    setting,
    split_parameter,
)
from luigi_ilsvrc.tasks.selection import BeginSubset, RecordsTask, SubsetTask

AUTO, NO_IMAGES = "auto", "none"


class SplitTask(SubsetTask, OutputTask):
    """A task for one split and one number of shards."""

    split = split_parameter()
    num_shards = IntegerParameter(minimum=1, description="how many shards the split has")

    @property
    def has_boxes(self) -> bool:
        """Whether the records of the split are to have boxes."""
        return self.csv_of_records(self.split) is not None

    def compare_boxes(self, begun: bool | None) -> None:
        """Raise `ParameterError` if the records of the split were begun otherwise; None if that is not known."""
        if begun in (None, self.has_boxes):
            return
        name = option("validation_boxes" if self.split == VALIDATION else "bounding_boxes")
        given, other = (str(boxes).lower() for boxes in (self.has_boxes, begun))
        raise ParameterError(
            f"{name}: {given}, but the {self.split} records of {self.data_dir} were begun with {other}: nothing is "
            f"mixed. Give {name} {other}, or another --data-dir; or delete {self.paths.boxes_of_records(self.split)}, "
            "the plans beside it and the records of the split"
        )

    def complete(self) -> bool:
        """Tell whether the output is there. Raises `ParameterError` if records were begun with boxes, or without."""
        self.compare_boxes(begun_boxes(self.paths, self.split))
        return super().complete()


class PlanShards(BeginSubset, SplitTask, DataSetTask):
    """Decides which image goes into which shard, and what is said of it."""

    priority = 60

    def requires(self) -> list[luigi.Task]:
        """Require the split's index, and the boxes that its records have."""
        csv = self.csv_of_records(self.split)
        return [self.clone(INDEX_TASKS[self.split]), *([csv] if csv else [])]

    def output(self) -> AtomicFolderTarget:
        """Return the folder of one plan a shard; see `formats.plan.write_plan`."""
        return AtomicFolderTarget(self.paths.plan(self.split, self.num_shards, self.name_of_subset))

    def complete(self) -> bool:
        """Tell whether the plan is there. Raises an error if the list of the subset is another than it was made of."""
        if self.source != RECORDED:
            self.check_subset()
        return super().complete()

    def facts(self) -> dict[str, str]:
        """Return the digests of the table of class names, and of the list of the subset."""
        return {**self.table_digests(SYNSET_ENGLISH_KEY), **self.subset_digest(self.split)}

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return index and boxes."""
        csv = self.csv_of_records(self.split)
        return [self.clone(INDEX_TASKS[self.split]).read_by_synset(), *([(csv, ())] if csv else [])]

    def make(self, path: Path, progress: Progress) -> None:
        """Join index, labels and boxes, and shuffle."""
        self.compare_boxes(begin_boxes(self.paths, self.split, self.has_boxes))
        self.begin_subset()
        index, *csvs = (Path(target.path) for target in self.input())
        synsets = self.tables.synsets()
        if self.chosen is not None and self.chosen.images and self.split == TRAIN:
            self.chosen.check_images([image.name for image in read_whole_index(index, synsets)])
        csv = next(iter(csvs), None)
        write_plan(index, self.tables.class_names(), csv, self.num_shards, path, progress, self.takes(self.split))


class ShardTask(RecordsTask, SplitTask, DataSetTask):
    """Writes one shard in one format, reading its images from the archive."""

    format_name: ClassVar[str]
    shard = IntegerParameter(minimum=0, description="the number of the shard, from 0")
    priority = 40
    resource = resources.SHARD
    counted_as = "shards"
    has_details = True

    @classmethod
    def record_format(cls) -> Format:
        """Return the format."""
        return FORMATS[cls.format_name]

    def requires(self) -> Iterator[luigi.Task]:
        """Require the plan, and the archive if it has been deleted.

        Raises `ParameterError` if there is no such shard.
        """
        if self.shard >= self.num_shards:
            raise ParameterError(f"--shard: there is no shard {self.shard} of {self.num_shards}; the first is 0")
        plan = self.clone(PlanShards)
        yield plan
        yield from archive_if_needed(self, self.split, plan)

    def output(self) -> AtomicTarget:
        """Return the shard's file."""
        record_format = self.record_format()
        name = record_format.shard_name(self.split, self.shard, self.num_shards)
        return AtomicTarget(self.paths.records(record_format.FOLDER + self.selection) / name)

    def begun_with(self) -> dict[str, str]:
        """Return what has to be the same for all shards of the split, by name, and is known without any library."""
        count = {} if self.record_format().COUNT_IN_NAME else {"shards": str(self.num_shards)}
        return {**count, **self.size_of_records()}

    @property
    def begun_path(self) -> Path:
        """The file that says what the shards of the split were begun with; there is none if any shards go together."""
        return self.paths.begun_records(Path(self.output().path).parent.name, self.split)

    def _begun(self) -> dict[str, str]:
        lines = (kept_lines(self.begun_path) or "").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def compare_with_begun(self, given: Mapping[str, str]) -> None:
        """Raise `ParameterError` if the shards of the split were begun otherwise; not if that is not known."""
        known = self._begun() if given else {}
        other = [name for name, value in given.items() if known.get(name, value) != value]
        if not other:
            return
        folder = Path(self.output().path).parent
        now, then = (", ".join(f"{name} {values[name]}" for name in other) for values in (given, known))
        raise ParameterError(
            f"{folder}: its {self.split} shards were begun with {then}, and this run has {now}: nothing is mixed. "
            f"Use what they were begun with, or another --data-dir; or delete these shards and {self.begun_path}"
        )

    def _begin_records(self) -> None:
        """Write down what the shards of the split are begun with, or compare it if that was done."""
        given = {**self.begun_with(), **self.library_of_records()}
        if given:
            keep_lines(self.begun_path, begun_lines(given))
            self.compare_with_begun(given)

    def library_of_shards(self) -> dict[str, str]:
        """Return the versions of the libraries that have made the images smaller; none if that is not known."""
        found = {**self._library_in_manifest(), **self._begun()}
        return {name: found[name] for name in self.library_of_records() if name in found}

    def _library_in_manifest(self) -> dict[str, str]:
        try:
            return read_manifest(Path(self.manifest().path)).inputs
        except ManifestError:
            return {}

    def has_same_library(self) -> bool:
        """Tell whether images are made smaller here as they were for these shards, to the last byte."""
        return self.library_of_shards() == self.library_of_records()

    def complete(self) -> bool:
        """Tell whether the shard is there. Raises `ParameterError` if the shards of the split were begun otherwise."""
        self.compare_with_begun(self.begun_with())
        if super().complete():
            return True
        # Before anything is scheduled, and not when the shard is made. Only then is the library needed.
        self.compare_with_begun(self.library_of_records())
        return False

    def facts(self) -> dict[str, str]:
        """Return the digest of the archive; of smaller images, how they were made."""
        return {**self.clone(INDEX_TASKS[self.split]).archive_digest(), **self.size_of_records()}

    def inputs(self) -> dict[str, str]:
        """Return what the shard is made from, and with which libraries: other ones are no fault."""
        return {**super().inputs(), **self.library_of_records()}

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return the shard's plan."""
        return [(self.clone(PlanShards), (plan_file(self.shard),))]

    def make(self, path: Path, progress: Progress) -> Files:
        """Write a record for each planned image."""
        self._begin_records()
        self._remove_side_manifests()
        plan = read_plan(Path(self.clone(PlanShards).output().path), self.shard)
        with ImageReader(self.paths.dataset, self.paths.class_folders(self.split)) as reader:
            entry, records = write_shard(self.record_format(), reader, plan, path, progress, self.resizing)
        self.write_details(serialize_records(records))
        return {"": entry}

    def _remove_side_manifests(self) -> None:
        """Let what was made beside an older shard be made again: it may not be that of this one.

        Before the shard is made, and so while it is not there: then nothing can be made beside it. Later, another build
        may have made all, this shard too.
        """
        for side_files in self.record_format().SIDE_FILES:
            split = self.split if side_files.is_by_split else ""
            folder = side_files.folder + self.selection
            self.paths.side_manifest(folder, side_files.task, split).unlink(missing_ok=True)


def begun_lines(begun: Mapping[str, str]) -> str:
    """Return the lines that say what shards were begun with."""
    return "".join(f"{name}={value}\n" for name, value in begun.items())


class ShardCounts(ILSVRCTask):
    """A task that is about all shards."""

    train_shards = IntegerParameter(
        minimum=1,
        default=1024,
        config_path=setting("train_shards"),
        description="how many shards the training images make",
    )
    validation_shards = IntegerParameter(
        minimum=1,
        default=128,
        config_path=setting("validation_shards"),
        description="how many shards the validation images make",
    )

    @property
    def shard_counts(self) -> dict[str, int]:
        """How many shards each split has."""
        return {TRAIN: self.train_shards, VALIDATION: self.validation_shards}


class FormatsTask(ShardCounts, RecordsTask):
    """A task that is about the whole build."""

    images = ChoiceParameter(
        choices=(AUTO, NO_IMAGES),
        default=AUTO,
        config_path=setting("images"),
        description=f"{NO_IMAGES} makes no class folders; {AUTO} extracts them, or links to those of the source",
    )

    formats = FormatsParameter(
        default=("tfrecord",),
        config_path=setting("formats"),
        description=f"comma-separated, of {', '.join(FORMATS)}; none for no records",
    )

    leftover_hours = IntegerParameter(
        minimum=1,
        default=24,
        config_path=setting("leftover_hours"),
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="hours after which what a process on another host left unfinished is removed",
    )

    @property
    def leftover_seconds(self) -> float:
        """The same in seconds."""
        return self.leftover_hours * 3600.0

    def plans(self) -> list[PlanShards]:
        """Return the plan of each split, if there are shards."""
        splits = self.shard_counts.items() if self.formats else ()
        return [self.clone(PlanShards, split=split, num_shards=num_shards) for split, num_shards in splits]

    def all_shards(self) -> "list[AllShards]":
        """Return the task of all shards of each format."""
        return [self.clone(all_shards_of(name)) for name in self.formats]

    def first_shards(self) -> list[ShardTask]:
        """Return the task of the first shard of each format and split."""
        return [
            self.clone(shards.shard_task, split=split, num_shards=num_shards, shard=0)
            for shards in self.all_shards()
            for split, num_shards in self.shard_counts.items()
        ]


class AllShards(ShardCounts, RecordsTask, BuildWrapperTask):
    """All shards of both splits in one format."""

    shard_task: ClassVar[type[ShardTask]]

    def requires(self) -> list[ShardTask]:
        """Require each shard."""
        return [
            self.clone(self.shard_task, split=split, num_shards=num_shards, shard=shard)
            for split, num_shards in self.shard_counts.items()
            for shard in range(num_shards)
        ]


@cache
def all_shards_of(format_name: str) -> type[AllShards]:
    """Return the task of all shards in a format, such as `TFRecords`; its `shard_task` is that of one shard.

    The two are made here from the format's table entry, so that a new format needs no code among the tasks.
    """
    name = FORMATS[format_name].TASK
    shard_task = subclass(ShardTask, f"{name}Shard", f"Writes one {name} shard.", format_name=format_name)
    return cast(
        type[AllShards], subclass(AllShards, f"{name}s", f"All {name} shards of both splits.", shard_task=shard_task)
    )


def subclass(base: type[luigi.Task], name: str, doc: str, module: str = __name__, **attributes: object) -> Any:
    """Return a task that is a subclass of another one, under a name of its own."""
    namespace = {"__doc__": doc, "__module__": module, **attributes}
    return types.new_class(name, (base,), exec_body=lambda body: body.update(namespace))


for _name in FORMATS:
    all_shards_of(_name)

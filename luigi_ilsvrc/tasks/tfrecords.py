"""TFRecord shards: the plan of a split, each shard, and all of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import luigi

from luigi_ilsvrc.tasks.base import CountParameter, ILSVRCTask, NumberParameter, OutputTask, ParameterError, setting
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV
from luigi_ilsvrc.tasks.image_index import INDEX_TASKS, TRAIN, VALIDATION, missing_archive
from luigi_ilsvrc.tasks.reporting import TaskProgress
from luigi_ilsvrc.tasks.targets import WholeDirectoryTarget, WholeTarget


class SplitTask(OutputTask):
    """A task for one split and one number of shards."""

    split = luigi.ChoiceParameter(choices=[TRAIN, VALIDATION], description=f"{TRAIN} or {VALIDATION}")
    num_shards = CountParameter(description="how many shards the split has")


class PlanShards(SplitTask):
    """Decides which image goes into which shard, and what is said of it."""

    priority = 60
    unit = "shards"

    def requires(self) -> list[luigi.Task]:
        """Require the split's index and the boxes."""
        return [self.clone(INDEX_TASKS[self.split]), self.clone(BoundingBoxCSV)]

    def output(self) -> WholeDirectoryTarget:
        """Return the folder of one plan a shard; see `shards.write_plan`."""
        return WholeDirectoryTarget(self.dataset / "index" / f"{self.split}-plan-of-{self.num_shards:05}")

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Join index, labels and boxes, and shuffle."""
        from luigi_ilsvrc import shards

        index, bounding_boxes = self.input()
        shards.write_plan(
            Path(index.path), self.read_english(), Path(bounding_boxes.path), self.num_shards, path, progress
        )


class TFRecordShard(SplitTask):
    """Writes one shard, reading its images from the archive."""

    shard = NumberParameter(description="the number of the shard, from 0")
    priority = 40
    has_manifest = False

    def requires(self) -> Iterator[luigi.Task]:
        """Require the plan, and the archive where it has been deleted.

        Raises a `BuildError` where tensorflow is missing: now, before the download that it waits for.
        """
        from luigi_ilsvrc import shards

        if not 0 <= self.shard < self.num_shards:
            raise ParameterError(f"there is no shard {self.shard} of {self.num_shards}: the first is 0")
        shards.require_tensorflow()
        plan = self.clone(PlanShards)
        yield plan
        yield from missing_archive(self, self.split, plan)

    def output(self) -> WholeTarget:
        """Return the shard's file."""
        name = f"{self.split}-{self.shard:05}-of-{self.num_shards:05}"
        return WholeTarget(self.dataset / "tfrecords" / name)

    def make(self, path: Path, progress: TaskProgress) -> None:
        """Write an Example for each planned image."""
        from luigi_ilsvrc import shards, tar_index

        plan = shards.read_plan(Path(self.clone(PlanShards).output().path), self.shard)
        with tar_index.ImageReader(self.dataset, self.clone(INDEX_TASKS[self.split]).folders) as reader:
            shards.write_shard(reader, plan, path, progress)

    @classmethod
    def from_str_params(cls, params_str: Any) -> "TFRecordShard":
        """Load a task that the scheduler hands to an assistant, which then forks a process for it."""
        # Once here, and not in each of these processes.
        from luigi_ilsvrc import shards  # noqa: F401

        return super().from_str_params(params_str)


class ShardCounts(ILSVRCTask):
    """A task that is about all shards."""

    train_shards = CountParameter(
        default=1024, config_path=setting("train_shards"), description="how many shards the training images make"
    )
    validation_shards = CountParameter(
        default=128, config_path=setting("validation_shards"), description="how many shards the validation images make"
    )

    @property
    def counts(self) -> dict[str, int]:
        """How many shards each split has."""
        return {TRAIN: self.train_shards, VALIDATION: self.validation_shards}


class TFRecords(ShardCounts, luigi.WrapperTask):
    """All shards of both splits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._require_tensorflow()

    def requires(self) -> list[TFRecordShard]:
        """Require each shard."""
        return [
            self.clone(TFRecordShard, split=split, num_shards=num_shards, shard=shard)
            for split, num_shards in self.counts.items()
            for shard in range(num_shards)
        ]

    def _require_tensorflow(self) -> None:
        """Fail before anything is scheduled: the download that shards need takes a day."""
        from luigi_ilsvrc import shards

        try:
            shards.require_tensorflow()
        except shards.TensorFlowMissingError:
            if not self.complete():
                raise

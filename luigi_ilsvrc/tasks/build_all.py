"""The whole data set."""

from typing import Any

import luigi

from luigi_ilsvrc.tasks.base import ILSVRCTask, setting
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, SortValidation, TrainImages
from luigi_ilsvrc.tasks.tfrecords import ShardCounts, TFRecords


class BuildAll(ShardCounts, luigi.WrapperTask):
    """Everything: class folders, bounding boxes, TFRecord shards."""

    tfrecords = luigi.BoolParameter(
        default=True,
        parsing=luigi.BoolParameter.EXPLICIT_PARSING,
        config_path=setting("tfrecords"),
        description="false leaves the shards out; tensorflow is then not needed",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_set_up()

    def requires(self) -> list[ILSVRCTask]:
        """Require the outputs that users read; each requires what it is made from."""
        wanted: list[type[ILSVRCTask]] = [TrainImages, SortValidation, ExtractBoundingBoxes, BoundingBoxCSV]
        if self.tfrecords:
            wanted.append(TFRecords)
        return [self.clone(task) for task in wanted]

    def _check_set_up(self) -> None:
        """Raise a `BuildError` for what would only come to light after hours: a bad table, tensorflow missing."""
        self.read_validation_labels()
        self.read_english()
        if self.tfrecords:
            self.clone(TFRecords)

"""The whole data set."""

from typing import Any

import luigi

from luigi_ilsvrc import disk
from luigi_ilsvrc.tasks import leftovers
from luigi_ilsvrc.tasks.base import ILSVRCTask, SwitchParameter, setting
from luigi_ilsvrc.tasks.bounding_boxes import BoundingBoxCSV
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, SortValidation, TrainImages
from luigi_ilsvrc.tasks.image_index import INDEX_TASKS
from luigi_ilsvrc.tasks.needs import bytes_needed
from luigi_ilsvrc.tasks.tfrecords import PlanShards, ShardCounts, TFRecords


class BuildAll(ShardCounts, luigi.WrapperTask):
    """Everything: class folders, bounding boxes, TFRecord shards."""

    tfrecords = SwitchParameter(
        default=True,
        config_path=setting("tfrecords"),
        description="false leaves the shards out; tensorflow is then not needed",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._check_set_up()

    def requires(self) -> list[ILSVRCTask]:
        """Require the outputs that users read; each requires what it is made from.

        Index and plans too, though others require them: what is made from them may be there when they are not, and
        they are what the build is verified by. And archives that a repair removed.
        """
        wanted: list[type[ILSVRCTask]] = [TrainImages, SortValidation, ExtractBoundingBoxes, BoundingBoxCSV]
        wanted += [*INDEX_TASKS.values(), *([TFRecords] if self.tfrecords else [])]
        plans = self.counts.items() if self.tfrecords else ()
        archives = [self.clone(download) for download in DOWNLOADS]
        return [
            *map(self.clone, wanted),
            *(self.clone(PlanShards, split=split, num_shards=num_shards) for split, num_shards in plans),
            *(archive for archive in archives if archive.set_aside.exists()),
        ]

    def deps(self) -> list[luigi.Task]:
        """Return what is required, after asking the disks.

        A worker calls this once, when work is due and before anything is scheduled; looking at the graph does not.

        Raises
        ------
        DiskError
            Where the outputs cannot be written, or what is missing will not fit.
        """
        for path in (self.data_dir, self.dataset):
            disk.make_sure_of_writing(path)
        disk.make_sure_of_room(
            bytes_needed(self, shards=self.tfrecords),
            "make room, choose another --data-dir, or leave the shards out with --tfrecords false",
        )
        return super().deps()

    def complete(self) -> bool:
        """Tell whether everything is there; what dead processes left beside it is then removed."""
        complete = super().complete()
        if complete:
            leftovers.clear(self.data_dir, self.dataset)
        return complete

    def run(self) -> None:
        """Remove what dead processes left beside the outputs, which are all there now."""
        leftovers.clear(self.data_dir, self.dataset)

    def _check_set_up(self) -> None:
        """Raise a `BuildError` for what would only come to light after hours: a bad table, tensorflow missing."""
        self.read_validation_labels()
        self.read_english()
        if self.tfrecords:
            self.clone(TFRecords)

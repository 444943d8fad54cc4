"""The whole data set."""

import logging
from collections.abc import Mapping
from pathlib import Path

import luigi

from luigi_ilsvrc import cleanup
from luigi_ilsvrc.dataset.boxes import count_boxes, read_csv
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.layouts.index import count_images
from luigi_ilsvrc.layouts.source_folders import check_there
from luigi_ilsvrc.layouts.sources import describe
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.tasks.base import BuildWrapperTask, ILSVRCTask
from luigi_ilsvrc.tasks.disk_space import bytes_needed, inodes_needed
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.parameters import RECORDED, check_settings
from luigi_ilsvrc.tasks.report import BuildReport, WholeBuild

logger = logging.getLogger("luigi-interface")


class BuildAll(WholeBuild, BuildWrapperTask):
    """Everything: class folders, bounding boxes, shards in each format, and the report."""

    _is_checked = False

    def requires(self) -> list[ILSVRCTask]:
        """Require the outputs that users read, and the report on them."""
        return [*self.outputs_of_build(), self.clone(BuildReport)]

    def deps(self) -> list[luigi.Task]:
        """Return what is required, after checking the disks.

        A worker calls this once, when work is due and before anything is scheduled; looking at the graph does not.

        Raises
        ------
        DiskError
            If the outputs cannot be written, or what is missing will not fit.
        """
        if not super().complete():
            for path in (self.data_dir, self.paths.dataset):
                disk.check_writable(path)
            self._look_at_source()
            disk.check_free_space(
                bytes_needed(self),
                "free some space, choose another --data-dir, or leave the records out with --formats none",
                inodes_needed(self),
            )
        return super().deps()

    def _look_at_source(self) -> None:
        """Say what the source holds, and refuse one that lacks what is needed, or other images than were indexed."""
        self.follow_source()
        if not all(task.complete() for task in self.readers_of_images()):
            check_there(self.paths)
        folder = self.source_folder
        if folder is not None:
            for line in describe(folder, self.paths.dataset):
                logger.info("source: %s", line)
        for index in map(self.clone, INDEX_TASKS.values()):
            if not index.complete() and not index.has_images():
                self.clone(index.download).check_source()
        for csv in self.csvs():
            if not csv.complete() and csv.layout.IS_DOWNLOADED:
                self.clone(csv.download).check_source()

    def complete(self) -> bool:
        """Tell whether everything is there, and nothing that processes left unfinished lies beside it.

        Raises
        ------
        BuildError
            For what a build would otherwise meet only after hours of work: a label table that is bad, or not the one
            that the build was begun with; an unknown setting.
        """
        self._check_once()
        is_begun = self.paths.build_record.exists() and self.paths.build_record_copy.exists()
        return is_begun and super().complete() and not any(cleanup.abandoned_outputs(self.paths, self.leftover_seconds))

    def _check_once(self) -> None:
        # What comes from the scheduler was checked when it was scheduled.
        if not self._is_checked and self.source != RECORDED:
            check_settings()
            self.compare_with_record()
            self.follow_source()
            self.tables.validation_labels()
            self.tables.class_names()
            self.check_subset()
            if self.formats:
                self.library_of_records()
        self._is_checked = True

    def result(self) -> str:
        """Return where the build is, and how many images, boxes and shards it has. Raises OSError."""
        images = {split: self._count_images(split) for split in SPLITS}
        shards = [f"{_by_split(self.shard_counts)} {name} shards" for name in self.formats]
        boxes = [f"{self._count_boxes():,} bounding boxes"] if self.bounding_boxes else []
        counts = [f"{_by_split(images)} images", *boxes, *shards]
        return f"{self.data_dir} is complete: {', '.join(counts)}; see {self.page}"

    def _count_images(self, split: str) -> int:
        if self.takes_all(split):
            return count_images(Path(self.clone(INDEX_TASKS[split]).output().path))
        return sum(1 for _ in self.images_taken(split))

    def _count_boxes(self) -> int:
        """Count the boxes of the training images that are taken."""
        if self.takes_all(TRAIN):
            return count_boxes(self.paths.bounding_boxes)
        names = {image.name for image in self.images_taken(TRAIN)}
        return sum(len(lines) for name, lines in read_csv(self.paths.bounding_boxes).items() if name in names)

    def run(self) -> None:
        """Link to the report, write the build's record if it is gone, and remove what processes left unfinished."""
        self.begin_build()
        # Without a worker there is no scheduler to tell.
        if self.set_tracking_url:
            self.set_tracking_url(self.page.as_uri())
        self.end_on_this_host()

    def end_on_this_host(self) -> None:
        """Remove what processes of this host have left unfinished: another host does not know that they are gone."""
        cleanup.remove_abandoned(self.paths, self.leftover_seconds)


def _by_split(counts: Mapping[str, int]) -> str:
    return " and ".join(f"{count:,} {split}" for split, count in counts.items())

"""The report on a build, and what a build has to have."""

import logging
from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.subsets import ALL
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts.index import ImageLocation, read_index
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.report.fingerprint import fingerprint, is_current, seal
from luigi_ilsvrc.storage.publish import replace_file
from luigi_ilsvrc.tasks.base import BuildTask, ILSVRCTask
from luigi_ilsvrc.tasks.classes import ClassTable, LabelTableFiles
from luigi_ilsvrc.tasks.downloads import DOWNLOADS
from luigi_ilsvrc.tasks.extraction import ExtractBoundingBoxes, SortValidation, TrainImages
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.outputs import OutputTask
from luigi_ilsvrc.tasks.shards import NO_IMAGES, FormatsTask
from luigi_ilsvrc.tasks.side_files import all_side_files
from luigi_ilsvrc.tasks.subset_images import SubsetImages

logger = logging.getLogger("luigi-interface")


class WholeBuild(FormatsTask):
    """A task that needs all that a build makes."""

    @property
    def page(self) -> Path:
        """The report on the build."""
        return self.paths.report_on(self.selection)

    def outputs_of_build(self) -> list[ILSVRCTask]:
        """Return the tasks that make what users read; each requires what it is made from.

        Index and plans too, though others require them: what is made from them may be there when they are not, and
        they are what the build is verified by. And archives that a repair removed.
        """
        annotations = [ExtractBoundingBoxes] if self.bounding_boxes else []
        archives = [self.clone(download) for download in DOWNLOADS]
        return [
            *self.readers_of_images(),
            *map(self.clone, annotations),
            *self.csvs(),
            *map(self.clone, [*INDEX_TASKS.values(), ClassTable, LabelTableFiles]),
            *self.plans(),
            *all_side_files(self),
            *(archive for archive in archives if archive.quarantine_path.exists()),
        ]

    def images_taken(self, split: str) -> Iterator[ImageLocation]:
        """Yield the images of a split that are chosen, as the index has them. Raises `ArchiveError` or OSError."""
        takes = self.takes(split)
        index = Path(self.clone(INDEX_TASKS[split]).output().path)
        found = (image for synset in self.tables.synsets() for image in read_index(index, synset))
        return (image for image in found if takes(image.synset, image.name))

    def readers_of_images(self) -> list[ILSVRCTask]:
        """Return the tasks that need the images themselves."""
        return [*self.class_folders(), *self.all_shards()]

    def class_folders(self) -> list[ILSVRCTask]:
        """Return the tasks that make class folders: of all images, or of those of the subset."""
        if self.images == NO_IMAGES:
            return []
        if self.subset != ALL:
            return [self.clone(SubsetImages, split=split) for split in SPLITS]
        return [self.clone(TrainImages), self.clone(SortValidation)]


class BuildReport(WholeBuild, OutputTask, BuildTask):
    """Makes one page that shows what was built from what, how fast, and what is in it."""

    def requires(self) -> list[ILSVRCTask]:
        """Require all that the page shows, and that it is about."""
        return self.outputs_of_build()

    def output(self) -> AtomicTarget:
        """Return ``report.html``."""
        return AtomicTarget(self.page)

    def complete(self) -> bool:
        """Tell whether the page is there, whole, and about what the build is now; see `report.fingerprint`.

        Raises a `BuildRecordError` if the build's record is damaged.
        """
        return is_current(self.page, self._fingerprint())

    def _fingerprint(self) -> str:
        return fingerprint(self.paths, self.formats, self.shard_counts, self.selection, has_boxes=self.bounding_boxes)

    def make_output(self, progress: Progress) -> None:
        """Make the page, in place of an older one."""
        from luigi_ilsvrc.report.build import ReportedBuild
        from luigi_ilsvrc.report.page import make_page

        record = self.begin_build()
        made_from = self._fingerprint()
        indexes = {split: self.clone(task) for split, task in INDEX_TASKS.items()}
        for index in indexes.values():
            task, names = index.read_by_synset()
            task.checked_digest(*names)
        for csv in self.csvs():
            csv.checked_digest()
        build = ReportedBuild(
            self.paths,
            self.tables.class_names(),
            {split: Path(index.output().path) for split, index in indexes.items()},
            {split: index.layout_name() for split, index in indexes.items()},
            self.formats,
            self.shard_counts,
            self.bounding_boxes,
            self.selection,
            {split: self.takes(split) for split in SPLITS if not self.takes_all(split)},
        )
        replace_file(self.page, seal(make_page(build, record.source, progress), made_from))

    def renew(self, progress: Progress) -> None:
        """Make the page again if there is one; if that fails, only say so."""
        try:
            if self.page.exists() and not self.complete():
                self.make_output(progress)
        except (BuildError, OSError) as error:
            logger.warning("%s is not up to date, BuildAll makes it again: %s", self.page, error)

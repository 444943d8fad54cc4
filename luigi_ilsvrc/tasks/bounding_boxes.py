"""The bounding boxes as CSVs."""

from pathlib import Path

from luigi_ilsvrc.dataset.boxes import write_csv
from luigi_ilsvrc.dataset.splits import VALIDATION
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.extract import as_extracted
from luigi_ilsvrc.layouts.counts import check_annotations
from luigi_ilsvrc.layouts.sources import ANNOTATIONS, find
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.downloads import DownloadValidationBoxes
from luigi_ilsvrc.tasks.extraction import AnnotationTask, ExtractBoundingBoxes
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget
from luigi_ilsvrc.tasks.parameters import SwitchParameter, setting


class BoundingBoxCSV(AnnotationTask):
    """Reads the boxes of all training images, from the archive, or from extracted annotations if that is gone."""

    priority = 70
    has_details = True

    def output(self) -> AtomicTarget:
        """Return ``bounding_boxes.csv``; see `dataset.boxes.write_csv`."""
        return AtomicTarget(self.paths.bounding_boxes)

    def facts(self) -> dict[str, str]:
        """Return the digests of the archive and of the table of synsets."""
        return {**super().facts(), **self.table_digests(UNIQUE_SYNSETS)}

    def make(self, path: Path, progress: Progress) -> None:
        """Read the annotations and write the CSV."""
        layout, synsets = self.layout, self.tables.synsets()
        source = layout.annotations_path(self.paths, self.split)
        annotations = layout.read_annotations(self.paths, self.split, self.tables)
        extracted = Path(self.clone(ExtractBoundingBoxes).manifest().path)
        # A user's own have no manifest.
        if not layout.IS_DOWNLOADED and extracted.exists():
            annotations = as_extracted(annotations, source, extracted)
        if not layout.IS_DOWNLOADED and self.has_official_counts():
            annotations = check_annotations(annotations, self.split, synsets, source)
        self.write_details(write_csv(annotations, synsets, source, path, progress))


class ValidationBoxCSV(AnnotationTask):
    """Reads the boxes of all validation images."""

    split = VALIDATION
    download = DownloadValidationBoxes
    priority = 65
    has_details = True

    def output(self) -> AtomicTarget:
        """Return ``validation_bounding_boxes.csv``; see `dataset.boxes.write_csv`."""
        return AtomicTarget(self.paths.validation_bounding_boxes)

    def facts(self) -> dict[str, str]:
        """Return the digests of the archive and of the tables of synsets and of validation images."""
        return {**super().facts(), **self.table_digests(UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS)}

    def make(self, path: Path, progress: Progress) -> None:
        """Read the annotations and write the CSV."""
        source = self.layout.annotations_path(self.paths, self.split)
        annotations = self.layout.read_annotations(self.paths, self.split, self.tables)
        if not self.layout.IS_DOWNLOADED and self.has_official_counts():
            annotations = check_annotations(annotations, self.split, self.tables.synsets(), source)
        self.write_details(write_csv(annotations, self.tables.synsets(), source, path, progress))


class BoxesTask(ILSVRCTask):
    """A task that depends on which boxes are built."""

    bounding_boxes = SwitchParameter(
        default=True,
        config_path=setting("bounding_boxes"),
        description="false builds without the boxes of training images",
    )
    validation_boxes = SwitchParameter(
        default=False,
        config_path=setting("validation_boxes"),
        description="true puts the boxes of validation images into the records",
    )

    def csv_of_records(self, split: str) -> BoundingBoxCSV | ValidationBoxCSV | None:
        """Return the task of the boxes that the records of a split have; None if they have none."""
        if split == VALIDATION:
            return self.clone(ValidationBoxCSV) if self.validation_boxes else None
        return self.clone(BoundingBoxCSV) if self.bounding_boxes else None

    def csvs(self) -> list[BoundingBoxCSV | ValidationBoxCSV]:
        """Return the tasks of all boxes that are built: those of validation images if the source has them."""
        validation = self.clone(ValidationBoxCSV)
        is_wanted = self.validation_boxes or (self.bounding_boxes and _is_at_hand(validation))
        return [*([self.clone(BoundingBoxCSV)] if self.bounding_boxes else []), *([validation] if is_wanted else [])]


def _is_at_hand(csv: ValidationBoxCSV) -> bool:
    folder = csv.source_folder
    is_there = csv.output().exists() or csv.layout.has_annotations(csv.paths, VALIDATION)
    return is_there or (folder is not None and find(folder, ANNOTATIONS[VALIDATION], csv.paths.dataset) is not None)

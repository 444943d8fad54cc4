"""The bounding boxes as one CSV."""

from pathlib import Path

from luigi_ilsvrc.dataset.boxes import write_csv
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS
from luigi_ilsvrc.extract import as_extracted
from luigi_ilsvrc.layouts.counts import check_annotations
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.extraction import AnnotationTask, ExtractBoundingBoxes
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget


class BoundingBoxCSV(AnnotationTask):
    """Reads the boxes of all training images, from the archive, or from extracted annotations if that is gone."""

    priority = 70

    def output(self) -> AtomicTarget:
        """Return ``bounding_boxes.csv``; see `dataset.boxes.write_csv`."""
        return AtomicTarget(self.paths.bounding_boxes)

    def facts(self) -> dict[str, str]:
        """Return the digests of the archive and of the table of synsets."""
        return {**super().facts(), **self.table_digests(UNIQUE_SYNSETS)}

    def make(self, path: Path, progress: Progress) -> None:
        """Read the annotations and write the CSV."""
        layout, synsets = self.layout, self.tables.synsets()
        source = layout.annotations_path(self.paths)
        annotations = layout.read_annotations(self.paths)
        extracted = Path(self.clone(ExtractBoundingBoxes).manifest().path)
        # A user's own have no manifest.
        if not layout.IS_DOWNLOADED and extracted.exists():
            annotations = as_extracted(annotations, source, extracted)
        if not layout.IS_DOWNLOADED and self.has_official_counts():
            annotations = check_annotations(annotations, synsets, source)
        write_csv(annotations, synsets, source, path, progress)

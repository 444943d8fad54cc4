"""The bounding boxes as one CSV."""

from pathlib import Path

from luigi_ilsvrc.dataset.boxes import write_csv
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.extraction import AnnotationTask
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicTarget


class BoundingBoxCSV(AnnotationTask):
    """Reads the boxes of all training images, from the archive, or from extracted annotations if that is gone."""

    priority = 70

    def output(self) -> AtomicTarget:
        """Return ``bounding_boxes.csv``; see `dataset.boxes.write_csv`."""
        return AtomicTarget(self.paths.bounding_boxes)

    def make(self, path: Path, progress: Progress) -> None:
        """Read the annotations and write the CSV."""
        layout = self.layout
        annotations = layout.read_annotations(self.paths)
        write_csv(annotations, self.tables.synsets(), layout.annotations_path(self.paths), path, progress)

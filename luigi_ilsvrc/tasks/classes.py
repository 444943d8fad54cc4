"""The table of classes, and the label tables that it was made with."""

from pathlib import Path

from luigi_ilsvrc.dataset.classes import write_classes
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.synsets import (
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    official_form,
)
from luigi_ilsvrc.layouts.index import read_rows
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.tasks.indexing import INDEX_TASKS, IndexTask
from luigi_ilsvrc.tasks.luigi_support.targets import AtomicFolderTarget, AtomicTarget
from luigi_ilsvrc.tasks.outputs import DataSetTask


class ClassTable(DataSetTask):
    """Writes the label, the words and the number of images of each class."""

    priority = 5

    def requires(self) -> list[IndexTask]:
        """Require the index of each split."""
        return [self.clone(INDEX_TASKS[split]) for split in SPLITS]

    def output(self) -> AtomicTarget:
        """Return ``classes.csv``; see `dataset.classes.write_classes`."""
        return AtomicTarget(self.paths.classes)

    def facts(self) -> dict[str, str]:
        """Return the digests of the tables of synsets and of words."""
        return self.table_digests(UNIQUE_SYNSETS, SYNSET_ENGLISH_KEY)

    def reads(self) -> list[tuple[DataSetTask, tuple[str, ...]]]:
        """Return the indexes."""
        return [index.read_by_synset() for index in self.requires()]

    def make(self, path: Path, progress: Progress) -> None:
        """Count the images of each class, and write the table."""
        words = self.tables.class_names()
        counts = {
            split: {synset: len(read_rows(Path(index.path), synset)) for synset in words}
            for split, index in zip(SPLITS, self.input(), strict=True)
        }
        write_classes(words, counts, path)


class LabelTableFiles(DataSetTask):
    """Writes the label tables of the build under their official names, whatever files they came from."""

    priority = 5

    def output(self) -> AtomicFolderTarget:
        """Return the folder of the tables."""
        return AtomicFolderTarget(self.paths.label_tables)

    def facts(self) -> dict[str, str]:
        """Return the digests of the tables that were given."""
        return self.table_digests(UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS, SYNSET_ENGLISH_KEY)

    def make(self, path: Path, progress: Progress) -> None:
        """Write the tables."""
        for name, table in self.table_paths.items():
            (path / name).write_bytes(official_form(name, table))

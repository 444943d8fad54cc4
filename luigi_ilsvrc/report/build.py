"""The build that a report is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.formats.plan import Takes
from luigi_ilsvrc.formats.table import FORMATS, Format


@dataclass(frozen=True)
class ReportedBuild:
    """A build, with all outputs there.

    Attributes
    ----------
    paths : DataSetPaths
        Where they lie.
    class_names : dict
        Synset to English words, in the order of the labels: the first is 1.
    indexes : dict
        The index of each split.
    layouts : dict
        What the images of each split were taken from, in words.
    formats : tuple of str
        The formats of the records.
    shard_counts : dict
        How many shards each split has, in each format.
    has_boxes : bool
        Whether the boxes of the training images are a part of it.
    selection : str
        What the names of the folders of its records end in; empty for the whole data set.
    takes : dict
        Tells of an image, for each split of which not all images are taken, whether it is.
    """

    paths: DataSetPaths
    class_names: Mapping[str, str]
    indexes: Mapping[str, Path]
    layouts: Mapping[str, str]
    formats: tuple[str, ...]
    shard_counts: Mapping[str, int]
    has_boxes: bool = True
    selection: str = ""
    takes: Mapping[str, Takes] = field(default_factory=dict)

    def shards(self, format_name: str, split: str) -> list[Path]:
        """Return the shards of a split in a format, in their order."""
        record_format: Format = FORMATS[format_name]
        folder, count = self.paths.records(record_format.FOLDER + self.selection), self.shard_counts[split]
        return [folder / record_format.shard_name(split, shard, count) for shard in range(count)]

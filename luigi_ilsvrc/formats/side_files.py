"""Files that a reader of shards wants beside them: an index of the records, or what the data set is.

They are made when the shards are there, of what was seen while those were written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from luigi_ilsvrc.formats.details import RecordDetails
from luigi_ilsvrc.formats.plan import PlannedImage


@dataclass(frozen=True)
class WrittenShard:
    """A shard that was written.

    Attributes
    ----------
    name : str
        Its file name.
    size : int
        Of its file, in bytes.
    records : list of RecordDetails
        Each record, in order.
    read_plan : callable
        Returns what was planned of each record, in the same order.
    """

    name: str
    size: int
    records: list[RecordDetails]
    read_plan: Callable[[], list[PlannedImage]]


Splits = Mapping[str, Iterable[WrittenShard]]
"""The shards of each split, in their order; they are read one after the other while this is iterated over."""


def each_shard(shard_counts: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Yield split, number and count of each shard, as `shard_name` of a format takes them."""
    return ((split, shard, count) for split, count in shard_counts.items() for shard in range(count))


class SideFiles(NamedTuple):
    """Files of one kind, which one task makes.

    Attributes
    ----------
    task : str
        The task's name.
    about : str
        What they are, for the task's docstring.
    folder : str
        Their folder, below ``ilsvrc2012/``.
    is_by_split : bool
        Whether each split has files and a task of its own.
    names : callable
        Returns the names of the files, given the number of shards of each split, or of one.
    is_name : callable
        Tells whether `names` gives a name, for any split and any number of shards.
    write : callable
        Yields name and contents of each file, given the shards of the same splits.
    """

    task: str
    about: str
    folder: str
    is_by_split: bool
    names: Callable[[Mapping[str, int]], list[str]]
    is_name: Callable[[str], bool]
    write: Callable[[Splits], Iterator[tuple[str, bytes]]]

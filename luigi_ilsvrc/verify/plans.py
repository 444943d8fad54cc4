"""The plan, computed anew, and the images that each shard has to hold."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from luigi_ilsvrc.formats.plan import PlannedImage, Takes, plan_file, read_plan, shard_order, take_all
from luigi_ilsvrc.layouts.index import ImageLocation, read_index
from luigi_ilsvrc.storage.manifest import Entry
from luigi_ilsvrc.verify.shards import ExpectedRecord

_UNKNOWN = "-"

EntryOf = Callable[[ImageLocation], Entry | None]
"""Returns size and CRC-32 of an image, if they are known."""


def write_entries(
    index: Path,
    synsets: Iterable[str],
    num_shards: int,
    entry_of: EntryOf,
    directory: Path,
    takes: Takes = take_all,
) -> None:
    """Write what is known of the image of each record, beside the plan of its shard; see `read_expected`."""
    entries = [
        _serialize(entry_of(location))
        for synset in synsets
        for location in read_index(index, synset)
        if takes(synset, location.name)
    ]
    for shard, numbers in enumerate(shard_order(len(entries), num_shards)):
        (directory / _entries_file(shard)).write_text("".join(f"{entries[number]}\n" for number in numbers))


def read_expected(directory: Path, shard: int) -> list[ExpectedRecord]:
    """Read the plan of a shard, and what `write_entries` wrote beside it."""
    entries = (directory / _entries_file(shard)).read_text().splitlines()
    plan = read_plan(directory, shard)
    return [ExpectedRecord(image, _parse(entry)) for image, entry in zip(plan, entries, strict=True)]


def _entries_file(shard: int) -> str:
    return f"{plan_file(shard)}.entries"


def _serialize(entry: Entry | None) -> str:
    return _UNKNOWN if entry is None else f"{entry.size} {entry.crc32}"


def _parse(text: str) -> Entry | None:
    return None if text == _UNKNOWN else Entry(*map(int, text.split()))


def same_plan(first: Path, second: Path, shard: int) -> bool:
    """Tell whether two plans of a shard say the same, wherever the images lie."""
    return _without_places(read_plan(first, shard)) == _without_places(read_plan(second, shard))


def _without_places(images: Sequence[PlannedImage]) -> list[object]:
    return [
        (image.location.name, image.location.synset, image.location.size, image.label, image.text, image.boxes)
        for image in images
    ]

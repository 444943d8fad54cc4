"""Parquet files as Hugging Face has them, made from archives: rows in no order, over several files."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow
import pyarrow.parquet

from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import LabelTables
from tests.support.source_images import tables_of, train_images, validation_images

_SCHEMA = pyarrow.schema(
    {
        "image": pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()}),
        "label": pyarrow.int64(),
    }
)


class Row(NamedTuple):
    """A row: the image, its path, its label from 0."""

    contents: bytes | None
    path: str | None
    label: int | None


def write_rows(path: Path, rows: Sequence[Row], rows_per_group: int = 7, **options: Any) -> Path:
    """Write one parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table(
        {
            "image": [{"bytes": row.contents, "path": row.path} for row in rows],
            "label": [row.label for row in rows],
        },
        schema=_SCHEMA,
    )
    pyarrow.parquet.write_table(table, path, row_group_size=rows_per_group, **options)
    return path


def write_files(folder: Path, split: str, rows: Sequence[Row], count: int = 3, rows_per_group: int = 7) -> list[Path]:
    """Write rows, shuffled, to ``<folder>/data/<split>-00000-of-<count>.parquet`` and so on."""
    shuffled = list(rows)
    random.Random(f"{split} {count}").shuffle(shuffled)
    return [
        write_rows(
            folder / "data" / f"{split}-{number:05}-of-{count:05}.parquet", shuffled[number::count], rows_per_group
        )
        for number in range(count)
    ]


def rows_of(miniature: Path, split: str) -> list[Row]:
    """Return the images of a miniature's archive as rows, with their paths as Hugging Face has them."""
    synsets = tables_of(miniature).synsets()
    images = train_images(miniature) if split == TRAIN else validation_images(miniature)
    return [
        Row(contents, f"{name.removesuffix('.JPEG')}_{synset}.JPEG", synsets.index(synset))
        for synset, name, contents in images
    ]


def write_tables(folder: Path, synsets: Sequence[str], labels: Sequence[str]) -> LabelTables:
    """Write label tables."""
    tables = tables_of(folder)
    tables.unique_synsets.write_text("".join(f"{synset}\n" for synset in synsets))
    tables.validation_synset_labels.write_text("".join(f"{synset}\n" for synset in labels))
    tables.synset_english_key.write_text("".join(f"{synset}\twords\n" for synset in synsets))
    return tables

"""The rows of Hugging Face's parquet files: an image's bytes, its path and its label, in no order.

The columns are those that the library ``datasets`` writes: ``image``, a struct of ``bytes`` and ``path``; ``label``.
https://huggingface.co/docs/datasets/image_dataset
"""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import SYNSET_PATTERN, LabelTables
from luigi_ilsvrc.layouts.tar import ArchiveError

if TYPE_CHECKING:
    import pyarrow

_TRAIN_PATH = re.compile(
    rf"(?:.*/)?(?P<stem>(?P<synset>{SYNSET_PATTERN})_[0-9]+)(?:_(?P<last>{SYNSET_PATTERN}))?\.JPEG"
)
_VALIDATION_PATH = re.compile(
    rf"(?:.*/)?(?P<stem>ILSVRC2012_val_(?P<number>[0-9]{{8}}))(?:_(?P<last>{SYNSET_PATTERN}))?\.JPEG"
)

_BATCH = 32
"""Rows that are in memory at once, about 3.5 MB."""

_BUFFER = 1 << 20
"""Bytes that are read at once of a column; without such a number, all of a row group would be, up to the whole file."""

_LFS_POINTER = b"version https://git-lfs"
_ACCESS = {errno.EACCES, errno.EPERM, errno.ENOENT}


class Row(NamedTuple):
    """A row: the image's official name, and its bytes, which are valid as long as they are referred to."""

    name: str
    contents: memoryview


class RowNames:
    """The official names of the images of a split, and which labels they have to have.

    Raises
    ------
    TableError
        If a label table is invalid.
    """

    def __init__(self, split: str, tables: LabelTables) -> None:
        self._synsets = tables.synsets()
        self._labels = {synset: label for label, synset in enumerate(self._synsets)}
        self._table = tables.validation_synset_labels
        self._validation = None if split == TRAIN else tables.validation_labels()

    @property
    def digest(self) -> str:
        """The SHA-256 of the tables' contents, in hexadecimal digits."""
        return hashlib.sha256(repr((self._synsets, self._validation)).encode()).hexdigest()

    def name_of(self, path: str | None, label: int | None) -> str:
        """Return the official name of an image.

        Parameters
        ----------
        path : str or None
            ``n01440764_10026_n01440764.JPEG``, ``ILSVRC2012_val_00000293_n01440764.JPEG``; also without the last
            synset, and with folders before.
        label : int or None
            Its label: the number of its synset in the table, from 0.

        Raises
        ------
        ValueError
            With what is wrong.
        """
        if not path:
            raise ValueError("there is no image.path, which names the image; take a copy of the data set that has it")
        name, synset = self._train(path) if self._validation is None else self._validation_image(path, self._validation)
        if label != self._labels[synset]:
            raise ValueError(
                f"the label of {path!r} is {label}, but that of {synset} is {self._labels[synset]} in the table of "
                "synsets; give the table that it was made with"
            )
        return name

    def _train(self, path: str) -> tuple[str, str]:
        match = _match(_TRAIN_PATH, path, "<synset>_<n>_<synset>.JPEG")
        synset = match["synset"]
        if match["last"] not in (None, synset):
            raise ValueError(f"{path!r} names two synsets: not of ILSVRC2012's layout")
        if synset not in self._labels:
            raise ValueError(f"{synset} is not in the table of synsets; give the table it was made for")
        return f"{match['stem']}.JPEG", synset

    def _validation_image(self, path: str, labels: list[str]) -> tuple[str, str]:
        match = _match(_VALIDATION_PATH, path, "ILSVRC2012_val_<8 digits>_<synset>.JPEG")
        number = int(match["number"])
        if not 1 <= number <= len(labels):
            raise ValueError(f"{path!r}: {self._table} has no line {number}")
        synset = labels[number - 1]
        if match["last"] not in (None, synset):
            raise ValueError(f"{path!r}: {self._table} labels it {synset}")
        return f"{match['stem']}.JPEG", synset


def _match(pattern: re.Pattern[str], path: str, shape: str) -> re.Match[str]:
    match = pattern.fullmatch(path)
    if match is None:
        raise ValueError(f"image.path is {path!r}, and not {shape}: not of ILSVRC2012's layout")
    return match


def row_error(file: Path, number: int, reason: str) -> ArchiveError:
    """Return the error about a row."""
    return ArchiveError(f"{file}, row {number} (from 0): {reason}")


def read_rows(file: Path, names: RowNames) -> Iterator[Row]:
    """Yield the rows of a parquet file, in its order; a few are in memory at once, however large its row groups are.

    Raises
    ------
    ArchiveError
        Naming file and row (from 0): if the file is damaged, is not parquet, may not be read or has other columns; if a
        row has no name, one that does not fit its label, or no image.
    OSError
        If the disk fails; names the file.
    """
    number = 0
    for paths, labels, images in _batches(file):
        for path, label, image in zip(paths, labels, images, strict=True):
            try:
                name = names.name_of(path, label)
                if not image:
                    raise ValueError(f"{name} is empty; download the file again")
            except ValueError as error:
                raise row_error(file, number, str(error)) from None
            yield Row(name, memoryview(image))
            number += 1


def _batches(file: Path) -> Iterator[tuple[list[str | None], list[int | None], list["pyarrow.Buffer | None"]]]:
    """Yield paths, labels and bytes of some rows at a time."""
    with reading_parquet(file):
        import pyarrow.compute
        import pyarrow.parquet

        with pyarrow.parquet.ParquetFile(file, buffer_size=_BUFFER, pre_buffer=False) as parquet:
            _check_columns(file, parquet.schema_arrow)
            for batch in parquet.iter_batches(_BATCH, columns=["image", "label"], use_threads=False):
                image = batch.column("image")
                contents = pyarrow.compute.struct_field(image, "bytes")
                paths = pyarrow.compute.struct_field(image, "path").to_pylist()
                yield paths, batch.column("label").to_pylist(), [value.as_buffer() for value in contents]


def _check_columns(file: Path, schema: "pyarrow.Schema") -> None:
    from pyarrow import types

    image = schema.field("image").type if "image" in schema.names else None
    fields = {field.name: field.type for field in image} if image is not None and types.is_struct(image) else {}
    if not (
        set(fields) >= {"bytes", "path"}
        and (types.is_binary(fields["bytes"]) or types.is_large_binary(fields["bytes"]))
        and (types.is_string(fields["path"]) or types.is_large_string(fields["path"]))
        and "label" in schema.names
        and types.is_integer(schema.field("label").type)
    ):
        columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
        raise ArchiveError(
            f"{file}: it needs the columns image, a struct of bytes and path, and label, a whole number; it has "
            f"{columns or 'none'}. Take the files of ILSVRC2012 as the library datasets writes them"
        )


@contextmanager
def reading_parquet(file: Path) -> Iterator[None]:
    """Turn the errors of the block into an `ArchiveError`, or, if the disk fails, an OSError that names the file."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        code = getattr(error, "errno", None)
        if code in _ACCESS:
            raise ArchiveError(
                f"{file}: it cannot be read: {os.strerror(code)}; make it readable, or give another --source"
            ) from error
        if code:
            raise OSError(code, os.strerror(code), str(file)) from error
        raise ArchiveError(_why_unusable(file, error)) from error


def _why_unusable(file: Path, error: Exception) -> str:
    with suppress(OSError):
        if not stat.S_ISREG(file.stat().st_mode):
            return f"{file}: it is not a regular file; give another --source"
        with file.open("rb") as contents:
            if contents.read(len(_LFS_POINTER)) == _LFS_POINTER:
                return f"{file}: it is a pointer of Git LFS, and not the file itself; run git lfs pull in its folder"
    reason = " ".join(str(error).split())
    return f"{file}: the file is truncated or damaged, or not parquet ({reason}); download it again"

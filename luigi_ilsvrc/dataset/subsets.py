"""Subsets of the data set: lists of synsets or of training images.

Three lists come with the package, in ``subset_lists/``:

- ``1percent`` and ``10percent``: the training images with labels in the semi-supervised experiments of SimCLR (Chen et
  al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020), 12,811 and 128,116 of them;
  from https://github.com/google-research/simclr, folder ``imagenet_subsets``. The first is a part of the second.
- ``imagenet100``: the 100 classes of CMC (Tian et al., Contrastive Multiview Coding, ECCV 2020), from
  https://github.com/HobbitLong/CMC, ``imagenet100.txt``.

Their lines are sorted here; those of the sources are not. Each file was made by ``xz -9`` of the text that
`Subset.serialize` gives. xz makes 223 kB of the 2.6 MB of ``10percent``, gzip 418 kB. To write each synset only once in
the text saves less than 1 % with xz, and to store ``1percent`` as a selection from ``10percent`` saves at most 30 kB.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from luigi_ilsvrc.dataset.splits import VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET, SYNSET_PATTERN
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX
from luigi_ilsvrc.units import format_size

ALL = "all"
"""The value that stands for the whole data set; it is not a subset."""

PACKAGED = ("1percent", "10percent", "imagenet100")
"""The subsets that come with the package."""

MAX_BYTES = 64 * 2**20
"""The size of the largest list that is read. One of all 1,281,167 training images has 26 MB."""

_PACKAGED_LISTS = Path(__file__).parent / "subset_lists"

_IMAGE = re.compile(rf"({SYNSET_PATTERN}_[0-9]{{1,20}})(?:\.(?i:jpe?g))?")
"""A training image. The archives write ``.JPEG``, WebDataset ``.jpg``, and some lists leave the ending out.

The archives' numbers have at most six digits; no bound at all would let a message have any length.
"""

_VALIDATION_IMAGE = "ILSVRC2012_val_"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

_PART = re.compile(r"part-[0-9]+-of-[0-9]+(?:-.*)?", re.IGNORECASE)
"""What the files of a verification of a part of the build have in their names: ``2026-11-22-part-3-of-7.json``."""

_SIZE = re.compile(r"(?:.*-)?(?:short|max)[0-9]+", re.IGNORECASE)
"""What the folders of resized records end in: ``tfrecords-short256``, ``tfrecords-10percent-max500``."""

_MAX_SHOWN = 60
"""Characters of a line that a message shows."""


class SubsetError(BuildError):
    """A subset has no usable name or list, or lists what the data set does not have."""


@dataclass(frozen=True, eq=False)
class Subset:
    """A list of synsets or of training images. Two are equal if they have the same name and list the same in one order.

    Attributes
    ----------
    name : str
        Part of a folder's name, such as ``10percent``; see `subset_name`.
    synsets : mapping
        The number of the line of each listed synset, in the order of the lines; empty if images are listed.
    images : mapping
        The number of the line of each listed image, by its file name in the archives, such as
        ``n01440764_10026.JPEG``; empty if synsets are listed.
    where : str
        The path of the file or the packaged name, for messages.
    """

    name: str
    synsets: Mapping[str, int]
    images: Mapping[str, int]
    where: str

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Subset):
            return NotImplemented
        return (self.name, self.digest) == (other.name, other.digest)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of what `serialize` returns, 64 hexadecimal digits."""
        return hashlib.sha256(self.serialize()).hexdigest()

    def serialize(self) -> bytes:
        """Return the list as text: a synset or the file name of an image a line, in the order in which they are listed.

        `parse_subset` of it gives an equal subset.
        """
        return "".join(f"{listed}\n" for listed in self.synsets or self.images).encode()

    def takes(self, split: str, synset: str, name: str) -> bool:
        """Return whether an image is in the subset.

        A list of synsets takes their images in both splits. A list of images takes these training images and all
        validation images.

        Parameters
        ----------
        split : str
            ``train`` or ``validation``.
        synset, name : str
            The image's synset and file name.
        """
        if self.synsets:
            return synset in self.synsets
        return split == VALIDATION or name in self.images

    def check_synsets(self, synsets: Collection[str]) -> None:
        """Raise `SubsetError` if a listed synset, or that of a listed image, is not one of `synsets`.

        These are those of the label table. The message has the file and the number of the line.
        """
        known = set(synsets)
        for listed, line in (self.synsets or self.images).items():
            synset = listed.partition("_")[0]
            if synset not in known:
                is_of = f", the synset of {listed}," if self.images else ""
                raise SubsetError(
                    f"{self.where}:{line}: {synset}{is_of} is not in the table of synsets ({len(known)} of them); "
                    f"{self._remedy}, or use a table that has it"
                )

    def check_images(self, names: Collection[str]) -> None:
        """Raise `SubsetError` if a listed image is not one of `names`, the file names of all training images.

        The message has the file, the number of the line, the first such image, and how many more there are.
        """
        known = set(names)
        missing = [image for image in self.images if image not in known]
        if missing:
            more = f", nor are {len(missing) - 1} more of the list" if len(missing) > 1 else ""
            raise SubsetError(
                f"{self.where}:{self.images[missing[0]]}: {missing[0]} is not among the {len(known)} training "
                f"images{more}; {self._remedy}, or use a source that has all listed images"
            )

    @property
    def _remedy(self) -> str:
        return "give a list of your own" if self.where in PACKAGED else "remove the line"


def subset_name(value: str) -> str:
    """Return the name of a subset, which becomes part of the names of folders: ``tfrecords-10percent-short256``.

    Parameters
    ----------
    value : str
        A packaged name, or the path of a file, which need not exist: a file's name without its ending is that of the
        subset.

    Raises
    ------
    SubsetError
        If the name has other characters than letters, digits, ``.``, ``_`` and ``-``, or more than 64; if it means
        something else; if it ends in a size, begins like ``part-3-of-7``, or contains ``.partial``. Upper and lower
        case are the same, as some file systems do not tell them apart.
    """
    if value in PACKAGED:
        return value
    name = Path(value).stem
    reason = None
    if not _NAME.fullmatch(name):
        reason = "is not 1 to 64 letters, digits, '.', '_' or '-' with a letter or digit first"
    elif name.lower() in (ALL, "none"):
        reason = "has another meaning"
    elif name.lower() in PACKAGED:
        reason = f"is that of the packaged subset {name.lower()}"
    elif _SIZE.fullmatch(name):
        reason = "would be read as a size of images"
    elif _PART.fullmatch(name):
        reason = "would be read as a part of a verification"
    elif PARTIAL_SUFFIX in name.lower():
        reason = "would be read as an unfinished output"
    if reason:
        raise SubsetError(
            f"{_printable(value)}: the file's name without its ending becomes part of folder names, but "
            f"{_shown(name)} {reason}; rename the file"
        )
    return name


def read_subset(value: str) -> Subset:
    """Read a subset, given a packaged name or the path of a file; see `parse_subset` for its format.

    Raises
    ------
    SubsetError
        As `subset_name` and `parse_subset`; naming the file, if it cannot be read.
    """
    name = subset_name(value)
    if value in PACKAGED:
        return parse_subset(_read_packaged(value), name, value)
    where = _printable(value)
    return parse_subset(_read_file(value, where), name, where)


def parse_subset(data: bytes, name: str, where: str) -> Subset:
    r"""Read a list of synsets or of training images, one a line.

    It is UTF-8 text, with or without byte order mark. Lines end with ``\n`` or ``\r\n``. White space around them, empty
    lines and those that begin with ``#`` are ignored. An image is the name of its file, without a folder; its ending
    may be ``.JPEG`` or ``.jpg``, in upper or lower case, or missing.

    Parameters
    ----------
    data : bytes
        The content of the file.
    name, where : str
        Of the subset; see `Subset`.

    Raises
    ------
    SubsetError
        Naming file and line, if it is not text, a line is neither synset nor training image, something is listed
        twice, synsets and images are mixed, or nothing is listed.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise SubsetError(f"{where}:{number}: not UTF-8 text; give a text file of synsets or of image names") from error
    synsets, images = _numbered(text, where)
    if not synsets and not images:
        raise SubsetError(f"{where}:1: nothing is listed; write one synset or one training image a line")
    return Subset(name, synsets, images, where)


def _numbered(text: str, where: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the numbers of the lines of the synsets, and of the images, that a text lists."""
    synsets: dict[str, int] = {}
    images: dict[str, int] = {}
    # Not splitlines: to it, more characters than the end of a line in an editor are one.
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        image = _IMAGE.fullmatch(entry)
        if image:
            listed, same, others = f"{image[1]}.JPEG", images, synsets
        elif SYNSET.fullmatch(entry):
            listed, same, others = entry, synsets, images
        else:
            raise _neither(f"{where}:{number}", entry)
        if others:
            raise SubsetError(
                f"{where}:{number}: {_shown(entry)} is {'an image' if image else 'a synset'}, but line "
                f"{next(iter(others.values()))} is {'a synset' if image else 'an image'}; list either synsets or images"
            )
        if listed in same:
            raise SubsetError(f"{where}:{number}: {_shown(listed)} stands in line {same[listed]} already; remove one")
        same[listed] = number
    return synsets, images


def _neither(place: str, entry: str) -> SubsetError:
    """Return the error of a line that is neither a synset nor a training image; `place` is its file and number."""
    if _VALIDATION_IMAGE in entry:
        return SubsetError(
            f"{place}: {_shown(entry)} is a validation image, which cannot be listed: the validation split stays "
            "whole; remove the line"
        )
    file_name = entry.rpartition("/")[2]
    if _IMAGE.fullmatch(file_name):
        return SubsetError(f"{place}: {_shown(entry)} is a path; write the file name alone: {file_name}")
    return SubsetError(
        f"{place}: {_shown(entry)} is neither a synset such as n01440764 nor a training image such as "
        "n01440764_10026.JPEG; fix the line"
    )


def _read_packaged(name: str) -> bytes:
    path = _PACKAGED_LISTS / f"{name}.txt.xz"
    try:
        # Some builds of Python are without it.
        import lzma

        with lzma.open(path) as file:
            return file.read()
    except ImportError as error:
        raise SubsetError(f"{path}: this Python has no module lzma; use one that was built with liblzma") from error
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise SubsetError(f"{path}: the packaged list cannot be read ({error}); install the package anew") from error


def _read_file(value: str, where: str) -> bytes:
    try:
        mode = os.stat(value).st_mode
        if stat.S_ISDIR(mode):
            raise SubsetError(f"{where}: a folder; give a text file of synsets or of image names")
        # To open a pipe waits for its writer, and it can be read only once.
        if not stat.S_ISREG(mode):
            raise SubsetError(f"{where}: not a regular file; write the list to a text file and give that")
        with open(value, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise SubsetError(
            f"{where}: there is no such file, and the packaged subsets are {', '.join(PACKAGED)}; give one of these or "
            "the path of a list"
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SubsetError(f"{where}: the list cannot be read: {reason}; give a file that can be read") from error
    if len(data) > MAX_BYTES:
        raise SubsetError(
            f"{where}: larger than {format_size(MAX_BYTES)}, so not a list of synsets or images; give such a list"
        )
    return data


def _printable(value: str) -> str:
    """Return a path as messages show it: in one line, which a terminal can write."""
    return value if value.isprintable() else repr(value)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")

"""The label tables: which synsets there are, what they mean, and what each validation image shows.

Each may also be the file that Kaggle's copy of ILSVRC has in its place: ``LOC_synset_mapping.txt``, a line
``<synset> <words>`` for each synset, or ``LOC_val_solution.csv``. They are recognised by their first line.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from luigi_ilsvrc.errors import BuildError

UNIQUE_SYNSETS = "unique_synsets.txt"
VALIDATION_SYNSET_LABELS = "validation_synset_labels.txt"
SYNSET_ENGLISH_KEY = "synset_english_key.txt"

PACKAGED_TABLES = Path(__file__).parent / "tables"
"""The tables of the challenge itself: 1000 synsets, 50,000 validation labels, 1000 lines of English."""

SYNSET_PATTERN = r"n[0-9]{8}"
"""A WordNet noun offset, as ImageNet writes it: ``n01440764``."""

SYNSET = re.compile(SYNSET_PATTERN)

_MAPPING = re.compile(rf"({SYNSET_PATTERN}) (.*\S)\s*")
"""A line of Kaggle's mapping."""

_SOLUTION = re.compile(
    rf"ILSVRC2012_val_([0-9]{{8}}),({SYNSET_PATTERN})(?: -?[0-9]+)*(?: {SYNSET_PATTERN}(?: -?[0-9]+)*)* ?"
)
"""A line of Kaggle's solution: an image, then for each object its synset and the pixels of its box."""

_SOLUTION_HEADER = "ImageId,PredictionString"


class TableError(BuildError):
    """A label table is missing, malformed or contradicts another one."""


@dataclass(frozen=True)
class LabelTables:
    """The three label tables of a build.

    Attributes
    ----------
    unique_synsets, validation_synset_labels, synset_english_key : Path
        The files; their formats are those of `read_synsets`, `read_validation_labels` and `read_class_names`.
    """

    unique_synsets: Path
    validation_synset_labels: Path
    synset_english_key: Path

    def synsets(self) -> list[str]:
        """Read the synsets, in the order of their labels; see `read_synsets`."""
        return list(_read_once(self.unique_synsets, *_state(self.unique_synsets)))

    def validation_labels(self) -> list[str]:
        """Read the synset of each validation image; see `read_validation_labels`."""
        return read_validation_labels(self.validation_synset_labels, self.synsets())

    def class_names(self) -> dict[str, str]:
        """Read the English words of each synset; see `read_class_names`."""
        return read_class_names(self.synset_english_key, self.synsets())


def official_form(name: str, path: Path) -> bytes:
    """Return a label table as it would be under its official name: Kaggle's files are converted, all else is unchanged.

    So the tables of a build are the same whatever form of source they came with. A damaged file is unchanged too: who
    reads it says what is wrong. Raises OSError.
    """
    try:
        lines = _lines(path)
        if name == VALIDATION_SYNSET_LABELS and lines[0][1] == _SOLUTION_HEADER:
            return _joined(synset for _, synset in _in_order(path, lines[1:]))
        if name != VALIDATION_SYNSET_LABELS and _is_mapping(lines):
            pairs = [_split_mapping(path, number, line) for number, line in lines]
            return _joined(synset if name == UNIQUE_SYNSETS else "\t".join((synset, words)) for synset, words in pairs)
    except TableError:
        pass
    return path.read_bytes()


def _joined(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _state(path: Path) -> tuple[int, int]:
    """Return what changes with the contents of a file: its time in nanoseconds and its size in bytes."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _read_once(path: Path, mtime_ns: int, size: int) -> tuple[str, ...]:
    # Each of a thousand tasks asks whether its synset is in the table.
    return tuple(read_synsets(path))


def read_synsets(path: Path) -> list[str]:
    """Read the synset table: one synset a line; a synset's label is the number of its line, from 1.

    Words after a synset are ignored, as in Kaggle's mapping.

    Raises
    ------
    TableError
        Naming file and line, if the file cannot be read, a line is not a synset, or a synset stands there twice.
    """
    synsets: dict[str, int] = {}
    lines = _lines(path)
    is_mapping = _is_mapping(lines)
    for number, line in lines:
        synset = _split_mapping(path, number, line)[0] if is_mapping else _synset(path, number, line)
        if synset in synsets:
            raise TableError(
                f"{path}:{number}: {synset} stands in line {synsets[synset]} already; each synset has one line"
            )
        synsets[synset] = number
    return list(synsets)


def read_validation_labels(path: Path, synsets: Collection[str]) -> list[str]:
    """Read the validation table: line n is the synset of ``ILSVRC2012_val_<n>.JPEG``.

    In Kaggle's solution, lines name their images, and the first token after that is the synset.

    Raises
    ------
    TableError
        Naming file and line, if the file cannot be read, a line is not one of `synsets`, or Kaggle's solution has not
        one line for each image from 1 on.
    """
    known = set(synsets)
    labels = []
    lines = _lines(path)
    for number, line in _in_order(path, lines[1:]) if lines[0][1] == _SOLUTION_HEADER else lines:
        synset = _synset(path, number, line)
        if synset not in known:
            raise TableError(f"{path}:{number}: {synset} is not in the table of synsets ({len(known)} of them)")
        labels.append(synset)
    return labels


def read_class_names(path: Path, synsets: Sequence[str]) -> dict[str, str]:
    """Read the English words of each synset: ``<synset>`` TAB ``<words>`` a line, or with a space as Kaggle's mapping.

    ImageNet's own key lists 21,842 synsets, so lines for other ones than `synsets` are ignored.

    Returns
    -------
    dict
        The words of each of `synsets`, in their order.

    Raises
    ------
    TableError
        Naming file and line, if the file cannot be read, a line is malformed or a synset stands there twice; naming
        the synset if it has no line.
    """
    lines: dict[str, int] = {}
    words: dict[str, str] = {}
    numbered = _lines(path)
    split = _split_mapping if _is_mapping(numbered) else _split_key
    for number, line in numbered:
        synset, text = split(path, number, line)
        if synset in lines:
            raise TableError(f"{path}:{number}: {synset} stands in line {lines[synset]} already")
        lines[synset] = number
        words[synset] = text.strip()
    missing = [synset for synset in synsets if synset not in words]
    if missing:
        raise TableError(
            f"{path}:{len(lines)}: the table ends without a line for {len(missing)} of the {len(synsets)} synsets, "
            f"the first of them {missing[0]}"
        )
    return {synset: words[synset] for synset in synsets}


def _split_key(path: Path, number: int, line: str) -> tuple[str, str]:
    first, tab, text = line.partition("\t")
    synset = _synset(path, number, first)
    if not tab or not text.strip():
        raise TableError(f"{path}:{number}: {line!r} is not '<synset><TAB><words>'")
    return synset, text


def _is_mapping(lines: Sequence[tuple[int, str]]) -> bool:
    return _MAPPING.fullmatch(lines[0][1]) is not None


def _split_mapping(path: Path, number: int, line: str) -> tuple[str, str]:
    match = _MAPPING.fullmatch(line)
    if match is None:
        raise TableError(f"{path}:{number}: {line!r} is not '<synset> <words>', as the lines before it are")
    return match[1], match[2]


def _in_order(path: Path, lines: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the lines of Kaggle's solution, in the order of the images: the number of each line, and its synset."""
    found: dict[int, tuple[int, str]] = {}
    for number, line in lines:
        match = _SOLUTION.fullmatch(line)
        if match is None:
            raise TableError(f"{path}:{number}: {line!r} is not 'ILSVRC2012_val_<8 digits>,<synset> <box> …'")
        image = int(match[1])
        if image in found:
            raise TableError(f"{path}:{number}: validation image {image} stands in line {found[image][0]} already")
        found[image] = number, match[2]
    missing = next((image for image in range(1, len(found) + 1) if image not in found), None)
    if missing is not None or not found:
        raise TableError(
            f"{path}:{len(lines) + 1}: the table ends without a line for ILSVRC2012_val_{missing or 1:08}; "
            f"it has lines for {len(found)} images"
        )
    return [found[image] for image in sorted(found)]


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TableError(f"{path}: the label table cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise TableError(f"{path}:{line}: not UTF-8 text") from error
    lines = text.rstrip().split("\n")
    if lines == [""]:
        raise TableError(f"{path}:1: the label table is empty")
    return list(enumerate((line.rstrip("\r") for line in lines), start=1))


def _synset(path: Path, number: int, line: str) -> str:
    if not SYNSET.fullmatch(line):
        raise TableError(f"{path}:{number}: {line!r} is not a synset such as n01440764; fix the line")
    return line

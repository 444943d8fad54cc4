"""Damages and forges the archives of a miniature at random, and looks at what is made of them.

``python -m tests.reliability.fuzz [--seconds 60] [--seed N]``: each case goes through the modules, some through whole
Luigi builds, without checksums. A case must end in what Python's own tarfile reads from the same archive, or in a
`BuildError`; anything else is a wrong result. What is written outside the data directory is an escape. Exits with 1
if there is one of either.
"""

import argparse
import gzip
import io
import os
import random
import shutil
import struct
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from luigi_ilsvrc import extract, miniature
from luigi_ilsvrc.dataset import boxes, synsets
from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.dataset.tar_header import BLOCK
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import write_shard
from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from tests.support.running import luigi

Files = dict[str, bytes]


class WrongResultError(Exception):
    """What was made is not what the archive holds."""


# Mutations -----------------------------------------------------------------------------------------------------------


def _flip(archive: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 1, 8))):
        archive[rng.randrange(len(archive))] ^= 1 << rng.randrange(8)


def _truncate(archive: bytearray, rng: random.Random) -> None:
    del archive[rng.randrange(len(archive)) :]


def _cut_out(archive: bytearray, rng: random.Random) -> None:
    start, size = _stretch(archive, rng)
    del archive[start : start + size]


def _double(archive: bytearray, rng: random.Random) -> None:
    start, size = _stretch(archive, rng)
    archive[start:start] = archive[start : start + size]


def _swap(archive: bytearray, rng: random.Random) -> None:
    first, size = _stretch(archive, rng)
    second = rng.randrange(0, len(archive), BLOCK)
    piece = archive[first : first + size]
    archive[first : first + size] = archive[second : second + size]
    archive[second : second + size] = piece


def _splice(archive: bytearray, rng: random.Random) -> None:
    start, size = _stretch(archive, rng)
    other = rng.randrange(len(archive))
    archive[start : start + size] = archive[other : other + size]


def _blank(archive: bytearray, rng: random.Random) -> None:
    start, size = _stretch(archive, rng)
    archive[start : start + size] = bytes(len(archive[start : start + size]))


def _scribble(archive: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(archive))
    archive[start : start + 20] = rng.randbytes(20)


def _stretch(archive: bytearray, rng: random.Random) -> tuple[int, int]:
    """Choose where, and how many bytes; mostly whole blocks, as these are what a tar still makes sense of."""
    grain = rng.choice((1, BLOCK, BLOCK, BLOCK))
    return rng.randrange(0, len(archive), grain), grain * rng.randint(1, 12)


def _headers(archive: bytearray) -> list[int]:
    return [
        position - 257
        for position in range(257, len(archive) - 255, BLOCK)
        if archive[position : position + 5] == b"ustar"
    ]


def _forge(archive: bytearray, rng: random.Random) -> None:
    """Rewrite a field of a header, with the right checksum."""
    headers = _headers(archive)
    if not headers:
        return
    start = rng.choice(headers)
    header = archive[start : start + BLOCK]
    field, values = rng.choice(_FORGERIES)
    value = rng.choice(values)
    header[field : field + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    archive[start : start + BLOCK] = header


_NAMES = (
    *(b"../escaped\0", b"../../../escaped.JPEG\0", b"/tmp/luigi-ilsvrc-escaped\0", b"n01440764/../../escaped.xml\0"),
    *(b"n01440764.tar\0", b"n02105855_1.JPEG\0", b"ILSVRC2012_val_00000001.JPEG\0", b"\0", b"\xff\xfe\0", b"con\n\0"),
)
_SIZES = (
    *(b"00000000000\0", b"77777777777\0", b"00000000001\0", b"00000001000\0", b"-0000000001\0", b"\x80" + bytes(11)),
    *(b"0000000_010\0", b"0o000000010\0", b"0000000 010\0", b"         10 ", b"\0 0000000010", b"\0" * 12),
)
_KINDS = tuple(bytes([kind]) for kind in b"\x00123456789xgLKSVMN")
# No other magic: behind that of old GNU tar, tarfile takes the field at 345 for a part of the name; GNU tar does not,
# nor do we.
_FORGERIES = ((0, _NAMES), (124, _SIZES), (156, _KINDS), (345, (b"../..\0",)))

MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_flip, _truncate, _cut_out, _double, _swap, _splice, _blank, _scribble),
    *(_forge, _forge),
)


def mutate(archive: bytes, rng: random.Random) -> bytes:
    """Return an archive with one to three things done to it."""
    mutated = bytearray(archive)
    for _ in range(rng.choice((1, 1, 2, 3))):
        if mutated:
            rng.choice(MUTATIONS)(mutated, rng)
    return bytes(mutated)


def mutate_gzip(archive: bytes, rng: random.Random) -> bytes:
    """Return a gzip file, itself mutated or of a mutated tar."""
    return mutate(archive, rng) if rng.random() < 0.3 else gzip.compress(mutate(gzip.decompress(archive), rng), 1)


# What the archives hold, by tarfile ----------------------------------------------------------------------------------


def _read_tar(archive: bytes) -> Files:
    """Return name and contents of each regular file."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as tar:
        found = {}
        for member in tar:
            if member.isreg():
                file = tar.extractfile(member)
                assert file is not None
                found[member.name] = file.read()
        return found


def read_train(archive: bytes) -> Files:
    """Return each training image by ``<synset>/<name>``."""
    return {
        f"{outer.removesuffix('.tar')}/{name}": image
        for outer, tar in _read_tar(archive).items()
        for name, image in _read_tar(tar).items()
    }


def read_annotations(archive: bytes) -> Files:
    """Return each annotation by ``<synset>/<synset>_<n>.xml``."""
    return {name.removeprefix("./"): xml for name, xml in _read_tar(gzip.decompress(archive)).items()}


def _read_folder(folder: Path) -> Files:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _expect(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise WrongResultError(what)


# The modules ---------------------------------------------------------------------------------------------------------


class Sample:
    """A miniature to be mutated; each method builds a part of it, in a folder, from a mutated archive.

    They raise a `BuildError` if the archive is refused, `WrongResultError` if the result is not right.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.train = (directory / TRAIN_ARCHIVE.name).read_bytes()
        self.validation = (directory / VALIDATION_ARCHIVE.name).read_bytes()
        self.boxes = (directory / BOUNDING_BOX_ARCHIVE.name).read_bytes()
        self.table = synsets.read_synsets(directory / synsets.UNIQUE_SYNSETS)
        self.label_table = directory / synsets.VALIDATION_SYNSET_LABELS
        self.labels = synsets.read_validation_labels(self.label_table, self.table)
        self._annotations = read_annotations(self.boxes)

    def build_train(self, archive: bytes, data_dir: Path) -> None:
        """Index and extract the training images."""
        path = data_dir / "training_images.tar"
        path.write_bytes(archive)
        images = official.index_train(path, self.table)
        folders = data_dir / "training_images"
        with ImageReader(data_dir, folders) as reader:
            for synset in self.table:
                (folders / synset).mkdir(parents=True)
                extract.extract_synset(reader, [image for image in images if image.synset == synset], folders / synset)
        _expect(_read_folder(folders), read_train(archive), "training images")
        self._write_shard(images, data_dir)

    def build_validation(self, archive: bytes, data_dir: Path) -> None:
        """Index and extract the validation images."""
        path = data_dir / "validation_images.tar"
        path.write_bytes(archive)
        images = official.index_validation(path, self.labels, self.label_table)
        folders = data_dir / "validation_images"
        folders.mkdir()
        with ImageReader(data_dir, folders) as reader:
            extract.extract_sorted(reader, images, folders)
        wanted = {f"{self.labels[int(name[15:23]) - 1]}/{name}": image for name, image in _read_tar(archive).items()}
        _expect(_read_folder(folders), wanted, "validation images")
        self._write_shard(images, data_dir)

    def build_boxes(self, archive: bytes, data_dir: Path) -> None:
        """Extract the annotations and write the CSV."""
        path = data_dir / "training_bounding_boxes.tar.gz"
        path.write_bytes(archive)
        folders = data_dir / "training_bounding_boxes"
        folders.mkdir()
        extract.extract_annotations(official.annotations_in(path), folders)
        wanted = read_annotations(archive)
        _expect(_read_folder(folders), wanted, "annotations")
        touched = {name for name, _ in wanted.items() ^ self._annotations.items()}
        untouched = {Path(name).stem for name in wanted if name not in touched}
        lines = [line for line in self._csv(path, data_dir) if line.partition(".")[0] in untouched]
        (data_dir / "original.tar.gz").write_bytes(self.boxes)
        original = self._csv(data_dir / "original.tar.gz", data_dir)
        _expect(lines, [line for line in original if line.partition(".")[0] in untouched], "bounding boxes")

    def _csv(self, archive: Path, data_dir: Path) -> list[str]:
        path = data_dir / "bounding_boxes.csv"
        boxes.write_csv(official.annotations_in(archive), self.table, archive, path)
        return path.read_text().splitlines()

    @staticmethod
    def _write_shard(images: list[ImageLocation], data_dir: Path) -> None:
        planned = [PlannedImage(image, 1, "text", []) for image in images]
        path = data_dir / "shard"
        with ImageReader(data_dir, data_dir / "nowhere") as reader:
            write_shard(tfrecord, reader, planned, path)
            wanted = [as_rgb_jpeg(reader.read(image)).encoded for image in images]
        _expect(_encoded_images(path), wanted, "TFRecords")


def _encoded_images(shard: Path) -> list[bytes]:
    """Read a TFRecord file by its format alone: https://www.tensorflow.org/tutorials/load_data/tfrecord."""
    from tensorflow.train import Example

    contents, position, found = shard.read_bytes(), 0, []
    while position < len(contents):
        (size,) = struct.unpack_from("<Q", contents, position)
        record = Example.FromString(contents[position + 12 : position + 12 + size])
        found.append(bytes(record.features.feature["image/encoded"].bytes_list.value[0]))
        position += 16 + size
    return found


def build_with_luigi(sample: Sample, archives: dict[str, bytes], directory: Path) -> None:
    """Run a whole build from mutated archives, without checksums; raise as a `Sample` does."""
    source, data_dir = directory / "source", directory / "built"
    shutil.copytree(sample.directory, source)
    for name, archive in archives.items():
        (source / name).write_bytes(archive)
    status, output = luigi(
        *("BuildAll", "--data-dir", data_dir, "--source", source, "--checksums", "none", "--formats", "none")
    )
    if "Traceback" in output or (status and "ERROR: " not in output):
        raise WrongResultError(output)
    if list(data_dir.rglob("*.partial*")):
        raise WrongResultError("a temporary file was left")
    if status:
        raise BuildError(output)
    dataset = data_dir / "ilsvrc2012"
    _expect(_read_folder(dataset / "training_images"), read_train(archives[TRAIN_ARCHIVE.name]), "training images")
    annotations = read_annotations(archives[BOUNDING_BOX_ARCHIVE.name])
    _expect(_read_folder(dataset / "training_bounding_boxes"), annotations, "annotations")


# Escapes -------------------------------------------------------------------------------------------------------------

_WRITES = {
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.rename",
    "os.mkfifo",
    "os.mknod",
    "os.chmod",
    "os.truncate",
    "os.remove",
    "os.rmdir",
}


class _Watch:
    """Notes what this process writes outside a folder; Python tells of each file that it opens or makes."""

    def __init__(self) -> None:
        self.allowed: str | None = None
        self.escapes: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event in _WRITES:
            # Of two paths, the second is the new one; the others are no paths.
            path = arguments[1] if event in ("os.link", "os.symlink", "os.rename") else arguments[0]
        else:
            return
        if isinstance(path, (str, bytes, os.PathLike)) and not _lies_in(os.fsdecode(path), self.allowed):
            self.escapes.append(os.fsdecode(path))


def _lies_in(path: str, folder: str) -> bool:
    return path == os.devnull or f"{os.path.abspath(path)}/".startswith(f"{folder}/")


_watch = _Watch()


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Yield a list of what the block writes outside a folder."""
    _watch.allowed, _watch.escapes = str(folder.resolve()), []
    try:
        yield _watch.escapes
    finally:
        _watch.allowed = None


# The command ---------------------------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What came of all cases."""

    cases: int = 0
    errors: int = 0
    builds: int = 0
    wrong: list[str] = field(default_factory=list)
    escapes: list[str] = field(default_factory=list)


def run_case(case: Callable[[Path], None], sandbox: Path, tally: Tally) -> None:
    """Run one case in a new folder of a sandbox, and count what comes of it."""
    data_dir = sandbox / "data"
    data_dir.mkdir()
    before = set(os.listdir(sandbox))
    tally.cases += 1
    with watched(data_dir) as escapes:
        try:
            case(data_dir)
        except BuildError:
            tally.errors += 1
        except Exception as error:
            tally.wrong.append(f"case {tally.cases}: {type(error).__name__}: {error}")
    tally.escapes += [*escapes, *(set(os.listdir(sandbox)) - before)]
    shutil.rmtree(data_dir)


def fuzz(directory: Path, seconds: float, seed: int) -> Tally:
    """Run random cases for some seconds; one second in four goes into whole builds."""
    # Before the clock starts.
    import tensorflow  # noqa: F401

    miniature.write(directory / "source", synsets=3, train_images=12, validation_images=6, xml_files=8, tiny=True)
    sample = Sample(directory / "source")
    rng = random.Random(seed)
    tally, started, building = Tally(), time.monotonic(), 0.0
    while (passed := time.monotonic() - started) < seconds:
        if building < passed / 4:
            archives = {
                name: (sample.directory / name).read_bytes() for name in (TRAIN_ARCHIVE.name, BOUNDING_BOX_ARCHIVE.name)
            }
            name = rng.choice(list(archives))
            archives[name] = (mutate if name == TRAIN_ARCHIVE.name else mutate_gzip)(archives[name], rng)
            before = time.monotonic()
            run_case(partial(build_with_luigi, sample, archives), directory, tally)
            building += time.monotonic() - before
            tally.builds += 1
        for build, original, change in (
            (sample.build_train, sample.train, mutate),
            (sample.build_validation, sample.validation, mutate),
            (sample.build_boxes, sample.boxes, mutate_gzip),
        ):
            run_case(partial(build, change(original, rng)), directory, tally)
    return tally


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, metavar="S")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-fuzz-") as directory:
        tally = fuzz(Path(directory), arguments.seconds, arguments.seed)
    for line in (*tally.wrong, *tally.escapes):
        print(line)
    print(
        f"{tally.cases} cases ({tally.builds} whole builds), {tally.errors} errors, {len(tally.wrong)} wrong results, "
        f"{len(tally.escapes)} escapes; seed {arguments.seed}"
    )
    sys.exit(1 if tally.wrong or tally.escapes else 0)


if __name__ == "__main__":
    main()

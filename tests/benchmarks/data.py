"""What is measured on: miniatures, made once."""

from functools import cached_property
from pathlib import Path
from typing import Any

from luigi_ilsvrc import miniature
from luigi_ilsvrc.build_record import remember_archive
from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.download.checksums import read_checksums
from tests.benchmarks.measure import tell

IMAGES, ANNOTATIONS, SYNSETS, TRAIN_SHARDS, VALIDATION_SHARDS = 20_000, 100_000, 1000, 1024, 128
"""At scale 1."""
LIMITED_BYTES = 400_000_000
"""At scale 1, for downloads from a slow server."""

_IMAGES_PER_SYNSET = 1281
_IMAGES_PER_SHARD = 1251
_IMAGES_PER_PARQUET_FILE = 4358
_LEAST = 8


class Data:
    """The miniatures of a scale, below a folder; each is made when it is first asked for.

    Parameters
    ----------
    directory : Path
        Where they go.
    scale : float
        1 gives the sizes that the goals are stated for.
    workers : int
        How many worker processes ours has; the peers have what they have.
    """

    def __init__(self, directory: Path, scale: float, workers: int = 2) -> None:
        self.directory = directory
        self.workers = workers
        self._scale = scale

    def scaled(self, count: int, least: int = _LEAST) -> int:
        """Return a count at this scale."""
        return max(least, round(count * self._scale))

    @cached_property
    def photographs(self) -> Path:
        """Images of the real size; synsets and shards of about the real number of images."""
        return self._make(
            "photographs",
            synsets=max(_LEAST, self.images // _IMAGES_PER_SYNSET),
            train_images=self.images,
            validation_images=self.validation_images,
        )

    @cached_property
    def parquet(self) -> Path:
        """The training photographs as Hugging Face has them: about 500 MB a file, and 100 rows a group."""
        from tests.support.parquet_files import rows_of, write_files

        tell("making parquet files")
        count = max(1, self.images // _IMAGES_PER_PARQUET_FILE)
        write_files(self.directory / "parquet", TRAIN, rows_of(self.photographs, TRAIN), count, 100)
        return self.directory / "parquet"

    @property
    def images(self) -> int:
        """How many training images there are among the photographs."""
        return self.scaled(IMAGES)

    @property
    def validation_images(self) -> int:
        """How many validation images there are among the photographs: one for 25, as in the full data set."""
        return max(50, self.images // 25)

    @property
    def shards(self) -> tuple[int, int]:
        """How many shards the photographs make."""
        return max(_LEAST, round(self.images / _IMAGES_PER_SHARD)), 1

    @cached_property
    def annotations(self) -> Path:
        """As many annotations as images, which are tiny and of no interest here."""
        count = self.scaled(ANNOTATIONS)
        synsets = max(1, count // _IMAGES_PER_SYNSET)
        return self._make(
            "annotations", synsets=synsets, train_images=count, validation_images=synsets, xml_files=count, tiny=True
        )

    @cached_property
    def trivial(self) -> Path:
        """One tiny image a synset and split; at scale 1 all synsets."""
        count = self.scaled(SYNSETS)
        return self._make("trivial", synsets=count, train_images=count, validation_images=count, tiny=True)

    @cached_property
    def slow(self) -> Path:
        """The head of the photographs' archive, for downloads from a slow server."""
        directory = self.directory / "slow"
        directory.mkdir()
        with (
            (self.photographs / archives.TRAIN_ARCHIVE.name).open("rb") as archive,
            (directory / archives.TRAIN_ARCHIVE.name).open("wb") as head,
        ):
            head.write(archive.read(self.scaled(LIMITED_BYTES)))
        return directory

    def _make(self, name: str, **counts: Any) -> Path:
        tell(f"making {name}: {', '.join(f'{what} {count:,}' for what, count in counts.items())}")
        miniature.write(self.directory / name, **counts)
        return self.directory / name


def md5_of(source: Path, name: str) -> str:
    """Return what a miniature's ``MD5SUMS`` says."""
    return read_checksums(source / "MD5SUMS")[name]


def link_archives(source: Path, data_dir: Path) -> None:
    """Put the archives where a finished download leaves them, with the records that they were verified."""
    paths = DataSetPaths(data_dir)
    paths.manifests.mkdir(parents=True)
    for archive in archives.ARCHIVES:
        paths.archive(archive).hardlink_to(source / archive.name)
        remember_archive(paths.archive(archive), md5_of(source, archive.name), paths.archive_record(archive))


def megabytes(path: Path) -> str:
    """Return a file's size for a person."""
    return f"{path.stat().st_size / 1e6:,.0f} MB"

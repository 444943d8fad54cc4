import re
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import read_class_names, read_synsets
from luigi_ilsvrc.report.build import ReportedBuild

_TIMINGS = re.compile(r"<!-- timings -->.*<!-- end of timings -->", re.DOTALL)


def without_timings(page: str) -> str:
    """Return a page without what differs between two builds of the same data."""
    page, count = _TIMINGS.subn("", page.rpartition("<!-- made from")[0] or page)
    assert count == 1
    return page


@pytest.fixture(scope="session")
def describe(ilsvrc: Path) -> Callable[..., ReportedBuild]:
    """Describes a build of the miniature, as its task does."""
    synsets = read_synsets(ilsvrc / "unique_synsets.txt")
    names = read_class_names(ilsvrc / "synset_english_key.txt", synsets)

    def describe(data_dir: Path, formats: tuple[str, ...] = ("tfrecord",)) -> ReportedBuild:
        paths = DataSetPaths(data_dir)
        splits = ("train", "validation")
        return ReportedBuild(
            paths,
            names,
            {split: paths.index(split) for split in splits},
            dict.fromkeys(splits, "official archives"),
            formats,
            {"train": 8, "validation": 3},
        )

    return describe

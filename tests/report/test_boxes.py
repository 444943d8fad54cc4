from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from luigi_ilsvrc.dataset.annotations import Box
from luigi_ilsvrc.report.boxes import boxes_of, count_of, coverage, read_boxes
from luigi_ilsvrc.report.build import ReportedBuild

Describe = Callable[..., ReportedBuild]


def table(*boxes: tuple[float, ...]) -> pd.DataFrame:
    return pd.DataFrame([("a.JPEG", *box) for box in boxes], columns=["image", *Box._fields])


def test_a_cell_is_covered_by_the_boxes_around_its_centre() -> None:
    covered = coverage(table((0, 0, 1, 0.5), (0.5, 0, 1, 1)), 4)
    assert covered.tolist() == [[0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]


def test_boxes_over_all_of_the_image_cover_all_cells() -> None:
    assert (coverage(table((0, 0, 1, 1), (0, 0, 1, 1)), 8) == 1).all()


def test_no_boxes_cover_nothing() -> None:
    assert not coverage(table(), 8).any()


def test_coverage_is_that_of_counting_each_box_by_itself() -> None:
    random = np.random.default_rng(1)
    edges = np.sort(random.random((50, 2, 2)), axis=2)
    boxes = [(x[0], y[0], x[1], y[1]) for x, y in edges]
    centres = (np.arange(16) + 0.5) / 16
    counted = np.mean(
        [np.outer((y0 <= centres) & (centres < y1), (x0 <= centres) & (centres < x1)) for x0, y0, x1, y1 in boxes],
        axis=0,
    )
    assert np.allclose(coverage(table(*boxes), 16), counted)


@pytest.mark.parametrize(("what", "count"), [("swapped", 2), ("no_extent", 13), ("extent", 0), ("other", 0)])
def test_what_is_odd_is_counted_by_its_whole_name(what: str, count: int) -> None:
    assert count_of("no_extent:13 swapped:2", what) == count


def test_boxes_and_annotations_of_a_build_are_read(built: Path, describe: Describe) -> None:
    boxes = read_boxes(describe(built))
    assert boxes is not None
    assert boxes.annotations is not None
    assert len(boxes.table) == len((built / "bounding_boxes.csv").read_text().splitlines())
    assert int(boxes.annotations["kept"].sum()) == len(boxes.table)
    assert boxes.outside == {"n00007846": 1}
    [image] = boxes.table["image"].head(1)
    assert len(boxes_of(boxes.table, [image])[image]) == (boxes.table["image"] == image).sum()


def test_a_build_without_boxes_has_none(tmp_path: Path, describe: Describe) -> None:
    assert read_boxes(describe(tmp_path)) is None


def test_boxes_are_read_also_if_what_was_dropped_is_not_known(data_dir: Path, describe: Describe) -> None:
    build = describe(data_dir)
    build.paths.details(build.paths.bounding_boxes).unlink()
    build.paths.bounding_boxes.write_bytes(b"")
    boxes = read_boxes(build)
    assert boxes is not None
    assert (len(boxes.table), boxes.annotations) == (0, None)
    assert boxes.problem.endswith("bounding_boxes.csv.csv is missing")

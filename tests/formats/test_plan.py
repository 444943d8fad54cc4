import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.formats.plan import PlannedImage, plan_file, read_plan, shard_bounds, write_plan
from luigi_ilsvrc.layouts.index import write_index
from tests.formats.planned import location

CLASS_NAMES = {"n01440764": "tench, Tinca tinca", "n02105855": 'a "sheepdog"'}
IN_ORDER = [f"n01440764_{n}.JPEG" for n in (1, 10, 2)] + [f"n02105855_{n}.JPEG" for n in (3, 4, 5, 6)]


def plan(directory: Path, num_shards: int) -> list[list[PlannedImage]]:
    """Plan seven images, the third with two boxes."""
    index, csv, folder = directory / "index", directory / "bounding_boxes.csv", directory / f"plan-{num_shards}"
    index.mkdir(exist_ok=True)
    write_index([location(name, offset) for offset, name in enumerate(IN_ORDER)], CLASS_NAMES, index)
    csv.write_text("n01440764_2.JPEG,0.1000,0.2000,0.3000,0.4000\nn01440764_2.JPEG,0.0000,0.0000,1.0000,0.5000\n")
    folder.mkdir()
    write_plan(index, CLASS_NAMES, csv, num_shards, folder)
    return [read_plan(folder, shard) for shard in range(num_shards)]


@pytest.fixture
def planned(tmp_path: Path) -> list[PlannedImage]:
    return [image for shard in plan(tmp_path, 2) for image in shard]


# What is planned -----------------------------------------------------------------------------------------------------


def test_images_are_sorted_by_synset_and_name_then_shuffled_with_the_seed(planned: list[PlannedImage]) -> None:
    positions = list(range(7))
    random.Random(12345).shuffle(positions)
    assert [image.location.name for image in planned] == [IN_ORDER[position] for position in positions]


def test_labels_count_from_one_in_the_order_of_the_table(planned: list[PlannedImage]) -> None:
    labels = {image.location.synset: (image.label, image.text) for image in planned}
    assert labels == {"n01440764": (1, "tench, Tinca tinca"), "n02105855": (2, 'a "sheepdog"')}


def test_an_image_has_its_boxes_in_the_order_of_the_csv(planned: list[PlannedImage]) -> None:
    assert {image.location.name: image.boxes for image in planned if image.boxes} == {
        "n01440764_2.JPEG": [(0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 0.5)]
    }


def test_a_plan_says_where_each_image_lies(planned: list[PlannedImage]) -> None:
    assert sorted(image.location for image in planned) == [
        location(name, offset) for offset, name in enumerate(IN_ORDER)
    ]


def test_the_order_does_not_depend_on_the_number_of_shards(planned: list[PlannedImage], tmp_path: Path) -> None:
    assert [image for shard in plan(tmp_path, 3) for image in shard] == planned


def test_a_plan_of_more_shards_than_images_has_empty_ones(tmp_path: Path) -> None:
    assert sorted(map(len, plan(tmp_path, 8))) == [0, *[1] * 7]


def test_a_plan_has_a_file_for_each_shard(tmp_path: Path) -> None:
    plan(tmp_path, 3)
    folder = tmp_path / "plan-3"
    assert sorted(folder.iterdir()) == [folder / plan_file(shard) for shard in range(3)]


def test_a_plan_repeats_its_bytes(tmp_path: Path) -> None:
    written = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        plan(tmp_path / name, 2)
        written.add((tmp_path / name / "plan-2" / plan_file(1)).read_bytes())
    assert len(written) == 1


def test_the_progress_counts_shards(tmp_path: Path) -> None:
    plan(tmp_path, 2)
    (tmp_path / "again").mkdir()
    reported: list[tuple[str, int, int | None, str]] = []
    write_plan(
        *(tmp_path / "index", CLASS_NAMES, tmp_path / "bounding_boxes.csv", 3, tmp_path / "again"),
        lambda *report: reported.append(report),
    )
    assert [report[1:] for report in reported] == [(1, 3, "shards"), (2, 3, "shards"), (3, 3, "shards")]


# How images are divided ----------------------------------------------------------------------------------------------


def test_shards_are_even_within_eight_even_groups() -> None:
    assert shard_bounds(100, 16)[:5] == [0, 6, 12, 18, 25]


def test_a_number_of_shards_that_eight_does_not_divide_makes_one_group() -> None:
    assert shard_bounds(100, 3) == [0, 33, 66, 100]


def test_the_real_counts_give_the_sizes_of_the_inception_scripts() -> None:
    bounds = shard_bounds(1_281_167, 1024)
    assert bounds[:3] == [0, 1251, 2502]
    assert {after - before for before, after in itertools.pairwise(bounds)} == {1251, 1252}


@given(images=st.integers(0, 2_000_000), num_shards=st.integers(1, 300))
def test_shards_end_at_the_positions_that_the_inception_scripts_round_to(images: int, num_shards: int) -> None:
    numpy = pytest.importorskip("numpy")
    groups = 8 if num_shards % 8 == 0 else 1
    spacing = numpy.linspace(0, images, groups + 1).astype(int)
    bounds = [0]
    for group in range(groups):
        bounds += list(numpy.linspace(spacing[group], spacing[group + 1], num_shards // groups + 1).astype(int)[1:])
    assert shard_bounds(images, num_shards) == bounds


@given(images=st.integers(0, 2000), num_shards=st.integers(1, 300))
def test_every_image_is_in_exactly_one_shard(images: int, num_shards: int) -> None:
    bounds = shard_bounds(images, num_shards)
    assert len(bounds) == num_shards + 1
    assert (bounds[0], bounds[-1]) == (0, images)
    assert bounds == sorted(bounds)

from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.formats.plan import plan_file, read_plan, write_plan
from luigi_ilsvrc.layouts.index import ImageLocation, write_index
from luigi_ilsvrc.storage.manifest import Entry, entry_of
from luigi_ilsvrc.verify.plans import read_expected, same_plan, write_entries

CLASS_NAMES = {"n01440764": "tench", "n01443537": "goldfish"}
NUM_SHARDS = 3
BOXES = "n01440764_1.JPEG,0.1000,0.2000,0.3000,0.4000\n"

Plan = Callable[..., Path]


def locations(file: str = "training_images.tar") -> list[ImageLocation]:
    return [
        ImageLocation(f"{synset}_{number}.JPEG", synset, file, 512 * number, 100 + number)
        for synset in CLASS_NAMES
        for number in range(10)
    ]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Writes a plan of 20 images."""

    def write(
        name: str,
        images: list[ImageLocation] | None = None,
        class_names: dict[str, str] | None = None,
        boxes: str = BOXES,
    ) -> Path:
        directory = tmp_path / name
        for made in ("index", "plan"):
            (directory / made).mkdir(parents=True)
        write_index(locations() if images is None else images, CLASS_NAMES, directory / "index")
        (directory / "boxes.csv").write_text(boxes)
        write_plan(
            directory / "index", class_names or CLASS_NAMES, directory / "boxes.csv", NUM_SHARDS, directory / "plan"
        )
        return directory / "plan"

    return write


def are_same(first: Path, second: Path) -> bool:
    return all(same_plan(first, second, shard) for shard in range(NUM_SHARDS))


def entry_by_name(location: ImageLocation) -> Entry | None:
    return None if location.name.endswith("_3.JPEG") else entry_of(location.name.encode())


def test_each_planned_image_gets_the_entry_of_its_own_file(plan: Plan) -> None:
    directory = plan("one")
    write_entries(directory.with_name("index"), CLASS_NAMES, NUM_SHARDS, entry_by_name, directory)
    expected = [record for shard in range(NUM_SHARDS) for record in read_expected(directory, shard)]
    assert [record.image for record in expected] == [
        image for shard in range(NUM_SHARDS) for image in read_plan(directory, shard)
    ]
    assert len(expected) == 20
    assert all(record.entry == entry_by_name(record.image.location) for record in expected)
    assert sum(record.entry is None for record in expected) == 2


def test_entries_of_another_number_than_the_planned_images_are_an_error(plan: Plan) -> None:
    directory = plan("one")
    write_entries(directory.with_name("index"), CLASS_NAMES, NUM_SHARDS, entry_by_name, directory)
    path = directory / plan_file(0)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError):
        read_expected(directory, 0)


def test_plans_of_images_in_other_places_are_the_same(plan: Plan) -> None:
    moved = [image._replace(file=f"training_images/{image.name}", offset=0) for image in locations()]
    assert are_same(plan("one"), plan("two", moved))


def test_plans_of_other_images_labels_words_boxes_or_sizes_are_not_the_same(plan: Plan) -> None:
    first = plan("first")
    renamed = [image._replace(name=image.name.replace("_9", "_10")) for image in locations()]
    resized = [image._replace(size=image.size + 1) for image in locations()]
    others = [
        plan("renamed", renamed),
        plan("resized", resized),
        plan("fewer", locations()[1:]),
        plan("labels", class_names=dict(reversed(CLASS_NAMES.items()))),
        plan("words", class_names={**CLASS_NAMES, "n01440764": "Tinca tinca"}),
        plan("without-boxes", boxes=""),
        plan("other-boxes", boxes=BOXES.replace("0.4000", "0.5000")),
    ]
    assert [are_same(first, other) for other in others] == [False] * len(others)

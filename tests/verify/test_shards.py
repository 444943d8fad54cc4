import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.findings import Kind, Report
from luigi_ilsvrc.formats import tfrecord
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import write_shard
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.manifest import Entry, entry_of
from luigi_ilsvrc.verify.shards import ExpectedRecord, verify_shard
from tests.verify.test_files import flip, found, jpeg

BOXES: list[tuple[float, ...]] = [(0.1, 0.2, 0.3, 0.4), (0.0, 0.0, 1.0, 0.5)]


def cmyk(quality: int) -> bytes:
    buffer = BytesIO()
    Image.linear_gradient("L").resize((9, 8)).convert("CMYK").save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


IMAGES = {
    **{f"n01440764_{number}.JPEG": jpeg(number) for number in range(4)},
    "n01440764_4.JPEG": cmyk(90),
}


def plan_of(images: Mapping[str, bytes]) -> list[PlannedImage]:
    """Plan images that lie in a class folder, the second with two boxes."""
    return [
        PlannedImage(
            ImageLocation(name, "n01440764", f"training_images/n01440764/{name}", 0, len(image)),
            1,
            "tench",
            BOXES if number == 1 else [],
        )
        for number, (name, image) in enumerate(images.items())
    ]


class Shard:
    """A shard of five images, the last of which was re-encoded, and what it is verified with."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "shard"
        self.planned = plan_of(IMAGES)
        self.recorded: dict[str, Entry] = {}
        self.entry: Entry | None = None
        self._directory = directory
        self.folder = directory / "training_images" / "n01440764"
        self.folder.mkdir(parents=True)
        for name, image in IMAGES.items():
            (self.folder / name).write_bytes(image)
        self.write(self.planned)

    def write(self, planned: Sequence[PlannedImage]) -> None:
        with self.reader() as reader:
            self.written = write_shard(tfrecord, reader, planned, self.path)

    def verify(self, planned: list[PlannedImage] | None = None, progress: Progress = no_progress) -> Report:
        report = Report()
        expected = [ExpectedRecord(image, self.recorded.get(image.location.name)) for image in planned or self.planned]
        with self.reader() as reader:
            found = verify_shard(tfrecord, self.path, expected, reader.read, report, progress)
        self.entry = None if found is None else found.entry
        self.details = None if found is None else found.records
        return report

    def reader(self) -> ImageReader:
        return ImageReader(self._directory, self._directory / "training_images")

    def reason(self, planned: list[PlannedImage] | None = None) -> str:
        report = self.verify(planned)
        assert found(report) == [(Kind.DAMAGED, self.path)]
        return report.findings[0].reason


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    return Shard(tmp_path)


def test_a_shard_as_it_was_planned_has_no_findings(shard: Shard) -> None:
    assert shard.verify() == Report(files=1, bytes=shard.path.stat().st_size, records=5)


def test_size_and_crc_of_a_shard_that_is_right_are_returned(shard: Shard) -> None:
    shard.verify()
    assert shard.entry == entry_of(shard.path.read_bytes())
    flip(shard.path, -1)
    shard.verify()
    assert shard.entry is None


def test_the_details_of_a_shard_are_found_again_also_without_its_images(shard: Shard) -> None:
    shard.recorded = {name: entry_of(image) for name, image in IMAGES.items()}
    for _ in range(2):
        shard.verify()
        assert shard.details == shard.written.records
        shutil.rmtree(shard.folder, ignore_errors=True)


def test_every_flipped_byte_of_a_shard_is_found(shard: Shard) -> None:
    whole = shard.path.read_bytes()
    for position in range(len(whole)):
        flip(shard.path, position)
        shard.reason()
        shard.path.write_bytes(whole)


def test_a_shard_truncated_at_any_byte_is_found(shard: Shard) -> None:
    whole = shard.path.read_bytes()
    for size in [*range(14), len(whole) // 2, len(whole) - 1]:
        shard.path.write_bytes(whole[:size])
        shard.reason()


def test_without_a_plan_the_checksums_of_the_records_are_checked(shard: Shard) -> None:
    for expected in ([], [(Kind.DAMAGED, shard.path)]):
        report = Report()
        with shard.reader() as reader:
            assert verify_shard(tfrecord, shard.path, None, reader.read, report) is None
        assert found(report) == expected
        flip(shard.path, 100)


def test_bytes_behind_the_last_record_are_found(shard: Shard) -> None:
    shard.path.write_bytes(shard.path.read_bytes() + b"abc")
    shard.reason()


def test_a_record_missing_at_the_end_is_found(shard: Shard) -> None:
    shard.write(shard.planned[:-1])
    assert "4 of 5 records" in shard.reason()


def test_a_record_missing_in_the_middle_is_found(shard: Shard) -> None:
    shard.write(shard.planned[:1] + shard.planned[2:])
    assert "record 1, planned as n01440764_1.JPEG" in shard.reason()


def test_a_record_too_many_is_found(shard: Shard) -> None:
    assert "more than the 4 records" in shard.reason(shard.planned[:-1])


@pytest.mark.parametrize(
    "change", [{"label": 2}, {"text": "shark"}, {"boxes": [(0.1, 0.2, 0.3, 0.5), (0.0, 0.0, 1.0, 0.5)]}, {"boxes": []}]
)
@pytest.mark.parametrize("number", [1, 4])
def test_a_record_that_says_something_else_than_the_plan_is_found(
    shard: Shard, change: dict[str, Any], number: int
) -> None:
    planned = [*shard.planned]
    planned[number] = replace(planned[number], boxes=BOXES)
    shard.write(planned)
    planned[number] = replace(planned[number], **change)
    assert f"record {number}, planned as n01440764_{number}.JPEG" in shard.reason(planned)


def test_a_record_of_another_image_of_the_same_size_is_found(shard: Shard) -> None:
    image = shard.folder / "n01440764_2.JPEG"
    original = image.read_bytes()
    image.write_bytes(original[:-3] + bytes([original[-3] ^ 1]) + original[-2:])
    shard.write(shard.planned)
    image.write_bytes(original)
    assert "record 2, planned as n01440764_2.JPEG" in shard.reason()


def test_a_record_that_is_no_example_is_found(shard: Shard) -> None:
    shard.path.write_bytes(b"".join(tfrecord.frame([b"\xff\xff\xff"])))
    assert "record 0" in shard.reason()


def test_a_shard_is_not_damaged_because_the_images_file_is(shard: Shard) -> None:
    shard.recorded = {name: entry_of(image) for name, image in IMAGES.items()}
    flip(shard.folder / "n01440764_1.JPEG", 300)
    assert found(shard.verify()) == []


def test_a_shard_whose_images_are_gone_is_compared_with_the_plan(shard: Shard) -> None:
    for image in shard.folder.iterdir():
        image.unlink()
    assert found(shard.verify()) == []
    planned = [replace(image, label=2) for image in shard.planned]
    assert "record 0" in shard.reason(planned)


def test_an_image_that_another_version_of_pillow_has_re_encoded_is_no_damage(shard: Shard) -> None:
    image = shard.folder / "n01440764_4.JPEG"
    image.write_bytes(as_rgb_jpeg(cmyk(80)).encoded)
    shard.write([*shard.planned[:-1], replace(shard.planned[-1], location=location_of(image))])
    image.write_bytes(IMAGES[image.name])
    assert found(shard.verify()) == []


def location_of(image: Path) -> ImageLocation:
    file = f"training_images/{image.parent.name}/{image.name}"
    return ImageLocation(image.name, image.parent.name, file, 0, image.stat().st_size)


def test_a_missing_shard_is_named(shard: Shard) -> None:
    shard.path.unlink()
    assert found(shard.verify()) == [(Kind.MISSING, shard.path)]


def test_a_shard_of_other_bytes_than_the_archives_is_found_by_size_and_crc_alone(shard: Shard) -> None:
    shard.recorded = {name: entry_of(image) for name, image in IMAGES.items()}
    assert found(shard.verify()) == []
    shard.recorded["n01440764_1.JPEG"] = entry_of(jpeg(7))
    assert "record 1, planned as n01440764_1.JPEG" in shard.reason()


def test_an_image_in_a_record_is_compared_also_if_only_its_size_and_crc_are_left(shard: Shard) -> None:
    shard.recorded = {name: entry_of(image) for name, image in IMAGES.items()}
    for image in shard.folder.iterdir():
        image.unlink()
    assert found(shard.verify()) == []
    changed = bytearray(IMAGES["n01440764_1.JPEG"])
    changed[-3] ^= 1
    shard.recorded["n01440764_1.JPEG"] = entry_of(bytes(changed))
    assert "record 1, planned as n01440764_1.JPEG" in shard.reason()


def test_a_shard_that_the_disk_does_not_give_is_not_damaged(shard: Shard) -> None:
    shard.path.unlink()
    shard.path.mkdir()
    assert found(shard.verify()) == [(Kind.UNREADABLE, shard.path)]


def test_records_are_counted_as_progress(shard: Shard) -> None:
    reports: list[tuple[str, int, int | None, str]] = []
    shard.verify(progress=lambda *report: reports.append(report))
    assert reports[-1] == ("verifying", 5, 5, "records")

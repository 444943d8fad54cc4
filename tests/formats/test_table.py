"""What each format of the table must do, and the tests' own format too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc.dataset.images import RGBImage, as_rgb_jpeg
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError, write_shard
from luigi_ilsvrc.formats.table import FORMATS, Format
from luigi_ilsvrc.layouts.reader import ImageReader
from tests.formats import lines
from tests.formats.planned import jpeg, planned, write_images

EVERY_FORMAT = pytest.mark.parametrize(
    "record_format", [pytest.param(it, id=name) for name, it in {**FORMATS, lines.NAME: lines}.items()]
)


@pytest.fixture
def images(tmp_path: Path) -> list[PlannedImage]:
    """Five images in an archive, of which the fourth has to be re-encoded."""
    modes = ["RGB", "L", "RGB", "CMYK", "RGB"]
    return write_images(tmp_path, {f"n01440764_{n}.JPEG": jpeg(8 + n, 6, mode) for n, mode in enumerate(modes)})


def expected(images: list[PlannedImage], directory: Path) -> Iterator[tuple[PlannedImage, RGBImage]]:
    with ImageReader(directory, directory) as reader:
        yield from ((image, as_rgb_jpeg(reader.read(image.location))) for image in images)


def write(record_format: Format, images: list[PlannedImage], directory: Path) -> Path:
    with ImageReader(directory, directory) as reader:
        write_shard(record_format, reader, images, directory / "shard")
    return directory / "shard"


@EVERY_FORMAT
class TestEveryFormat:
    """What a module of the table has to do."""

    def test_the_records_of_a_shard_are_read_back_in_order(
        self, record_format: Format, images: list[PlannedImage], tmp_path: Path
    ) -> None:
        records = list(record_format.read_records(write(record_format, images, tmp_path)))
        assert records == [b"".join(record_format.encode(*pair)) for pair in expected(images, tmp_path)]

    def test_each_record_holds_its_image(
        self, record_format: Format, images: list[PlannedImage], tmp_path: Path
    ) -> None:
        records = list(record_format.read_records(write(record_format, images, tmp_path)))
        stored = [record_format.image_in(record) for record in records]
        assert stored == [encoded.encoded for _, encoded in expected(images, tmp_path)]

    def test_the_details_of_a_shard_say_where_each_record_lies_and_what_it_holds(
        self, record_format: Format, images: list[PlannedImage], tmp_path: Path
    ) -> None:
        with ImageReader(tmp_path, tmp_path) as reader:
            written = write_shard(record_format, reader, images, tmp_path / "shard")
        shard = (tmp_path / "shard").read_bytes()
        for details, (image, encoded) in zip(written.records, expected(images, tmp_path), strict=True):
            framed = b"".join(record_format.frame(record_format.encode(image, encoded)))
            assert shard[details.offset : details.offset + details.length] == framed
            assert details.image == image.location.name
            assert (details.height, details.width) == (encoded.height, encoded.width)
            assert details.size == image.location.size
        assert [details.odd for details in written.records] == ["", "grey", "", "reencoded", ""]

    def test_a_shard_repeats_its_bytes(self, record_format: Format, images: list[PlannedImage], tmp_path: Path) -> None:
        written = {write(record_format, images, tmp_path).read_bytes() for _ in range(2)}
        assert len(written) == 1

    def test_a_shard_without_images_has_no_records(self, record_format: Format, tmp_path: Path) -> None:
        assert list(record_format.read_records(write(record_format, [], tmp_path))) == []

    def test_a_truncated_shard_is_damaged_or_has_fewer_records(
        self, record_format: Format, images: list[PlannedImage], tmp_path: Path
    ) -> None:
        shard = write(record_format, images, tmp_path)
        whole = shard.read_bytes()
        records = list(record_format.read_records(shard))
        for size in range(0, len(whole), 37):
            shard.write_bytes(whole[:size])
            try:
                found = list(record_format.read_records(shard))
            except ShardError:
                continue
            assert found == records[: len(found)]
            assert len(found) < len(records)

    @given(record=st.binary(max_size=100))
    def test_any_bytes_have_an_image_or_give_a_shard_error(self, record_format: Format, record: bytes) -> None:
        try:
            assert isinstance(record_format.image_in(record), bytes)
        except ShardError as error:
            assert str(error)

    def test_what_is_planned_of_an_image_changes_its_record(self, record_format: Format) -> None:
        encoded = as_rgb_jpeg(jpeg())
        image = planned()
        other = PlannedImage(image.location, 2, image.text, image.boxes)
        assert b"".join(record_format.encode(image, encoded)) != b"".join(record_format.encode(other, encoded))

    def test_the_names_of_shards_are_recognised_and_all_different(self, record_format: Format) -> None:
        counts = (1, 8) if record_format.COUNT_IN_NAME else (8,)
        names = [
            record_format.shard_name(split, shard, count)
            for split in SPLITS
            for count in counts
            for shard in range(count)
        ]
        assert all(map(record_format.is_shard_name, names))
        assert len(set(names)) == len(names)

    @pytest.mark.parametrize("name", ["notes.txt", "", "train", "features.json"])
    def test_the_names_of_other_files_are_not_recognised(self, record_format: Format, name: str) -> None:
        assert not record_format.is_shard_name(name)


def test_no_two_formats_share_a_folder_or_the_name_of_a_task() -> None:
    for names in ([it.FOLDER for it in FORMATS.values()], [it.TASK for it in FORMATS.values()]):
        assert len(set(names)) == len(names)

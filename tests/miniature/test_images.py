from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, JpegImagePlugin

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.miniature import DISGUISED_PNG
from tests.miniature.reading import TRAIN_IMAGES, VALIDATION_IMAGES, members, open_image, write_tiny


def _is_plain(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode == "RGB"


def _is_progressive(image: Image.Image) -> bool:
    return "progressive" in image.info


def _is_rotated(image: Image.Image) -> bool:
    return image.getexif().get(0x0112) == 6 and image.width != image.height


def _is_cmyk(image: Image.Image) -> bool:
    return image.mode == "CMYK" and image.info["adobe_transform"] == 0


def _is_ycck(image: Image.Image) -> bool:
    return image.mode == "CMYK" and image.info["adobe_transform"] == 2


def _is_grey(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode == "L"


ODD_IN_BOTH_SPLITS = (_is_grey, _is_progressive, _is_rotated)


# Count and size -------------------------------------------------------------------------------------------------------


def test_there_are_as_many_images_as_asked_for(training: dict[str, bytes]) -> None:
    assert len(training) == TRAIN_IMAGES


def test_no_two_images_are_the_same(training: dict[str, bytes], validation: dict[str, bytes]) -> None:
    assert len({*training.values(), *validation.values()}) == TRAIN_IMAGES + VALIDATION_IMAGES


def test_images_are_as_large_as_photographs(training: dict[str, bytes]) -> None:
    plain = [len(data) for data in training.values() if _is_plain(open_image(data))]
    assert 80_000 < sum(plain) / len(plain) < 140_000


def test_tiny_images_are_tiny(tmp_path: Path) -> None:
    tiny = members(write_tiny(tmp_path, validation_images=20) / VALIDATION_ARCHIVE.name).values()
    assert max(len(data) for data in tiny) < 1000
    assert all(16 <= side <= 32 for data in tiny for side in open_image(data).size)


def test_every_image_can_be_decoded(training: dict[str, bytes], validation: dict[str, bytes]) -> None:
    for data in (*training.values(), *validation.values()):
        open_image(data).load()


# Kinds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_odd", [*ODD_IN_BOTH_SPLITS, _is_cmyk, _is_ycck])
def test_odd_images_are_among_the_training_images(
    training: dict[str, bytes], is_odd: Callable[[Image.Image], bool]
) -> None:
    assert any(is_odd(open_image(data)) for data in training.values())


@pytest.mark.parametrize("is_odd", ODD_IN_BOTH_SPLITS)
def test_odd_images_are_among_the_validation_images(
    validation: dict[str, bytes], is_odd: Callable[[Image.Image], bool]
) -> None:
    assert any(is_odd(open_image(data)) for data in validation.values())


def test_one_training_image_is_a_png_in_disguise(training: dict[str, bytes]) -> None:
    assert [name for name, data in training.items() if open_image(data).format == "PNG"] == [DISGUISED_PNG]


def test_most_images_are_plain_jpegs_of_halved_colour(training: dict[str, bytes]) -> None:
    plain = [image for image in map(open_image, training.values()) if _is_plain(image)]
    assert len(plain) > TRAIN_IMAGES * 3 // 4
    assert all(JpegImagePlugin.get_sampling(image) == 2 for image in plain)


def test_a_ycck_image_has_about_the_same_colours_as_the_others(training: dict[str, bytes]) -> None:
    image = next(image for image in map(open_image, training.values()) if _is_ycck(image))
    means = [
        sum(level * count for level, count in enumerate(band.histogram())) for band in image.convert("RGB").split()
    ]
    assert all(80 < mean / (image.width * image.height) < 190 for mean in means)


@pytest.mark.parametrize("train_images", [6, 7, 20])
def test_six_images_are_enough_for_every_oddity(tmp_path: Path, train_images: int) -> None:
    directory = write_tiny(tmp_path, synsets=1, train_images=train_images)
    (inner,) = members(directory / TRAIN_ARCHIVE.name).values()
    images = [open_image(data) for data in members(inner).values()]
    assert all(any(is_odd(image) for image in images) for is_odd in (*ODD_IN_BOTH_SPLITS, _is_cmyk, _is_ycck))
    assert any(image.format == "PNG" for image in images)

import pytest
from PIL import Image

from luigi_ilsvrc.miniature.encoding import ImageKind, encode
from tests.miniature.reading import open_image


@pytest.mark.parametrize("kind", ImageKind)
def test_the_size_of_a_file_is_known_before_it_is_made(kind: ImageKind) -> None:
    picture = encode(Image.new("RGB", (20, 16), "teal"), kind, quality=50)
    data = picture.with_comment("n01440764_1.JPEG")
    assert len(data) == picture.size_with_comment("n01440764_1.JPEG")
    assert open_image(data).size == (picture.width, picture.height) == (20, 16)


@pytest.mark.parametrize("kind", [kind for kind in ImageKind if kind is not ImageKind.PNG])
def test_a_jpeg_holds_its_comment(kind: ImageKind) -> None:
    picture = encode(Image.new("RGB", (20, 16), "teal"), kind, quality=50)
    assert open_image(picture.with_comment("n01440764_1.JPEG")).info["comment"] == b"n01440764_1.JPEG"

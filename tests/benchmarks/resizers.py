"""Ways to make an image smaller: ours, those of the libraries that we might have used, and those of our peers."""

import os
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.dataset.resize import Resize, decode_smaller, size_within, smaller

if TYPE_CHECKING:
    from PIL import Image

Encode = Callable[[RGBImage], bytes]
"""Make an image smaller: a JPEG becomes a JPEG."""

Scale = Callable[[RGBImage], Any]
"""Do the same up to the pixels, which numpy can read as rows of RGB."""


class Way(NamedTuple):
    """A way to make images smaller.

    Attributes
    ----------
    needs : tuple of str
        Modules that have to be there; img2dataset needs one that Python 3.13 does not have any more.
    start : callable
        Imports what is needed, sets it to one thread, and returns how to make an image smaller, and the same up to the
        pixels; None if the way has no such step.
    """

    needs: tuple[str, ...]
    start: Callable[[Resize], tuple[Encode, Scale | None]]

    def missing(self) -> list[str]:
        """Return the modules that are not installed."""
        return [module for module in self.needs if find_spec(module) is None]


def _from_steps(scale: Scale, encode: Callable[[Any], bytes]) -> tuple[Encode, Scale]:
    return lambda image: encode(scale(image)), scale


def _ours(resize: Resize) -> tuple[Encode, Scale]:
    return lambda image: smaller(image, resize).encoded, lambda image: decode_smaller(image.encoded, resize)


# Libraries -----------------------------------------------------------------------------------------------------------


def _pillow(filter_name: str, gap: int | None, resize: Resize) -> tuple[Encode, Scale]:
    """Return Pillow's own way; `gap` is how many times as large as the result the decoded image is at least."""
    from PIL import Image

    resample = Image.Resampling[filter_name]

    def scale(image: RGBImage) -> "Image.Image":
        height, width = size_within(image.height, image.width, resize)
        with Image.open(BytesIO(image.encoded)) as opened:
            if gap:
                opened.draft(None, (gap * width, gap * height))
            return opened.convert("RGB").resize((width, height), resample)

    def encode(image: "Image.Image") -> bytes:
        encoded = BytesIO()
        image.save(encoded, "JPEG", quality=resize.quality)
        return encoded.getvalue()

    return _from_steps(scale, encode)


def _opencv(resize: Resize) -> tuple[Encode, Scale]:
    cv2 = _cv2()
    import numpy

    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

    def scale(image: RGBImage) -> Any:
        height, width = size_within(image.height, image.width, resize)
        pixels = cv2.imdecode(numpy.frombuffer(image.encoded, numpy.uint8), flags)
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)

    def encode(pixels: Any) -> bytes:
        bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        return bytes(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, resize.quality])[1])

    return _from_steps(scale, encode)


def _simplejpeg_opencv(resize: Resize) -> tuple[Encode, Scale]:
    cv2 = _cv2()
    import simplejpeg

    def scale(image: RGBImage) -> Any:
        height, width = size_within(image.height, image.width, resize)
        pixels = simplejpeg.decode_jpeg(image.encoded, strict=False)
        return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)

    return _from_steps(scale, partial(simplejpeg.encode_jpeg, quality=resize.quality, colorsubsampling="420"))


def _simplejpeg_cykooz(resize: Resize) -> tuple[Encode, Scale]:
    import cykooz_resizer as cykooz
    import numpy
    import simplejpeg

    options = cykooz.ResizeOptions(cykooz.ResizeAlg.convolution(cykooz.FilterType.lanczos3), use_alpha=False)

    def scale(image: RGBImage) -> Any:
        height, width = size_within(image.height, image.width, resize)
        pixels = simplejpeg.decode_jpeg(
            image.encoded, min_height=3 * height, min_width=3 * width, min_factor=2, strict=False
        )
        source = cykooz.ImageData(pixels.shape[1], pixels.shape[0], cykooz.PixelType.U8x3, pixels.tobytes())
        scaled = cykooz.ImageData(width, height, cykooz.PixelType.U8x3)
        cykooz.Resizer().resize(source, scaled, options)
        return numpy.frombuffer(scaled.get_buffer(), numpy.uint8).reshape(height, width, 3)

    return _from_steps(scale, partial(simplejpeg.encode_jpeg, quality=resize.quality, colorsubsampling="420"))


def _vips(resize: Resize) -> tuple[Encode, Scale]:
    # libvips reads it once, when it is loaded.
    os.environ["VIPS_CONCURRENCY"] = "1"
    import pyvips

    pyvips.cache_set_max(0)

    def scale(image: RGBImage) -> Any:
        height, width = size_within(image.height, image.width, resize)
        thumbnail = pyvips.Image.thumbnail_buffer(image.encoded, width, height=height, size="force", no_rotate=True)
        return thumbnail.colourspace("srgb").copy_memory()

    def encode(pixels: Any) -> bytes:
        # As all others do; by itself, libvips keeps all colours from quality 90 on.
        return bytes(pixels.jpegsave_buffer(Q=resize.quality, keep="none", subsample_mode="on"))

    return _from_steps(scale, encode)


def _cv2() -> Any:
    import cv2

    cv2.setNumThreads(1)
    return cv2


# Peers ---------------------------------------------------------------------------------------------------------------


def _img2dataset(resize: Resize) -> tuple[Encode, None]:
    # Otherwise its library asks the network for a newer version of itself.
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    from img2dataset.resizer import Resizer

    resizer = Resizer(
        resize.pixels,
        "keep_ratio" if resize.side == "short" else "keep_ratio_largest",
        resize_only_if_bigger=True,
        skip_reencode=True,
        encode_quality=resize.quality,
    )

    def encode(image: RGBImage) -> bytes:
        encoded, *_, error = resizer(BytesIO(image.encoded))
        if error:
            raise ValueError(error)
        return bytes(encoded)

    return encode, None


def _ffcv(resize: Resize) -> tuple[Encode, None]:
    """Return what FFCV's writer does with an image; its rule knows only the longer side, which it is given."""
    _cv2()
    import numpy
    from ffcv.fields import RGBImageField
    from PIL import Image

    def encode(image: RGBImage) -> bytes:
        longest = max(size_within(image.height, image.width, resize))
        field = RGBImageField("jpg", max_resolution=longest, jpeg_quality=resize.quality)
        written: list[Any] = []

        def allocate(size: int) -> tuple[int, Any]:
            written.append(numpy.empty(size, numpy.uint8))
            return 0, written[-1]

        with Image.open(BytesIO(image.encoded)) as opened:
            field.encode({}, opened.convert("RGB"), allocate)
        return bytes(written[0])

    return encode, None


def _tensorflow(method: str, antialias: bool, resize: Resize) -> tuple[Encode, Scale]:
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int32)])
    def scale(encoded: Any, size: Any) -> Any:
        pixels = tf.image.resize(tf.io.decode_jpeg(encoded, channels=3), size, method, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([2], tf.int32)])
    def encode(encoded: Any, size: Any) -> Any:
        return tf.io.encode_jpeg(scale(encoded, size), quality=resize.quality)

    def arguments(image: RGBImage) -> tuple[Any, Any]:
        return tf.constant(image.encoded), tf.constant(size_within(image.height, image.width, resize), tf.int32)

    return lambda image: bytes(encode(*arguments(image)).numpy()), lambda image: scale(*arguments(image)).numpy()


OURS = "luigi_ilsvrc"
WHOLE_IMAGE_LANCZOS = "Pillow, LANCZOS"
"""What the others' results are compared with: all pixels decoded."""

WAYS = {
    OURS: Way(("cykooz_resizer",), _ours),
    WHOLE_IMAGE_LANCZOS: Way((), partial(_pillow, "LANCZOS", None)),
    "Pillow, LANCZOS, draft of 2 times the size": Way((), partial(_pillow, "LANCZOS", 2)),
    "Pillow, BICUBIC, draft of 2 times the size": Way((), partial(_pillow, "BICUBIC", 2)),
    "Pillow, BOX, draft of 2 times the size": Way((), partial(_pillow, "BOX", 2)),
    "OpenCV, INTER_AREA": Way(("cv2",), _opencv),
    "simplejpeg, OpenCV INTER_AREA": Way(("cv2", "simplejpeg"), _simplejpeg_opencv),
    "simplejpeg, cykooz-resizer": Way(("cykooz_resizer", "simplejpeg"), _simplejpeg_cykooz),
    "pyvips, thumbnail": Way(("pyvips",), _vips),
    "img2dataset": Way(("img2dataset", "imghdr"), _img2dataset),
    "FFCV": Way(("ffcv",), _ffcv),
    "tensorflow, area": Way(("tensorflow",), partial(_tensorflow, "area", False)),
    "tensorflow, lanczos3, antialias": Way(("tensorflow",), partial(_tensorflow, "lanczos3", True)),
}

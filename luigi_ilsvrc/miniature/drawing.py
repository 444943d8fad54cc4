"""Generates the pixels of pictures that compress and decode like photographs.

Only integer arithmetic is used, so that every machine generates the same pixels.
"""

import random
from collections.abc import Mapping

from PIL import Image, ImageChops, ImageDraw


def draw_picture(size: tuple[int, int], grain: int, rng: random.Random) -> Image.Image:
    """Return an RGB picture of textures, edges and grain.

    Parameters
    ----------
    size : tuple of int
        Width and height in pixels.
    grain : int
        The range of the noise that is added to the luminance, in levels out of 256.
    rng : random.Random
        Decides all that is random in the picture.
    """
    picture, other = _texture(size, rng), _texture(size, rng)
    picture.paste(other, mask=_shapes(size, rng))
    luminance, blue, red = picture.split()
    noise = _noise(size, rng).point([value * grain // 256 for value in range(256)])
    luminance = ImageChops.add(luminance, noise, offset=-grain // 2)
    return Image.merge("YCbCr", (luminance, blue, red)).convert("RGB")


def _texture(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Return a YCbCr image of clouds. As in photographs, small details have less contrast than large ones."""
    luminance = _clouds(size, {128: 88, 64: 64, 32: 44, 16: 28, 8: 18, 4: 8, 2: 6}, rng)
    contrast = [min(max(2 * value - 120, 0), 255) for value in range(256)]
    colours = (
        _clouds(size, {128: 60, 32: 36, 8: 16}, rng).point([v + 72 for v in range(184)] + [255] * 72) for _ in "br"
    )
    return Image.merge("YCbCr", (luminance.point(contrast), *colours))


def _clouds(size: tuple[int, int], weights: Mapping[int, int], rng: random.Random) -> Image.Image:
    """Add up noise of several cell sizes; `weights` maps the cell size in pixels to the weight in 256ths."""
    clouds = Image.new("L", size)
    for cell, weight in weights.items():
        grid = _noise((size[0] // cell + 2, size[1] // cell + 2), rng).resize(size, Image.Resampling.BICUBIC)
        clouds = ImageChops.add(clouds, grid.point([value * weight // 256 for value in range(256)]))
    return clouds


def _noise(size: tuple[int, int], rng: random.Random) -> Image.Image:
    return Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))


def _shapes(size: tuple[int, int], rng: random.Random) -> Image.Image:
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for shape in (draw.ellipse, draw.rectangle, draw.ellipse, draw.rectangle, draw.ellipse):
        left, right = sorted(rng.randrange(size[0]) for _ in range(2))
        upper, lower = sorted(rng.randrange(size[1]) for _ in range(2))
        shape((left, upper, right, lower), fill=rng.randint(128, 255))
    return mask

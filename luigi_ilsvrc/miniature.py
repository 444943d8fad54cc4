"""A small ILSVRC in the exact shape of the real one, for trying, testing and measuring.

``python -m luigi_ilsvrc.miniature DIR`` makes the three archives under their official names, the three label tables
and ``MD5SUMS`` in DIR, which can then stand as ``--source``. The pictures are painted, not photographed: of a
photograph's size in bytes (110 kB on average) and pixels, and as dear to decode. There are 64 of them; a comment in
the JPEG carries the image's name, so that no two files are the same. ``--full`` gives the full count of tiny images.

The same arguments give the same bytes (with the same versions of Pillow, its libjpeg, and zlib).

What is odd in the real data is planted here, each kind at least once wherever the counts leave room for it:

- images: a PNG (`DISGUISED_PNG`); CMYK JPEGs, up to 21, and one YCCK, as Adobe's programs write them; and in both
  splits grey, progressive and EXIF-rotated (orientation 6) JPEGs.
- annotations: coordinates as floats; minimum and maximum swapped; a box reaching beyond the image on all sides; a box
  wholly outside; a box without width before a good one; ``<filename>%s</filename>``; two objects, the first or the
  second of which bears the name of another challenge synset; an object named `HUMAN_NAME`; a file of a synset outside
  the challenge (`OUTSIDE_SYNSET`); a file for an image that is not in the archive; three objects, from right to left;
  and one file in ten gives twice the image's width and height.

Neither synsets in the training archive, nor images within a synset, nor validation images, nor annotations are sorted.
"""

import argparse
import hashlib
import random
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import accumulate, cycle
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageChops, ImageDraw
from tqdm import tqdm

from luigi_ilsvrc.archives import BOUNDING_BOXES, TRAIN, VALIDATION
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    read_english,
    read_synsets,
)

DISGUISED_PNG = "n02105855_2933.JPEG"
"""The training image that is a PNG, in the real data and here."""

HUMAN_NAME = "Scottish_deerhound"
"""What annotators wrote in place of a synset: https://github.com/tensorflow/models, ``process_bounding_boxes.py``."""

OUTSIDE_SYNSET = "n00007846"
"""A synset (person) that is not in the challenge."""

MARKER = "MINIATURE.txt"
"""The file that tells a miniature, which may be rewritten, from the official archives, which must not be."""

FULL: Mapping[str, Any] = {
    "synsets": 1000,
    "train_images": 1_281_167,
    "validation_images": 50_000,
    "xml_files": 544_546,
    "tiny": True,
}
"""The arguments of `write` that give every file of the real data set, as tiny images."""

_MOST_PER_SYNSET, _LEAST_PER_SYNSET = 1300, 732
# Images keep the numbers that they had in the whole of ImageNet, where synsets were larger.
_NUMBERS = 30_000
# In May 2012, when the challenge began; any fixed time would do.
_MTIME = 1_337_000_000


class MiniatureError(BuildError):
    """The miniature cannot be made as asked, or not in this directory."""


def write(
    directory: Path,
    *,
    synsets: int = 10,
    train_images: int = 400,
    validation_images: int = 50,
    xml_files: int | None = None,
    tiny: bool = False,
    seed: int = 2012,
    progress: Progress = unheard,
) -> None:
    """Write a small ILSVRC.

    Takes the memory of 64 pictures and of the list of annotations: at the full count about 200 MB.

    Parameters
    ----------
    directory : Path
        Made where it is missing. An earlier miniature in it is rewritten.
    synsets : int
        1 to 1000, drawn from the challenge's own; n02105855 is always among them.
    train_images, validation_images : int
        At least one for each synset. Synsets differ in their number of training images as the real ones do, where most
        have 1300 and the smallest 732; validation images are spread evenly.
    xml_files : int, optional
        Files of bounding boxes, at most one for each training image; by default two for every five.
    tiny : bool
        Pictures of 16 to 32 pixels, less than 1 kB each but for the PNG, in place of those of a photograph's size.
    seed : int
        Another seed gives other synsets, names, pictures and boxes.
    progress : Progress
        Told of the files written, over all archives.

    Raises
    ------
    MiniatureError
        Where the counts cannot be satisfied, or the directory holds anything but a miniature.
    """
    if xml_files is None:
        xml_files = max(1, train_images * 2 // 5)
    _check_counts(synsets, train_images, validation_images, xml_files)
    _claim(directory)
    table = _draw_synsets(synsets, seed)
    pictures = _Pictures(seed, tiny)
    tally = _Tally(train_images + validation_images + xml_files, progress)
    train = _TrainImages(table, train_images, seed, pictures)
    sums = {
        archive.name: _save(directory / archive.name, chunks)
        for archive, chunks in (
            (TRAIN, _train_archive(train, seed, tally)),
            (VALIDATION, _validation_archive(validation_images, seed, pictures, tally)),
            (BOUNDING_BOXES, _gzip(_annotation_archive(train, xml_files, seed, tally))),
        )
    }
    english = read_english(PACKAGED_TABLES / SYNSET_ENGLISH_KEY, table)
    _save_lines(directory / UNIQUE_SYNSETS, table)
    _save_lines(directory / VALIDATION_SYNSET_LABELS, _validation_labels(table, validation_images, seed))
    _save_lines(directory / SYNSET_ENGLISH_KEY, (f"{synset}\t{words}" for synset, words in english.items()))
    _save_lines(directory / "MD5SUMS", (f"{md5}  {name}" for name, md5 in sums.items()))


def _check_counts(synsets: int, train_images: int, validation_images: int, xml_files: int) -> None:
    most = FULL["synsets"]
    if not 1 <= synsets <= most:
        raise MiniatureError(f"{synsets} synsets asked for: the challenge has {most}; ask for 1 to {most}")
    for split, count in (("training", train_images), ("validation", validation_images)):
        if count < synsets:
            raise MiniatureError(
                f"{count} {split} images for {synsets} synsets: each synset needs one; ask for {synsets} images or more"
            )
    if not 1 <= xml_files <= train_images:
        raise MiniatureError(
            f"{xml_files} XML files for {train_images} training images: ask for 1 to {train_images} XML files"
        )


def _claim(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise MiniatureError(f"{directory} is a file: name a directory for the miniature")
    directory.mkdir(parents=True, exist_ok=True)
    marker = directory / MARKER
    if not marker.exists() and any(directory.iterdir()):
        raise MiniatureError(f"{directory} holds files that are not a miniature's: name an empty or new directory")
    marker.write_text(
        "Written by python -m luigi_ilsvrc.miniature: not ImageNet's data. May be rewritten or deleted.\n"
    )
    # Sums of the archives that are about to be replaced would belie a run that is cut short.
    (directory / "MD5SUMS").unlink(missing_ok=True)


def _save(path: Path, chunks: Iterable[bytes]) -> str:
    """Write a file whole or not at all, and return its MD5 sum."""
    md5 = hashlib.md5(usedforsecurity=False)
    temporary = path.with_name(f"{path.name}.part")
    try:
        with temporary.open("wb", buffering=1 << 20) as file:
            for chunk in chunks:
                md5.update(chunk)
                file.write(chunk)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return md5.hexdigest()


def _save_lines(path: Path, lines: Iterable[str]) -> None:
    _save(path, (f"{line}\n".encode() for line in lines))


class _Tally:
    """Counts the files of all archives together."""

    def __init__(self, total: int, progress: Progress) -> None:
        self._total = total
        self._progress = progress
        self._done = 0

    def add(self, stage: str, files: int = 1) -> None:
        self._done += files
        self._progress(stage, self._done, self._total)


# Which files there are -----------------------------------------------------------------------------------------------


def _draw_synsets(count: int, seed: int) -> list[str]:
    everything = read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS)
    kept, _ = DISGUISED_PNG.split("_")
    others = random.Random(f"{seed} synsets").sample([synset for synset in everything if synset != kept], count - 1)
    return sorted([kept, *others])


def _validation_labels(table: Sequence[str], count: int, seed: int) -> list[str]:
    labels = [table[number % len(table)] for number in range(count)]
    random.Random(f"{seed} validation labels").shuffle(labels)
    return labels


def images_per_synset(synsets: int, images: int, seed: int) -> list[int]:
    """Divide training images among synsets as the real data set does.

    Most synsets have the same, largest, number; a few have less, down to 732 where the largest is 1300.

    Returns
    -------
    list of int
        The number of images of each synset: at least one, and `images` together.
    """
    rng = random.Random(f"{seed} images per synset")
    most = -(-images * _MOST_PER_SYNSET * FULL["synsets"] // (FULL["train_images"] * synsets))
    least = max(1, most * _LEAST_PER_SYNSET // _MOST_PER_SYNSET)
    counts = [most] * synsets
    missing = most * synsets - images
    for turn, place in enumerate(cycle(rng.sample(range(synsets), synsets))):
        if not missing:
            break
        possible = min(missing, counts[place] - least)
        # The first goes down as far as it may: the full count has a synset of 732.
        taken = rng.randint(min(1, possible), possible) if turn else possible
        counts[place] -= taken
        missing -= taken
    return counts


def _plant(counts: Mapping[str, int], total: int, seed: str, reserved: int | None = None) -> dict[int, str]:
    """Scatter oddities over `total` places, but for the reserved one; where places are short, the last kinds go out."""
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    places = random.Random(seed).sample(range(total), min(total, len(kinds) + 1))
    return dict(zip((place for place in places if place != reserved), kinds, strict=False))


class _Image(NamedTuple):
    name: str
    picture: "_Picture"


class _TrainImages:
    """The training images; listed synset by synset, for a list of all would take much of a machine's memory."""

    def __init__(self, table: Sequence[str], count: int, seed: int, pictures: "_Pictures") -> None:
        self.table = table
        self.count = count
        self._seed = seed
        self._pictures = pictures
        self._counts = images_per_synset(len(table), count, seed)
        self._firsts = list(accumulate(self._counts, initial=0))
        # Enough for the PNG's own, and some to spare for names of images that are not there.
        self.numbers = range(1, max(_NUMBERS, 2 * max(self._counts)))
        self._disguised, number = DISGUISED_PNG.removesuffix(".JPEG").split("_")
        self._disguised_number = int(number)
        disguised_at = self._firsts[table.index(self._disguised)]
        self._oddities = _plant(
            {"YCCK": 1, "CMYK": min(21, 1 + count // 50)} | _oddities_of_both_splits(count),
            count,
            f"{seed} odd training images",
            reserved=disguised_at,
        )
        self._oddities[disguised_at] = "PNG"

    def of(self, place: int) -> list[_Image]:
        """Return the images of the synset at this place of the table, unsorted."""
        synset, count, first = self.table[place], self._counts[place], self._firsts[place]
        rng = random.Random(f"{self._seed} {synset}")
        numbers = rng.sample(self.numbers, count)
        if synset == self._disguised:
            numbers = [self._disguised_number, *(n for n in numbers if n != self._disguised_number)][:count]
        images = [
            _Image(f"{synset}_{number}.JPEG", self._pictures.get(self._oddities.get(first + offset, ""), rng))
            for offset, number in enumerate(numbers)
        ]
        rng.shuffle(images)
        return images

    def choose(self, count: int) -> Iterator[_Image]:
        """Yield `count` of the images, evenly from all synsets."""
        number = 0
        for place in range(len(self.table)):
            for image in self.of(place):
                if (number + 1) * count // self.count > number * count // self.count:
                    yield image
                number += 1


def _oddities_of_both_splits(count: int) -> dict[str, int]:
    return dict.fromkeys(("grey", "progressive", "rotated"), 1 + count // 50)


# Archives ------------------------------------------------------------------------------------------------------------


class _File(NamedTuple):
    """A file to be put in a tar; its bytes come in pieces, for they may be another tar."""

    name: str
    size: int
    chunks: Iterable[bytes]


def _tar(files: Iterable[_File]) -> Iterator[bytes]:
    sizes = []
    for file in files:
        sizes.append(file.size)
        yield _header(file.name, file.size)
        yield from file.chunks
        yield bytes(-file.size % tarfile.BLOCKSIZE)
    yield bytes(_tar_size(sizes) - sum(map(_size_in_tar, sizes)))


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, _MTIME, 0o644
    return member.tobuf(tarfile.USTAR_FORMAT)


def _size_in_tar(size: int) -> int:
    return tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE


def _tar_size(sizes: Iterable[int]) -> int:
    """Return the size of a tar of files of these sizes: it ends in two empty blocks and is filled to 20."""
    content = sum(map(_size_in_tar, sizes)) + 2 * tarfile.BLOCKSIZE
    return content + -content % tarfile.RECORDSIZE


def _gzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    # 31: the largest window, in a gzip container; zlib leaves name and time out of its header.
    compressor = zlib.compressobj(wbits=31)
    for chunk in chunks:
        yield compressor.compress(chunk)
    yield compressor.flush()


def _train_archive(train: _TrainImages, seed: int, tally: _Tally) -> Iterator[bytes]:
    places = list(range(len(train.table)))
    random.Random(f"{seed} training archive").shuffle(places)

    def synset_tars() -> Iterator[_File]:
        for place in places:
            images = train.of(place)
            size = _tar_size(image.picture.size_named(image.name) for image in images)
            yield _File(f"{train.table[place]}.tar", size, _tar(map(_image_file, images)))
            tally.add("writing training images", len(images))

    return _tar(synset_tars())


def _validation_archive(count: int, seed: int, pictures: "_Pictures", tally: _Tally) -> Iterator[bytes]:
    rng = random.Random(f"{seed} validation archive")
    oddities = _plant(_oddities_of_both_splits(count), count, f"{seed} odd validation images")
    images = [
        _Image(f"ILSVRC2012_val_{number + 1:08}.JPEG", pictures.get(oddities.get(number, ""), rng))
        for number in range(count)
    ]
    rng.shuffle(images)

    def files() -> Iterator[_File]:
        for image in images:
            yield _image_file(image)
            tally.add("writing validation images")

    return _tar(files())


def _image_file(image: _Image) -> _File:
    data = image.picture.named(image.name)
    return _File(image.name, len(data), (data,))


def _annotation_archive(train: _TrainImages, count: int, seed: int, tally: _Tally) -> Iterator[bytes]:
    rng = random.Random(f"{seed} annotations")
    annotations = list(_annotations(train, count, seed))
    rng.shuffle(annotations)

    def files() -> Iterator[_File]:
        for annotation in annotations:
            xml = _xml(annotation, train.table, rng).encode()
            yield _File(f"{annotation.synset}/{annotation.image}.xml", len(xml), (xml,))
            tally.add("writing bounding boxes")

    return _tar(files())


# Annotations ---------------------------------------------------------------------------------------------------------


class _Annotation(NamedTuple):
    synset: str
    image: str
    width: int
    height: int
    kind: str


class _Box(NamedTuple):
    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


_ODD_ANNOTATIONS = (
    "floats",
    "swapped",
    "beyond",
    "outside",
    "flat",
    "no filename",
    "human name",
    "no image",
    "other challenge",
    "right to left",
    "another first",
    "another second",
)


def _annotations(train: _TrainImages, count: int, seed: int) -> Iterator[_Annotation]:
    kinds = dict.fromkeys(_ODD_ANNOTATIONS, 1 + count // 1000) | {"other size": 1 + count // 10}
    if len(train.table) == 1:
        del kinds["another first"], kinds["another second"]
    oddities = _plant(kinds, count, f"{seed} odd annotations")
    images = train.choose(count - sum(kind in ("no image", "other challenge") for kind in oddities.values()))
    for number in range(count):
        kind = oddities.get(number, "")
        absent = train.numbers.stop + number
        if kind == "no image":
            synset = train.table[number % len(train.table)]
            yield _Annotation(synset, f"{synset}_{absent}", 500, 375, kind)
        elif kind == "other challenge":
            yield _Annotation(OUTSIDE_SYNSET, f"{OUTSIDE_SYNSET}_{absent}", 500, 375, kind)
        else:
            name, picture = next(images)
            scale = 2 if kind == "other size" else 1
            synset = name.partition("_")[0]
            yield _Annotation(synset, name.removesuffix(".JPEG"), scale * picture.width, scale * picture.height, kind)


def _xml(annotation: _Annotation, table: Sequence[str], rng: random.Random) -> str:
    filename = "%s" if annotation.kind == "no filename" else annotation.image
    suffix = ".6" if annotation.kind == "floats" else ""
    objects = "".join(
        f"\t<object>\n\t\t<name>{box.name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n"
        f"\t\t\t<xmin>{box.xmin}{suffix}</xmin>\n\t\t\t<ymin>{box.ymin}{suffix}</ymin>\n"
        f"\t\t\t<xmax>{box.xmax}{suffix}</xmax>\n\t\t\t<ymax>{box.ymax}{suffix}</ymax>\n"
        f"\t\t</bndbox>\n\t</object>\n"
        for box in _boxes(annotation, table, rng)
    )
    return (
        f"<annotation>\n\t<folder>{annotation.synset}</folder>\n\t<filename>{filename}</filename>\n"
        f"\t<source>\n\t\t<database>ImageNet database</database>\n\t</source>\n"
        f"\t<size>\n\t\t<width>{annotation.width}</width>\n\t\t<height>{annotation.height}</height>\n"
        f"\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _boxes(annotation: _Annotation, table: Sequence[str], rng: random.Random) -> list[_Box]:
    synset, _, width, height, kind = annotation
    good = _box(synset, width, height, rng)
    match kind:
        case "swapped":
            return [_Box(synset, good.xmax, good.ymax, good.xmin, good.ymin)]
        case "beyond":
            return [_Box(synset, -12, -3, width + 20, height + 5)]
        case "outside":
            return [_Box(synset, width + 1, 1, width + 100, height)]
        case "flat":
            return [_Box(synset, good.xmin, good.ymin, good.xmin, good.ymax), good]
        case "human name":
            return [good._replace(name=HUMAN_NAME)]
        case "another first" | "another second":
            another = _box(rng.choice([other for other in table if other != synset]), width, height, rng)
            return [another, good] if kind == "another first" else [good, another]
        case "right to left":
            return [_Box(synset, left, 1, left + 4, height) for left in (width - 4, width // 2, 0)]
    # The real data set has 615,299 boxes in 544,546 files.
    more = rng.choice((0,) * 18 + (1, 2))
    return [good, *(_box(synset, width, height, rng) for _ in range(more))]


def _box(name: str, width: int, height: int, rng: random.Random) -> _Box:
    xmin, ymin = rng.randrange(width - 4), rng.randrange(height - 4)
    # Two pixels or more, and room for the fraction of one behind it.
    return _Box(name, xmin, ymin, rng.randrange(xmin + 2, width), rng.randrange(ymin + 2, height))


# Pictures ------------------------------------------------------------------------------------------------------------

_COMMENT = b"\xff\xfe"
_ORIENTATION = 0x0112
_ADOBE_TRANSFORM_YCCK = 2


class _Picture(NamedTuple):
    """An encoded picture, cut in two where a comment may stand; the one that cannot bear a comment has no rest."""

    start: bytes
    rest: bytes
    width: int
    height: int

    def named(self, name: str) -> bytes:
        """Return the picture's file with this name as comment: its own bytes for each name."""
        if not self.rest:
            return self.start
        comment = name.encode()
        return b"".join((self.start, _COMMENT, (len(comment) + 2).to_bytes(2, "big"), comment, self.rest))

    def size_named(self, name: str) -> int:
        """Return the size of `named` in bytes, without making it."""
        return len(self.start) + len(self.rest) + (len(_COMMENT) + 2 + len(name) if self.rest else 0)


class _Pictures:
    """The pictures, each painted when it is first needed: a small set that takes turns."""

    # Roughly as sizes come in the training set: most are 500 pixels wide, a few are much larger.
    SIZES = (
        *((500, 375), (375, 500), (500, 333), (640, 480), (500, 375), (333, 500), (500, 500), (400, 300)),
        *((500, 375), (375, 500), (500, 334), (320, 240), (500, 375), (500, 400), (300, 225), (800, 600)),
    )
    PLAIN, ODD = 64, 4

    def __init__(self, seed: int, tiny: bool) -> None:
        self._seed = seed
        self._tiny = tiny
        self._painted: dict[tuple[str, int], _Picture] = {}

    def get(self, kind: str, rng: random.Random) -> _Picture:
        """Return one of the pictures of a kind of oddity, or of the plain ones where the kind is empty."""
        key = kind, rng.randrange(self.ODD if kind else self.PLAIN)
        if key not in self._painted:
            self._painted[key] = self._paint(*key)
        return self._painted[key]

    def _paint(self, kind: str, number: int) -> _Picture:
        rng = random.Random(f"{self._seed} picture {kind} {number}")
        if self._tiny:
            width = rng.randint(20, 32)
            # Never square, so that a rotation shows.
            return _encode(_paint((width, width - 4), 8, rng), kind, quality=50, optimize=True)
        # Grain and quality are chosen so that the mean comes out at 110 kB.
        return _encode(_paint(self.SIZES[number % len(self.SIZES)], rng.randint(8, 40), rng), kind, quality=95)


def _paint(size: tuple[int, int], grain: int, rng: random.Random) -> Image.Image:
    """Paint an RGB picture: textures, edges and grain, in whole numbers only, so that every machine paints the same."""
    picture, other = _texture(size, rng), _texture(size, rng)
    picture.paste(other, mask=_shapes(size, rng))
    luminance, blue, red = picture.split()
    noise = _noise(size, rng).point([value * grain // 256 for value in range(256)])
    luminance = ImageChops.add(luminance, noise, offset=-grain // 2)
    return Image.merge("YCbCr", (luminance, blue, red)).convert("RGB")


def _texture(size: tuple[int, int], rng: random.Random) -> Image.Image:
    """Return a YCbCr image of clouds; detail falls off with its size in pixels, as in photographs."""
    luminance = _clouds(size, {128: 88, 64: 64, 32: 44, 16: 28, 8: 18, 4: 8, 2: 6}, rng)
    contrast = [min(max(2 * value - 120, 0), 255) for value in range(256)]
    colours = (
        _clouds(size, {128: 60, 32: 36, 8: 16}, rng).point([v + 72 for v in range(184)] + [255] * 72) for _ in "br"
    )
    return Image.merge("YCbCr", (luminance.point(contrast), *colours))


def _clouds(size: tuple[int, int], weights: Mapping[int, int], rng: random.Random) -> Image.Image:
    """Sum noise of several grains, from pixels a cell to its weight in 256ths."""
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


def _encode(image: Image.Image, kind: str, **options: Any) -> _Picture:
    match kind:
        case "PNG":
            png = BytesIO()
            image.save(png, "PNG")
            return _Picture(png.getvalue(), b"", image.width, image.height)
        case "grey":
            image = image.convert("L")
        case "progressive":
            options["progressive"] = True
        case "rotated":
            options["exif"] = Image.Exif()
            options["exif"][_ORIENTATION] = 6
        case "CMYK":
            image = image.convert("CMYK")
        case "YCCK":
            image = _ycck_in_cmyk(image)
    file = BytesIO()
    image.save(file, "JPEG", **options)
    jpeg = file.getvalue()
    if kind == "YCCK":
        jpeg = _declare_ycck(jpeg)
    cut = _end_of_application_segments(jpeg)
    return _Picture(jpeg[:cut], jpeg[cut:], image.width, image.height)


def _ycck_in_cmyk(image: Image.Image) -> Image.Image:
    """Return the CMYK image that is right once its file, which Pillow writes inverted, is declared to be YCCK."""
    inks = ImageChops.invert(image).convert("YCbCr")
    return Image.merge("CMYK", (*(ImageChops.invert(band) for band in inks.split()), Image.new("L", image.size)))


def _declare_ycck(jpeg: bytes) -> bytes:
    # The transform is the last of the 12 bytes of Adobe's segment, which begins with its name:
    # https://www.itu.int/rec/T-REC-T.872, 6.5.3.
    transform = jpeg.index(b"Adobe") + 11
    return jpeg[:transform] + bytes((_ADOBE_TRANSFORM_YCCK,)) + jpeg[transform + 1 :]


def _end_of_application_segments(jpeg: bytes) -> int:
    position = 2
    while 0xE0 <= jpeg[position + 1] <= 0xEF:
        position += 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
    return position


# Command line --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Write a miniature as the command line asks; a `MiniatureError` is shown without a traceback, with exit code 1."""
    arguments = vars(_parser().parse_args())
    if arguments.pop("full", False):
        arguments = {**FULL, **arguments}
    try:
        with _bar() as progress:
            write(arguments.pop("directory"), **arguments, progress=progress)
    except (MiniatureError, OSError) as error:
        sys.exit(f"luigi_ilsvrc.miniature: {error}")


def _parser() -> argparse.ArgumentParser:
    # Only what was asked for is passed on, so that the defaults stand in one place.
    parser = argparse.ArgumentParser(
        prog="python -m luigi_ilsvrc.miniature",
        description="Write a small ILSVRC2012 in the exact shape of the real one.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="empty, new, or of an earlier miniature")
    parser.add_argument("--synsets", type=int, metavar="N", help="1 to 1000 (default: 10)")
    parser.add_argument("--train-images", type=int, metavar="N", help="in all synsets together (default: 400)")
    parser.add_argument("--validation-images", type=int, metavar="N", help="default: 50")
    parser.add_argument("--xml-files", type=int, metavar="N", help="default: two for every five training images")
    parser.add_argument("--tiny", action="store_true", help="pictures of 16 to 32 pixels, about 450 bytes each")
    parser.add_argument("--full", action="store_true", help="as many files as the real data set, of tiny pictures")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="other synsets, names, pictures and boxes (default: 2012)"
    )
    return parser


@contextmanager
def _bar() -> Iterator[Progress]:
    with tqdm(unit="file", delay=2, disable=None, mininterval=0.5) as bar:

        def show(stage: str, done: int, total: int | None) -> None:
            bar.total = total
            bar.set_description_str(stage, refresh=False)
            bar.update(done - bar.n)

        yield show


if __name__ == "__main__":
    main()

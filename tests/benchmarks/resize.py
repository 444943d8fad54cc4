"""Measures how fast images are made smaller, and how close the result is to Pillow's LANCZOS filter.

``python -m tests.benchmarks.resize --images ARCHIVE_OR_FOLDER [--size short:256] [--rounds N]``
"""

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg
from luigi_ilsvrc.dataset.resize import KEPT_MEMORY, Resize, parse_size, size_within
from tests.benchmarks.measure import tell
from tests.benchmarks.resizers import OURS, WAYS, WHOLE_IMAGE_LANCZOS
from tests.benchmarks.table import machine

_PEAK = 255.0
_MAX_DECIBELS = 99.0
"""What stands for results that are the same."""


class Closeness(NamedTuple):
    """How close results are to Pillow's LANCZOS, before JPEG: PSNR in dB, the mean and the lowest; bytes of a result.

    Before JPEG, it is None if a way does not give its pixels.
    """

    before: tuple[float, float] | None
    after: tuple[float, float]
    size: float


class Speed(NamedTuple):
    """Images per second, and per second of CPU time, which other work on the machine changes less."""

    wall: float
    cpu: float


# The images ----------------------------------------------------------------------------------------------------------


def read_images(path: Path) -> Iterator[bytes]:
    """Yield all files of a folder, of an archive, and of the archives in it, in their order."""
    if path.is_dir():
        yield from (file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file())
    else:
        with tarfile.open(path) as archive:
            yield from _members(archive)


def _members(archive: tarfile.TarFile) -> Iterator[bytes]:
    for member in archive:
        file = archive.extractfile(member)
        if file is None:
            continue
        if member.name.endswith(".tar"):
            with tarfile.open(fileobj=file) as inner:
                yield from _members(inner)
        else:
            yield file.read()


def larger_images(path: Path, resize: Resize, limit: int | None) -> list[RGBImage]:
    """Return the images that are larger than `resize` allows."""

    def found() -> Iterator[RGBImage]:
        for encoded in read_images(path):
            try:
                image = as_rgb_jpeg(encoded)
            except ImageError:
                continue
            if size_within(image.height, image.width, resize) != (image.height, image.width):
                yield image

    return list(islice(found(), limit))


# Closeness -----------------------------------------------------------------------------------------------------------


def decibels(pixels: Any, wanted: Any) -> float:
    """Return the peak signal-to-noise ratio of two images."""
    import numpy

    error = float(numpy.mean((pixels.astype(numpy.float64) - wanted) ** 2))
    return min(10 * math.log10(_PEAK**2 / error), _MAX_DECIBELS) if error else _MAX_DECIBELS


def closeness(name: str, images: Sequence[RGBImage], resize: Resize) -> Closeness:
    """Compare a way's results with those of Pillow's LANCZOS filter, before they became JPEGs."""
    import numpy
    from PIL import Image

    encode, scale = WAYS[name].start(resize)
    _, reference = WAYS[WHOLE_IMAGE_LANCZOS].start(resize)
    assert reference is not None
    before, after, sizes = [], [], []
    for image in images:
        wanted = numpy.asarray(reference(image))
        encoded = encode(image)
        with Image.open(BytesIO(encoded)) as opened:
            result = opened.convert("RGB")
        if result.size != wanted.shape[1::-1]:
            # FFCV rounds downwards: one pixel less.
            wanted = numpy.asarray(Image.fromarray(wanted).resize(result.size, Image.Resampling.LANCZOS))
        after.append(decibels(numpy.asarray(result), wanted))
        sizes.append(len(encoded))
        if scale is not None:
            pixels = scale(image)
            pixels = pixels.convert("RGB") if isinstance(pixels, Image.Image) else pixels
            before.append(decibels(numpy.asarray(pixels), wanted))
    return Closeness(_mean_and_lowest(before) if before else None, _mean_and_lowest(after), statistics.mean(sizes))


def _mean_and_lowest(values: Sequence[float]) -> tuple[float, float]:
    return statistics.mean(values), min(values)


# Speed ---------------------------------------------------------------------------------------------------------------


def work(name: str, images: Sequence[RGBImage], resize: Resize, core: int, orders: Connection) -> None:
    """Be a process on one core: for each order, make all images smaller once, and send the CPU seconds of that."""
    os.sched_setaffinity(0, [core])
    encode, _ = WAYS[name].start(resize)
    # Ours does so by itself: the others are not to lose time with page faults.
    bytes(KEPT_MEMORY)
    while orders.recv():
        began = time.process_time()
        for image in images:
            encode(image)
        orders.send(time.process_time() - began)


class Workers:
    """The processes of one way, one for each core, that share the images."""

    def __init__(self, name: str, images: Sequence[RGBImage], resize: Resize, cores: Sequence[int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._count = len(images)
        self._orders: list[Connection] = []
        self._processes = []
        for turn, core in enumerate(cores):
            ours, theirs = context.Pipe()
            share = images[turn :: len(cores)]
            process = context.Process(target=work, args=(name, share, resize, core, theirs), daemon=True)
            process.start()
            # So that the end of the process is the end of the pipe.
            theirs.close()
            self._orders.append(ours)
            self._processes.append(process)

    def measure(self) -> Speed:
        """Make all images smaller once."""
        began = time.perf_counter()
        for orders in self._orders:
            orders.send(True)
        cpu = sum(orders.recv() for orders in self._orders)
        return Speed(self._count / (time.perf_counter() - began), self._count / cpu)

    def stop(self) -> None:
        """End the processes."""
        for orders, process in zip(self._orders, self._processes, strict=True):
            orders.send(False)
            process.join()


def speeds(
    names: Sequence[str], images: Sequence[RGBImage], resize: Resize, cores: Sequence[int], rounds: int
) -> dict[str, list[Speed]]:
    """Let all ways work in turns, after a warm-up that is not counted."""
    workers = {name: Workers(name, images, resize, cores) for name in names}
    found: dict[str, list[Speed]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        tell(f"{len(cores)} cores: {f'round {turn} of {rounds}' if turn else 'warm-up'}")
        for name, some in workers.items():
            speed = some.measure()
            if turn:
                found[name].append(speed)
    for some in workers.values():
        some.stop()
    return found


# The table -----------------------------------------------------------------------------------------------------------


def _range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _decibels(values: tuple[float, float] | None) -> str:
    return f"{values[0]:.1f} ({values[1]:.1f})" if values else ""


def as_table(close: dict[str, Closeness], found: dict[int, dict[str, list[Speed]]]) -> str:
    """Return a Markdown table, a line for each way."""
    heads = [""]
    for count in found:
        heads += [f"images per CPU second, {count} at once", f"images/s, {count} at once"]
    heads += ["dB before JPEG", "dB after", "kB"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, its in close.items():
        cells = [name]
        for of_ways in found.values():
            cells += [_range([speed.cpu for speed in of_ways[name]]), _range([speed.wall for speed in of_ways[name]])]
        cells += [_decibels(its.before), _decibels(its.after), f"{its.size / 1000:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.resize", description=__doc__)
    parser.add_argument("--images", type=Path, required=True, metavar="PATH", help="a folder, or an archive of images")
    parser.add_argument("--size", default="short:256", metavar="SIZE", help="as --resize (default: short:256)")
    parser.add_argument("--quality", type=int, default=90, metavar="N", help="of JPEG (default: 90)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="after a warm-up (default: 5)")
    parser.add_argument("--limit", type=int, metavar="N", help="take only so many images")
    return parser


def main() -> None:
    """Run as the command line asks."""
    arguments = _parser().parse_args()
    resize = Resize(*parse_size(arguments.size), arguments.quality)
    images = larger_images(arguments.images, resize, arguments.limit)
    if not images:
        sys.exit(f"tests.benchmarks.resize: {arguments.images} has no image that is larger than {arguments.size}")
    names = []
    for name, way in WAYS.items():
        if missing := way.missing():
            tell(f"{name} is left out: {', '.join(missing)} is not installed")
        else:
            names.append(name)
    if OURS not in names:
        sys.exit("tests.benchmarks.resize: run: pip install '.[resize]'")
    cores = sorted(os.sched_getaffinity(0))
    found = {count: speeds(names, images, resize, cores[:count], arguments.rounds) for count in sorted({1, len(cores)})}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        close = dict(zip(names, pool.starmap(closeness, [(n, images, resize) for n in names], 1), strict=True))
    print(as_table(close, found))
    print(
        f"\n{len(images)} images larger than {arguments.size}, quality {arguments.quality}. Speed: medians of "
        f"{arguments.rounds} rounds (lowest to highest), all in turns, a process for each core. PSNR against "
        f"{WHOLE_IMAGE_LANCZOS}, before JPEG: mean (lowest). kB: mean of the results. Machine: {machine()}."
    )


if __name__ == "__main__":
    main()

"""The command line of the miniature: ``python -m luigi_ilsvrc.miniature DIR``."""

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from luigi_ilsvrc.miniature import FULL, MiniatureError, write
from luigi_ilsvrc.progress import Progress


def main() -> None:
    """Write a miniature as the command line asks.

    Raises
    ------
    SystemExit
        With the message of a `MiniatureError` or `OSError`, which Python shows without a traceback; exit code 1.
    """
    arguments = vars(_parser().parse_args())
    if arguments.pop("full", False):
        arguments = {**FULL, **arguments}
    try:
        with tqdm(delay=2, disable=None, mininterval=0.5) as bar:
            write(arguments.pop("directory"), **arguments, progress=show_in(bar))
    except (MiniatureError, OSError) as error:
        sys.exit(f"luigi_ilsvrc.miniature: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m luigi_ilsvrc.miniature",
        description="Write a small ILSVRC2012 in the exact shape of the real one.",
        # Options that are not given are left out, so that the defaults are written in one place, `write`.
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a new or empty directory, or an earlier miniature")
    _add_number(parser, "--synsets", "1 to 1000 (default: 10)")
    _add_number(parser, "--train-images", "in all synsets together (default: 400)")
    _add_number(parser, "--validation-images", "in all synsets together (default: 50)")
    _add_number(parser, "--xml-files", "files of bounding boxes (default: two for every five training images)")
    parser.add_argument("--tiny", action="store_true", help="pictures of 16 to 32 pixels a side, about 450 bytes each")
    parser.add_argument("--full", action="store_true", help="as many files as the real data set, with tiny pictures")
    _add_number(parser, "--seed", "another seed gives other synsets, names, pictures and boxes (default: 2012)")
    return parser


def _add_number(parser: argparse.ArgumentParser, option: str, description: str) -> None:
    parser.add_argument(option, type=int, metavar="N", help=description)


def show_in(bar: "tqdm[Any]") -> Progress:
    """Return a progress callback that updates a bar."""

    def show(stage: str, done: int, total: int | None, unit: str) -> None:
        bar.total = total
        bar.unit = f" {unit}"
        bar.set_description_str(stage, refresh=False)
        bar.update(done - bar.n)

    return show


if __name__ == "__main__":
    main()

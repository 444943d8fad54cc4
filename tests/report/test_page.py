"""The page itself, as text; `test_browser` looks at it."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from luigi_ilsvrc import miniature
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.page import make_page
from tests.report.conftest import without_timings

Describe = Callable[..., ReportedBuild]
_EMPTY = frozenset(("meta", "link", "br", "img", "path", "use", "rect", "line", "circle"))


@pytest.fixture(scope="module")
def page(built: Path, describe: Describe) -> str:
    return make_page(describe(built), "/source").decode()


class Elements(HTMLParser):
    """The elements of a page; fails if one is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in _EMPTY or tag in ("path", "use"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.found if found == tag]


def test_the_page_begins_as_html_does_and_closes_all_its_elements(page: str) -> None:
    assert page.lstrip().startswith("<!DOCTYPE html>")
    Elements(page)


def test_nothing_in_the_page_is_taken_from_elsewhere(page: str) -> None:
    elements = Elements(page)
    links = [
        value
        for _, attributes in elements.found
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href")
    ]
    assert all(value and value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"url\((?!#)|@import|<script|<iframe|<object", page)


def test_every_link_in_the_page_leads_to_a_place_in_it(page: str) -> None:
    elements = Elements(page)
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    assert {link["href"] for link in elements.of("a")} <= {f"#{name}" for name in ids}


def test_who_does_not_see_the_page_is_told_what_its_pictures_show(page: str) -> None:
    elements = Elements(page)
    charts = elements.of("svg")
    assert len(charts) >= 9
    assert all(svg["role"] == "img" and len(svg["aria-label"] or "") > 20 for svg in charts)
    assert all(image["alt"] for image in elements.of("img"))
    assert all(header["scope"] in ("row", "col") for header in elements.of("th"))
    assert len(elements.of("h1")) == 1


def test_the_same_build_gives_the_same_bytes_but_for_its_timings(page: str, built: Path, describe: Describe) -> None:
    again = make_page(describe(built), "/another/source").decode()
    assert again != page
    assert without_timings(again) == without_timings(page)


def test_every_unusual_image_of_the_miniature_is_named(page: str, built: Path) -> None:
    unusual = page.partition('<h2 id="unusual">')[2].partition("<section")[0]
    found = 0
    for path in (built / "ilsvrc2012").glob("*_images/*/*.JPEG"):
        with Image.open(path) as image:
            reencoded = image.format == "PNG" or image.mode == "CMYK"
            turned = image.format == "JPEG" and image.getexif().get(0x0112, 1) > 1
            if reencoded or turned or image.mode == "L" or image.info.get("progressive"):
                assert path.name in unusual, path
                found += 1
            if reencoded:
                assert f"{path.name}: {image.format} ({image.mode})" in unusual
    assert found > 10


def test_every_unusual_annotation_of_the_miniature_is_named(page: str) -> None:
    unusual = page.partition('<h2 id="unusual">')[2].partition("<section")[0]
    for title in (
        "Boxes without width or height",
        "Boxes that name another class of the challenge",
        "Boxes of XML files whose first box names another class",
        "XML files of which no box is left",
        "XML files without an image",
        "XML files of synsets outside the challenge",
        "Boxes with another name than their synset",
        "Boxes whose minimum and maximum are swapped",
        "Boxes that reach beyond the image",
        "Boxes with a decimal point",
        "XML files with %s in place of the image&#39;s name",
    ):
        block = unusual.partition(f"<h3>{title}")[2].partition("<h3>")[0]
        assert re.search(r"<li><code>n[0-9]{8}", block), title
    assert f"{miniature.OUTSIDE_SYNSET}: 1" in unusual


def test_all_classes_are_listed_with_their_words(page: str, describe: Describe, built: Path) -> None:
    for synset, words in describe(built).class_names.items():
        assert synset in page
        assert words.replace("'", "&#39;") in page


def test_words_are_never_taken_for_markup(built: Path, describe: Describe) -> None:
    build = describe(built)
    names = {synset: f"<b>{number} & $x$ \"'</b>" for number, synset in enumerate(build.class_names)}
    page = make_page(replace(build, class_names=names), "<i>/source</i>").decode()
    Elements(page)
    assert "<b>0" not in page
    assert "<i>/source" not in page
    assert "&lt;b&gt;0 &amp; $x$" in page


def test_a_build_without_records_says_that_sizes_are_those_of_a_sample(built: Path, describe: Describe) -> None:
    page = make_page(describe(built, ()), "/source").decode()
    assert "This is a fixed sample of 115 images" in page
    assert "The build has no records" in page


def test_a_build_without_boxes_has_a_page_too(data_dir: Path, describe: Describe) -> None:
    (data_dir / "bounding_boxes.csv").unlink()
    page = make_page(describe(data_dir), "/source").decode()
    assert "The build has no boxes" in page


def test_a_build_without_timings_has_a_page_too(data_dir: Path, describe: Describe) -> None:
    for path in (data_dir / "ilsvrc2012" / "index" / "timings").iterdir():
        path.unlink()
    assert "No times were recorded" in make_page(describe(data_dir), "/source").decode()

import gzip
import hashlib
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, JpegImagePlugin

from luigi_ilsvrc import miniature
from luigi_ilsvrc.archives import BOUNDING_BOXES, TRAIN, VALIDATION
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.synsets import (
    PACKAGED_TABLES,
    SYNSET_ENGLISH_KEY,
    UNIQUE_SYNSETS,
    VALIDATION_SYNSET_LABELS,
    read_english,
    read_synsets,
    read_validation_labels,
)

SYNSETS, TRAIN_IMAGES, VALIDATION_IMAGES, XML_FILES = 4, 60, 12, 30


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("small")
    miniature.write(
        directory,
        synsets=SYNSETS,
        train_images=TRAIN_IMAGES,
        validation_images=VALIDATION_IMAGES,
        xml_files=XML_FILES,
    )
    return directory


@pytest.fixture(scope="module")
def training(small: Path) -> dict[str, bytes]:
    return {name: data for inner in _members(small / TRAIN.name).values() for name, data in _members(inner).items()}


@pytest.fixture(scope="module")
def validation(small: Path) -> dict[str, bytes]:
    return _members(small / VALIDATION.name)


@pytest.fixture(scope="module")
def annotations(small: Path) -> dict[str, ElementTree.Element]:
    tar = gzip.decompress((small / BOUNDING_BOXES.name).read_bytes())
    return {name: ElementTree.fromstring(xml) for name, xml in _members(tar).items()}


def _members(tar: Path | bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(tar if isinstance(tar, bytes) else tar.read_bytes())) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]


def _headers(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(tar)) as archive:
        return archive.getmembers()


def _files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _write_tiny(directory: Path, **arguments: int) -> Path:
    counts = {"synsets": 2, "train_images": 20, "validation_images": 4} | arguments
    miniature.write(directory, tiny=True, **counts)  # type: ignore[arg-type]
    return directory


# The same arguments ---------------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, small: Path) -> None:
    miniature.write(
        tmp_path,
        synsets=SYNSETS,
        train_images=TRAIN_IMAGES,
        validation_images=VALIDATION_IMAGES,
        xml_files=XML_FILES,
    )
    assert _files(tmp_path) == _files(small)


def test_another_process_with_another_hash_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    here = _write_tiny(tmp_path / "here")
    counts = ["--synsets", "2", "--train-images", "20", "--validation-images", "4", "--tiny"]
    subprocess.run(
        [sys.executable, "-m", "luigi_ilsvrc.miniature", tmp_path / "there", *counts],
        env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(miniature.__file__).parents[1])},
        check=True,
    )
    assert _files(tmp_path / "there") == _files(here)


def test_another_seed_gives_other_archives(tmp_path: Path) -> None:
    one, other = (_files(_write_tiny(tmp_path / str(seed), seed=seed)) for seed in (1, 2))
    assert all(one[archive.name] != other[archive.name] for archive in (TRAIN, VALIDATION, BOUNDING_BOXES))


# Archives -------------------------------------------------------------------------------------------------------------


def test_the_training_archive_is_a_tar_of_one_tar_for_each_synset(small: Path) -> None:
    inner = _members(small / TRAIN.name)
    assert set(inner) == {f"{synset}.tar" for synset in read_synsets(small / UNIQUE_SYNSETS)}
    for name, tar in inner.items():
        assert all(
            member.startswith(name.removesuffix(".tar") + "_") and member.endswith(".JPEG") for member in _members(tar)
        )


def test_the_validation_images_are_numbered_from_one_and_not_sorted(validation: dict[str, bytes]) -> None:
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, VALIDATION_IMAGES + 1)]
    assert sorted(validation) == names
    assert list(validation) != names


def test_annotations_lie_in_a_folder_for_each_synset(annotations: dict[str, ElementTree.Element]) -> None:
    assert len(annotations) == XML_FILES
    for name, root in annotations.items():
        assert name.split("/")[0] == root.findtext("folder") == name.split("/")[1].split("_")[0]
    assert list(annotations) != sorted(annotations)


def test_members_are_plain_files_of_nobody(small: Path) -> None:
    outer = (small / TRAIN.name).read_bytes()
    tars = [
        outer,
        *_members(outer).values(),
        (small / VALIDATION.name).read_bytes(),
        gzip.decompress((small / BOUNDING_BOXES.name).read_bytes()),
    ]
    for tar in tars:
        assert len(tar) % tarfile.RECORDSIZE == 0
        for member in _headers(tar):
            assert (member.type, member.mode, member.uid, member.gid) == (tarfile.REGTYPE, 0o644, 0, 0)


def test_the_sums_agree_with_the_archives(small: Path) -> None:
    assert (small / "MD5SUMS").read_text().splitlines() == [
        f"{hashlib.md5((small / archive.name).read_bytes()).hexdigest()}  {archive.name}"
        for archive in (TRAIN, VALIDATION, BOUNDING_BOXES)
    ]


def test_the_tables_are_those_of_the_challenge_for_fewer_synsets(small: Path) -> None:
    synsets = read_synsets(small / UNIQUE_SYNSETS)
    assert len(synsets) == SYNSETS
    assert synsets == sorted(synsets)
    assert set(synsets) <= set(read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS))
    assert read_english(small / SYNSET_ENGLISH_KEY, synsets) == read_english(
        PACKAGED_TABLES / SYNSET_ENGLISH_KEY, synsets
    )


def test_validation_labels_are_spread_evenly(small: Path) -> None:
    labels = read_validation_labels(small / VALIDATION_SYNSET_LABELS, read_synsets(small / UNIQUE_SYNSETS))
    assert set(Counter(labels).values()) == {VALIDATION_IMAGES // SYNSETS}
    assert labels != sorted(labels)


# Images ---------------------------------------------------------------------------------------------------------------


def test_there_are_as_many_images_as_asked_for(training: dict[str, bytes]) -> None:
    assert len(training) == TRAIN_IMAGES


def test_no_two_images_are_the_same(training: dict[str, bytes], validation: dict[str, bytes]) -> None:
    assert len({*training.values(), *validation.values()}) == TRAIN_IMAGES + VALIDATION_IMAGES


def test_images_are_as_large_as_photographs(training: dict[str, bytes]) -> None:
    plain = [len(data) for data in training.values() if _is_plain(_open(data))]
    assert 80_000 < sum(plain) / len(plain) < 140_000


def test_tiny_images_are_tiny(tmp_path: Path) -> None:
    tiny = _members(_write_tiny(tmp_path, validation_images=20) / VALIDATION.name).values()
    assert max(len(data) for data in tiny) < 1000
    assert all(16 <= side <= 32 for data in tiny for side in _open(data).size)


def test_every_image_can_be_decoded(training: dict[str, bytes], validation: dict[str, bytes]) -> None:
    for data in (*training.values(), *validation.values()):
        _open(data).load()


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data))


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


@pytest.mark.parametrize("is_odd", [*ODD_IN_BOTH_SPLITS, _is_cmyk, _is_ycck])
def test_odd_images_are_among_the_training_images(
    training: dict[str, bytes], is_odd: Callable[[Image.Image], bool]
) -> None:
    assert any(is_odd(_open(data)) for data in training.values())


@pytest.mark.parametrize("is_odd", ODD_IN_BOTH_SPLITS)
def test_odd_images_are_among_the_validation_images(
    validation: dict[str, bytes], is_odd: Callable[[Image.Image], bool]
) -> None:
    assert any(is_odd(_open(data)) for data in validation.values())


def test_one_training_image_is_a_png_in_disguise(training: dict[str, bytes]) -> None:
    assert [name for name, data in training.items() if _open(data).format == "PNG"] == [miniature.DISGUISED_PNG]


def test_most_images_are_plain_jpegs_of_halved_colour(training: dict[str, bytes]) -> None:
    plain = [image for image in map(_open, training.values()) if _is_plain(image)]
    assert len(plain) > TRAIN_IMAGES * 3 // 4
    assert all(JpegImagePlugin.get_sampling(image) == 2 for image in plain)


def test_a_ycck_image_shows_much_the_same_colours_as_the_others(training: dict[str, bytes]) -> None:
    image = next(image for image in map(_open, training.values()) if _is_ycck(image))
    means = [
        sum(level * count for level, count in enumerate(band.histogram())) for band in image.convert("RGB").split()
    ]
    assert all(80 < mean / (image.width * image.height) < 190 for mean in means)


@pytest.mark.parametrize("train_images", [6, 7, 20])
def test_six_images_are_room_enough_for_every_oddity(tmp_path: Path, train_images: int) -> None:
    directory = _write_tiny(tmp_path, synsets=1, train_images=train_images)
    (inner,) = _members(directory / TRAIN.name).values()
    images = [_open(data) for data in _members(inner).values()]
    assert all(any(is_odd(image) for image in images) for is_odd in (*ODD_IN_BOTH_SPLITS, _is_cmyk, _is_ycck))
    assert any(image.format == "PNG" for image in images)


# Annotations ----------------------------------------------------------------------------------------------------------


def _size(root: ElementTree.Element) -> tuple[int, int]:
    return int(root.findtext("size/width", "")), int(root.findtext("size/height", ""))


def _boxes(root: ElementTree.Element) -> list[tuple[float, ...]]:
    return [
        tuple(float(box.findtext(edge, "")) for edge in ("xmin", "ymin", "xmax", "ymax"))
        for box in root.findall("object/bndbox")
    ]


def _has_floats(root: ElementTree.Element) -> bool:
    return "." in root.findtext("object/bndbox/xmin", "")


def _is_swapped(root: ElementTree.Element) -> bool:
    return any(xmin > xmax and ymin > ymax for xmin, ymin, xmax, ymax in _boxes(root))


def _reaches_beyond(root: ElementTree.Element) -> bool:
    width, height = _size(root)
    return any(xmin < 0 and ymin < 0 and xmax > width and ymax > height for xmin, ymin, xmax, ymax in _boxes(root))


def _is_outside(root: ElementTree.Element) -> bool:
    return any(xmin > _size(root)[0] for xmin, *_ in _boxes(root))


def _is_flat_beside_a_good_one(root: ElementTree.Element) -> bool:
    return sorted(xmin < xmax for xmin, _, xmax, _ in _boxes(root)) == [False, True]


def _has_no_filename(root: ElementTree.Element) -> bool:
    return root.findtext("filename") == "%s"


def _has_a_human_name(root: ElementTree.Element) -> bool:
    return root.findtext("object/name") == miniature.HUMAN_NAME


def _is_of_another_challenge(root: ElementTree.Element) -> bool:
    return root.findtext("folder") == miniature.OUTSIDE_SYNSET


def _goes_from_right_to_left(root: ElementTree.Element) -> bool:
    return len(_boxes(root)) == 3 and _boxes(root) == sorted(_boxes(root), reverse=True)


@pytest.mark.parametrize(
    "is_odd",
    [
        _has_floats,
        _is_swapped,
        _reaches_beyond,
        _is_outside,
        _is_flat_beside_a_good_one,
        _has_no_filename,
        _has_a_human_name,
        _is_of_another_challenge,
        _goes_from_right_to_left,
    ],
)
def test_odd_annotations_are_there(
    annotations: dict[str, ElementTree.Element], is_odd: Callable[[ElementTree.Element], bool]
) -> None:
    assert any(map(is_odd, annotations.values()))


@pytest.mark.parametrize("which", [0, 1])
def test_one_of_two_objects_bears_the_name_of_another_challenge_synset(
    small: Path, annotations: dict[str, ElementTree.Element], which: int
) -> None:
    synsets = set(read_synsets(small / UNIQUE_SYNSETS))

    def others(root: ElementTree.Element) -> Iterator[bool]:
        for name in root.findall("object/name"):
            yield name.text in synsets - {root.findtext("folder")}

    assert any(list(others(root)) == [number == which for number in range(2)] for root in annotations.values())


def test_one_annotation_has_no_image(training: dict[str, bytes], annotations: dict[str, ElementTree.Element]) -> None:
    images = {name.split("/")[1].replace(".xml", ".JPEG") for name in annotations}
    challenge = {image for image in images if not image.startswith(miniature.OUTSIDE_SYNSET)}
    assert len(challenge - set(training)) == 1


def test_some_annotations_give_another_size_than_the_image_has(
    training: dict[str, bytes], annotations: dict[str, ElementTree.Element]
) -> None:
    sizes = {name: _open(data).size for name, data in training.items()}
    same = Counter(
        _size(root) == sizes[image]
        for name, root in annotations.items()
        if (image := name.split("/")[1].replace(".xml", ".JPEG")) in sizes
    )
    assert 1 <= same[False] < same[True]


def test_two_in_five_training_images_are_annotated_by_default(tmp_path: Path) -> None:
    directory = _write_tiny(tmp_path, train_images=50)
    assert len(_members(gzip.decompress((directory / BOUNDING_BOXES.name).read_bytes()))) == 20


# Scale ----------------------------------------------------------------------------------------------------------------


def test_the_full_count_has_synsets_of_732_to_1300_images() -> None:
    counts = miniature.images_per_synset(1000, 1_281_167, seed=1)
    assert (len(counts), sum(counts), min(counts), max(counts)) == (1000, 1_281_167, 732, 1300)
    assert Counter(counts)[1300] > 850


@pytest.mark.parametrize(("synsets", "images"), [(1, 1), (1, 7), (3, 3), (3, 4), (10, 400), (7, 1000), (1000, 1999)])
def test_any_count_of_images_is_divided_among_the_synsets(synsets: int, images: int) -> None:
    counts = miniature.images_per_synset(synsets, images, seed=1)
    assert (len(counts), sum(counts)) == (synsets, images)
    assert min(counts) >= 1


def test_a_thousand_synsets_are_those_of_the_challenge(tmp_path: Path) -> None:
    _write_tiny(tmp_path, synsets=1000, train_images=3000, validation_images=2000)
    assert (tmp_path / UNIQUE_SYNSETS).read_bytes() == (PACKAGED_TABLES / UNIQUE_SYNSETS).read_bytes()
    assert (tmp_path / SYNSET_ENGLISH_KEY).read_bytes() == (PACKAGED_TABLES / SYNSET_ENGLISH_KEY).read_bytes()
    tars = _members(tmp_path / TRAIN.name)
    assert len(tars) == 1000
    assert sum(len(_headers(tar)) for tar in tars.values()) == 3000


def test_progress_tells_of_every_file(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    miniature.write(
        tmp_path,
        synsets=1,
        train_images=10,
        validation_images=5,
        xml_files=3,
        tiny=True,
        progress=lambda *event: told.append(event),
    )
    assert told[-1] == ("writing bounding boxes", 18, 18)


# What goes wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ({"synsets": 0}, "0 synsets asked for"),
        ({"synsets": 1001, "train_images": 2000, "validation_images": 2000}, "ask for 1 to 1000"),
        ({"synsets": 5, "train_images": 4}, "4 training images for 5 synsets"),
        ({"synsets": 5, "validation_images": 4}, "4 validation images for 5 synsets"),
        ({"xml_files": 21}, "ask for 1 to 20 XML files"),
    ],
)
def test_counts_that_cannot_be_had_are_refused(tmp_path: Path, counts: dict[str, int], complaint: str) -> None:
    with pytest.raises(miniature.MiniatureError, match=complaint):
        _write_tiny(tmp_path / "new", **counts)
    assert not (tmp_path / "new").exists()


def test_a_miniature_error_is_a_build_error() -> None:
    assert issubclass(miniature.MiniatureError, BuildError)


@pytest.mark.parametrize("name", ["notes.txt", TRAIN.name])
def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(miniature.MiniatureError, match="empty or new directory"):
        _write_tiny(tmp_path)
    assert _files(tmp_path) == {name: b"precious"}


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(miniature.MiniatureError, match="is a file"):
        _write_tiny(tmp_path / "file")


def test_an_earlier_miniature_is_rewritten(tmp_path: Path) -> None:
    again = _write_tiny(_write_tiny(tmp_path / "again", seed=1), seed=2)
    assert _files(again) == _files(_write_tiny(tmp_path / "once", seed=2))


def test_an_interrupted_archive_is_not_left_behind(tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        miniature.write(tmp_path, synsets=1, train_images=5, validation_images=5, tiny=True, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [miniature.MARKER]


# Command line ---------------------------------------------------------------------------------------------------------


def test_the_command_line_tells_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "luigi_ilsvrc.miniature", tmp_path, "--full", "--synsets", "1001"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr == "luigi_ilsvrc.miniature: 1001 synsets asked for: the challenge has 1000; ask for 1 to 1000\n"

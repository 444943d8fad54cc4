from collections.abc import Callable
from pathlib import Path

import pandas as pd
from PIL import Image

from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.images import Images, find_names, read_images, read_index_table
from luigi_ilsvrc.report.samples import choose_samples

Describe = Callable[..., ReportedBuild]


def read(build: ReportedBuild) -> Images:
    return read_images(
        build, {split: read_index_table(path, build.class_names) for split, path in build.indexes.items()}
    )


def as_pillow_sees_them(data_dir: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in (data_dir / "ilsvrc2012").glob("*_images/*/*.JPEG"):
        with Image.open(path) as image:
            found[path.name] = image.size
    return found


def sizes(images: Images) -> dict[str, tuple[int, int]]:
    columns = images.table[["image", "width", "height"]]
    return {str(name): (int(width), int(height)) for name, width, height in columns.itertuples(index=False)}


def traits(images: Images) -> dict[str, str]:
    columns = images.table[["image", "odd"]].astype(object).fillna("")
    return {str(name): str(odd) for name, odd in columns.itertuples(index=False)}


def test_the_size_of_every_image_is_known_without_reading_one(built: Path, describe: Describe) -> None:
    images = read(describe(built))
    assert (images.is_sample, images.problems) == (False, [])
    assert sizes(images) == as_pillow_sees_them(built)


def test_without_records_the_headers_of_a_sample_tell_it(built: Path, describe: Describe) -> None:
    images = read(describe(built, ()))
    assert images.is_sample
    assert sizes(images) == as_pillow_sees_them(built)
    assert traits(images) == traits(read(describe(built)))


def test_if_details_are_missing_a_sample_is_read_and_the_file_named(data_dir: Path, describe: Describe) -> None:
    build = describe(data_dir)
    missing = build.paths.details(build.shards("tfrecord", "train")[2])
    missing.unlink()
    images = read(build)
    assert (images.is_sample, images.problems) == (True, [f"{missing} is missing"])
    assert sizes(images) == as_pillow_sees_them(data_dir)


def test_an_image_that_cannot_be_read_is_named(data_dir: Path, describe: Describe) -> None:
    build = describe(data_dir, ())
    for archive in (data_dir / "ilsvrc2012").glob("*.tar"):
        archive.unlink()
    gone = next((data_dir / "ilsvrc2012" / "training_images").glob("*/*.JPEG"))
    gone.unlink()
    images = read(build)
    assert gone.name not in sizes(images)
    assert [gone.name in problem for problem in images.problems] == [True]


def test_the_images_of_a_trait_are_found_by_its_whole_name(built: Path, describe: Describe) -> None:
    images = read(describe(built))
    for trait in ("grey", "progressive", "exif", "reencoded"):
        assert 0 < len(images.odd(trait)) < 30
    assert images.odd("rey").empty


def test_names_are_found_among_others_in_any_order() -> None:
    among = pd.Series(["n2_1.JPEG", "n1_10.JPEG", "n1_1.JPEG"])
    assert find_names(pd.Series(["n1_1.JPEG", "n1_2.JPEG", "n2_1.JPEG", "n1_10.JPEG", "z"]), among).tolist() == [
        2,
        -1,
        0,
        1,
        -1,
    ]
    assert find_names(pd.Series([], dtype="str"), among).tolist() == []
    assert find_names(among, pd.Series([], dtype="str")).tolist() == [-1, -1, -1]


def test_samples_are_of_classes_over_all_labels_and_the_same_each_time(built: Path, describe: Describe) -> None:
    build = describe(built)
    index = read_index_table(build.indexes["train"], build.class_names).assign(has_boxes=False)
    synsets = list(build.class_names)
    chosen = choose_samples(index, synsets, 8)
    assert chosen == choose_samples(index, synsets, 8)
    assert {place.synset for place in chosen} == set(synsets)
    assert len(set(chosen)) == 8
    assert [place.synset for place in choose_samples(index, synsets, 2)] == [synsets[0], synsets[-1]]


def test_images_with_boxes_are_preferred_as_samples(built: Path, describe: Describe) -> None:
    build = describe(built)
    index = read_index_table(build.indexes["train"], build.class_names)
    with_boxes = {str(name) for name in index.groupby("synset", observed=True)["name"].last()}
    index = index.assign(has_boxes=index["name"].isin(with_boxes))
    chosen = choose_samples(index, list(build.class_names), len(build.class_names))
    assert {place.name for place in chosen} == with_boxes

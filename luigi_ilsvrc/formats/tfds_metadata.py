"""What tensorflow-datasets wants beside TFRecord shards, written without it.

With these two files, ``tfds.builder_from_directory`` reads the folder as it is. They are the JSON forms of its protocol
buffers ``feature.proto`` and ``dataset_info.proto``, in ``tensorflow_datasets/core/proto``; its own ``write_metadata``
refuses shards whose names have no ending.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from luigi_ilsvrc.formats.side_files import SideFiles, Splits

FEATURES_FILE, INFO_FILE = "features.json", "dataset_info.json"

_FEATURES = "tensorflow_datasets.core.features"
_NUMBERS = ("image/height", "image/width", "image/channels", "image/class/label")
_TEXTS = ("image/colorspace", "image/format", "image/filename", "image/class/synset", "image/class/text")
_COORDINATES = tuple(f"image/object/bbox/{side}" for side in ("xmin", "ymin", "xmax", "ymax"))


def metadata(folder: str) -> SideFiles:
    """Return the files, of shards in a folder below ``ilsvrc2012/``."""
    return SideFiles(
        task="TFRecordMetadata",
        about="What tensorflow-datasets wants to know of the TFRecord shards.",
        folder=folder,
        is_by_split=False,
        names=lambda shard_counts: [FEATURES_FILE, INFO_FILE],
        is_name=(FEATURES_FILE, INFO_FILE).__contains__,
        write=_write,
    )


def _write(splits: Splits) -> Iterator[tuple[str, bytes]]:
    yield FEATURES_FILE, _as_json(_features())
    yield INFO_FILE, _as_json(_info(splits))


def _as_json(message: Mapping[str, Any]) -> bytes:
    return (json.dumps(message, indent=2) + "\n").encode()


def _info(splits: Splits) -> dict[str, Any]:
    return {
        "name": "ilsvrc2012",
        "version": "1.0.0",
        "description": "ILSVRC2012: images, labels from 1, and bounding boxes.",
        "fileFormat": "tfrecord",
        "splits": [_split(split, [(len(it.records), it.size) for it in shards]) for split, shards in splits.items()],
    }


def _split(name: str, shards: list[tuple[int, int]]) -> dict[str, Any]:
    # Its numbers of 64 bits are strings in JSON: https://protobuf.dev/programming-guides/json
    return {
        "name": name,
        "filepathTemplate": "{SPLIT}-{SHARD_X_OF_Y}",
        "shardLengths": [str(records) for records, _ in shards],
        "numBytes": str(sum(size for _, size in shards)),
    }


def _features() -> dict[str, Any]:
    """Return the features of an Example; the names are its own, each ``/`` a step into a dictionary."""
    image = {"shape": {"dimensions": ["-1", "-1", "3"]}, "dtype": "uint8", "encodingFormat": "jpeg"}
    flat = {"image/encoded": {"pythonClassName": f"{_FEATURES}.image_feature.Image", "image": image}}
    flat |= {name: _tensor("int64", {}) for name in _NUMBERS}
    flat |= {name: {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}} for name in _TEXTS}
    flat |= {name: _tensor("float32", _ANY_NUMBER) for name in _COORDINATES}
    flat["image/object/bbox/label"] = _tensor("int64", _ANY_NUMBER)
    return _nested({tuple(name.split("/")): feature for name, feature in flat.items()})


_ANY_NUMBER = {"dimensions": ["-1"]}


def _tensor(dtype: str, shape: Mapping[str, Any]) -> dict[str, Any]:
    tensor = {"shape": shape, "dtype": dtype, "encoding": "none"}
    return {"pythonClassName": f"{_FEATURES}.tensor_feature.Tensor", "tensor": tensor}


def _nested(features: Mapping[tuple[str, ...], Any]) -> dict[str, Any]:
    """Return a ``FeaturesDict`` of features by their paths."""
    steps = dict.fromkeys(path[0] for path in features)
    inner = {
        step: features[step,]
        if (step,) in features
        else _nested({path[1:]: feature for path, feature in features.items() if path[0] == step})
        for step in steps
    }
    return {"pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": inner}}

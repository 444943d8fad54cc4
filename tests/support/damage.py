"""Random damage to a finished build, of every kind that disks, people and half-finished copies do."""

import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_FOREIGN = "a foreign file of the same kind"

PATTERNS: Mapping[str, str] = {
    "training image": "ilsvrc2012/training_images/*/*.JPEG",
    "validation image": "ilsvrc2012/validation_images/*/*.JPEG",
    "annotation": "ilsvrc2012/training_bounding_boxes/*/*.xml",
    "CSV": "bounding_boxes.csv",
    "shard": "ilsvrc2012/tfrecords/*-of-*",
    "training index": "ilsvrc2012/index/train/*.csv",
    "validation index": "ilsvrc2012/index/validation/*.csv",
    "plan": "ilsvrc2012/index/*-plan-of-*/*.csv",
    "manifest": "ilsvrc2012/index/manifests/**/*.csv",
    "details": "ilsvrc2012/index/details/**/*.csv",
    "archive record": "ilsvrc2012/index/manifests/*.json",
    "build record": "ilsvrc2012/index/build.json",
    "copy of the build record": "ilsvrc2012/index/tables/build.json",
    "copy of a table": "ilsvrc2012/index/tables/*.txt",
    "archive": "ilsvrc2012/training_*.tar*",
    "validation archive": "ilsvrc2012/validation_*.tar",
}
"""The files of a build, by what they are."""

FOLDERS = (
    "ilsvrc2012",
    "ilsvrc2012/training_images",
    "ilsvrc2012/training_images/*",
    "ilsvrc2012/validation_images",
    "ilsvrc2012/validation_images/*",
    "ilsvrc2012/training_bounding_boxes",
    "ilsvrc2012/training_bounding_boxes/*",
    "ilsvrc2012/tfrecords",
    "ilsvrc2012/index",
    "ilsvrc2012/index/*",
    "ilsvrc2012/index/manifests/*",
    "ilsvrc2012/index/details",
    "ilsvrc2012/index/details/*",
)

_WITH_MANIFESTS = ("ilsvrc2012", "ilsvrc2012/index", "ilsvrc2012/index/*", "ilsvrc2012/index/manifests/*")


class Damage:
    """Damages one build; each method returns what it did in words, or nothing if there was nothing to damage.

    Parameters
    ----------
    data_dir : Path
        The build; its files are its own (no hard links to those of others).
    donor : Path
        Another build, whose files are foreign here.
    rng : random.Random
        Decides everything.
    keep_index : bool
        Whether the index folder and the manifests stay. Without them and without archives, the class folders cannot be
        told from a user's own.
    """

    def __init__(self, data_dir: Path, donor: Path, rng: random.Random, *, keep_index: bool = False) -> None:
        self._keep_index = keep_index
        self._data_dir = data_dir
        self._donor = donor
        self._rng = rng

    def damage(self) -> str:
        """Do one random damage."""
        kinds: Sequence[tuple[Callable[[], str], int]] = (
            *((self._empty, 2), (self._cut, 3), (self._flip, 4), (self._swap, 2), (self._delete, 3)),
            *((self._delete_folder, 2), (self._replace, 3), (self._replace_with_manifest, 1)),
            *((self._replace_folder, 1), (self._add, 1)),
        )
        actions, weights = zip(*kinds, strict=True)
        for _ in range(20):
            done: str = self._rng.choices(actions, weights)[0]()
            if done:
                return done
        return "nothing"

    def _files(self, kind: str) -> list[Path]:
        return sorted(path for path in self._data_dir.glob(PATTERNS[kind]) if path.is_file())

    def _choose(self) -> tuple[str, Path] | None:
        kind = self._rng.choice(list(PATTERNS))
        files = self._files(kind)
        return (kind, self._rng.choice(files)) if files else None

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._data_dir))

    def _rewrite(self, what: str, change: Callable[[bytes], bytes]) -> str:
        chosen = self._choose()
        if chosen is None:
            return ""
        _, path = chosen
        status, before = path.stat(), path.read_bytes()
        after = change(before)
        if after == before:
            return ""
        path.write_bytes(after)
        # A disk that rots does not change the time.
        keep = self._rng.random() < 0.5
        if keep:
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        return f"{what} {self._name(path)}{', its time kept' if keep else ''}"

    def _empty(self) -> str:
        return self._rewrite("emptied", lambda before: b"")

    def _cut(self) -> str:
        return self._rewrite("cut", lambda before: before[: self._rng.randrange(len(before))] if before else before)

    def _flip(self) -> str:
        def flip(before: bytes) -> bytes:
            after = bytearray(before)
            if after:
                after[self._rng.randrange(len(after))] ^= self._rng.randrange(1, 256)
            return bytes(after)

        return self._rewrite("flipped a byte of", flip)

    def _swap(self) -> str:
        files = self._files(self._rng.choice(list(PATTERNS)))
        if len(files) < 2:
            return ""
        first, second = self._rng.sample(files, 2)
        between = first.with_name(".swapped")
        first.rename(between)
        second.rename(first)
        between.rename(second)
        return f"swapped {self._name(first)} and {self._name(second)}"

    def _delete(self) -> str:
        chosen = self._choose()
        if chosen is None:
            return ""
        chosen[1].unlink()
        return f"deleted {self._name(chosen[1])}"

    def _folder(self, root: Path) -> Path | None:
        pattern = self._rng.choice([it for it in FOLDERS if not (self._keep_index and it in _WITH_MANIFESTS)])
        folders = sorted(path for path in root.glob(pattern) if path.is_dir())
        return self._rng.choice(folders) if folders else None

    def _delete_folder(self) -> str:
        folder = self._folder(self._data_dir)
        if folder is None:
            return ""
        shutil.rmtree(folder)
        return f"deleted {self._name(folder)}/"

    def _replace_folder(self) -> str:
        folder = self._folder(self._donor)
        if folder is None or folder == self._donor / "ilsvrc2012":
            return ""
        name = folder.relative_to(self._donor)
        if not (self._data_dir / name).exists():
            # Class folders that are there before anything was made are a user's own.
            return ""
        shutil.rmtree(self._data_dir / name)
        shutil.copytree(folder, self._data_dir / name)
        return f"put {name}/ of another build in place"

    def _replace(self) -> str:
        chosen = self._choose()
        if chosen is None:
            return ""
        kind, path = chosen
        same = self._donor / path.relative_to(self._data_dir)
        others = [same] if same.is_file() else sorted(self._donor.glob(PATTERNS[kind]))
        if not others:
            return ""
        foreign = self._rng.choice(others)
        if foreign.read_bytes() == path.read_bytes():
            return ""
        shutil.copy(foreign, path)
        return f"put {_FOREIGN} in place of {self._name(path)}"

    def _replace_with_manifest(self) -> str:
        """Put an output of another build in place, with its manifest: only its inputs show that it is foreign."""
        manifests = self._donor / "ilsvrc2012" / "index" / "manifests"
        manifest = self._rng.choice(sorted(manifests.rglob("*.csv")))
        relative = manifest.relative_to(manifests).with_suffix("")
        root = Path() if str(relative) == "bounding_boxes.csv" else Path("ilsvrc2012")
        if not (self._data_dir / root / relative).exists():
            return ""
        for path in (root / relative, manifest.relative_to(self._donor)):
            foreign, own = self._donor / path, self._data_dir / path
            own.parent.mkdir(parents=True, exist_ok=True)
            if own.is_dir():
                shutil.rmtree(own)
            if foreign.is_dir():
                shutil.copytree(foreign, own)
            else:
                shutil.copy(foreign, own)
        return f"put {root / relative} of another build in place, with its manifest"

    def _add(self) -> str:
        folder = self._folder(self._data_dir)
        if folder is None:
            return ""
        chosen = self._choose()
        if chosen is None:
            return ""
        name = self._rng.choice([f"copy-of-{chosen[1].name}", "thesis.txt", "train-00000-of-00007"])
        if (folder / name).exists():
            return ""
        shutil.copy(chosen[1], folder / name)
        return f"added {self._name(folder)}/{name}"

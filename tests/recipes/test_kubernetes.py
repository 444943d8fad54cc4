"""The Kubernetes manifests, compared with the schema of the API; and their commands, run without Kubernetes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.recipes.checkout import DATA_DIR, RECIPES, build_with_assistant, free_port, make_checkout
from tests.reliability.kill import differences
from tests.support.running import PROJECT, contents

FILE = RECIPES / "kubernetes" / "ilsvrc.yaml"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all(FILE.read_text()))
VERSIONS = ("1.30", "1.33", kubernetes_validate.latest_version())


def name_of(manifest: Any) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}" if isinstance(manifest, dict) else str(manifest)


def pod(name: str) -> dict[str, Any]:
    [manifest] = [it for it in MANIFESTS if it["metadata"]["name"] == name and "template" in it["spec"]]
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return found


PODS = ("luigid", "ilsvrc-build", "ilsvrc-assistants")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
def test_a_manifest_is_valid(manifest: dict[str, Any], version: str, strict: bool) -> None:
    kubernetes_validate.validate(manifest, version, strict=strict)


def test_a_field_that_does_not_exist_is_found() -> None:
    manifest = json.loads(json.dumps(MANIFESTS[0]))
    manifest["spec"]["accesModes"] = ["ReadWriteMany"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_the_pods_use_the_image_that_the_dockerfile_makes() -> None:
    text = (FILE.parent / "Dockerfile").read_text()
    [image] = {it["image"] for name in PODS for it in [*pod(name)["containers"], *pod(name).get("initContainers", [])]}
    assert f"-t {image} " in text


def test_what_the_dockerfile_copies_exists() -> None:
    lines = (FILE.parent / "Dockerfile").read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (PROJECT / name).exists()] == []


@pytest.mark.slow
def test_the_commands_of_the_pods_build_the_data_set(ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    port, data_dir, log = free_port(), tmp_path / "data", tmp_path / "log"
    checkout = make_checkout(tmp_path / "checkout", ilsvrc)

    def command(name: str) -> list[str]:
        [container] = pod(name)["containers"]
        words: list[str] = [*container["command"], *container.get("args", [])]
        here = {DATA_DIR: str(data_dir), "/tmp/luigid.pickle": str(tmp_path / "state"), "luigid": "127.0.0.1"}
        return [words[0], *(here.get(word, word).replace("8082", str(port)) for word in words[1:])]

    environment = {
        "PATH": f"{sys.prefix}/bin:{os.defpath}",
        "LUIGI_CONFIG_PATH": str(checkout / "luigi.cfg"),
    }
    assert build_with_assistant([*map(command, PODS)], port, log, environment) == 0, log.read_text()
    assert differences(data_dir, contents(built)) == []


@pytest.mark.slow
def test_assistants_begin_when_there_is_an_index(built: Path) -> None:
    [container] = pod("ilsvrc-assistants")["initContainers"]
    command = [word.replace(DATA_DIR, str(built)) for word in container["command"]]
    assert str(built / "ilsvrc2012" / "index" / "train") in command[-1]
    assert subprocess.run(command, timeout=60).returncode == 0

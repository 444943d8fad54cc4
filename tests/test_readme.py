"""README and docs are true: commands and snippets run; links, options, tasks, settings and messages exist."""

import ast
import configparser
import importlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import luigi
import pytest
from luigi.interface import core
from luigi.worker import worker

import luigi_ilsvrc
from luigi_ilsvrc.dataset.classes import write_classes
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES, UNIQUE_SYNSETS, read_synsets
from luigi_ilsvrc.tasks.parameters import SECTION, ilsvrc_log, option
from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import resize
from tests.support.running import PROJECT, luigid

README = PROJECT / "README.md"
TROUBLESHOOTING = PROJECT / "docs" / "troubleshooting.md"
SUBSETS = PROJECT / "docs" / "subsets.md"
GUIDES = [README, *sorted((PROJECT / "docs").glob("*.md"))]
DOCUMENTS = [*GUIDES, PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md"]

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -q "
DATA_DIR = "/data/imagenet"
TASKS = {name: getattr(luigi_ilsvrc, name) for name in luigi_ilsvrc.__all__}

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A fenced block of a document, without the indentation that a list gives it."""

    document: Path
    line: int
    language: str
    text: str


def blocks(language: str, *documents: Path) -> list[Block]:
    found = []
    for document in documents:
        text = document.read_text()
        for match in _FENCE.finditer(text):
            lines = (line.removeprefix(match[1]) for line in match[3].splitlines())
            number = text.count("\n", 0, match.start()) + 1
            found.append(Block(document, number, match[2], "\n".join(lines)))
    return [block for block in found if block.language == language]


def place(item: object) -> str:
    return f"{item.document.name}:{item.line}" if isinstance(item, Block) else str(item)


def without_blocks(document: Path) -> str:
    return _FENCE.sub("", document.read_text())


def tables(document: Path) -> Iterator[list[list[str]]]:
    """Yield the rows of each table, the first of them its head, as the texts of their cells."""
    for table in re.findall(r"(?:^\|.*\|$\n?)+", document.read_text(), re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
        yield [row for row in rows if set("".join(row)) != {"-"}]


# Commands ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as after README's first command, which is run as written, but with the tests' virtual environment."""
    directory = tmp_path_factory.mktemp("checkout")
    (directory / ".venv").symlink_to(sys.prefix)
    (directory / "luigi.cfg").symlink_to(PROJECT / "luigi.cfg")
    command = blocks("shell", README)[0].text
    assert command.startswith(f"{INSTALL}. && ")
    status, output = run(command.removeprefix(f"{INSTALL}. && "), directory)
    assert status == 0, output
    # What the other commands take from the real set-up: the source, its number of shards, and luigid.
    (directory / "miniature.cfg").write_text(
        f"[core]\nlocal_scheduler = true\n"
        f"[{SECTION}]\nsource = {directory / 'miniature'}\ntrain_shards = 16\nvalidation_shards = 8\n"
    )
    return directory


def run(command: str, directory: Path, **environment: str) -> tuple[int, str]:
    """Run a command line of a document; return its exit status and output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=directory,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout


def luigi_commands() -> Iterator[str]:
    """Yield each command of the guides that runs tasks of the package, but the first, which the fixture runs."""
    for block in [*blocks("shell", *GUIDES)[1:], *blocks("crontab", *GUIDES)]:
        for line in block.text.splitlines():
            if re.search(r"\.venv/bin/luigi( --module luigi_ilsvrc|-ilsvrc-assistant)", line):
                yield line[line.index(".venv/bin/luigi") :]


COMMANDS = sorted(set(luigi_commands()))
WITH_LUIGID = [command for command in COMMANDS if "--scheduler-host scheduler" in command]


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in WITH_LUIGID])
def test_a_command_of_the_guides_runs(command: str, checkout: Path) -> None:
    # As many shards as in miniature.cfg: VerifyBuild names those of other counts as extra.
    command = command.replace(DATA_DIR, "data").replace("--num-shards 1024", "--num-shards 16")
    status, output = run(command, checkout, LUIGI_CONFIG_PATH="miniature.cfg")
    assert status == 0, output


@pytest.mark.slow
def test_a_build_with_an_assistant_ends_well_and_so_does_the_assistant(checkout: Path, tmp_path: Path) -> None:
    [assistant] = [command for command in WITH_LUIGID if "assistant" in command]
    [build] = [command for command in WITH_LUIGID if "assistant" not in command]
    config = tmp_path / "miniature.cfg"
    config.write_text((checkout / "miniature.cfg").read_text().replace("local_scheduler = true", ""))
    with luigid(tmp_path) as port:
        here = f"--scheduler-host 127.0.0.1 --scheduler-port {port}"
        helper = subprocess.Popen(
            [*shlex.split(assistant.replace("--scheduler-host scheduler", here)), "--idle-minutes", "0.5"],
            cwd=checkout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        command = build.replace("--scheduler-host scheduler", here).replace(DATA_DIR, str(tmp_path / "data"))
        status, output = run(command, checkout, LUIGI_CONFIG_PATH=str(config))
        assert (status, helper.wait(timeout=180)) == (0, 0), output


def test_the_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    command = blocks("shell", README)[1].text
    assert command == f"{INSTALL}-e '.[tensorflow,readers,test]' && .venv/bin/pytest"
    assert command in (PROJECT / ".ci" / "run").read_text()
    assert command in (PROJECT / "CONTRIBUTING.md").read_text()


# Snippets ------------------------------------------------------------------------------------------------------------


def snippet(part: str) -> Block:
    """Return the one Python snippet of the guides that has a part."""
    [found] = [block for block in blocks("python", *GUIDES) if part in block.text]
    return found


def execute(block: Block, directory: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a snippet in a folder; return its names."""
    monkeypatch.chdir(directory)
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(block.text, place(block), "exec"), names)
    return names


@pytest.mark.parametrize("block", blocks("python", *DOCUMENTS), ids=place)
def test_a_snippet_is_valid_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.slow
def test_a_model_is_fitted_to_the_shards(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    names = execute(snippet("model.fit"), checkout, monkeypatch)
    assert names["model"].optimizer.iterations == 5
    [loss] = names["history"].history["loss"]
    assert 0 < loss < 20


@pytest.mark.slow
def test_tf_data_reads_every_training_image(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorflow")
    images = execute(snippet("tf.data.Dataset"), checkout, monkeypatch)["images"]
    labels = [int(label) for image, label in images if image.shape[2] == 3]
    assert len(labels) == 400
    assert set(labels) == set(range(1, 11))


@pytest.mark.slow
def test_a_loop_reads_the_class_folders(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = execute(snippet("for path, label in"), checkout, monkeypatch)
    assert len(names["images"]) == 400
    assert set(names["images"].targets) == set(range(10))
    assert names["label"] == 9
    assert names["pixels"].size == (224, 224)


@pytest.mark.slow
def test_a_data_set_of_pytorch_reads_the_class_folders(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    images = execute(snippet("torch.utils.data"), checkout, monkeypatch)["Images"](
        "data", "train", lambda image: image.size
    )
    assert len(images) == 400
    assert images[0][1] == 0


@pytest.mark.slow
def test_a_task_of_ones_own_gets_the_shards(checkout: Path) -> None:
    (checkout / "own.py").write_text(snippet("luigi.Task").text)
    status, output = run(
        ".venv/bin/luigi --module own Train --data-dir data",
        checkout,
        LUIGI_CONFIG_PATH="miniature.cfg",
        PYTHONPATH=".",
    )
    assert status == 0, output
    assert "training on 24 shards" in output


@pytest.mark.slow
def test_records_are_read_without_tensorflow(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = execute(snippet("read_records"), checkout, monkeypatch)
    assert names["jpeg"].startswith(b"\xff\xd8")


@pytest.mark.slow
def test_an_image_is_read_through_the_index(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = execute(snippet("index/train/"), checkout, monkeypatch)
    image = names["image"]
    assert names["jpeg"] == (names["dataset"] / "training_images" / image["synset"] / image["name"]).read_bytes()


def test_the_labels_of_a_subset_are_numbered_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synsets = read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS)
    (tmp_path / "data" / "ilsvrc2012").mkdir(parents=True)
    counts = {split: dict.fromkeys(synsets, 50) for split in SPLITS}
    write_classes(dict.fromkeys(synsets, "words"), counts, tmp_path / "data" / "ilsvrc2012" / "classes.csv")
    outputs = execute(snippet('read_subset("imagenet100")'), tmp_path, monkeypatch)["outputs"]
    assert list(outputs.items())[:2] == [(16, 0), (46, 1)]
    assert list(outputs.values()) == list(range(100))


# Links ---------------------------------------------------------------------------------------------------------------


def links(document: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", without_blocks(document))
    return [link for link in found if "://" not in link]


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("document", "link"), [(path, link) for path in DOCUMENTS for link in links(path)], ids=place)
def test_a_link_leads_to_a_file_and_a_heading(document: Path, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    assert target.is_file()
    assert not anchor or anchor in anchors(target)


@pytest.mark.parametrize("document", [*DOCUMENTS, PROJECT / "luigi.cfg"], ids=lambda path: str(path.name))
def test_paths_of_the_project_exist(document: Path) -> None:
    named = [name for name in _CODE.findall(document.read_text()) if re.match(r"(luigi_ilsvrc|tests|docs|\.ci)/", name)]
    assert [name for name in named if not (PROJECT / name).exists()] == []


# Options, settings and tasks -----------------------------------------------------------------------------------------


def parameters() -> Iterator[tuple[str, str, Any]]:
    """Yield task, name and parameter of all that the tasks of the package and their log take."""
    for task_name, task in {**TASKS, ilsvrc_log.__name__: ilsvrc_log}.items():
        yield from ((task_name, name, parameter) for name, parameter in task.get_params())


def options() -> dict[str, Any]:
    """Return the parameter of each option, also with the name of its task before it."""
    found = {}
    for task_name, name, parameter in parameters():
        if task_name in TASKS:
            found[option(name)] = parameter
        found[option(f"{task_name}_{name}")] = parameter
    return found


def luigis_options() -> set[str]:
    configs: tuple[Any, ...] = (core, worker)
    names = [[name for name, _ in config.get_params()] for config in configs]
    return {*map(option, names[0]), *(f"--worker-{option(name)[2:]}" for name in names[1])}


def benchmark_options() -> set[str]:
    return {option for module in (benchmarks, resize) for option in module._parser()._option_string_actions}


OPTION_ROWS = [row for path in GUIDES for table in tables(path) if table[0][0] == "option" for row in table[1:]]


@pytest.mark.parametrize("row", OPTION_ROWS, ids=lambda row: str(row[0]))
def test_an_option_in_a_table_exists(row: list[str]) -> None:
    named = [code for code in _CODE.findall(row[0]) if code.startswith("--")]
    assert named
    assert set(named) <= set(options()) | luigis_options() | benchmark_options()


def test_options_have_the_defaults_that_the_readme_gives() -> None:
    [table] = [table for table in tables(README) if table[0][0] == "option"]
    for row in table[1:]:
        named = [code for code in _CODE.findall(row[0]) if code.startswith("--")]
        for name, default in zip(named, row[1].split(", "), strict=True):
            assert is_default(options()[name], default.strip("`")), (name, default)


def is_default(parameter: Any, text: str) -> bool:
    return bool(parameter.normalize(parameter.parse(text)) == parameter.normalize(parameter._default))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.name))
def test_options_that_are_named_in_a_text_exist(document: Path) -> None:
    text = without_blocks(document)
    # What there is no more, and what other programs take.
    others = {"--tfrecords", "--scale", "--kills", "--seconds", "--files", "--seed", "--state-path"}
    named = {match for code in _CODE.findall(text) for match in re.findall(r"(?<!\S)--[A-Za-z][\w-]*", code)}
    assert named <= set(options()) | luigis_options() | benchmark_options() | others


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: str(path.name))
def test_tasks_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    named = {code for code in _CODE.findall(text) if re.fullmatch(r"[A-Z]\w*[a-z][A-Z]\w+", code)}
    named |= set(re.findall(r"--module luigi_ilsvrc (\w+)", text))
    assert [name for name in named if name not in TASKS and not hasattr(luigi, name)] == []


def test_every_task_that_makes_an_output_is_in_the_readme() -> None:
    makes = {name for name in TASKS if not name.startswith("Verify")} - {"BuildAll", "Assist"}
    [table] = [table for table in tables(README) if "made by" in table[0]]
    assert makes <= {code for row in table[1:] for code in _CODE.findall(row[1])}


def settings_in_luigi_cfg() -> dict[str, str]:
    text = (PROJECT / "luigi.cfg").read_text().partition(f"[{SECTION}]\n")[2]
    return {match[1]: match[2] for match in re.finditer(r"^# (\w+) =(.*)$", text, re.MULTILINE)}


def test_the_settings_in_luigi_cfg_are_all_there_are_and_have_their_defaults() -> None:
    real = {
        parameter._config_path["name"]: parameter
        for _, _, parameter in parameters()
        if parameter._config_path and parameter._config_path["section"] == SECTION
    }
    written = settings_in_luigi_cfg()
    assert {name for name, value in written.items() if not value} == {"username", "access_key"}
    assert {name for name, value in written.items() if value} == set(real)
    assert [name for name in real if not is_default(real[name], written[name].strip())] == []


def test_luigi_cfg_sets_nothing_in_the_section_of_the_package() -> None:
    config = configparser.ConfigParser(interpolation=None)
    config.read(PROJECT / "luigi.cfg")
    assert dict(config[SECTION]) == {}
    assert all(int(code) > 0 for code in config["retcode"].values())


# Messages ------------------------------------------------------------------------------------------------------------

MIN_STATIC = 12
"""Characters that a text of the code must have beside its values, to say anything about a message."""

MAX_VALUE_WORDS = 3

SYSTEM_REASONS = {os.strerror(number) for number in range(1, 134)}


@cache
def templates() -> list[re.Pattern[str]]:
    """Return each text of the package's code as a pattern that captures the values in it."""
    found = []
    for path in sorted(Path(luigi_ilsvrc.__file__).parent.rglob("*.py")):
        if path.name == "__main__.py":
            continue
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        constants = {key: value for key, value in vars(importlib.import_module(name)).items() if isinstance(value, str)}
        for text in texts_in(ast.parse(path.read_text())):
            pattern = pattern_of(text, constants)
            if len(pattern.replace("(.*?)", "").replace("\\", "")) >= MIN_STATIC:
                found.append(re.compile(pattern.removeprefix(r";\ "), re.DOTALL))
    return found


def texts_in(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions below a node that make texts; of a text in parts, the whole."""
    if isinstance(node, ast.JoinedStr | ast.BinOp) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        yield node
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    for child in ast.iter_child_nodes(node):
        if not isinstance(node, ast.JoinedStr):
            yield from texts_in(child)
        elif isinstance(child, ast.FormattedValue):
            yield from texts_in(child.value)


def pattern_of(text: ast.expr, constants: dict[str, str]) -> str:
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        # Also the values of a text for the log, or for str.format.
        return re.sub(r"%s|%d|%\\\.0f|\\{\\}", "(.*?)", re.escape(text.value))
    if isinstance(text, ast.JoinedStr):
        return "".join(pattern_of(part, constants) for part in text.values)
    if isinstance(text, ast.BinOp):
        return pattern_of(text.left, constants) + pattern_of(text.right, constants)
    if isinstance(text, ast.FormattedValue):
        return pattern_of(text.value, constants)
    if isinstance(text, ast.Name) and text.id in constants:
        return re.escape(constants[text.id])
    return "(.*?)"


def is_said(message: str) -> bool:
    """Tell whether the code has this message: a text whose values are short, or texts of the code themselves."""
    return any(
        all(is_value(value) or is_said(value) for value in match.groups())
        for match in (pattern.fullmatch(message) for pattern in templates())
        if match
    )


def is_value(text: str) -> bool:
    return len(text.split()) <= MAX_VALUE_WORDS or text in SYSTEM_REASONS or text.endswith("…")


MESSAGES = [
    _CODE.findall(row[0])[0]
    for table in [*tables(TROUBLESHOOTING), *(table for table in tables(SUBSETS) if table[0][0] == "message")]
    for row in table[1:]
    if _CODE.search(row[0]) and "(Luigi's message)" not in row[0]
]


def without_its_subject(message: str) -> str:
    """Return a message without the option, the URL, or the file and the system's reason that it begins with."""
    failure = re.match(r"\S+: ([^;]+); ", message)
    if failure and failure[1] in SYSTEM_REASONS:
        return message[failure.end() :]
    return re.sub(r"^(--[a-z-]+: |https://…: |; )", "", message)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_in_the_guide_is_one_of_the_code(message: str) -> None:
    assert is_said(message) or is_said(without_its_subject(message))


@pytest.mark.parametrize(
    "message",
    ["the disc is too full for the build of everything", "…: 3 of the 5 synsets are gone, such as n01440764.tar"],
)
def test_a_message_that_the_code_has_not_is_found_out(message: str) -> None:
    assert not is_said(message)

"""The systemd units, read by systemd's own program; and their commands, run without systemd."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import SOURCE
from tests.recipes.checkout import (
    CHECKOUT,
    DATA_DIR,
    RECIPES,
    build_with_assistant,
    free_port,
    make_checkout,
    replaced,
)
from tests.reliability.kill import differences
from tests.support.running import contents

FOLDER = RECIPES / "systemd"
UNITS = sorted(path for path in FOLDER.iterdir() if path.suffix in (".service", ".timer"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
TIMERS = [unit for unit in UNITS if unit.suffix == ".timer"]


def systemd_analyze(*arguments: object) -> tuple[int, str]:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    done = subprocess.run(
        [program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )
    return done.returncode, done.stdout


@pytest.fixture
def installed(tmp_path: Path, ilsvrc: Path) -> Path:
    """The units in a folder, with the programs of this checkout; the parts that stand in a comment too."""
    checkout = make_checkout(tmp_path / "checkout", ilsvrc)
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in UNITS:
        (folder / unit.name).write_text(unit.read_text().replace(CHECKOUT, str(checkout)))
    return folder


def test_systemd_has_nothing_to_say_against_the_units(installed: Path) -> None:
    assert systemd_analyze("verify", *sorted(installed.iterdir())) == (0, "")


def test_systemd_has_nothing_to_say_against_the_verification_of_a_part(installed: Path) -> None:
    unit = installed / "ilsvrc-verify.service"
    text = re.sub(r"^ExecStart=.*\n", "", unit.read_text(), flags=re.MULTILINE)
    unit.write_text(text.replace("# ExecStart=", "ExecStart="))
    assert "--part" in unit.read_text()
    assert systemd_analyze("verify", unit) == (0, "")


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: str(path.name))
def test_a_timer_elapses(timer: Path) -> None:
    [when] = re.findall(r"^OnCalendar=(.*)$", timer.read_text(), re.MULTILINE)
    status, output = systemd_analyze("calendar", when)
    assert status == 0, output
    assert "Next elapse: " in output


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: str(path.name))
def test_a_timer_starts_a_service_of_its_name(timer: Path) -> None:
    assert timer.with_suffix(".service") in SERVICES


@pytest.mark.slow
def test_the_services_build_the_data_set(installed: Path, ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    port, data_dir, log = free_port(), tmp_path / "data", tmp_path / "log"
    here = {CHECKOUT: tmp_path / "checkout", DATA_DIR: data_dir, SOURCE: ilsvrc, "8082": port, "16": 1}
    settings = configparser.ConfigParser(delimiters="=", interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign]
    settings.read_string("[env]\n" + replaced((FOLDER / "ilsvrc.env").read_text(), here))
    environment = dict(settings["env"])

    def command(name: str) -> list[str]:
        [line] = re.findall(r"^ExecStart=(.*)$", (installed / name).read_text(), re.MULTILINE)
        line = line.replace("/var/lib/luigid", str(tmp_path))
        return re.sub(r"\$\{(\w+)\}", lambda it: environment[it[1]], line).split()

    commands = [command(f"{name}.service") for name in ("luigid", "ilsvrc-build", "ilsvrc-assistant")]
    assert build_with_assistant(commands, port, log, environment) == 0, log.read_text()
    assert differences(data_dir, contents(built)) == []

"""What is built, by standard tools, is what is installed and tested."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from world import REPOSITORY

import claiim

DIST = os.environ.get("CLAIIM_TEST_DIST")
SITE = os.environ.get("CLAIIM_TEST_SITE")
needs_build = pytest.mark.skipif(not DIST, reason="not run by tools/check/sdk.sh")


@needs_build
def test_what_is_tested_is_the_wheel() -> None:
    assert Path(claiim.__file__).is_relative_to(SITE)


@needs_build
def test_the_wheel_has_the_package_its_types_and_nothing_else() -> None:
    (wheel,) = Path(DIST).glob("*.whl")
    assert wheel.name == f"claiim-{claiim.__version__}-py3-none-any.whl"
    names = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]
    sources = Path(__file__).resolve().parents[1] / "src"
    expected = {
        str(p.relative_to(sources)) for p in sources.rglob("*") if p.suffix == ".py" or p.name == "py.typed"
    }
    assert set(names) == expected
    metadata = next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    assert re.findall(r"^Requires-Dist: (.*)$", text, re.M) == ["psycopg (>=3.1)"] or "psycopg>=3.1" in text
    assert re.search(r"^Requires-Python: >=3.9$", text, re.M)


@needs_build
def test_the_sdist_can_be_built_from() -> None:
    (sdist,) = Path(DIST).glob("*.tar.gz")
    names = {name.split("/", 1)[-1] for name in tarfile.open(sdist).getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "src/claiim/__init__.py",
        "src/claiim/py.typed",
    } <= names


def test_its_version_is_the_extensions() -> None:
    control = (REPOSITORY / "claiim.control").read_text()
    assert f"default_version = '{claiim.__version__}'" in control


def test_everything_public_has_a_docstring() -> None:
    import inspect

    for name in claiim.__all__:
        thing = getattr(claiim, name)
        assert inspect.getdoc(thing), name
        for member, value in vars(thing).items():
            if inspect.isfunction(value) and not member.startswith("_"):
                assert value.__doc__, f"{name}.{member}"


def test_what_python_prints_as_help_names_every_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "claiim", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    for command in ("check", "complete", "permissions", "request-session", "hook"):
        assert command in done.stdout

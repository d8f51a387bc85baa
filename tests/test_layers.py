"""The package is layered: imports go down, none go round, and a file is one idea long.

CONTRIBUTING.md says what the layers are for; here their imports are read, and a small made-up package shows that
whatever breaks the rule is found and named.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.layers import LAYERS, MAX_LINES, PUBLIC, arrows, circles, homeless, long_files, path_around, room, upward

PACKAGE = Path(__file__).resolve().parent.parent / "mixfit"

ADVICE = (
    "type on a protocol of a lower layer, pass in what is needed, or move what is asked for down to the lowest layer "
    "that can hold it; an import in a function or under TYPE_CHECKING is the same arrow"
)


def complaint_of_homeless(package, layers=LAYERS):
    """The modules of rooms without a layer, and what to do."""
    return [f"{module}: give its room a layer in LAYERS of tests/layers.py" for module in homeless(package, layers)]


def complaint_of_upward(found, layers=LAYERS):
    """The imports that go upward, and what to do."""
    above = upward(found, layers)
    lines = [f"{arrow}: {room(arrow.target) or 'what is public'} is above {room(arrow.source)}" for arrow in above]
    return [*lines, ADVICE] if lines else []


def complaint_of_circles(found, key):
    """The circles of what ``key`` makes of modules, for each the imports of a shortest way around, and what to do."""
    edges = {}
    for arrow in found:
        a, b = key(arrow.source), key(arrow.target)
        if a and b and a != b:
            edges.setdefault((a, b), arrow)
    lines = []
    for part in circles(edges):
        way = path_around(edges, part)
        lines.append(f"a circle of {len(part)}, of which {' → '.join(way)}:")
        lines.extend(f"    {edges[step]}" for step in pairwise(way))
    return [*lines, ADVICE] if lines else []


def complaint_of_long_files(package):
    """The files of more lines than a file may have, and what to do."""
    files = long_files(package)
    return [f"{file} has {lines} lines, over {MAX_LINES}: make two of its ideas" for file, lines in files.items()]


def module_itself(module):
    return module


def nothing(complaint):
    if complaint:
        pytest.fail("\n".join(complaint), pytrace=False)


@pytest.fixture(scope="module")
def imports():
    """Those of the package, read once."""
    return arrows(PACKAGE)


def test_every_room_has_a_layer():
    nothing(complaint_of_homeless(PACKAGE))


def test_imports_go_down(imports):
    nothing(complaint_of_upward(imports))


@pytest.mark.parametrize("key", [module_itself, room], ids=["files", "rooms"])
def test_imports_do_not_go_round(imports, key):
    nothing(complaint_of_circles(imports, key))


def test_no_file_is_too_long():
    nothing(complaint_of_long_files(PACKAGE))


def test_no_room_has_two_layers():
    rooms = [name for layer in LAYERS for name in layer]
    assert len(rooms) == len(set(rooms))


def test_the_package_is_read(imports):
    """Of no imports everything would hold."""
    assert len({arrow.source for arrow in imports}) > 100
    assert ("formula", "mixfit.errors") in {(room(arrow.source), arrow.target) for arrow in imports}


# A made-up package of three layers.

FLOORS = (("base",), ("left", "right"), ("top",), (PUBLIC,), ("__main__",))


@pytest.fixture
def write(tmp_path):
    """Write files of a package ``toy`` and return its folder."""

    def write(**files):
        package = tmp_path / "toy"
        for name, text in {"__init__": "", "base": "", "top": "from toy import base\n", **files}.items():
            path = package / f"{name.replace('__in_', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return package

    return write


IMPORTS = {
    "at the top": "import math\nfrom toy.top import f\n",
    "in a function": "def g():\n    from toy.top import f\n",
    "in a method": "class A:\n    x = 1\n    def g(self):\n        import toy.top as t\n",
    "for types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy import top\n",
    "relative": "x = 1\nfrom . import top\n",
    "by a string": 'import importlib\n\nt = importlib.import_module("toy.top")\n',
}


@pytest.mark.parametrize("text", IMPORTS.values(), ids=IMPORTS)
def test_an_import_upward_is_found_wherever_it_stands(write, text):
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "top" in line)
    package = write(left=text)
    first, advice = complaint_of_upward(arrows(package), FLOORS)
    assert first == f"toy.left imports toy.top (toy/left.py:{line}): top is above left"
    assert advice == ADVICE
    assert complaint_of_upward(arrows(write(left="from toy import base\n")), FLOORS) == []


def test_only_the_command_line_is_above_what_is_public(write):
    package = write(top="from toy import __version__\n", __main__="import toy\n")
    (line, _) = complaint_of_upward(arrows(package), FLOORS)
    assert line == "toy.top imports toy (toy/top.py:1): what is public is above top"


def test_a_circle_of_files_is_found_within_a_room(write):
    package = write(
        left__in___init__="",
        left__in_a="from toy.left import b\n",
        left__in_b="def f():\n    from .c import g\n",
        left__in_c="import toy.left.a\nfrom toy import base\n",
    )
    assert complaint_of_upward(arrows(package), FLOORS) == []
    assert complaint_of_circles(arrows(package), room) == []
    assert complaint_of_circles(arrows(package), module_itself) == [
        "a circle of 3, of which toy.left.a → toy.left.b → toy.left.c → toy.left.a:",
        "    toy.left.a imports toy.left.b (toy/left/a.py:1)",
        "    toy.left.b imports toy.left.c (toy/left/b.py:2)",
        "    toy.left.c imports toy.left.a (toy/left/c.py:1)",
        ADVICE,
    ]


def test_a_circle_of_rooms_is_found_without_one_of_files(write):
    package = write(
        left__in___init__="",
        left__in_a="from toy.right import b\n",
        left__in_b="",
        right__in___init__="",
        right__in_a="from toy.left.b import f\n",
        right__in_b="",
    )
    assert complaint_of_upward(arrows(package), FLOORS) == []
    assert complaint_of_circles(arrows(package), module_itself) == []
    assert complaint_of_circles(arrows(package), room) == [
        "a circle of 2, of which left → right → left:",
        "    toy.left.a imports toy.right.b (toy/left/a.py:1)",
        "    toy.right.a imports toy.left.b (toy/right/a.py:1)",
        ADVICE,
    ]


def test_two_circles_are_two(write):
    package = write(left="import toy.right\n", right="import toy.left\n", top="import toy.base", base="import toy.top")
    lines = complaint_of_circles(arrows(package), module_itself)
    assert sum(line.startswith("a circle of 2") for line in lines) == 2


def test_a_room_without_a_layer_is_named(write):
    (line,) = complaint_of_homeless(write(attic="x = 1\n"), FLOORS)
    assert line == "toy.attic: give its room a layer in LAYERS of tests/layers.py"


def test_a_long_file_is_named(write):
    (line,) = complaint_of_long_files(write(left="x = 1\n" * (MAX_LINES + 1), right="x = 1\n" * MAX_LINES))
    assert line == "toy/left.py has 401 lines, over 400: make two of its ideas"

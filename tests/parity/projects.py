"""The projects' folders, and the parts of them that are made rather than kept."""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = Path(__file__).parent / "projects"
LAYERS, WIDTH = 4, 8
#: dbt compares a larger seed by its path alone.
LARGE = 1024 * 1024


def names() -> list[str]:
    """Every project."""
    return sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())


def copy(name: str, to: Path) -> None:
    """Puts a project into a new folder."""
    shutil.copytree(FOLDER / name, to)
    if name == "wide":
        _widen(to)


def rows(size: int) -> str:
    """A seed of at least `size` bytes."""
    line = "{},a row that is only here to make the file large\n"
    lines = (line.format(number) for number in range(size // 48 + 1))
    return "id,v\n" + "".join(lines)


def _widen(project: Path) -> None:
    """Layers of models, each on two of the layer below, with tests that span two of them."""
    (project / "seeds/large.csv").write_text(rows(LARGE + 1))
    for layer in range(LAYERS):
        folder = project / f"models/layer_{layer}"
        folder.mkdir()
        models = []
        for column in range(WIDTH):
            name = f"m_{layer}_{column}"
            if layer == 0:
                parents = [
                    ["source('landing', 'things')", "source('landing', 'others')"][column % 2],
                    ["ref('small')", "ref('large')"][column // 4],
                ]
            else:
                parents = [
                    f"ref('m_{layer - 1}_{column}')",
                    f"ref('m_{layer - 1}_{(column + 1) % WIDTH}')",
                ]
            text = f"select a.id from {{{{ {parents[0]} }}}} a, {{{{ {parents[1]} }}}} b\n"
            (folder / f"{name}.sql").write_text(text)
            models.append(_properties(name, layer, column))
        (folder / "schema.yml").write_text("models:\n" + "".join(models))


def _properties(name: str, layer: int, column: int) -> str:
    text = f"  - name: {name}\n    columns:\n      - name: id\n        data_tests:\n          - not_null\n"
    if layer and column % 2:
        text += "          - relationships:\n"
        text += f"              arguments: {{to: ref('m_{layer - 1}_{column - 1}'), field: id}}\n"
    return text

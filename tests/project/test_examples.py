"""The examples can be used as they are. Those with Spark are run by the tests of the demo and of sharing."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from emberhub_service.config import load_site

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_well_formed_and_has_no_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
            if not cell.source.startswith("%"):
                ast.parse(cell.source)


def test_the_site_file_of_the_workshop_serves_a_class() -> None:
    site = load_site(EXAMPLES / "workshop" / "emberhub.yaml")
    (profile,) = site.profiles
    guaranteed = site.queues.children[0].guaranteed
    assert profile.executor.how_many(guaranteed) == 16
    assert site.instructors == {"class": ("teachers",)}


def test_every_link_of_the_workshop_leads_somewhere() -> None:
    page = EXAMPLES / "workshop" / "README.md"
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []

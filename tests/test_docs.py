"""README and docs: code blocks run, configurations parse, links and file names exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml
from support import ROOT, WEIGHTS

from sbert.augment.recipe_config import RecipeConfig
from sbert.claims.config import ClaimsConfig
from sbert.cli import InnerParser, make_parser
from sbert.sweeps.config import SweepConfig
from sbert.training.config import TrainConfig

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# the first key that a configuration has decides what reads it
SCHEMAS = {
    "base": SweepConfig,
    "gold": RecipeConfig,
    "model": TrainConfig,
    "experiments": ClaimsConfig,
}
FOLDERS = "sbert|configs|docs|tests|tools|benchmarks"

every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.S | re.M)


def anchors(path: Path) -> set[str]:
    """The link targets that the headings of a page make, as GitHub names them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@every_page
def test_python_blocks_run(path, tmp_path, monkeypatch):
    """All blocks of a page in order, in one namespace, in a folder with the real weights."""
    code = blocks(path, "python")
    if not code:
        pytest.skip("the page has no Python block")
    if any("models/" in block for block in code) and not WEIGHTS.exists():
        pytest.skip("needs the real weights")
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for block in code:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(block, str(path), "exec"), namespace)


@every_page
def test_configurations_parse(path, tmp_path):
    for i, block in enumerate(blocks(path, "yaml")):
        schema = next((SCHEMAS[key] for key in SCHEMAS if key in yaml.safe_load(block)), None)
        if schema is None:
            continue  # an excerpt
        file = tmp_path / f"{i}.yaml"
        file.write_text(block, "utf-8")
        parser = make_parser(schema, "docs", "", InnerParser)
        parser.instantiate(parser.parse_args(["--config", str(file)]))


@every_page
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), f"{path.name}: the link {target} leads nowhere"
        if anchor:
            assert anchor in anchors(page), f"{path.name}: {target}: no such heading"


@every_page
def test_files_that_are_named_exist(path):
    text = path.read_text("utf-8")
    for name in set(re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)", text)):
        assert (ROOT / name).exists(), f"{path.name} names {name}, which does not exist"
    for script in set(re.findall(r"python (\w+\.py)", text)):
        assert (ROOT / script).exists(), f"{path.name} names {script}, which does not exist"


def test_readme_is_one_screen():
    assert len((ROOT / "README.md").read_bytes()) <= 12 * 1024


def test_every_page_is_linked_from_the_readme():
    readme = (ROOT / "README.md").read_text("utf-8")
    missing = [page.name for page in PAGES[1:] if f"docs/{page.name}" not in readme]
    assert not missing

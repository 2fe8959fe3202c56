"""Every page of the course has all its parts, and what it tells to type exists."""

import importlib
import itertools
import re
import shlex

import pytest
from absl import flags

from cnnlab.analysis import summarize
from cnnlab.cli.analyses import KINDS
from cnnlab.cli.config_flags import resolve_config, split_overrides
from cnnlab.cli.flag_definer import FlagDefiner
from cnnlab.cli.main import COMMANDS
from cnnlab.config import experiment_names, validate
from cnnlab.course import EXPERIMENTS, FIGURES, check_names
from cnnlab.course.pages import Code, pages_folder, pieces, read_pages
from cnnlab.models import create_model
from cnnlab.models.catalog import BASELINES

PAGES = read_pages()
PARTS = ("The idea", "The formula", "In code", "Measured", "Try it", "Questions")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_all_its_parts(page):
    text = page.path.read_text()
    assert text.startswith(f"# {page.title}\n\n**Question.** ")
    assert tuple(re.findall(r"^## (.+)$", text, flags=re.M)) == PARTS
    assert "```math\n" in text and re.search(r"!\[.+\]\(figures/\w+\.png\)", text)
    code = [piece for piece in pieces(page.text) if isinstance(piece, Code)]
    assert any(block.output for block in code)
    answers = re.findall(
        r"<details><summary>[^<\n]+\?[^<\n]*</summary>\n\n.+?\n\n</details>", text, flags=re.S
    )
    assert 2 <= len(answers) == text.count("<details>") <= 3


def test_pages_lead_from_one_to_the_next():
    for before, page in itertools.pairwise(PAGES):
        assert f"[Next: {page.title}]({page.path.name})" in before.path.read_text()
        assert f"[Previous: {before.title}]({before.path.name})" in page.path.read_text()
    assert all("[Contents](README.md)" in page.path.read_text() for page in PAGES)


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./]+)\)", page.path.read_text()):
            assert (pages_folder() / target).exists(), (page.name, target)


def test_commands_exist():
    for page in PAGES:
        text = re.sub(r" \\\n\s+", " ", page.path.read_text())
        text = re.sub(r"(?<=python)\n|\n(?=launch)|(?<=launch\.py course)\n", " ", text)
        for command, rest in re.findall(r"launch\.py (\w+)([^`\n]*)", text):
            assert command in COMMANDS, page.name
            for experiment in re.findall(r"--config=(\w+)", rest):
                assert experiment in experiment_names(), page.name
            if command == "course":
                names = [word for word in rest.split() if not word.startswith("--")]
                assert names and set(names) <= {*FIGURES, *EXPERIMENTS}, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_to_try_is_valid(page):
    part = page.text.split("## Try it\n")[1].split("## Questions\n")[0]
    lines = re.findall(r"^    python (launch\.py .+)$", part.replace(" \\\n", " "), flags=re.M)
    assert lines
    runs = set()
    for line in lines:
        _, command, *rest = shlex.split(line)
        rest, overrides = split_overrides(rest)
        values = flags.FlagValues()
        importlib.import_module(f"cnnlab.cli.flags.{command}").define_flags(FlagDefiner(values))
        positional = values(["launch.py", *rest])[1:]
        if command == "course":
            check_names(positional)
        elif command == "analyze":
            assert positional[0] in KINDS and values.workdir in runs
        elif command in ("train", "summary"):
            config = resolve_config(values.config, overrides)
            validate(config)
            if command == "train":
                runs.add(values.workdir or f"runs/{values.config}")
            if config.model.name not in BASELINES:
                create_model(config.model.name, num_classes=10, **config.model.options)


def test_the_table_of_vggs_is_that_of_the_networks():
    text = (pages_folder() / "vgg.md").read_text()
    for row in re.findall(r"^\| (vgg\d+) \|(.+)\|$", text, flags=re.M):
        cells = [cell.strip() for cell in row[1].split("|")]
        layers = summarize(create_model(row[0], num_classes=1000), (224, 224, 3))
        convolutions = [layer for layer in layers if layer.kind == "Conv"]
        assert sum(layer.params for layer in layers) == int(cells[6].replace(",", ""))
        assert sum(map(int, cells[:5])) == len(convolutions) == int(cells[5]) - 3
    assert text.count("| vgg") == 4

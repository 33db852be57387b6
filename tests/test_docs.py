import csv
import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from aach_lightning.benchmark import __main__ as benchmark_command
from aach_lightning.benchmark.plan import chosen_methods, compose_job, load_plan, make_jobs
from aach_lightning.config.schema import CHOICES, register_schemas
from aach_lightning.errors import AachError
from aach_lightning.readers import command as data_command
from aach_lightning.reports import __main__ as reports_command
from aach_lightning.runtime.run import checked_config
from aach_lightning.serving.serve import register_serving

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
COMMANDS_OF_HYDRA = ("train.py", "attack.py", "serve.py")
OPTIONS_WITH_A_WORD = ("--cfg", "--info")
HELP = ROOT / "conf" / "hydra" / "default.yaml"
OF_THE_READER = r"must be (an|the) existing|the folder holds no|_target_=mylab\.[\w.]+ is not allowed"
"""What only a reader has: files, and a package of their own."""
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def examples_of_help() -> list[str]:
    """The lines of `--help` below "Examples:", without what stands beside them."""
    _, _, below = HELP.read_text(encoding="utf-8").partition("Examples:\n")
    lines = [line.strip() for line in below.splitlines()]
    return [re.split(r" {3,}", line)[0] for line in lines if line.startswith("python ")]


def commands() -> Iterator[tuple[str, list[str]]]:
    """The page and the words of each command of this project."""
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] == ["torchrun"] or "torch.distributed.run" in words:
                    yield page.name, words[words.index("attack.py") :]
                elif words[:1] == ["python"]:
                    yield page.name, words[1:]
    for line in examples_of_help():
        yield "--help", shlex.split(line)[1:]


COMMANDS = list(commands())


@pytest.mark.parametrize("page", [PAGES[0], *sorted(DOCS.glob("*.md"))], ids=lambda page: page.name)
def test_examples_on_a_page_give_what_they_say(page: Path) -> None:
    outcome = doctest.testfile(str(page), module_relative=False)
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize(
    "words", [words for _, words in COMMANDS], ids=[f"{page}: {words}" for page, words in COMMANDS]
)
def test_commands_on_a_page_can_be_given(words: list[str], tmp_path: Path) -> None:
    """Every key and value exists and is of its type; what a command does is tested elsewhere."""
    program, *arguments = words
    if words[:2] == ["-m", "aach_lightning.data"]:
        assert data_command.command_line().parse_args(words[2:])
        return
    if words[:2] == ["-m", "aach_lightning.reports"]:
        assert reports_command.command_line().parse_args(words[2:])
        return
    if words[:2] == ["-m", "aach_lightning.benchmark"]:
        options = benchmark_command.command_line().parse_intermixed_args(words[2:])
        methods = chosen_methods(load_plan(options.plan), options.methods)
        (tmp_path / "pairs.csv").write_text("id,image,text,labels\n", encoding="utf-8")
        overrides = [word.replace("=DIR", f"={tmp_path}") for word in options.overrides]
        assert compose_job(make_jobs(methods, overrides)[0], tmp_path)  # tests/benchmark composes all of a plan
        return
    if words[0] == "-m" and words[1].startswith("mylab."):
        return  # tests/e2e/test_extending.py runs it
    if words[:2] == ["-m", "aach_lightning.serving"]:
        program, arguments = "serve.py", words[2:]
    if words[:3] == ["-m", "aach_lightning.targets", "check"]:
        program, arguments = "attack.py", words[3:]
    assert program in COMMANDS_OF_HYDRA or (ROOT / program).is_file(), words
    if program not in COMMANDS_OF_HYDRA:
        return
    taken = {place + 1 for place, word in enumerate(arguments) if word in OPTIONS_WITH_A_WORD}
    overrides = [word for place, word in enumerate(arguments) if not word.startswith("-") and place not in taken]
    if {"-m", "--multirun"} & set(arguments):
        assert OverridesParser.create().parse_overrides(overrides)
        return
    register_schemas()
    if program == "serve.py":
        register_serving()
    (tmp_path / "pairs.csv").write_text("id,image,text,labels\n", encoding="utf-8")
    overrides = [word.replace("=DIR", f"={tmp_path}") for word in overrides]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        composed = compose(program.removesuffix(".py"), [*overrides, "paths.output=out"])
    if program == "serve.py":
        return
    try:
        checked_config(composed)
    except AachError as error:
        lines = str(error).removeprefix("the configuration has mistakes:\n").splitlines()
        assert all(re.search(OF_THE_READER, line) for line in lines), lines


def test_help_names_every_group_that_a_run_chooses_from() -> None:
    text = HELP.read_text(encoding="utf-8")
    assert len(examples_of_help()) == 5
    shown = set(re.findall(r"\$\{choices:([\w/]+)\}", text))
    groups = {*CHOICES, *(str(file.parent.relative_to(ROOT / "conf")) for file in (ROOT / "conf").glob("*/**/*.yaml"))}
    # one option, chosen by others, or none of a run's
    assert groups - shown == {"attack/search", "benchmark", "budget", "hydra", "paths", "sweep", "target/method"}


def test_help_is_shown_with_the_choices() -> None:
    done = subprocess.run(
        [sys.executable, "attack.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr == ""
    assert "nes, sdha, signhunter, square, universal" in done.stdout
    assert "$" not in done.stdout
    assert "_schema" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """The command of `make docs`, into another folder."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="the extra `docs` is not installed")
    (command,) = re.findall(r"^\t\.venv/bin/python (-m sphinx .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = [word.replace("build/", f"{tmp_path}/") for word in shlex.split(command)]
    assert {"-W", "--keep-going"} < set(words)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    site = tmp_path / "docs"
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS)).with_suffix(".html").is_file(), page
    method = (site / "method.html").read_text(encoding="utf-8")
    assert method.count("<math") > 40
    assert not re.search(r"\$[^<\n]*\\", method)  # no formula left as it was typed
    assert not re.search(r'(src|href)="(https?:)?//[^"]*\.(js|css)', method)  # nothing is loaded from elsewhere
    assert "exchanged_triplet" in (site / "api" / "attacks.html").read_text(encoding="utf-8")


def test_the_table_of_your_own_pairs_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (table,) = blocks(DOCS / "data.md", "csv")
    (tmp_path / "images").mkdir()
    (tmp_path / "pairs.csv").write_text(table, encoding="utf-8")
    for number, row in enumerate(csv.DictReader(table.splitlines())):
        Image.new("RGB", (40, 30), (50 * number, 90, 120)).save(tmp_path / row["image"])
    cache, sheet = str(tmp_path / "cache"), str(tmp_path / "sheet.png")
    assert data_command.main(["check", str(tmp_path), "--cache", cache, "--sheet", sheet]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for said in ("pairs 3", "labels 4; 0 pairs without any", "damaged images 0", "repeated images 0"):
        assert said in shown
    assert f"data=pairs data.root={tmp_path}" in shown


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, heading = target.partition("#")
            if "://" in target:
                continue
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name}: {target}"
            if heading:
                titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target

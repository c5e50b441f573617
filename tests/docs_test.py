"""What the documentation names exists: files, links, headings, keys of configs, commands, flags."""

import argparse
import re
import runpy
import shlex
from pathlib import Path

import pytest

from glide_jax import config
from glide_jax.commands import COMMANDS, find_command
from glide_jax.config.files import config_folder
from glide_jax.config.reading import known_keys
from glide_jax.entry import Parser
from glide_jax.main import build_parser

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "launch").glob("*.md")])
SOURCES = [
    *PAGES,
    *sorted(config_folder().glob("*.py")),
    *sorted((ROOT / "launch").glob("*.sh")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *sorted((ROOT / "benchmarks").glob("*.py")),
]
"""Where commands are written down. CHANGELOG.md has old ones too, in their own column."""

FOLDERS = ("glide_jax", "configs", "docs", "launch", "notebooks", "benchmarks", "tests", ".ci")


def named(paths):
    return pytest.mark.parametrize("page", paths, ids=lambda p: p.relative_to(ROOT).as_posix())


def text_of(page):
    """Its text; of the changelog what is said of this version, without the old names."""
    text = page.read_text("utf-8")
    if page.name != "CHANGELOG.md":
        return text
    rows = [
        line.split(" | ", 1)[-1] if line.startswith("| ") else line for line in text.split("\n")
    ]
    return "\n".join(rows)


def commands_of(page):
    """The command lines of a page, lines that end in a backslash joined."""
    text = re.sub(r"\s*\\+\n\s*", " ", text_of(page))
    text = text.replace('\\"', '"')
    for match in re.finditer(r"(?:glide-jax|python -m glide_jax\.main)(?= )[^`\n#;&|)…]*", text):
        yield match[0].strip().rstrip(".,:")


def headings_of(page):
    """The anchors that a Markdown page's headings make."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


@named(PAGES)
def test_links_lead_somewhere(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in headings_of(target)):
            broken.append(link)
    assert broken == []


@named(PAGES)
def test_files_that_are_named_exist(page):
    text = text_of(page)
    words = re.findall(rf"(?<![\w/.-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]+)", text)
    missing = [w for w in words if not any(ROOT.glob(w.rstrip("./")))]
    # Relative to the package where the text says so.
    assert [w for w in missing if not w.startswith("glide_jax/configs")] == []


def experiment_of(command):
    """The config that a command names; the quickstart where it names none."""
    match = re.search(r"--config[= ]([\w./-]+)", command)
    name = Path(match[1]).stem if match else "quickstart"
    known = {path.stem for path in config_folder().glob("*.py")}
    return config.load_config(name if name in known else "quickstart")


@named(SOURCES)
def test_keys_that_are_set_exist(page):
    """On the config of the same command line, or on any of them where the text gives no command."""
    text = re.sub(r"\s*\\+\n\s*", " ", text_of(page))
    unknown = []
    for line in text.split("\n"):
        for key in re.findall(r"--config\.([\w.]+)", line):
            # A placeholder, or the beginning of a key that code puts together.
            if key.isupper() or key.endswith("."):
                continue
            if "--config=" in line or "--config " in line:
                fits = key in known_keys(experiment_of(line))
            else:
                fits = key.replace("NAME", "base") in ALL_KEYS
            if not fits:
                unknown.append(key)
    assert unknown == []


ALL_KEYS = {
    key
    for path in config_folder().glob("*.py")
    for key in known_keys(config.load_config(path.stem))
}


def flags_of(command):
    """The flags that a command takes; of `python -m glide_jax.main` too."""
    if command.startswith("python"):
        parser = build_parser()
    else:
        parser = Parser(prog="glide-jax")
        find_command(command)(parser)
    return {flag for action in parser._actions for flag in action.option_strings}


@named(SOURCES)
def test_commands_and_flags_exist(page):
    wrong = []
    for line in commands_of(page):
        try:
            words = shlex.split(line)
        except ValueError:  # a quotation mark of the text around it
            words = line.split()
        command = "python" if words[0] == "python" else words[1]
        if command == "COMMAND" or command.startswith("--"):
            continue
        if command != "python" and command not in COMMANDS:
            wrong.append(line)
            continue
        flags = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        flags = {flag for flag in flags if not flag.startswith("--config.")}
        if not flags <= flags_of(command):
            wrong.append(f"{line}: {flags - flags_of(command)}")
    assert wrong == []


def test_every_command_is_in_the_readme():
    text = "\n".join(text_of(page) for page in PAGES)
    assert [name for name in COMMANDS if f"glide-jax {name}" not in text] == []


def test_what_the_readme_s_first_command_does_not_install_is_said_where_it_is_needed():
    """Whoever follows the README has no PyTorch: a row with a `.pt` says how to get it."""
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").split("\n") if ".pt" in line]
    commands = [row for row in rows if row.startswith("|") and re.search(r"\w\.pt\b", row)]
    assert len(commands) == 2
    for row in commands:
        assert re.search(r"pip install -e '\.\[[\w,]*torch[\w,]*\]'", row), row


def test_every_config_is_in_the_table_of_training():
    text = (ROOT / "docs" / "training.md").read_text("utf-8")
    names = [path.name for path in config_folder().glob("*.py")]
    assert [name for name in names if f"`configs/{name}`" not in text] == []


def test_every_setting_of_sampling_is_documented():
    text = (ROOT / "docs" / "sampling.md").read_text("utf-8")
    fields = config.SamplingConfig.__dataclass_fields__
    assert [name for name in fields if f"`sampling.{name}`" not in text] == []


def test_the_api_page_is_what_the_docstrings_say():
    """If not: python docs/make_api.py."""
    render = runpy.run_path(str(ROOT / "docs" / "make_api.py"))["render"]
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == render()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_finder_of_flags_sees_help(command):
    assert "--help" in flags_of(command)


def test_a_wrong_flag_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("run `glide-jax sample --no-such-flag` or `glide-jax train --config=base`")
    found = list(commands_of(page))
    assert found == ["glide-jax sample --no-such-flag", "glide-jax train --config=base"]
    assert "--no-such-flag" not in flags_of("sample")
    assert isinstance(build_parser(), argparse.ArgumentParser)

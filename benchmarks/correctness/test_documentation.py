"""What the READMEs say is so: links, options and commands."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from msgspec.structs import asdict

from saved_runs import matrix, saved_run
from stagebench.cli import main
from stagebench.plugin.options import OPTIONS, PRESET
from stagebench.results.run import Difference
from stagebench.run.environments import Environment
from suite import TINY

ROOT = Path(__file__).parents[2]
READMES = sorted(
    [ROOT / "README.md", *ROOT.glob("src/stagebench/*/README.md"), *ROOT.glob("benchmarks/**/README.md")]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"`((?:\.venv/bin/)?(?:pytest benchmarks|tox run|stagebench) [^`]+)`")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
OURS = [option.flag for option in (*OPTIONS, PRESET)] + ["--report", "--resume"]


def name_of(path):
    return str(path.relative_to(ROOT))


def anchors(path):
    """Return the names under which GitHub shows the headings of a file."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_link_resolves(readme):
    for link in LINK.findall(readme.read_text()):
        target, _, anchor = link.partition("#")
        if not target.startswith("http"):
            path = (readme.parent / target).resolve() if target else readme
            assert path.exists(), link
            assert not anchor or anchor in anchors(path), link


def test_the_first_page_is_read_in_a_minute():
    lines = (ROOT / "README.md").read_text().splitlines()
    rows = [len(block.splitlines()) - 2 for block in re.findall(r"(?:^\|.*\n)+", "\n".join(lines), re.M)]

    assert len(lines) <= 130
    assert max(rows) <= 15


def test_each_option_is_documented_once_and_each_documented_option_exists(pytester, capsys):
    texts = [path.read_text() for path in READMES]
    rows = [
        flag for text in texts for row in re.findall(r"^\| (`--.*?) \|", text, re.M) for flag in flags(row)
    ]
    assert sorted(rows) == sorted(OURS)

    known = set(flags(pytester.runpytest_inprocess(str(ROOT / "benchmarks"), "--help").stdout.str()))
    for subcommand in ("report", "compare", "history", "versions", "gate", "env", "ledger"):
        with pytest.raises(SystemExit):
            main([subcommand, "--help"])
        known |= set(flags(capsys.readouterr().out))
    of_others = {"--minutes"}  # of benchmarks/soak.py
    assert {flag for text in texts for flag in flags(text)} <= known | of_others


def flags(text):
    return re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)


def test_help_has_each_option_in_one_line_with_its_default(pytester, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = pytester.runpytest_inprocess(str(ROOT / "benchmarks"), "--help").stdout.str()
    groups = re.findall(r"^stagebench, (.*):\n((?:  .*\n)+)", text, re.M)

    assert [title for title, _ in groups] == [
        "what is measured",
        "how long, and how sure",
        "where it runs",
        "what comes out",
    ]
    lines = [line for _, lines in groups for line in lines.splitlines()]
    assert sorted(line.split("=")[0].split()[0] for line in lines) == sorted(OURS), text


def commands():
    for readme in READMES:
        text = readme.read_text()
        lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
        found = [line.rpartition("&& ")[2] for line in lines if line and not line.startswith("#")]
        for command in dict.fromkeys([*found, *(" ".join(c.split()) for c in COMMAND.findall(text))]):
            yield pytest.param(command, id=f"{name_of(readme.parent)}: {command}")


@pytest.mark.parametrize("command", [*commands()])
def test_each_command_runs(command, suite, monkeypatch):
    """In small sizes, on `simulated`; where environments would be made, it is read alone."""
    monkeypatch.chdir(suite.folder)
    program, *words = shlex.split(command.removeprefix(".venv/bin/"))
    if program == "tox":
        assert words[:2] == ["run", "-e"]
        tox = ConfigParser()
        tox.read(ROOT / "tox.ini")
        given = words[4:] if "--" in words else []
        command = tox[f"testenv:{words[2]}"]["commands"]
        program, *words = shlex.split(command.replace("{posargs}", shlex.join(given)))
    if program == "pytest":
        folder, *options = words
        if folder == "benchmarks":
            if "--benchmark-compare" in options:
                suite.run("--stages=training")
            assert suite.run(*options, *TINY, "--recipes=matched", "--cache=on").ret == 0
        return
    assert program == "stagebench"
    assert run_stagebench(words, suite.folder, monkeypatch) == 0


def run_stagebench(words, folder, monkeypatch):
    if len(words) == 1:  # its name alone
        with pytest.raises(SystemExit) as ended:
            main([*words, "--help"])
        return ended.value.code
    for name in ("run_gate", "run_versions"):
        monkeypatch.setattr(f"stagebench.cli.{name}", lambda *_: 0)
    monkeypatch.setattr("stagebench.cli.make_environments", lambda _: [Environment("torch@b", "python3")])
    run = saved_run(matrix(batch_sizes=(32,), recipes=("published", "matched")))
    run["stagebench"]["differences"] = [asdict(Difference("Adam", "torch", "a", "b", "c"))]
    for name in ("RUN.json", "BASE.json", "HEAD.json"):
        (folder / name).write_text(json.dumps(run))
    words = [word.replace("RUNS...", "RUN.json") for word in words if word != "..."]
    return main(words)


def test_the_picture_is_small_and_the_suites_own():
    picture = (ROOT / ".github" / "overview.svg").read_text()

    assert len(picture) < 60_000
    assert "torch" in picture
    assert "model building" in picture


def test_the_command_is_a_module_too():
    done = subprocess.run([sys.executable, "-m", "stagebench", "--help"], capture_output=True, check=True)

    assert b"usage: stagebench" in done.stdout

"""What is written where the user says: files, pipes, and what the session itself prints to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from threading import Thread

import pytest

from stagebench.cli import main
from stagebench.datasets.files import try_to_write, write_whole
from stagebench.plugin.option_values import file_to_write

QUICK = ("--cache=on", "--stages=training")
BETWEEN = """
from pathlib import Path
from stagebench.datasets.files import write_whole
print("before")
write_whole(Path("/dev/stdout"), b"content\\n")
print("after")
"""


@pytest.mark.parametrize("to", ["a pipe", "a file"])
def test_what_goes_to_the_standard_output_comes_in_its_turn(tmp_path, to):
    """Opened anew, `/dev/stdout` of a file would be cut; as a file, it would be another one from then on."""
    with (tmp_path / "out").open("w+") as file:
        stdout = file if to == "a file" else subprocess.PIPE
        done = subprocess.run([sys.executable, "-c", BETWEEN], stdout=stdout, text=True, check=True)
        file.seek(0)

        assert (done.stdout or file.read()) == "before\ncontent\nafter\n"


def test_a_pipe_is_written_to_by_its_name_or_by_its_number(tmp_path):
    """By its number, as a shell hands it on: `--benchmark-json=>(program)`."""
    named = tmp_path / "pipe"
    os.mkfifo(named)
    received = []
    reader = Thread(target=lambda: received.append(named.read_bytes()), daemon=True)
    reader.start()
    write_whole(named, b"by name")
    reader.join()
    outlet, inlet = os.pipe()
    write_whole(type(named)(f"/dev/fd/{inlet}"), b"by number")

    assert received == [b"by name"]
    assert os.read(outlet, 100) == b"by number"
    for end in (outlet, inlet):
        os.close(end)


@pytest.mark.fault("`/dev/stdout` or a pipe as the file to write", "written to")
def test_a_run_and_its_report_go_to_the_standard_output(suite):
    result = suite.run(*QUICK, "--benchmark-json=/dev/stdout", "--report=/dev/stdout", fresh=True)

    assert result.ret == 0
    text = result.stdout.str()
    run, _ = json.JSONDecoder().raw_decode(text[text.index("{\n") :])
    assert len(run["benchmarks"]) == 1
    assert text.index("1 passed") > text.index("stagebench: report in /dev/stdout") > text.index("</html>")


@pytest.mark.parametrize("there", [False, True])
def test_whether_a_file_can_be_written_is_tried_and_leaves_nothing(tmp_path, there):
    path = tmp_path / "run.json"
    if there:
        path.write_text("old")
    try_to_write(path)
    try_to_write(tmp_path / "new" / "folder" / "run.json")

    assert list(tmp_path.iterdir()) == ([path] if there else [])
    assert not there or path.read_text() == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_in_a_folder_that_is_closed_is_refused_also_where_it_could_be_changed(tmp_path):
    path = tmp_path / "run.json"
    path.touch()
    tmp_path.chmod(0o500)
    with pytest.raises(Exception, match="cannot be written: Permission denied"):
        file_to_write(str(path))
    tmp_path.chmod(0o700)


@pytest.mark.fault("`$GITHUB_STEP_SUMMARY` that cannot be written", "a warning, exit code 0")
def test_a_step_summary_that_cannot_be_written_is_a_warning(suite, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    warning = f"stagebench: warning: {tmp_path} ($GITHUB_STEP_SUMMARY) cannot be written: Is a directory"
    result = suite.run(*QUICK, "--report=run.md", "--benchmark-json=run.json")
    capsys.readouterr()
    code = main(["report", "run.json", "-o", "again.md"])

    assert result.ret == 0
    result.stdout.fnmatch_lines(["stagebench: report in run.md", warning])
    assert code == 0
    assert warning in capsys.readouterr().err
    assert (suite.folder / "again.md").read_text().startswith("## stagebench\n")


@pytest.mark.fault("a folder in which runs cannot be saved", "named before anything is measured")
def test_a_storage_that_cannot_be_written_is_named_before_anything_is_measured(suite):
    result = suite.run(*QUICK, "--benchmark-storage=/dev/null")

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines("*no run can be saved in /dev/null/*: '/dev/null' is not a folder*")
    assert "[1/1]" not in result.stdout.str()

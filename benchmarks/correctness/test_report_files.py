"""What `--report` and `stagebench report` write, and what they refuse."""

from __future__ import annotations

import json
import re

import pytest

from saved_runs import matrix, saved_run
from stagebench.cli import main
from stagebench.report.markdown import escaped


@pytest.fixture
def run(tmp_path):
    """A saved run of four cases."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps(saved_run(matrix(batch_sizes=(32,), workers=(0,)))))
    return path


def test_a_page_holds_its_data_once_and_asks_for_nothing(run, tmp_path):
    page = tmp_path / "new" / "out.html"
    assert main(["report", str(run), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    # Two frameworks, two cache settings; and of each framework the stages that load no data.
    assert len(json.loads(data)["cases"]["label"]["at"]) == 4 + 2
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!data:|#)', markup)
    assert len(text) < 5 * 2**20


@pytest.mark.parametrize(("kind", "start"), [("svg", b"<svg"), ("png", b"\x89PNG")])
def test_every_chart_is_a_file(run, tmp_path, kind, start):
    folder = tmp_path / "charts"
    assert main(["report", str(run), "--format", kind, "-o", str(folder)]) == 0
    names = {path.stem for path in folder.iterdir()}
    assert {"training", "evaluation", "pipeline_steady", "pipeline_cold", "peak", "epoch_loss"} <= names
    assert all(path.read_bytes().startswith(start) for path in folder.iterdir())


def test_markdown_has_the_articles_columns_and_goes_to_the_step_summary_too(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert main(["report", str(run), "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert "| Framework | Batch Size | Num Workers | Caching | Training Time | Eval Time |" in text
    assert "| TensorFlow" in text
    assert (tmp_path / "summary.md").read_text(encoding="utf-8") == text


def test_a_report_to_a_markdown_file_is_markdown(run, tmp_path, suite):
    assert main(["report", str(run), "-o", str(tmp_path / "report.md")]) == 0
    suite.run("--stages=training", "--cache=on", "--report=report.md").assert_outcomes(passed=1)
    for folder in (tmp_path, suite.folder):
        assert (folder / "report.md").read_text(encoding="utf-8").startswith("## stagebench\n")


def test_markup_in_markdown_is_text():
    assert escaped("<b>|*`\n") == r"&lt;b&gt;\|\*\` "


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read: No such file"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"benchmarks": [NaN]}', "is not JSON: it holds NaN"),
        ("{}", "is not a run of this suite"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_one_sentence(content, complaint, tmp_path, capsys):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"stagebench: {path} {complaint}")
    assert error.count("\n") == 1


def test_a_run_without_rounds_says_how_to_save_them(run, capsys):
    content = json.loads(run.read_text())
    del content["benchmarks"][0]["stats"]["data"]
    run.write_text(json.dumps(content))
    assert main(["report", str(run)]) == 2
    assert "holds no raw rounds; save it with --benchmark-save-data" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_one_sentence(run, tmp_path, capsys):
    assert main(["report", str(run), "-o", str(tmp_path)]) == 2
    assert f"{tmp_path} cannot be written: " in capsys.readouterr().err


def test_the_page_of_a_session_says_what_the_saved_run_says_and_lists_failures(suite, monkeypatch, tmp_path):
    script = {"evaluation": {"fault": "raise", "workers": 1}}
    monkeypatch.setenv("STAGEBENCH_SIMULATED", json.dumps(script))
    options = ("--stages=training,evaluation", "--cache=on", "--workers=0,1", "--processes=3", "--noise")
    result = suite.run(*options, "--report=out.html", "--benchmark-json=run.json")
    result.stdout.fnmatch_lines(["stagebench: report in out.html"])
    page = (suite.folder / "out.html").read_text(encoding="utf-8")
    assert main(["report", str(suite.folder / "run.json"), "-o", str(tmp_path / "again.html")]) == 0
    again = (tmp_path / "again.html").read_text(encoding="utf-8")
    assert part(page, "verdict").split(", 20")[1:] == part(again, "verdict").split(", 20")[1:]
    for section in ("failed", "stages", "pipeline", "learned"):
        assert part(page, section) == part(again, section)
    assert "simulated failure" in part(page, "failed")


def part(page: str, section: str) -> str:
    return re.search(rf'<section id="{section}".*?</section>', page, flags=re.DOTALL)[0]

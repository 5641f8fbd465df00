"""What the terminal shows: the table at the end, and the live line."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from stagebench.case import Case
from stagebench.plugin.progress import Progress, roughly
from stagebench.report.terminal import break_evens, skipped_lines, summary_lines
from stagebench.results.info import Info
from stagebench.results.result import Result
from stagebench.results.run import NotMeasured
from stagebench.run.conditions import Status
from stagebench.statistics.group import Group
from stagebench.statistics.prior import Prior

TORCH = Case("torch", "torch", workers=20)
TENSORFLOW = replace(TORCH, framework="tensorflow", environment="tensorflow", workers="auto")


def result(case, medians, rounds=3, stage="training", cold=None, **info):
    """Return a result whose processes have these medians."""
    seconds = [
        [median * (1 + 0.01 * (number - rounds // 2)) for number in range(rounds)] for median in medians
    ]
    info = {"noise_log_ratios": [0.008] * 30, "images": 2000, "peak_rss_bytes": 1234 * 2**20, **info}
    info |= {"framework_version": "1.0", "rounds_per_process": [rounds] * len(medians)}
    return Result(stage, case, seconds, Info(cold_seconds=cold or 2 * np.median(medians), **info))


def with_info(shown, **info):
    return replace(shown, info=structs.replace(shown.info, **info))


SLOWER = [result(TORCH, [1.21, 1.20, 1.19, 1.22]), result(TENSORFLOW, [1.0, 1.01, 1.0, 1.0])]
SAME = [result(TORCH, [1.01, 1.02, 1.0, 1.02]), result(TENSORFLOW, [1.0, 1.01, 1.0, 1.0])]


def test_the_verdict_of_two_cases_stands_above_their_details_and_nowhere_else():
    lines = summary_lines(SLOWER, 80)

    shared, _, header, row = lines[1:5]
    assert shared == "cpu, batch 32, cache on, augment on, matched"
    assert (header, row) == (
        "stage     verdict (95% interval)",
        "training  tensorflow 1.20x faster (1.18 to 1.22)",
    )
    torch, tensorflow = lines[lines.index("training") + 1 :][:2]
    assert " ".join(torch.split()) == "torch, 20w 1.20 s 1,660 2.41 s 1,234M"
    assert " ".join(tensorflow.split()) == "tensorflow 1.00 s 2,000 2.00 s 1,234M"
    assert not any(word in " ".join(lines) for word in ("x fastest", "SLOWER", "FASTER"))


def test_of_three_cases_each_has_its_ratio_and_verdict_in_the_details():
    lines = summary_lines([*SLOWER, result(replace(TORCH, workers=1), [1.4, 1.4, 1.41, 1.4])], 80)

    torch, tensorflow, other = lines[lines.index("training") + 1 :][:3]
    assert " ".join(torch.split()[-3:]) == "1.20 (1.18-1.22) SLOWER"
    assert " ".join(tensorflow.split()[-2:]) == "1 FASTER"
    assert " ".join(other.split()[-3:]) == "1.40 (1.38-1.42) SLOWER"
    assert "x fastest: time divided by" in " ".join(lines)


def test_a_stage_is_named_once_and_a_verdict_without_room_goes_on_below_itself():
    cold, loud = replace(TORCH, cache="off"), [1.4, 0.9, 1.3, 1.5]
    both = [cold, replace(TENSORFLOW, cache="off")]
    lines = summary_lines(
        [*SLOWER, *(result(case, loud if case is cold else [1.0] * 4) for case in both)], 80
    )

    start = lines.index("stage     setting    verdict (95% interval)")
    first, second, third = lines[start + 1 : start + 4]
    assert first == "training  cache on   tensorflow 1.20x faster (1.17 to 1.24)"
    assert second.startswith("          cache off  inconclusive: tensorflow 1.2")
    assert re.fullmatch(r" {21}\S.* more", third)


@pytest.mark.parametrize("width", [20, 30, 40])
def test_a_verdict_in_a_narrow_terminal_is_a_sentence(width):
    cold = [replace(shown, case=replace(shown.case, cache="off")) for shown in SAME]
    text = " ".join(" ".join(summary_lines([*SLOWER, *cold], width)).split())

    assert re.search(r"training, cache on: tensorflow 1.20x faster \(1\.1\d to 1\.2\d\)", text)
    assert re.search(r"training, cache off: within 5%: tensorflow 1.01x \(", text)


def test_settings_of_all_stand_once_and_those_of_some_above_their_details():
    cold = [replace(shown, case=replace(shown.case, cache="off")) for shown in SAME]
    lines = summary_lines([*SLOWER, *cold], 80)

    assert lines[1] == "cpu, batch 32, augment on, matched"
    assert "batch 32" not in " ".join(lines[2:])
    assert [line for line in lines if line in ("cache off", "cache on")] == ["cache off", "cache on"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
@pytest.mark.parametrize(
    "results", [SLOWER, [result(TORCH, [1.0])], [*SAME, result(TORCH, [1.0], 1, "evaluation")]]
)
def test_the_summary_fits_every_terminal_and_leaves_no_figure_out(width, results):
    lines = summary_lines(results, width)

    assert max(map(len, lines)) <= width, max(lines, key=len)
    assert "".join(lines).isascii(), "a terminal need not know UTF-8"
    text = " ".join(" ".join(lines).split())
    for shown in results:
        assert f"{shown.median_seconds:.2f}"[:3] in text
    assert "1,234M" in text


def test_skipped_cases_are_counted_by_their_reasons():
    missing = [
        NotMeasured(stage, TORCH, "skipped", "no NVIDIA GPU here") for stage in ("training", "evaluation")
    ]
    missing += [NotMeasured("training", TENSORFLOW, "failed", "it died")]

    assert skipped_lines(missing, 80) == ["2 cases skipped: no NVIDIA GPU here"]


def test_a_slow_cold_start_has_its_break_even():
    late = result(TENSORFLOW, [1.0], cold=4.5)
    other = result(TORCH, [1.4])  # 2.8 s, then 1.4 s each time: 2.8, 4.2, 5.6, 7.0, 8.4, 9.8
    # 4.5 s, then 1 s:                                         4.5, 5.5, 6.5, 7.5, 8.5, 9.5

    assert list(break_evens(Group([other, late]), named_by_recipe=False)) == [
        "training: tensorflow against torch, 20w: break-even after 6 executions (cold start +1.70 s)."
    ]
    assert list(break_evens(Group(SLOWER), named_by_recipe=False)) == []
    as_fast = result(TORCH, [1.01])
    assert list(break_evens(Group([as_fast, late]), named_by_recipe=False)) == [], "1% is no lead"


def test_the_share_of_the_machines_peak_stands_beside_the_time():
    lines = summary_lines([result(TORCH, [1.0], limit_seconds=0.47)], 100)

    (header,) = [line for line in lines if line.startswith(" ") and "median" in line]
    assert "% of peak" in header
    assert " 47% " in lines[lines.index("training") + 1]
    assert "% of peak" not in " ".join(summary_lines([result(TORCH, [1.0])], 100)), "none is known"


def test_a_table_too_wide_leaves_out_images_a_second_before_it_becomes_words():
    results = [with_info(shown, limit_seconds=0.3) for shown in SLOWER]
    wide = max(len(line) for line in summary_lines(results, 200) if "1,234M" in line)
    lines = summary_lines(results, wide - 1)

    (header,) = [line for line in lines if line.startswith(" ") and "median" in line]
    assert "images/s" not in header
    assert "% of peak" in header


@pytest.mark.parametrize(("group", "words"), [(SLOWER, ["SLOWER", "FASTER"]), (SAME, ["SAME", "SAME"])])
def test_the_fastest_is_judged_by_the_others(group, words):
    judged = Group(group).verdicts

    assert [judged[shown.case].word for shown in group] == words


def test_the_fastest_of_cases_that_are_undecided_has_no_verdict():
    loud = [result(TORCH, [1.4, 0.9, 1.3, 1.5]), SLOWER[1]]
    judged = Group(loud).verdicts

    assert (judged[TORCH].word, judged[TENSORFLOW]) == ("UNKNOWN", None)
    assert "may settle it, " in judged[TORCH].reason


def test_a_case_alone_has_no_ratio():
    (line,) = [text for text in summary_lines([result(TORCH, [1.0, 1.1])], 80) if "torch" in text][:1]

    assert line.split()[-1] == "1,234M"


def test_what_an_older_run_knows_of_equal_cases_counts():
    loud = [with_info(shown, noise_log_ratios=[0.3] * 30) for shown in SLOWER]
    quiet = [with_info(shown, noise_log_ratios=None) for shown in SLOWER]

    floors = [Group(group).ratios[TORCH].floor for group in (loud, SLOWER, quiet)]
    assert floors == sorted(floors, reverse=True) or floors[0] > 0.3


def test_a_smaller_difference_counts_where_it_is_asked_for():
    close = [result(TORCH, [1.021, 1.02, 1.02, 1.022] * 3), result(TENSORFLOW, [1.0, 1.001, 1.0, 1.0] * 3)]

    words = [
        Group(close, Prior(0.001, 5), smallest=smallest).verdicts[TORCH].word for smallest in (0.05, 0.01)
    ]
    assert words == ["SAME", "SLOWER"]


class Terminal(io.StringIO):
    """A terminal that someone watches."""

    def isatty(self):
        return True


def test_a_watched_terminal_has_a_live_line_and_a_log_one_line_for_each_piece_of_work():
    terminal, log, quiet = Terminal(), io.StringIO(), Terminal()
    for output in (terminal, log):
        progress = Progress(output)
        progress.draw("half")
        progress.finish("whole")
    Progress(quiet, quiet=True).finish("whole")

    assert terminal.getvalue() == "\r\033[Khalf\r\033[Kwhole\n"
    assert log.getvalue() == "whole\n"
    assert quiet.getvalue() == ""


@pytest.mark.parametrize(("seconds_left", "told"), [(70.0, ", 70 s left"), (None, "")])
def test_the_live_line_says_what_is_measured_how_long_it_took_and_how_long_it_lasts(seconds_left, told):
    terminal = Terminal()
    status = Status(TORCH, "process 2, round 3", {TORCH: 1.234, TENSORFLOW: 0.5}, 0.4)

    Progress(terminal).measuring("[3/12] training", status, seconds_left)

    text = f"[3/12] training{told} - process 2, round 3: torch matched, 20w; latest 1.23 s, 500 ms"
    assert text[:79] in terminal.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(62, "62 s"), (200, "3 min"), (5400, "1.5 h"), (14.2 * 3600, "14 h")]
)
def test_a_span_of_time_has_one_unit(seconds, text):
    assert roughly(seconds) == text


def test_a_case_that_waits_for_much_of_its_time_is_named():
    waiting = result(TENSORFLOW, [1.0, 1.0], idle_seconds=[0.2] * 6)
    lines = summary_lines([result(TORCH, [1.2, 1.2], idle_seconds=[0.1] * 6), waiting], 80)

    assert "training: tensorflow computes nothing in 20% of its time: it waits." in lines
    assert not any(line.startswith("training: torch, 20w computes") for line in lines)

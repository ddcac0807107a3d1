"""The picture of a timeline: what it shows of a trace, and which traces it refuses."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import pathlib
import subprocess
import sys

import pytest

from penstock import timeline

PREDICTED = pathlib.Path(__file__).parent / "data" / "predicted.json"  # written by the scheduler: 3 stages, 3 microbatches


def trace(path, times_ms, count, per_request=None, start_ms=100.0):
    """A trace of a chain of stages with slots enough."""
    events, ready = [], [start_ms] * count
    for stage, time in enumerate(times_ms):
        clock = start_ms
        for i in range(count):
            args = {"request": i // (per_request or count), "microbatch": i % (per_request or count), "phase": "steady"}
            common = {"ph": "X", "pid": stage, "tid": 0, "name": f"microbatch {i}", "args": args}
            begin = max(clock, ready[i])
            if begin > clock:
                events.append(dict(common, cat="wait", ts=clock * 1000, dur=(begin - clock) * 1000))
            events.append(dict(common, cat="run", ts=begin * 1000, dur=time * 1000))
            ready[i] = clock = begin + time
    path.write_text(json.dumps({"traceEvents": events}))
    return path


def texts(paths):
    """All text of the picture of these traces."""
    traces = [timeline.read_trace(path) for path in paths]
    picture = timeline.Picture(traces)
    picture.draw("title")
    found = [text.get_text() for text in picture.axes.texts]
    picture.pyplot.close(picture.figure)
    return found


def test_reads_what_the_scheduler_writes():
    result = timeline.read_trace(PREDICTED)
    assert result.label == "predicted"
    assert result.stages == {0: "stage 0", 1: "stage 1", 2: "stage 2"}
    assert len(result.runs) == 9
    assert {span.kind for span in result.spans} == {"run", "wait", "send"}
    assert result.phases() == {"fill": (0, pytest.approx(2.4)), "steady": (pytest.approx(2.4), pytest.approx(3.4)),
                               "drain": (pytest.approx(3.4), pytest.approx(6.1))}
    assert result.busy(1) == pytest.approx(4.2 / 6.1)
    assert result.summary() == "3 microbatches in 6.1 ms = 491.8/s; one every 1.4 ms after the first"


def test_time_begins_with_the_first_run(tmp_path):
    result = timeline.read_trace(trace(tmp_path / "t.json", [2, 2], 4, start_ms=5000))
    assert min(span.begin for span in result.spans) == 0
    assert result.end == pytest.approx(10)
    assert result.phases()["fill"] == (0, pytest.approx(2))


def test_one_microbatch_has_no_steady_part(tmp_path):
    phases = timeline.read_trace(trace(tmp_path / "t.json", [2, 3, 4], 1)).phases()
    assert phases["fill"] == (0, pytest.approx(5))
    assert phases["steady"][0] == phases["steady"][1]
    assert phases["drain"] == (pytest.approx(5), pytest.approx(9))


@pytest.mark.parametrize("count", [3, 60])
def test_every_microbatch_is_named_in_every_stage(tmp_path, count):
    found = texts([trace(tmp_path / "t.json", [1.0, 1.4, 0.9], count)])
    for number in range(count):
        assert found.count(str(number)) == 3
    for phase in ("fill", "steady", "drain"):
        assert found.count(phase) == 1


def test_names_of_several_requests(tmp_path):
    assert texts([trace(tmp_path / "t.json", [1, 1], 4, per_request=2)]).count("1.0") == 2
    assert texts([trace(tmp_path / "t.json", [1, 1], 4, per_request=1)]).count("3") == 2


def test_a_second_trace_is_drawn_beneath(tmp_path):
    measured = trace(tmp_path / "t.json", [1.1, 1.5, 1.0], 3)
    found = texts([measured, PREDICTED])
    assert found.count("fill") == found.count("drain") == 2
    assert found.count("2") == 6
    assert {"measured", "predicted"} <= set(found)


def test_writes_a_picture(tmp_path):
    output = tmp_path / "out.png"
    command = [sys.executable, "-m", "penstock.timeline", trace(tmp_path / "t.json", [1, 2], 600), PREDICTED, "-o", output]
    subprocess.run(command, check=True)
    assert output.read_bytes().startswith(b"\x89PNG")
    assert output.stat().st_size > 20_000


@pytest.mark.parametrize("text, message", [
    ("{", "not JSON"),
    ("[]", "no event of category 'run'"),
    ('{"events": []}', "expected an object with the list 'traceEvents'"),
    ('[{"ph": "X", "cat": "run", "pid": 0, "ts": 0, "dur": 1, "args": {}}]', "event 0: KeyError: 'request'"),
    ('[3]', "event 0: AttributeError"),
])
def test_refuses_other_files(tmp_path, capsys, text, message):
    path = tmp_path / "t.json"
    path.write_text(text)
    assert timeline.main([str(path), "-o", str(tmp_path / "out.png")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: ") and message in error
    assert not (tmp_path / "out.png").exists()


def test_missing_trace_and_bad_output(tmp_path, capsys):
    assert timeline.main([str(tmp_path / "none.json"), "-o", "out.png"]) == 2
    assert timeline.main([str(PREDICTED), "-o", str(tmp_path / "out.none")]) == 2
    assert timeline.main([str(PREDICTED), "-o", str(tmp_path / "no" / "out.png")]) == 1
    assert capsys.readouterr().err.count("error: ") == 3

"""The endurance run, for some seconds: every result is right, and the figures are there. How much grows in an hour is shown
by a run of an hour, not by this."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import subprocess
import sys

import models


def test_endurance(tmp_path):
    done = subprocess.run([sys.executable, models.ROOT / "bench/endurance.py", "--build", models.BUILD, "--requests", "1500",
                           "--seconds", "3", "--window", "0.5", "--json", tmp_path / "run.json", "--write", tmp_path / "run.md"],
                          text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["run"]["requests"] == 1500 and found["run"]["wrong"] == found["run"]["missing"] == 0
    assert found["run"]["descriptors_growth"] == 0
    assert all(row["stages_mib"] > 1 and row["p50_ms"] <= row["p99_ms"] for row in found["windows"])
    assert (tmp_path / "run.md").read_text().count("\n| ") == len(found["windows"])

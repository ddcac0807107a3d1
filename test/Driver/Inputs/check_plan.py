"""Checks what `penstock plan --json` wrote for the perceptron: check_plan.py FILE COUNT... [--profiles NAME]
[--with-links]. The counts are the numbers of stages that must have a plan, no more and no fewer."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import json

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("counts", type=int, nargs="+")
parser.add_argument("--profiles", nargs="+", help="default: this machine's CPU, by its name")
parser.add_argument("--with-links", action="store_true")
options = parser.parse_args()

report = json.load(open(options.file))
assert report["cost_tier"] == "analytic" and report["kernels"] == 4, report
if options.profiles:
    assert report["profiles"] == options.profiles, report
else:
    assert len(report["profiles"]) == 1 and report["profiles"][0].startswith("cpu "), report
plans = report["plans"]
assert [plan["num_stages"] for plan in plans] == options.counts, plans
for plan in plans:
    stages = plan["stages"]
    assert len(stages) == plan["num_stages"]
    assert [name for stage in stages for name in stage["kernels"]] == ["t0", "t1", "t2", "y"]
    assert all(stage["kernels"] for stage in stages)
    # Recomputed from the rows: the bottleneck, the bubble, the gap of a proved plan.
    slowest = max(stage["predicted_ms"] for stage in stages)
    assert plan["bottleneck_ms"] == slowest > 0
    busy = sum(stage["predicted_ms"] for stage in stages) / slowest / len(stages)
    assert abs(plan["bubble"] - (1 - busy)) < 1e-9
    assert plan["lower_bound_ms"] <= plan["bottleneck_ms"] * (1 + 1e-12)
    assert plan["proved_optimal"] and abs(plan["gap"]) < 1e-9
    # Every value that leaves its stage is a channel from an earlier stage to later ones.
    channels = plan["channels"]
    assert [c for c in channels if c["from"] == "source"] and [c for c in channels if "sink" in c["to"]]
    for channel in channels:
        first = -1 if channel["from"] == "source" else channel["from"]
        assert all(first < stage for stage in channel["to"] if stage != "sink"), channel
    sends = [stage["send_ms"] > 0 for stage in stages]
    assert any(sends) == (options.with_links and len(stages) > 1), sends
best = min(plans, key=lambda plan: plan["bottleneck_ms"])
for key in ("num_stages", "bottleneck_ms", "lower_bound_ms", "gap", "stages"):
    assert report[key] == best[key], key

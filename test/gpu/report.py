#!/usr/bin/env python3
"""Tables of what was found on a machine with a GPU, for docs/targets/cuda-hardware.md.

usage: report.py ROWS.json [PEERS.json]          (of run.py --json and of peers.py --json)
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import pathlib
import sys

# What was promised: a product or a convolution takes at most so much longer than the library's fastest way; other kernels reach
# so much of what a copy within the device does; a device idles at most so long between graphs, and waits for others so long.
MAX_SLOWER, MIN_BANDWIDTH, MAX_IDLE, MAX_EXPOSED = 0.02, 0.85, 0.05, 0.05


def results_of(folders):
    """A line per model: how many of its folders, in each form, were right."""
    lines = ["| model | right | what was not |", "|---|---|---|"]
    for name in dict.fromkeys(row["model"] for row in folders):
        rows = [row for row in folders if row["model"] == name]
        wrong = [f"{row['folder']}: {row['words']}" for row in rows if row["status"] != "pass"]
        lines.append(f"| {name} | {len(rows) - len(wrong)} of {len(rows)} | {'; '.join(wrong).replace('|', '/')} |")
    return lines


def figures_of(folders, peers):
    """Milliseconds of one stage beside PyTorch's."""
    lines = ["| model, type, rows | one request at a time | of many | PyTorch eager | its CUDA graph, device alone | torch.compile |"
             " of many / best of PyTorch |", "|---|---|---|---|---|---|---|"]
    for row in folders:
        peer = peers.get(row["model"])
        if not peer or "stream_ms" not in row or row["folder"] != "1.penstock":
            continue
        words = ["", *(f"{peer[key]:.3f}" if key in peer else "" for key in ("eager", "graph", "compiled"))]
        share = row["stream_ms"] / min(peer.values())
        lines.append(f"| {row['model']} | {row['latency_ms']:.3f} | {row['stream_ms']:.3f}{' | '.join(words)} | {share:.2f} |")
    return [line.replace("|  |", "| |") for line in lines]


def line_of(*cells):
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def missing_of(case):
    """How far a kernel is from what was promised, as a share, and what it reached; None where nothing was."""
    kind = case["name"].split(": ")[0]
    if "hand_us" in case:
        slower = case["us"] / case["hand_us"] - 1
        return slower - MAX_SLOWER, f"{slower:+.1%} of the time by hand"
    if kind in ("elementwise", "norm"):
        return MIN_BANDWIDTH - case["copy_share"], f"{case['copy_share']:.0%} of a copy"
    return None


def promises_of(cases):
    """A line per kind, batch and type: how many kernels keep the promise, and the one that is farthest from it."""
    lines = ["| kernels | promised | kept by | the last one |", "|---|---|---|---|"]
    groups = {}
    for case in cases:
        kind, rest = case["name"].split(": ")
        name, batch, dtype = rest.rsplit(", ", 2)
        if missing := missing_of(case):
            groups.setdefault((kind, batch, dtype), []).append((*missing, name))
    for (kind, batch, dtype), found in groups.items():
        by_hand = kind in ("product", "convolution", "attention")
        promised = f"at most {MAX_SLOWER:.0%} slower than by hand" if by_hand else f"{MIN_BANDWIDTH:.0%} of a copy's bandwidth"
        missing, words, name = max(found)
        missed = f", missed by {100 * missing:.1f} points" if missing > 0 else ""
        kept = sum(one[0] <= 0 for one in found)
        lines.append(line_of(f"{kind}, {batch}, {dtype}", promised, f"{kept} of {len(found)}", f"{name}: {words}{missed}"))
    return lines


def kernels_of(bench):
    """A line per kernel."""
    lines = ["| kernel | us | GB/s | of a copy | TFLOP/s | by hand, us | number, of |", "|---|---|---|---|---|---|---|"]
    for case in bench["cases"]:
        cached = " (caches)" if case["touched_bytes"] < bench["touched_bytes"] else ""
        by_hand = (f"{case['hand_us']:.2f}", f"{case['hand_number']}, {case['hand_ways']}") if "hand_us" in case else ("", "")
        rate = f"{case['tflop_s']:.1f}" if "tflop_s" in case else ""
        lines.append(line_of(case["name"], f"{case['us']:.2f}", f"{case['gb_s']:.0f}", f"{case['copy_share']:.0%}{cached}", rate, *by_hand))
    return lines


def judged(share, limit):
    return f"{share:.1%}" + ("" if share <= limit else f", missed by {100 * (share - limit):.1f} points")


def devices_of(folders):
    """What the GPUs did while the requests of a model ran: the idle share of each stage, copies, and communication."""
    lines = [f"| model, type, rows | folder | idle, promised {MAX_IDLE:.0%} of one stage with 32 rows | copies behind kernels | "
             f"exposed, promised {MAX_EXPOSED:.0%} |", "|---|---|---|---|---|"]
    for row in folders:
        if "device" not in row:
            continue
        device = row["device"]
        is_promised = row["model"].endswith("-32") and len(device["idle"]) == 1
        idle = ", ".join(judged(share, MAX_IDLE if is_promised else 1) for share in device["idle"])
        overlap = f"{device['overlap']:.0%}" if device["overlap"] is not None else ""
        exposed = judged(device["exposed"], MAX_EXPOSED) if device["exposed"] is not None else ""
        lines.append(line_of(row["model"], row["folder"], idle, overlap, exposed))
    return lines


def speed_of(bench):
    skipped = [f"- {row['name']}: {row['words']}" for kind in ("skipped", "failed") for row in bench[kind]]
    copied = f"A copy within the device reads and writes {bench['copy_gb_s']:.0f} GB/s." if "copy_gb_s" in bench else ""
    return [copied, "", *promises_of(bench["cases"]), "", *kernels_of(bench), "", *skipped]


def write(done, peers):
    machine, folders = done["machine"], done["folders"]
    right = sum(row["status"] == "pass" for row in folders)
    speeds = [line for row in folders if "bench" in row for line in speed_of(row["bench"])]
    return "\n".join([f"{machine.get('gpu', 'unknown')}, driver {machine.get('driver', 'unknown')}; {right} of {len(folders)} runs "
                      "gave the expected results.", "", *results_of(folders), "", *figures_of(folders, peers), "",
                      *devices_of(folders), "", *speeds, ""])


if __name__ == "__main__":
    read = [json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]]
    print(write(read[0], read[1] if len(read) > 1 else {}))

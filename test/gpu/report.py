#!/usr/bin/env python3
"""Tables of what was found on a machine with a GPU, for docs/targets/cuda-hardware.md.

usage: report.py ROWS.json [PEERS.json]          (of run.py --json and of peers.py --json)
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json
import pathlib
import sys


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


def write(done, peers):
    machine, folders = done["machine"], done["folders"]
    right = sum(row["status"] == "pass" for row in folders)
    return "\n".join([f"{machine.get('gpu', 'unknown')}, driver {machine.get('driver', 'unknown')}; {right} of {len(folders)} runs "
                      "gave the expected results.", "", *results_of(folders), "", *figures_of(folders, peers), ""])


if __name__ == "__main__":
    read = [json.loads(pathlib.Path(path).read_text()) for path in sys.argv[1:]]
    print(write(read[0], read[1] if len(read) > 1 else {}))

"""What GPUs did in a run: shares of time from the files that PENSTOCK_CUDA_TIMELINE asks for (runtime/devices/cuda/CudaTimeline.h).

All figures are of the steady part: from where a third of a stage's graphs have run to its last one's end. Kernels of a graph
are one piece of work: what a GPU idles between two of them, about a microsecond, is not seen here."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import json


def union(spans):
    """The spans [(begin, end)] without what they share, in their order."""
    joined = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


def within(spans, begin, end):
    return [(max(a, begin), min(b, end)) for a, b in spans if a < end and b > begin]


def length(spans):
    return sum(end - begin for begin, end in union(spans))


class Stage:
    """What one stage gave to its device."""

    def __init__(self, path):
        content = json.loads(path.read_text())
        events = [event for event in content["traceEvents"] if event["ph"] == "X"]
        self.bus = content["otherData"]["bus"]
        self.compute, self.copies = ([(event["ts"], event["ts"] + event["dur"]) for event in events if event["cat"] == kind]
                                     for kind in ("compute", "copy"))
        marks = sorted((event["ts"], event["ts"] + event["dur"]) for event in events if event["name"] == "graph") or sorted(self.compute)
        # A stage whose kernels are all skipped has none.
        self.steady = (marks[len(marks) // 3][0], marks[-1][1]) if marks else (0.0, 0.0)

    def busy_share(self):
        begin, end = self.steady
        return length(within(self.compute, begin, end)) / (end - begin) if end > begin else 0.0


def shares(paths):
    """Of the stages of one run, a file each. `idle`: of each stage's time the share in which its device does nothing for it;
    `overlap`: of the time that copies take the share in which a kernel of any stage runs on the same device (None: no copies);
    `exposed`: of the time of a pipeline over several devices the share in which its slowest stage does not compute (None: one)."""
    stages = [Stage(path) for path in sorted(paths)]
    begin, end = max(stage.steady[0] for stage in stages), min(stage.steady[1] for stage in stages)
    copied = hidden = 0.0
    for bus in {stage.bus for stage in stages}:
        compute = union(span for stage in stages if stage.bus == bus for span in within(stage.compute, begin, end))
        for stage in stages:
            for a, b in within(stage.copies, begin, end) if stage.bus == bus else ():
                copied += b - a
                hidden += length(within(compute, a, b))
    busy = [stage.busy_share() for stage in stages]
    is_spread = len({stage.bus for stage in stages}) == len(stages) > 1
    return {"idle": [1 - share for share in busy], "overlap": hidden / copied if copied > 0 else None,
            "exposed": 1 - max(busy) if is_spread else None}

"""Draws the timeline of a pipeline: python -m penstock.timeline TRACE.json [PREDICTED.json] -o OUT.png

TRACE is what `penstock run --trace` writes: Chrome trace events, one process per stage, complete events with category
run, wait (for an input) or send (for a free slot); others, such as the copies of stages on devices, are left out. Each stage
is a row, each microbatch a box; fill, steady part and drain are marked. A second trace is drawn beneath the first, row by
row. Exit status 2 if a trace cannot be used.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import collections
import colorsys
import dataclasses
import json
import math
import pathlib
import sys

Span = collections.namedtuple("Span", "stage kind request microbatch begin end")  # times in ms

KINDS = ("run", "wait", "send")
WAIT_STYLES = {"wait": dict(facecolor="#eeeeee", edgecolor="#b0b0b0", hatch="////"),
               "send": dict(facecolor="#dcdcdc", edgecolor="#8c8c8c", hatch="xxxx")}
PHASE_COLOURS = {"fill": "#f3e3c3", "steady": "#cfe8d2", "drain": "#d5dcf0"}
BAND = 0.44  # inches for the phases of one trace
POINTS_PER_CHARACTER = 0.62  # width of a digit, in font sizes


class TraceError(Exception):
    """The trace cannot be used."""


@dataclasses.dataclass
class Trace:
    """The spans of one run; time 0 is when the first stage begins its first microbatch."""
    label: str
    stages: dict  # number -> name
    spans: list

    @property
    def runs(self):
        return [span for span in self.spans if span.kind == "run"]

    @property
    def end(self):
        return max(span.end for span in self.runs)

    def microbatches(self):
        """(request, microbatch) in the order in which they begin, each with its place in that order."""
        begin = {}
        for span in self.runs:
            key = (span.request, span.microbatch)
            begin[key] = min(begin.get(key, math.inf), span.begin)
        return {key: place for place, key in enumerate(sorted(begin, key=lambda key: (begin[key], key)))}

    def phases(self):
        """name -> (begin, end). Fill ends when every stage has begun; drain begins when one stage has ended."""
        by_stage = collections.defaultdict(list)
        for span in self.runs:
            by_stage[span.stage].append(span)
        fill_end = max(min(span.begin for span in spans) for spans in by_stage.values())
        drain_begin = max(fill_end, min(max(span.end for span in spans) for spans in by_stage.values()))
        return {"fill": (0, fill_end), "steady": (fill_end, drain_begin), "drain": (drain_begin, self.end)}

    def busy(self, stage):
        """Share of the whole time in which the stage runs."""
        return sum(span.end - span.begin for span in self.runs if span.stage == stage) / self.end if self.end else 0.0

    def summary(self):
        """Microbatches, time and throughput, also of the steady part, as text."""
        ends = collections.defaultdict(float)
        for span in self.runs:
            key = (span.request, span.microbatch)
            ends[key] = max(ends[key], span.end)
        text = f"{plural(len(ends), 'microbatch')} in {self.end:.4g} ms"
        if self.end > 0:
            text += f" = {len(ends) / self.end * 1000:,.4g}/s"
        first, last = min(ends.values()), max(ends.values())
        if len(ends) > 2 and last > first:
            text += f"; one every {(last - first) / (len(ends) - 1):.4g} ms after the first"
        return text


def plural(count, noun):
    return f"{count} {noun}{'' if count == 1 else 'es' if noun.endswith('ch') else 's'}"


def read_trace(path):
    """Reads a Chrome trace, either the object or the bare list of events."""
    try:
        data = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise TraceError(f"{path}: not JSON: {error}") from None
    events = data.get("traceEvents") if isinstance(data, dict) else data
    if not isinstance(events, list):
        raise TraceError(f"{path}: expected an object with the list 'traceEvents'")
    other = data.get("otherData") if isinstance(data, dict) else None
    label = other.get("label", "") if isinstance(other, dict) else ""
    names, spans = {}, []
    for number, event in enumerate(events):
        try:
            if event.get("ph") == "M" and event.get("name") == "process_name":
                names[int(event["pid"])] = str(event["args"]["name"])
            elif event.get("ph") == "X" and event.get("cat") in KINDS:
                begin, args = float(event["ts"]) / 1000, event["args"]
                spans.append(Span(int(event["pid"]), event["cat"], int(args["request"]), int(args["microbatch"]),
                                  begin, begin + float(event["dur"]) / 1000))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise TraceError(f"{path}: event {number}: {type(error).__name__}: {error}") from None
    runs = [span for span in spans if span.kind == "run"]
    if not runs:
        raise TraceError(f"{path}: no event of category 'run'")
    start = min(span.begin for span in runs)
    end = max(span.end for span in runs) - start
    # What a stage waited before the first microbatch existed, or after the last one, says nothing.
    moved = [span._replace(begin=max(span.begin - start, 0.0), end=min(span.end - start, end)) for span in spans]
    spans = [span for span in moved if span.kind == "run" or span.end > span.begin]
    stages = {stage: names.get(stage, f"stage {stage}") for stage in sorted({span.stage for span in runs})}
    return Trace(str(label), stages, [span for span in spans if span.stage in stages])


def colour(place):
    """Neighbours differ, and no colour is so dark that black text on it cannot be read."""
    hue = (0.58 + place * 0.381966) % 1.0  # the golden angle: no two of a few neighbours are alike
    return colorsys.hls_to_rgb(hue, 0.74 if place % 2 else 0.66, 0.62)


class Picture:
    """One figure. Rows from top to bottom: stage by stage, of each stage the first trace and then the second."""

    def __init__(self, traces):
        import matplotlib  # only here, so that traces can be read without it
        matplotlib.use("Agg")
        from matplotlib import pyplot
        self.traces = traces
        self.stages = sorted(set().union(*(trace.stages for trace in traces)))
        self.end = max(trace.end for trace in traces) or 1e-6
        most = max(len(trace.microbatches()) for trace in traces)
        self.width = 11 if most <= 12 else 16 if most <= 40 else 22
        self.row = 0.62 if len(traces) == 1 else 0.84
        self.top = 0.15 + BAND * len(traces)  # inches above the rows
        height = 1.75 + self.top + self.row * len(self.stages)
        self.pyplot = pyplot
        self.figure, self.axes = pyplot.subplots(figsize=(self.width, height), dpi=110)
        self.figure.subplots_adjust(left=1.35 / self.width, right=1 - 0.25 / self.width, bottom=0.95 / height,
                                    top=1 - 0.55 / height)
        self.inches_per_ms = (self.width - 1.6) / (self.end * 1.01)

    def draw(self, title):
        """Everything; once."""
        axes = self.axes
        bottom = len(self.stages)
        axes.set_xlim(0, self.end * 1.01)
        axes.set_ylim(bottom + 0.08, -self.top / self.row)
        for index, trace in enumerate(self.traces):
            places = trace.microbatches()
            for span in trace.spans:
                self.draw_span(index, span, places)
            self.draw_phases(index, trace)
        for line in range(1, bottom):
            axes.axhline(line, color="#d0d0d0", linewidth=0.6, zorder=0)
        axes.set_yticks([row + 0.5 for row in range(bottom)], [self.row_label(stage) for stage in self.stages],
                        fontsize=10)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("time (ms)", fontsize=10)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        self.figure.suptitle(title, x=0.14 / self.width, y=1 - 0.1 / self.figure.get_figheight(), ha="left", va="top",
                             fontsize=11.5, fontweight="bold")
        self.draw_legend()

    def row_label(self, stage):
        """Name of the stage, and its busy share in each trace."""
        shares = " | ".join(f"{trace.busy(stage):.0%}" for trace in self.traces if stage in trace.stages)
        return f"{next(trace.stages[stage] for trace in self.traces if stage in trace.stages)}\nbusy {shares}"

    def lane(self, index, stage):
        """Top and height of a trace's part of a stage's row."""
        row = self.stages.index(stage)
        if len(self.traces) == 1:
            return row + 0.1, 0.8
        return (row + 0.06, 0.5) if index == 0 else (row + 0.6, 0.34)

    def draw_span(self, index, span, places):
        """A box for a microbatch, with its number where there is room, or a hatched one for a wait."""
        from matplotlib.patches import Rectangle
        top, height = self.lane(index, span.stage)
        width = span.end - span.begin
        if span.kind != "run":
            style = dict(WAIT_STYLES[span.kind])
            if width * self.inches_per_ms < 0.04:
                style["hatch"] = None
            self.axes.add_patch(Rectangle((span.begin, top + height * 0.15), width, height * 0.7, linewidth=0.3,
                                          zorder=1, **style))
            return
        place = places[span.request, span.microbatch]
        inches = width * self.inches_per_ms
        self.axes.add_patch(Rectangle((span.begin, top), width, height, facecolor=colour(place), edgecolor="#303030",
                                      linewidth=0.6 if inches > 0.06 else 0.15, zorder=2))
        text = self.name_of(index, span, places)
        size = min(10 if height > 0.4 else 8.5, inches * 72 * 0.9 / (len(text) * POINTS_PER_CHARACTER))
        if size >= 5:
            self.axes.text(span.begin + width / 2, top + height / 2, text, ha="center", va="center", fontsize=size,
                           zorder=3)

    def name_of(self, index, span, places):
        """The microbatch; the request where each has only one; both where several requests have several."""
        requests = {request for request, _ in places}
        if len(requests) == 1:
            return str(span.microbatch)
        return str(span.request) if len(requests) == len(places) else f"{span.request}.{span.microbatch}"

    def draw_phases(self, index, trace):
        """A band above the rows with the three phases, and lines where they meet."""
        from matplotlib.patches import Rectangle
        inch = 1 / self.row
        top = (BAND * index + 0.2 - self.top) * inch
        height = 0.22 * inch
        if len(self.traces) > 1:
            names = trace.label or ("measured", "predicted")[index]
            self.axes.text(-0.08 / self.inches_per_ms, top + height / 2, names, ha="right", va="center", fontsize=10,
                           style="italic")
        for phase, (begin, end) in trace.phases().items():
            if end <= begin:
                continue
            self.axes.add_patch(Rectangle((begin, top), end - begin, height, facecolor=PHASE_COLOURS[phase],
                                          edgecolor="#707070", linewidth=0.5, zorder=1))
            needed = len(phase) * POINTS_PER_CHARACTER * 9.5 / 72
            if (end - begin) * self.inches_per_ms > needed:
                self.axes.text((begin + end) / 2, top + height / 2, phase, ha="center", va="center", fontsize=9.5)
            else:  # too narrow: the name stands above, at the outer end
                at, align = (begin, "left") if phase == "fill" else (end, "right")
                self.axes.text(at, top - 0.02 * inch, phase, ha=align, va="bottom", fontsize=8)
            if begin > 0 and index == 0:
                self.axes.plot([begin, begin], [top + height, len(self.stages)], color="#606060", linewidth=1,
                               linestyle=(0, (4, 3)), zorder=2.5)

    def draw_legend(self):
        """Only what the traces have."""
        from matplotlib.patches import Patch
        kinds = {span.kind for trace in self.traces for span in trace.spans}
        handles = [Patch(facecolor=colour(0), edgecolor="#303030", label="runs microbatch n")]
        handles += [Patch(label=label, linewidth=0.3, **WAIT_STYLES[kind]) for kind, label in
                    (("wait", "waits for an input"), ("send", "waits for a free slot")) if kind in kinds]
        self.figure.legend(handles=handles, loc="lower right", ncols=len(handles), fontsize=9, frameon=False,
                           bbox_to_anchor=(1 - 0.2 / self.width, 0))

    def save(self, path):
        self.figure.savefig(path)
        self.pyplot.close(self.figure)


def title_of(traces):
    """Number of stages, and what each trace achieved."""
    lines = []
    for trace, default in zip(traces, ("measured", "predicted")):
        name = trace.label or default
        lines.append(f"{name}: {trace.summary()}" if len(traces) > 1 or trace.label else trace.summary())
    return f"{plural(len(traces[0].stages), 'stage')}, " + "\n".join(lines)


def draw(trace_path, output_path, second_path=None, title=None):
    """Reads the traces and writes the picture; the format follows the name of the output."""
    traces = [read_trace(path) for path in (trace_path, second_path) if path is not None]
    picture = Picture(traces)
    picture.draw(title or title_of(traces))
    picture.save(output_path)


def main(arguments=None):
    """Exit status 0: drawn; 1: the picture cannot be written; 2: what was given is wrong."""
    parser = argparse.ArgumentParser(prog="python -m penstock.timeline", description=__doc__.splitlines()[0])
    parser.add_argument("trace", help="trace written by `penstock run --trace`")
    parser.add_argument("second", nargs="?", help="a second trace, drawn beneath: usually the predicted one")
    parser.add_argument("-o", "--output", required=True, help="picture to write (.png, .svg, .pdf)")
    parser.add_argument("--title", help="instead of the number of stages and the throughput")
    options = parser.parse_args(arguments)
    try:
        draw(options.trace, options.output, options.second, options.title)
    except TraceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        print(f"error: {error}; drawing needs matplotlib", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {options.output}: {error.strerror or error}", file=sys.stderr)
        return 1
    except ValueError as error:  # matplotlib's answer to an unknown suffix
        print(f"error: {options.output}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

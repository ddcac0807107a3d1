"""Does a compiled folder compute what its model says? `penstock verify MODEL DIR` runs this module.

The folder and a reference run on the same inputs. Against `single` the reference is the model compiled uncut with the
folder's own flags, and must give the same bits. Against `onnxruntime` it is ONNX Runtime, within the tolerance

    norm(y - ort) <= max(1e-5 * norm(ort), 4 * norm(ort - ort_unoptimised)) + 1e-7 * sqrt(n)

Where they differ, the first kernel whose result differs is named: the folder's stages record what every kernel makes, so
that what is looked into is what ran (docs/decisions/0023). Exit status 0: the same; 1: not; 2: what was given is wrong.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from penstock.errors import Error, InvalidArgument

PIP = "python3 -m pip install"
try:
    import numpy as np
    from penstock.recording import MESSAGE, RESULT, Recording, dtype_of, evaluate
except ImportError:
    np = None

RELATIVE = {"float16": 1e-3, "bfloat16": 1e-2}
DEFAULT_RELATIVE, UNOPTIMISED_FACTOR, ABSOLUTE_PER_ELEMENT, MIN_DEVIATION = 1e-5, 4, 1e-7, 1e-4


@dataclasses.dataclass
class Value:
    """What one kernel made in one microbatch."""
    name: str       # of the kernel: the ONNX tensor that it makes
    index: int      # which result
    stage: int
    kernel: dict    # of plan.json
    when: tuple     # request, microbatch
    array: object


@dataclasses.dataclass
class Difference:
    """The first tensor that is not what it should be."""
    tensor: str
    when: tuple
    words: str      # how far it is off
    place: list
    actual: str
    expected: str
    value: Value = None     # none: an output whose kernel could not be compared

    def __str__(self):
        request, microbatch = self.when
        where = ""
        if self.value:
            node = self.value.kernel.get("node")
            where = (f", made by node '{node}'" if node else "") + \
                f" in kernel {self.value.kernel['kernel']} of stage {self.value.stage}"
        return (f"request {request}, microbatch {microbatch}: '{self.tensor}'{where}, is {self.actual} at "
                f"{self.place}, expected {self.expected}; {self.words}")

    def to_json(self):
        """The fields of --json."""
        kernel = self.value.kernel if self.value else {}
        return {"tensor": self.tensor, "node": kernel.get("node"), "kernel": kernel.get("kernel"),
                "stage": self.value.stage if self.value else None, "request": self.when[0], "microbatch": self.when[1],
                "place": self.place, "actual": self.actual, "expected": self.expected, "error": self.words}


class Run:
    """A folder, run once, and everything that its stages sent and its kernels made."""

    def __init__(self, folder, flags, where):
        self.plan = read_plan(folder)
        self.path = pathlib.Path(where) / "run.rec"
        start([os.path.join(folder, "launch"), *flags, "--record", str(self.path), "--record-kernels", "--quiet"])
        self.recording = Recording(self.path)
        self.symbols = [symbol["name"] for symbol in self.plan["symbols"]]
        self.messages, self.made = {}, {}
        for record in self.recording.records:
            if record.kind == MESSAGE:
                self.messages[record.place, record.when] = record
            elif record.kind == RESULT:
                self.made[record.place, record.step, record.index, record.when] = record
        self.microbatches = sorted({record.when for record in self.recording.records})
        self.channels = {channel["name"]: number for number, channel in enumerate(self.plan["channels"])}

    def _tensors(self, tensors, when):
        found = {}
        for tensor in tensors:
            records = [self.messages.get((self.channels[name], when)) for name in tensor["channels"]]
            if records and records[0]:
                found[tensor["name"]] = self.recording.array(records[0], dtype_of(tensor["dtype"]), records[0].dims)
        return found

    def inputs(self, when):
        """{name: array} that the stages received in one microbatch."""
        return self._tensors(self.plan["inputs"], when)

    def outputs(self, when):
        """{name: array} that they gave back."""
        return self._tensors(self.plan["outputs"], when)

    def values(self, when):
        """What the kernels made in one microbatch, in topological order: stage by stage, call by call."""
        for stage, entry in enumerate(self.plan["stages"]):
            for step, kernel in enumerate(entry["kernels"]):
                for index, result in enumerate(kernel.get("results", ())):
                    record = self.made.get((stage, step, index, when))
                    if record is None or not result["dtype"]:
                        continue
                    bound = dict(zip(self.symbols, record.symbols))
                    dims = [evaluate(extent, bound) for extent in result["dims"]]
                    array = self.recording.array(record, dtype_of(result["dtype"]), dims)
                    yield Value(kernel["name"], index, stage, kernel, when, array)


def read_plan(folder):
    """The object in plan.json."""
    path = os.path.join(folder, "plan.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise InvalidArgument(f"'{folder}' is no folder that penstock compile wrote: '{path}': {reason}") from None


def start(command):
    """Runs a program of ours; its one line of error becomes ours."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True, errors="replace")
    except OSError as error:
        raise InvalidArgument(f"cannot start '{command[0]}': {error.strerror}") from None
    if done.returncode == 0:
        return
    lines = [line[len("error: "):] for line in done.stderr.splitlines() if line.startswith("error: ")]
    message = lines[0] if lines else f"'{command[0]}' ended with status {done.returncode}"
    raise (InvalidArgument if done.returncode == 2 else Error)(message)


def element_words(array, place):
    """A number, and for a float its bits, which may differ where numbers do not."""
    element = array[place]
    if array.dtype.kind in "biu":
        return str(int(element))
    digits = {2: 5, 4: 9, 8: 17}[array.dtype.itemsize]
    bits = int.from_bytes(element.tobytes(), "little")
    return f"{float(element):.{digits}g} (0x{bits:0{2 * array.dtype.itemsize}x})"


def describe(tensor, when, actual, expected, differs, words, value=None):
    """The difference at the first place where `differs` holds."""
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), differs.shape)) if differs.ndim else ()
    return Difference(tensor, when, words, list(place), element_words(actual, place), element_words(expected, place), value)


def as_floats(array):
    """In float64, with zeros for NaN and large numbers for infinities, so that differences are numbers."""
    return np.nan_to_num(array.astype(np.float64))


def compare_bits(tensor, when, actual, expected, value=None):
    """The Difference, or None where shape, type and all bits agree."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return Difference(tensor, when, "the shapes differ", [], f"{actual.dtype}{list(actual.shape)}",
                          f"{expected.dtype}{list(expected.shape)}", value)
    if actual.tobytes() == expected.tobytes():
        return None
    size = actual.dtype.itemsize
    rows = [np.frombuffer(array.tobytes(), np.uint8).reshape(*array.shape, size) for array in (actual, expected)]
    differs = (rows[0] != rows[1]).any(axis=-1)
    worst = float(np.abs(as_floats(actual) - as_floats(expected)).max())
    words = f"{int(differs.sum())} of {differs.size} elements differ, by at most {worst:.3g}"
    return describe(tensor, when, actual, expected, differs, words, value)


def compare_near(tensor, when, actual, expected, unoptimised, value=None):
    """By the tolerance of the project; integers must be equal."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return compare_bits(tensor, when, actual, expected, value)
    if expected.dtype.kind in "biu":
        return compare_bits(tensor, when, actual, expected, value)
    y, r, u = (as_floats(array) for array in (actual, expected, unoptimised))
    finite = np.array_equal(np.isfinite(actual.astype(np.float64)), np.isfinite(expected.astype(np.float64)))
    relative = RELATIVE.get(expected.dtype.name, DEFAULT_RELATIVE)
    error = float(np.linalg.norm((y - r).ravel()))
    allowed = max(relative * float(np.linalg.norm(r.ravel())), UNOPTIMISED_FACTOR * float(np.linalg.norm((r - u).ravel())))
    allowed += ABSOLUTE_PER_ELEMENT * r.size ** 0.5
    if finite and error <= allowed:
        return None
    off = np.where(np.isfinite(actual.astype(np.float64)) == np.isfinite(expected.astype(np.float64)), np.abs(y - r), np.inf)
    return describe(tensor, when, actual, expected, off == off.max(), f"error norm {error:.3g}, allowed {allowed:.3g}", value)


def check_inputs(one, other):
    """Two runs can be compared only if they were given the same."""
    for when in one.microbatches:
        here, there = one.inputs(when), other.inputs(when)
        for name, array in here.items():
            if name in there and there[name].tobytes() != array.tobytes():
                raise Error(f"the uncut model was given another input '{name}' than the folder")


def verify_single(model, folder, flags, options, where):
    """The first difference from the uncut model, or None."""
    plan = read_plan(folder)
    uncut = os.path.join(where, "uncut")
    extra = [f"--external-data-dir={name}" for name in options.external_data_dir]
    start([tool(), "compile", "--quiet", f"--output={uncut}", "--stages=1", *plan.get("flags", ()), *extra, "--", model])
    run = Run(folder, flags[0], where)
    reference = Run(uncut, flags[0], uncut)
    check_inputs(run, reference)
    if run.microbatches != reference.microbatches:
        raise Error(f"the folder ran {len(run.microbatches)} microbatches, the uncut model {len(reference.microbatches)}")
    for when in run.microbatches:
        outputs = run.outputs(when)
        wrong = [compare_bits(name, when, outputs[name], array)
                 for name, array in reference.outputs(when).items() if name in outputs]
        wrong = [difference for difference in wrong if difference]
        if wrong:
            return first_kernel(run, reference, when) or with_kernel(run, wrong[0])
    return None


def with_kernel(run, difference):
    """An output differs and nothing before it does, as far as it can be compared: the kernel that makes it, if one has
    its name."""
    made = (value for value in run.values(difference.when) if value.name == difference.tensor and value.index == 0)
    return dataclasses.replace(difference, value=next(made, None))


def first_kernel(run, reference, when):
    """In the order of the uncut model; a cheap kernel may have been cloned into several stages."""
    made = {}
    for value in run.values(when):
        made.setdefault((value.name, value.index), []).append(value)
    for expected in reference.values(when):
        for value in made.get((expected.name, expected.index), ()):
            difference = compare_bits(value.name, when, value.array, expected.array, value)
            if difference:
                return difference
    return None


class Runtime:
    """ONNX Runtime on one model, optimised and not, both on one thread; `extra` tensors become outputs too."""

    def __init__(self, model, plan, extra=()):
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise Error(f"verify --against onnxruntime needs the Python package {error.name}: {PIP} {error.name}, or "
                        f"PENSTOCK_PYTHON=PYTHON that has it, or --against single") from None
        self.plan, self.sessions = plan, []
        source = model
        if extra:
            proto = onnx.load(model, load_external_data=False)
            proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in extra)
            source = proto.SerializeToString()
        levels = onnxruntime.GraphOptimizationLevel
        for level in (levels.ORT_ENABLE_ALL, levels.ORT_DISABLE_ALL):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level, options.intra_op_num_threads, options.log_severity_level = level, 1, 4
            if extra:
                options.add_session_config_entry("session.model_external_initializers_file_folder_path",
                                                 os.path.dirname(os.path.abspath(model)))
            try:
                self.sessions.append(onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"]))
            except Exception as error:    # onnxruntime has no class of its own for a bad model
                raise InvalidArgument(f"ONNX Runtime cannot load '{model}': {str(error).splitlines()[0]}") from None
        self.names = [output.name for output in self.sessions[0].get_outputs()]
        self.fixed = dict(self._bound_inputs())
        self.states = [flag.split("=", 1)[1].rsplit("=", 1) for flag in plan.get("flags", ()) if flag.startswith("--state=")]
        self.kept = ({}, {})

    def _bound_inputs(self):
        """Inputs that the folder has as constants."""
        for flag in self.plan.get("flags", ()):
            if flag.startswith("--bind="):
                name, text = flag.split("=", 1)[1].rsplit("=", 1)
                argument = next(entry for entry in self.sessions[0].get_inputs() if entry.name == name)
                values = np.array([float(part) for part in text.split(",")]).astype(numpy_type(argument))
                yield name, values.reshape([-1] if argument.shape else [])

    def run(self, inputs):
        """({name: array} optimised, {name: array} unoptimised) of one microbatch."""
        return tuple(self._run_one(i, inputs) for i in (0, 1))

    def _run_one(self, i, inputs):
        feeds = {**self.fixed, **inputs}
        for argument in self.sessions[i].get_inputs():
            if argument.name not in feeds:
                feeds[argument.name] = self.kept[i].get(argument.name, self._zeros(argument))
        outputs = dict(zip(self.names, self.sessions[i].run(None, feeds)))
        self.kept[i].update({into: outputs[out] for into, out in self.states})
        return outputs

    def _zeros(self, argument):
        """A state before the first call, or an input that no kernel reads."""
        given = dict(flag.split("=", 1)[1].rsplit("=", 1) for flag in self.plan.get("flags", ()) if flag.startswith("--dim="))
        shape = [extent if isinstance(extent, int) else int(given.get(extent, "1").split(".")[0]) for extent in argument.shape]
        return np.zeros(shape, numpy_type(argument))


def numpy_type(argument):
    """Of an input or output of an onnxruntime session."""
    name = argument.type[len("tensor("):-1]
    return np.dtype({"float": "float32", "double": "float64"}.get(name, name))


def reference_fault(outputs):
    """Why a comparison with these outputs, one {name: array} per microbatch, could not fail, or None."""
    for name, first in outputs[0].items():
        if first.dtype.kind in "biu":
            continue
        values = [entry[name].astype(np.float64) for entry in outputs]
        together = np.concatenate([value.ravel() for value in values])
        if not np.isfinite(together).all():
            return f"output '{name}' is not finite"
        if together.size > 1 and together.std() <= MIN_DEVIATION:
            return f"output '{name}' hardly varies (standard deviation {together.std():.1e})"
        if len(values) > 1 and all(np.array_equal(value, values[0]) for value in values[1:]):
            return f"output '{name}' is the same for every input"
    return None


def verify_onnxruntime(model, folder, flags, options, where):
    """The first difference from ONNX Runtime, or None."""
    plan = read_plan(folder)
    runtime = Runtime(model, plan)
    runs = [Run(folder, some, pathlib.Path(tempfile.mkdtemp(dir=where))) for some in flags]
    references, first = [], None
    for run in runs:
        for when in run.microbatches:
            pair = runtime.run(run.inputs(when))
            references.append({name: pair[0][name] for name in runtime.names})
            outputs = run.outputs(when)
            wrong = [compare_near(name, when, outputs[name], pair[0][name], pair[1][name]) for name in outputs]
            first = first or next(((run, when, difference) for difference in wrong if difference), None)
        if first:
            return first_tensor(model, first[0], first[1]) or with_kernel(first[0], first[2])
    fault = reference_fault(references)
    if fault:
        raise InvalidArgument(f"the inputs are of no use for a comparison: {fault} in ONNX Runtime; give others with --inputs")
    return None


def first_tensor(model, run, until):
    """ONNX Runtime with all tensors as outputs that a kernel of the folder makes."""
    import onnx
    graph = onnx.load(model, load_external_data=False).graph
    known = {name for node in graph.node for name in node.output} - {output.name for output in graph.output}
    made = {kernel["name"] for stage in run.plan["stages"] for kernel in stage["kernels"]}
    runtime = Runtime(model, run.plan, sorted(made & known))
    for when in run.microbatches:
        pair = runtime.run(run.inputs(when))
        for value in run.values(when):
            if value.index == 0 and value.name in pair[0]:
                difference = nearest(value, *(entry[value.name] for entry in pair))
                if difference:
                    return difference
        if when == until:
            break
    return None


def nearest(value, expected, unoptimised):
    """A kernel may leave an image channels-last: of the two arrangements, the one that is nearer counts."""
    plain = compare_near(value.name, value.when, value.array, expected, unoptimised, value)
    if plain is None or expected.ndim < 3:
        return plain
    turned = [np.ascontiguousarray(np.moveaxis(array, 1, -1)) for array in (expected, unoptimised)]
    if turned[0].shape != value.array.shape:
        return plain
    other = compare_near(value.name, value.when, value.array, *turned, value)
    return other if expected.shape != value.array.shape or other is None else plain


def tool():
    """The command line that compiles the uncut model."""
    return os.environ.get("PENSTOCK_TOOL", "penstock")


def run_flags(options):
    """One list of flags of `launch` per run."""
    common = ["--timeout", str(options.timeout)]
    if options.inputs:
        return [common + [word for name in options.inputs for word in ("--inputs", name)]]
    common += ["--random", *(f"--dim={text}" for text in options.dim), *(f"--shape={text}" for text in options.shape)]
    seeds = (options.seed, options.seed + 1) if options.against == "onnxruntime" else (options.seed,)
    return [common + ["--seed", str(seed)] for seed in seeds]


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="penstock verify", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--against", choices=("onnxruntime", "single"), default="onnxruntime")
    for name in ("--inputs", "--dim", "--shape", "--external-data-dir"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=30)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args(arguments)


def check_model(options):
    """The model must be there; a note says if the folder's plan names another file."""
    try:
        with open(options.model, "rb"):
            pass
    except OSError as error:
        raise InvalidArgument(f"cannot read the model '{options.model}': {error.strerror}") from None
    if os.path.basename(options.model) != (name := read_plan(options.folder)["model"]):
        print(f"note: '{options.folder}' was compiled from a file '{name}'", file=sys.stderr)


def verify(options):
    """The first difference, or None."""
    if np is None:
        raise Error(f"verify needs the Python package numpy: {PIP} numpy, or PENSTOCK_PYTHON=PYTHON that has it")
    check_model(options)
    with tempfile.TemporaryDirectory(prefix="penstock-verify-") as where:
        function = verify_single if options.against == "single" else verify_onnxruntime
        return function(options.model, options.folder, run_flags(options), options, where)


def main(arguments=None):
    """Exit status 0: all is equal; 1: something differs, or cannot be run; 2: what was given is wrong."""
    options = parse(arguments)
    what = "ONNX Runtime" if options.against == "onnxruntime" else "the uncut model"
    try:
        difference = verify(options)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    if options.json:
        print(json.dumps({"against": options.against, "same": difference is None,
                          "difference": difference and difference.to_json()}))
    if difference:
        print(f"error: '{options.folder}' differs from {what}: {difference}", file=sys.stderr)
        return 1
    if not options.json and not options.quiet:
        print(f"'{options.folder}' gives " + ("the bits of the uncut model" if options.against == "single" else
                                              "the numbers of ONNX Runtime, within tolerance"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

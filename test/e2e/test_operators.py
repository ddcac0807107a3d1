"""ONNX's own cases, of single operators and of small graphs: imported, compiled as one kernel, run, compared.

Each case of onnx.backend runs as it is; where a shape or the like is an input, again with the small inputs as constants.
Of random numbers only their number and type are compared; test_random.py looks at them.
operators_expected.txt lists the cases that do not pass, with the reason; any other case that fails fails the test, and listed
ones that pass are named. PENSTOCK_UPDATE=1 writes the list anew.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import os
import pathlib
import subprocess
import warnings

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

HERE = pathlib.Path(__file__).parent
EXPECTED = HERE / "operators_expected.txt"
BUILD = pathlib.Path(os.environ.get("PENSTOCK_BUILD", HERE.parent.parent / "build"))
RUNNER = BUILD / "test" / "unit" / "OperatorRunner"
CHUNK = 40
MAX_CONSTANT = 64  # elements of an input that may become a constant
DTYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i1": np.bool_,
          "i2": ml_dtypes.int2, "ui2": ml_dtypes.uint2, "i4": ml_dtypes.int4, "ui4": ml_dtypes.uint4,
          "i8": np.int8, "ui8": np.uint8, "i16": np.int16, "ui16": np.uint16, "i32": np.int32, "ui32": np.uint32,
          "i64": np.int64, "ui64": np.uint64, "f8E4M3FN": ml_dtypes.float8_e4m3fn, "f8E5M2": ml_dtypes.float8_e5m2,
          "f8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "f8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz}
# Bounds of extents that depend on data.
DIMS = {"test_constantofshape_float_ones": "y.0=0..9\ny.1=0..9\ny.2=0..9", "test_constantofshape_int_zeros": "y.0=0..9\ny.1=0..9",
        "test_constantofshape_int_shape_zero": "y.0=0..9"}
GRAPHS = ("simple", "pytorch-converted", "pytorch-operator")  # folders of cases beside those of single operators
DRAWN = ("test_bernoulli", "test_training_dropout")  # their numbers are drawn at random
TOLERANCE = {"f32": 1e-3, "f64": 1e-3, "f16": 1e-2, "bf16": 2e-2}


def as_array(value):
    """Raises ValueError for what is no tensor of numbers."""
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    if array.dtype.kind in "OSU":
        raise ValueError(f"elements of type {array.dtype}")
    return array


def is_number(info, value):
    """A scalar that is no picture of data, as the first of `Range` or the size of a window."""
    return np.shape(value) == () and info.type.HasField("tensor_type")


def inputs_of(model):
    """The inputs that are no initializers; older models list these too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in constants]


def bind_small_inputs(model, values):
    """The model with small inputs, but for the first unless it is a scalar, as initializers; None if there is none."""
    bound = onnx.ModelProto()
    bound.CopyFrom(model)
    kept = []
    for index, (info, value) in enumerate(zip(inputs_of(model), values)):
        is_tensor = info.type.HasField("tensor_type") and isinstance(value, (np.ndarray, np.generic))
        if (index == 0 and not is_number(info, value)) or not is_tensor or np.size(value) > MAX_CONSTANT:
            kept.append(info)
            continue
        tensor = numpy_helper.from_array(np.asarray(value), info.name)
        tensor.data_type = info.type.tensor_type.elem_type
        bound.graph.initializer.append(tensor)
    if len(kept) == len(inputs_of(model)):
        return None
    del bound.graph.input[:]
    bound.graph.input.extend(kept)
    return bound


def write_case(folder, model, values):
    folder.mkdir(parents=True)
    onnx.save(model, folder / "model.onnx")
    if folder.name in DIMS:
        (folder / "dims").write_text(DIMS[folder.name])
    number = 0
    for info in inputs_of(model):
        if info.name not in values:
            continue
        try:
            array = as_array(values[info.name])
        except ValueError:
            return  # sequences and the like: the importer refuses them anyway
        array.tofile(folder / f"input_{number}.bin")
        (folder / f"input_{number}.shape").write_text(" ".join(map(str, array.shape)))
        number += 1


def collect_cases():
    """(name, model, inputs, outputs) of every case."""
    from onnx.backend.test.case.node import collect_testcases
    for case in collect_testcases(None):
        if case.data_sets:
            yield case.name, case.model, *case.data_sets[0]
    for kind in GRAPHS:
        for case in load_model_tests(kind=kind):
            folder = pathlib.Path(case.model_dir)
            model = onnx.load(folder / "model.onnx")
            data = folder / "test_data_set_0"
            yield (f"{kind}/{case.name}", model, read_values(data, "input", inputs_of(model)),
                   read_values(data, "output", model.graph.output))


def read_values(folder, kind, infos):
    """Tensors as arrays; what else there is as None."""
    values = []
    for number, info in enumerate(infos):
        if not info.type.HasField("tensor_type"):
            values.append(None)
            continue
        values.append(numpy_helper.to_array(onnx.load_tensor(folder / f"{kind}_{number}.pb")))
    return values


def write_cases(root):
    """Writes every case; gives the expected outputs by name, and the names of cases with a bound form."""
    expected, bound_names = {}, set()
    for name, model, inputs, outputs in collect_cases():
        values = {info.name: value for info, value in zip(inputs_of(model), inputs)}
        try:
            expected[name] = [as_array(output) for output in outputs]
        except ValueError:
            expected[name] = None
        write_case(root / "plain" / name, model, values)
        try:
            bound = bind_small_inputs(model, inputs)
        except (TypeError, ValueError):
            bound = None
        if bound is not None:
            write_case(root / "bound" / name, bound, values)
            bound_names.add(name)
    return expected, bound_names


def run_folders(folders):
    """The runner's words about each folder; a crash is one too."""
    answers = {}
    for start in range(0, len(folders), CHUNK):
        chunk = folders[start:start + CHUNK]
        while chunk:
            result = subprocess.run([RUNNER, *chunk], capture_output=True, text=True, timeout=600, check=False)
            lines = [line for line in result.stdout.splitlines() if line.startswith(("ok ", "fail "))]
            for line in lines:
                status, folder, *rest = line.split(" ", 2)
                answers[folder] = (status, rest[0] if rest else "")
            if len(lines) == len(chunk):
                break
            answers[str(chunk[len(lines)])] = ("fail", f"crash with status {result.returncode}")
            chunk = chunk[len(lines) + 1:]
    return answers


def compare(folder, types, expected, drawn):
    """None if all outputs are right, else what is wrong."""
    if expected is None or len(types.split()) != len(expected):
        return "outputs differ in number or kind"
    for index, (text, want) in enumerate(zip(types.split(), expected)):
        *extents, dtype = text.replace("xf8E", "x f8E").replace("x", " ").split() if "f8E" in text else text.split("x")
        got = np.fromfile(folder / f"output_{index}.bin", dtype=DTYPES[dtype]).reshape([int(e) for e in extents])
        if got.shape != want.shape:
            return f"output {index} has shape {got.shape}, expected {want.shape}"
        want = want.view(got.dtype) if want.dtype.kind == "V" else want
        if drawn:
            if got.dtype != want.dtype:
                return f"output {index} has type {got.dtype}, expected {want.dtype}"
            continue
        tolerance = TOLERANCE.get(dtype, 0)
        if not np.allclose(got.astype(np.float64), want.astype(np.float64), rtol=tolerance,
                           atol=1e-6 if tolerance else 0, equal_nan=True):
            return f"output {index} differs"
    return None


def reason_of(name, status, text, folder, expected):
    if status == "ok":
        return compare(folder, text, expected, name.startswith(DRAWN) and "zero_ratio" not in name)
    # Without the names of files and nodes, so that equal reasons are equal.
    text = text.replace(f"{folder}/", "").split("model.onnx: ")[-1].split(";")[0].strip()
    return text[:160]


def read_expected():
    lines = EXPECTED.read_text().splitlines() if EXPECTED.exists() else []
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.skipif(not RUNNER.exists(), reason="OperatorRunner is not built")
def test_operators(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, bound_names = write_cases(tmp_path)
    reasons = {}
    for form, names in (("plain", sorted(expected)), ("bound", None)):
        names = names if names is not None else sorted(name for name in reasons if name in bound_names)
        answers = run_folders([tmp_path / form / name for name in names])
        for name in names:
            folder = tmp_path / form / name
            status, text = answers.get(str(folder), ("fail", "no answer"))
            reason = reason_of(name, status, text, folder, expected[name])
            if reason is None:
                reasons.pop(name, None)
            else:
                reasons[name] = reason
    print(f"{len(expected) - len(reasons)} of {len(expected)} cases pass")
    if os.environ.get("PENSTOCK_UPDATE"):
        head = "# Cases of onnx.backend that do not pass, and why. Written by PENSTOCK_UPDATE=1 pytest test_operators.py\n"
        EXPECTED.write_text(head + "".join(f"{name}: {reason}\n" for name, reason in sorted(reasons.items())))
        return
    known = read_expected()
    broken = {name: reason for name, reason in reasons.items() if name not in known}
    mended = [name for name in known if name not in reasons]
    if mended:
        print(f"these cases pass now; take them from {EXPECTED.name}: " + ", ".join(mended))
    assert not broken, "\n".join(f"{name}: {reason}" for name, reason in broken.items())

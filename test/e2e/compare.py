"""The one tolerance rule: when results equal ONNX Runtime's, and when a reference is worth comparing with.

For floats, per tensor: norm(y - ort) <= max(1e-5 * norm(ort), 4 * norm(ort - ort_unoptimised)) + 1e-7 * sqrt(n), all in
float64. The second term is ONNX Runtime's own rounding: how far its result moves when it may not fuse. Integers and
booleans must be equal.
"""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import dataclasses

import numpy as np
import onnxruntime as ort

RELATIVE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-5, np.dtype(np.float16): 1e-3}
UNOPTIMISED_FACTOR = 4
ABSOLUTE_PER_ELEMENT = 1e-7
MIN_DEVIATION = 1e-4


@dataclasses.dataclass
class Verdict:
    """Of one tensor: the two norms of the rule; text says both, for a pass as well."""
    name: str
    is_equal: bool
    error: float
    allowed: float

    def __str__(self):
        sign = "<=" if self.is_equal else ">"
        return f"{self.name}: error norm {self.error:.3g} {sign} allowed {self.allowed:.3g}"


def compare(name, actual, reference, unoptimised):
    """Verdict on one tensor, by the rule above."""
    if actual.shape != reference.shape or actual.dtype != reference.dtype:
        print(f"{name}: {actual.dtype}{list(actual.shape)}; expected {reference.dtype}{list(reference.shape)}")
        return Verdict(name, False, float("inf"), 0.0)
    if reference.dtype.kind != "f":
        return Verdict(name, bool(np.array_equal(actual, reference)), float(np.sum(actual != reference)), 0.0)
    y, r, u = (array.astype(np.float64) for array in (actual, reference, unoptimised))
    if not np.array_equal(np.isnan(y), np.isnan(r)):
        return Verdict(name, False, float("nan"), 0.0)
    y, r, u = (np.nan_to_num(array) for array in (y, r, u))
    error = float(np.linalg.norm(y - r))
    allowed = max(RELATIVE[reference.dtype] * float(np.linalg.norm(r)), UNOPTIMISED_FACTOR * float(np.linalg.norm(r - u)))
    allowed += ABSOLUTE_PER_ELEMENT * r.size ** 0.5
    return Verdict(name, error <= allowed, error, allowed)


def reference_fault(requests):
    """Why a comparison with these reference outputs could not fail, or None.

    requests: one {name: array} per request, of at least two different inputs. Looks at every floating output over all
    requests: finite, varying, and not the same for every request.
    """
    if len(requests) < 2:
        return "fewer than two different inputs"
    for name, first in requests[0].items():
        if first.dtype.kind != "f":
            continue
        values = [request[name].astype(np.float64) for request in requests]
        together = np.concatenate([value.ravel() for value in values])
        if not np.isfinite(together).all():
            return f"{name} is not finite"
        if together.std() <= MIN_DEVIATION:
            return f"{name} hardly varies (standard deviation {together.std():.1e})"
        if all(value.shape == values[0].shape and np.array_equal(value, values[0]) for value in values[1:]):
            return f"{name} is the same for every input"
    return None


def same_bits(one, other):
    """Name of the first output whose bits differ, or None."""
    for name, array in one.items():
        if array.shape != other[name].shape or array.tobytes() != other[name].tobytes():
            return name
    return None


class Reference:
    """ONNX Runtime on one model, as it is and unoptimised, both on one thread."""

    def __init__(self, path, bind=None):
        self.bind = bind or {}
        self.sessions = []
        for level in (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL):
            options = ort.SessionOptions()
            options.graph_optimization_level = level
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            self.sessions.append(ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]))
        self.names = [output.name for output in self.sessions[0].get_outputs()]

    def run(self, inputs):
        """({name: array}, {name: array}): optimised and unoptimised."""
        feeds = {**inputs, **self.bind}
        return tuple(dict(zip(self.names, session.run(None, feeds))) for session in self.sessions)

    def run_rows(self, inputs, rows):
        """The same for a model with a static batch: `rows` rows at a time, results joined along the first axis."""
        total = next(iter(inputs.values())).shape[0]
        if total == rows:
            return self.run(inputs)
        parts = [self.run({name: array[start:start + rows] for name, array in inputs.items()})
                 for start in range(0, total, rows)]
        return tuple({name: np.concatenate([part[i][name] for part in parts]) for name in self.names} for i in (0, 1))

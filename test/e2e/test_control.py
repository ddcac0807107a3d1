"""Branches taken at run time: the right one, and what it takes for granted is checked where it is taken."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import numpy as np
import pytest
import tiny
from onnx import TensorProto, helper, numpy_helper
from test_bad_input import check_refused, penstock


def constant(name, value):
    return numpy_helper.from_array(np.array(value, np.int64), name)


def graph(name, nodes, output, num_dims):
    shape = [f"{name}_{i}" for i in range(num_dims)]
    return helper.make_graph(nodes, name, [], [tiny.tensor(output, shape)])


def squeezing_branches():
    """z = c ? squeeze x if its last axis has extent 1 : the sums of its rows."""
    squeeze = helper.make_node("If", ["is_one"], ["p"], name="shape_if",
                               then_branch=graph("inner_then", [helper.make_node("Squeeze", ["x", "last"], ["i"])], "i", 1),
                               else_branch=graph("inner_else", [helper.make_node("Identity", ["x"], ["k"])], "k", 2))
    then_nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "one"], ["length"]),
                  helper.make_node("Equal", ["length", "one"], ["is_one"]), squeeze]
    else_nodes = [helper.make_node("ReduceSum", ["x", "last"], ["q"], keepdims=0)]
    choose = helper.make_node("If", ["c"], ["z"], name="choose", then_branch=graph("then", then_nodes, "p", 1),
                              else_branch=graph("else", else_nodes, "q", 1))
    return tiny.model([choose], [tiny.tensor("x", ["batch", "len"]), tiny.tensor("c", [], TensorProto.BOOL)],
                      [tiny.tensor("z", ["batch"])], [constant("one", 1), constant("last", [1])])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("control")
    tiny.save(squeezing_branches(), where / "if.onnx")
    done = penstock("compile", "--quiet", where / "if.onnx", "-o", where / "if.penstock")
    assert done.returncode == 0, done.stderr
    return where


def run(folder, x, c):
    np.savez(folder / "in.npz", x=x.astype(np.float32), c=np.array(c))
    done = penstock("run", folder / "if.penstock", "--inputs", folder / "in.npz", "--output-dir", folder / "out")
    return done, np.load(folder / "out/z.npy") if done.returncode == 0 else None


def test_each_branch(folder):
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    done, z = run(folder, x, False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(z, x.sum(axis=1))
    done, z = run(folder, x[:, :1], True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(z, x[:, 0])
    done, z = run(folder, x[:, :1], False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(z, x[:, 0])


def test_a_branch_that_does_not_fit_is_refused(folder):
    done, _ = run(folder, np.ones((3, 2)), True)
    check_refused(done, "'len' and '1'", "condition of node 'shape_if' (If)", "extents 2 and 1")

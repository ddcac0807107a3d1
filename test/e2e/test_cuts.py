"""The same bits whatever the cut: random legal cuts into 2 to 6 stages, as processes and all in one, against the uncut model."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import cuts
import models
import networks
import numpy as np
import pytest
import runner
import tiny

NUM_CUTS = 3
CHOSEN = ("residuals", "recognizer", "detector")
ISAS = pytest.mark.parametrize("isa", [None, "AVX2"], ids=["native", "avx2"])


def check(model, where, isa, num_cuts=NUM_CUTS):
    found = list(runner.run_cuts(model, num_cuts, where, seed=1, isa=isa))
    assert len(found) == 1 + num_cuts
    for num_stages, status, text in found:
        assert status == "pass", f"{num_stages} stages: {text}"


@ISAS
def test_perceptron(tmp_path, isa):
    """Products of a few rows, whose packing and threads differ most between oneDNN's instruction sets."""
    path = tiny.save(tiny.perceptron(num_layers=6), tmp_path / "perceptron.onnx")
    feeds = [(f"{rows} rows", {"x": tiny.perceptron_input(rows, seed=rows)}) for rows in (1, 2, 7)]
    check(models.Model("perceptron", lambda: path, lambda: feeds), tmp_path, isa, num_cuts=5)


@ISAS
@pytest.mark.parametrize("name", CHOSEN)
def test_network(tmp_path, name, isa):
    build, requests = networks.NETWORKS[name]
    path = tiny.save(build(), tmp_path / f"{name}.onnx")
    feeds = [(f"request {k}", feed) for k, feed in enumerate(requests(np.random.default_rng(1)))]
    check(models.Model(name, lambda: path, lambda: feeds), tmp_path, isa)


@ISAS
def test_whole_model(tmp_path, isa):
    try:
        check(models.MODELS["ocr-classifier-static"], tmp_path, isa)
    except models.NotHere as error:
        pytest.skip(str(error))


def test_what_is_compared_can_differ(tmp_path, monkeypatch):
    """Results of other bits are noticed in each form, and told with it."""
    path = tiny.save(tiny.perceptron(), tmp_path / "perceptron.onnx")
    values = iter(range(100))
    feeds = lambda: [("a request that changes", {"x": tiny.perceptron_input(seed=next(values))})]    # noqa: E731
    model = models.Model("perceptron", lambda: path, feeds)
    requests = runner.Requests(model)
    single = runner.outputs_of(model, requests, 1, tmp_path)
    folder, changed = runner.Folder(model, 2, tmp_path, ("--all-in-one",)), runner.Requests(model)
    runner.check_forms(model, folder, requests, single, tmp_path)
    with pytest.raises(runner.Failure, match="^processes: a request that changes: y has other bits than with one stage"):
        runner.check_forms(model, folder, changed, single, tmp_path)
    run = runner.outputs_as
    monkeypatch.setattr(runner, "outputs_as", lambda model, folder, asked, where, form=(): run(
        model, folder, changed if form else asked, where, form))
    with pytest.raises(runner.Failure, match="^--all-in-one: a request that changes: y has other bits"):
        runner.check_forms(model, folder, requests, single, tmp_path)


DUMP = """
    %3 = nn.kernel "a" ins(%arg1 = %arg0 : tensor<4xf32>, %arg2 = %0 : tensor<4xf32>) -> (tensor<4xf32>) attributes {} {
      %6 = nn.unary tanh %arg1 : tensor<4xf32>
    %4:2 = nn.kernel "b" ins(%arg1 = %3 : tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
    %5 = nn.kernel "\\22c\\22" ins(%arg1 = %4#1 : tensor<4xf32>, %arg2 = %3 : tensor<4xf32>) -> (tensor<4xf32>) {
    %7 = nn.kernel "d" ins(%arg1 = %arg0 : tensor<4xf32>) -> (tensor<4xf32>) {
"""


def test_random_cuts_are_legal():
    """Every kernel in one stage, no stage empty, no value flows back; all orders come up."""
    kernels = cuts.Kernels.parse(DUMP)
    assert kernels.names == ("a", "b", '"c"', "d")
    assert kernels.reads == (frozenset(), {0}, {0, 1}, frozenset())
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        num_stages = int(rng.integers(1, kernels.most_stages() + 1))
        stages = kernels.random_cut(rng, num_stages)
        assert len(stages) == num_stages and all(stages)
        stage_of = {name: number for number, stage in enumerate(stages) for name in stage}
        assert len(stage_of) == 4 == sum(map(len, stages))
        for position, reads in enumerate(kernels.reads):
            assert all(stage_of[kernels.names[read]] <= stage_of[kernels.names[position]] for read in reads)
        seen.add(tuple(map(tuple, stages)))
    assert (("d",), ("a",), ("b",), ('"c"',)) in seen and (("a", "b"), ('"c"', "d")) in seen

"""Whole models give ONNX Runtime's numbers, and the same bits for every number of stages."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import models
import pytest
import runner

# The cases of a model are one group: they run in one process, where its reference is computed once.
CASES = [pytest.param(model.name, num_stages, marks=pytest.mark.xdist_group(model.name))
         for model in models.MODELS.values() if model.tier == "ci" for num_stages in model.stages]


@pytest.fixture(scope="module")
def remembered():
    """Reference and one-stage outputs of a model, computed when first asked for."""
    return {}


@pytest.mark.parametrize("name, num_stages", CASES)
def test_model(name, num_stages, remembered, tmp_path):
    model = models.MODELS[name]
    if name not in remembered:
        remembered.clear()    # cases come model by model; big outputs need not stay
        try:
            expected = runner.Expected(model)
        except models.NotHere as error:
            pytest.skip(str(error))
        remembered[name] = expected, runner.outputs_of(model, expected, 1, tmp_path)
    expected, single = remembered[name]
    outputs = single if num_stages == 1 else runner.outputs_of(model, expected, num_stages, tmp_path)
    print(runner.check_numbers(expected, outputs))
    runner.check_bits(expected, outputs, single)


@pytest.mark.parametrize("name", ["voice-if", "voice-op18"])
def test_a_condition_stays_in_one_stage(name, tmp_path):
    with pytest.raises(runner.Failure, match="2 stages were asked for, .* holds a condition whose branches stay in one stage"):
        runner.Folder(models.MODELS[name], 2, tmp_path)

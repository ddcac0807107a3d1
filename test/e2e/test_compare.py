"""The tolerance rule refuses what it should, and so does the check of a reference."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import compare
import inputs
import numpy as np
import pytest

R = np.linspace(-1, 1, 1000).astype(np.float32)


@pytest.mark.parametrize("error, spread, is_equal", [
    (0, 0, True), (5e-6, 0, True), (1e-4, 0, False), (1e-4, 1e-4, True), (1e-3, 1e-4, False)])
def test_floats(error, spread, is_equal):
    assert compare.compare("y", R * np.float32(1 + error), R, R * np.float32(1 + spread)).is_equal == is_equal


def test_a_nan_is_not_equal():
    bad = R.copy()
    bad[3] = np.nan
    assert not compare.compare("y", bad, R, R).is_equal
    assert compare.compare("y", bad, bad, bad).is_equal


def test_integers_shapes_and_types_are_exact():
    ids = np.arange(5)
    assert compare.compare("y", ids, ids, ids).is_equal
    assert not compare.compare("y", ids + (ids == 2), ids, ids).is_equal
    assert not compare.compare("y", R[None], R, R).is_equal
    assert not compare.compare("y", R.astype(np.float64), R, R).is_equal


@pytest.mark.parametrize("first, second, fault", [
    (R, -R, None), (R, R, "the same for every input"), (R * 0, R * 0 + 1e-6, "hardly varies"), (R + np.inf, R, "not finite")])
def test_reference(first, second, fault):
    found = compare.reference_fault([{"y": first}, {"y": second}])
    assert found is None if fault is None else fault in found


def test_reference_needs_two_inputs():
    assert compare.reference_fault([{"y": R}]) == "fewer than two different inputs"


def test_same_bits_sees_the_sign_of_zero():
    assert compare.same_bits({"y": np.zeros(2)}, {"y": -np.zeros(2)}) == "y"
    assert compare.same_bits({"y": R}, {"y": R.copy()}) is None


def test_inputs_are_of_their_kind():
    ids, mask = inputs.token_ids(3, 17, 8000)
    assert ids.shape == (3, 17) and ids.max() < 8000 and mask[0].all() and not mask[2].all()
    assert np.abs(inputs.waveform(16000)).max() <= 1 and inputs.waveform(16000).std() > 0.01
    assert inputs.recognizer_input(inputs.text_line("a"), 320).shape == (1, 3, 48, 320)
    assert inputs.photo(2).shape == (2, 3, 224, 224) and not np.array_equal(inputs.photo(1), inputs.photo(1, seed=1))

"""Small networks of every kind against ONNX Runtime, with one stage and with two of the same bits."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import networks
import numpy as np
import pytest
import runner
import tiny
from models import Model


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_network(tmp_path, name):
    build, requests = networks.NETWORKS[name]
    path = tiny.save(build(), tmp_path / f"{name}.onnx")
    feeds = [(f"request {k}", feed) for k, feed in enumerate(requests(np.random.default_rng(1)))]
    model = Model(name, lambda: path, lambda: feeds, stages=(1, 2))
    for num_stages, status, text in runner.run_model(model, model.stages, tmp_path):
        assert status == "pass", f"{num_stages} stages: {text}"

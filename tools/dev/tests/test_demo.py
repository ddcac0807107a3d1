"""The demo's decoding, checked with ONNX Runtime in the place of a compiled folder."""
# Part of Penstock, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
import demo
import numpy as np
import onnxruntime as ort

TEXT = "Penstock reads this in 2 stages"


def test_decode_drops_blanks_and_repetitions():
    steps = np.eye(4)[[0, 1, 1, 0, 1, 2, 3, 3]]
    assert demo.decode(steps, ["", "a", "b", " "]) == ("aab ", 1.0)


def test_the_drawn_line_can_be_read():
    model = demo.models.ocr("ch_PP-OCRv4_rec_infer")()
    tensor = demo.inputs.recognizer_input(demo.inputs.text_line(TEXT))
    output = ort.InferenceSession(str(model)).run(None, {"x": tensor})[0]
    found, confidence = demo.decode(output[0], demo.characters(model))
    assert found.replace(" ", "") == TEXT.replace(" ", "") and confidence > 0.8


def test_the_turned_line_is_seen_as_turned():
    model = demo.models.ocr("ch_ppocr_mobile_v2.0_cls_infer")()
    picture = demo.inputs.text_line(TEXT)
    session = ort.InferenceSession(str(model))
    for turned in (0, 1):
        tensor = demo.inputs.recognizer_input(picture[::-1, ::-1] if turned else picture, 192)
        assert session.run(None, {"x": tensor})[0][0].argmax() == turned

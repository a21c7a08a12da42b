"""What a run writes down, and what a resumed one takes back."""

import json

import pytest

from lrface.errors import LrfaceError
from lrface.train.log import RunLog, read_log


def write(folder, steps, resumed=0, active=True):
    with RunLog(folder, 100, resumed * 8, resumed, active) as log:
        for step in steps:
            log.advance(8)
            log.write("train", step, {"loss": 1 / step}, epoch=1)
        log.message("done")


def test_lines_come_back_as_written(tmp_path):
    write(tmp_path, [1, 2])
    assert read_log(tmp_path) == [
        {"kind": "train", "step": 1, "epoch": 1, "loss": 1.0},
        {"kind": "train", "step": 2, "epoch": 1, "loss": 0.5},
    ]
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_resumed_run_takes_back_what_will_come_again(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    write(tmp_path, [3, 4, 5], resumed=2)
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3, 4, 5]


def test_a_line_torn_by_a_crash_goes(tmp_path):
    write(tmp_path, [1, 2])
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write(json.dumps({"kind": "train", "step": 2, "loss": 0.5})[:-9])
    write(tmp_path, [3], resumed=2)
    assert [line["step"] for line in read_log(tmp_path)] == [1, 2, 3]


def test_other_processes_write_nothing(tmp_path):
    write(tmp_path, [1, 2], active=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [None, "{"])
def test_a_log_that_cannot_be_read(tmp_path, text):
    if text is not None:
        (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(LrfaceError, match=r"cannot read the log .*log\.jsonl"):
        read_log(tmp_path)

"""One command packs a training."""

import json
import sys

import pack_training as tool
import pytest
from small_store import content, data_root, write_recipe

__all__ = ["content", "data_root", "write_recipe"]


def call(monkeypatch, *args):
    monkeypatch.setattr(sys, "argv", ["pack_training.py", *map(str, args)])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    return stopped.value.code


def test_it_says_how_much_and_what_is_lost(data_root, write_recipe, tmp_path, monkeypatch, capsys):
    recipe = write_recipe(tmp_path / "recipe.yaml", augment={"rotate": 5})
    code = call(
        monkeypatch, recipe, "--data", data_root, "--out", tmp_path / "pack", "--targets", "int8", "--part-mb", 1
    )
    said = capsys.readouterr().out
    assert code == 0
    facts = json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert facts["complete"]
    assert "35 training images and 15 held out" in said
    assert f"targets as int8: cosine to the exact ones {facts['loss']['cosine']['mean']:.7f}" in said
    assert f"PSNR {facts['loss']['psnr']:.1f} dB" in said


def test_a_recipe_without_its_data_is_one_line(data_root, write_recipe, tmp_path, monkeypatch, capsys):
    recipe = write_recipe(tmp_path / "recipe.yaml", data={"store": "nowhere"})
    assert call(monkeypatch, recipe, "--data", data_root, "--out", tmp_path / "pack") == 2
    assert capsys.readouterr().err.startswith("error: no store at ")
    assert not (tmp_path / "pack").exists()

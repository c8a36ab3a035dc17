"""The colours of style.css, judged as people with the common colour-vision deficiencies see them.

Simulation: Machado, Oliveira, Fernandes 2009, severity 1.0, in linear RGB. Distance: Euclidean in OKLab, times 100.
"""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import curriculum.report
from curriculum.report.data import read_lock, read_plan
from curriculum.report.palette import TONES, Palette, palette

STYLE = (Path(curriculum.report.__file__).parent / "style.css").read_text()
SCHEMES = [re.findall(r"--tone-\d: #(\w{6})", line) for line in STYLE.splitlines() if "--tone-1: #" in line]
SURFACES = re.findall(r"--surface: #(\w{6})", STYLE)
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
LMS = np.array(
    [[0.41222147, 0.53633254, 0.05144599], [0.21190350, 0.68069955, 0.10739696], [0.08830246, 0.28171884, 0.62997870]]
)
OKLAB = np.array(
    [
        [0.21045426, 0.79361779, -0.00407205],
        [1.97799850, -2.42859221, 0.45059371],
        [0.02590404, 0.78277177, -0.80867577],
    ]
)


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[index : index + 2], 16) for index in (0, 2, 4)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def seen(colour: str, vision: str) -> np.ndarray:
    rgb = np.clip(np.array(VISION[vision]) @ linear(colour), 0, 1)
    return 100 * OKLAB @ np.cbrt(LMS @ rgb)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("tones", SCHEMES, ids=["light", "dark"])
def test_corpora_can_be_told_apart(tones: list[str], vision: str) -> None:
    assert len(tones) == TONES
    places = [seen(tone, vision) for tone in tones]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.pairwise(places)) > 12
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(places, 2)) > 7


@pytest.mark.parametrize(("tones", "surface"), zip(SCHEMES, SURFACES, strict=True), ids=["light", "dark"])
def test_colours_stand_out_from_the_page(tones: list[str], surface: str) -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    for tone in tones:
        dark, light = sorted(float(weights @ linear(colour)) for colour in (tone, surface))
        assert (light + 0.05) / (dark + 0.05) >= 3.0, tone  # WCAG 2.2, 1.4.11


def test_a_corpus_keeps_its_colour_and_its_best_bucket_the_full_one(full_build: Path) -> None:
    colours = palette(read_lock(str(full_build)), read_plan(str(full_build)), [])
    assert colours.source("web/high") == f"{colours.corpus('web')} shade-0"
    assert colours.source("web/low") == f"{colours.corpus('web')} shade-4"
    assert len({colours.corpus(name) for name in colours.corpora}) == 7
    assert Palette([str(n) for n in range(9)], []).corpus("8") == "tone-1"

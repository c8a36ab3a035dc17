"""A released fastText model gives the scores of fastText itself."""

from pathlib import Path

import pyarrow as pa
import pytest

from curation.quality.released import check, fasttext
from curation.steps import StepError
from datapipe.schema import documents


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    import fasttext as library

    folder = tmp_path_factory.mktemp("model")
    lines = ["__label__hq a theorem and its proof", "__label__cc buy now and save"] * 500
    (folder / "train.txt").write_text("\n".join(lines) + "\n")
    trained = library.train_supervised(
        str(folder / "train.txt"), dim=10, thread=10, minCount=1, epoch=20, lr=0.5, verbose=0, bucket=1000
    )
    trained.save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


def docs(*texts: str | None) -> pa.Table:
    return documents([{"text": text, "origin": str(index)} for index, text in enumerate(texts)])


def test_scores_are_the_model_s(model: str) -> None:
    import fasttext as library

    table = fasttext(docs("a theorem\nand its\tproof", "buy now", "  ", None), model=model)
    scores = table["fasttext"].to_pylist()
    direct = {
        label: score
        for score, label in library.load_model(model).f.predict("a theorem and its proof\n", 2, 0.0, "strict")
    }
    assert scores[0] == pytest.approx(min(1, direct["__label__hq"]))
    assert scores[0] > 0.8 > 0.2 > scores[1]
    assert scores[2:] == [None, None]
    other = fasttext(docs("buy now", "a theorem and"), model=model, label="__label__cc", column="bad", max_chars=5)
    assert other["bad"].to_pylist()[0] > 0.8
    assert other["bad"].type == pa.float32()


def test_mistakes_say_what_to_type(model: str, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no such file on this machine; name a fastText model"):
        fasttext(docs("a"), model=str(tmp_path / "none.bin"))
    with pytest.raises(ValueError, match="no such file on this machine; name a fastText model"):
        check(model=str(tmp_path / "none.bin"))
    check(model=model)
    (tmp_path / "text.bin").write_text("no model")
    with pytest.raises(StepError, match=r"cannot be loaded \(.* has wrong file format!\): name a fastText model"):
        fasttext(docs("a"), model=str(tmp_path / "text.bin"))
    with pytest.raises(StepError, match="has no label '__label__good': type one of __label__cc, __label__hq"):
        fasttext(docs("a"), model=model, label="__label__good")

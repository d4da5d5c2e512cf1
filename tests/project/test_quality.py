"""The comparison with rivals runs end to end on small data; no time is asserted.

fastText is compared where `benchmarks/quality.txt` is installed; where it is not, it is left out.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import quality
from benchmarks.contest import Comparison, Figures
from benchmarks.quality_report import looks, plot
from benchmarks.rivals import words


def test_comparison_on_own_rows(
    tmp_path: Path,
    trained: Path,
    train_csv: Path,
    test_csv: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = ["--train", str(train_csv), "--test", str(test_csv), "--limit", "50"]
    more = ["--encoder-checkpoint", f"own={tmp_path}", "--encoder", str(tmp_path)]
    quality.main([*files, *more, "--bundle", f"own={trained}", "--out", str(tmp_path)])
    told = capsys.readouterr()
    (found,) = json.loads((tmp_path / "quality.json").read_text())
    figures = {each["method"]: each for each in found["figures"]}
    expected = {"Heed", "TF-IDF, logistic regression"}
    missing = [f"fine-tuned encoder: --encoder {tmp_path}: not an encoder"]
    if find_spec("fasttext"):
        expected |= {"fastText, bigrams"}
    else:
        missing = ["fastText, bigrams: fasttext is not installed", *missing]
    assert figures.keys() == expected
    for why, begins in zip(found["left_out"], missing, strict=True):
        assert why.startswith(begins)
    assert found["rows"]["test"] == 50
    for each in figures.values():
        assert 0.9 <= each["accuracy"] <= 1
        assert 0 <= each["ece_fitted"] < 0.2
        assert each["microseconds"] > 0
        assert each["bytes"] > 1000
    assert figures["Heed"]["bytes"] == sum(file.stat().st_size for file in trained.iterdir())
    for why in missing:
        assert f"own: left out: {why}" in told.err
    assert told.out == (tmp_path / "quality.md").read_text()
    assert told.out.count("| own |") == len(expected)
    picture = ElementTree.parse(tmp_path / "quality.svg")
    assert {"own", "µs a text, one core", *expected} <= {
        "".join(node.itertext()) for node in picture.iter("{http://www.w3.org/2000/svg}text")
    }


def test_the_fine_tuned_encoder_is_the_teacher(
    tmp_path: Path, bert: Path, train_csv: Path, test_csv: Path
) -> None:
    """What onnxruntime says of it is what PyTorch does, alone and among others."""
    import torch

    from benchmarks.fine_tuned import FineTuned
    from heed.model.data.labelled import read_labelled
    from heed.model.distill.encoder import read_encoder
    from heed.model.distill.teacher import Teacher
    from heed.model.training.checkpoint import TEACHER, Checkpoint, TrainingState

    torch.manual_seed(1)
    encoder = read_encoder(str(bert), "--teacher")
    teacher = Teacher(encoder, 3).eval()
    teacher.halved = False  # as it is served
    weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    optimizer = torch.optim.SGD(teacher.parameters())
    Checkpoint(tmp_path, TEACHER).save(teacher, optimizer, TrainingState(best=weights))
    served = FineTuned(str(bert), tmp_path, 3)
    texts = [*read_labelled(test_csv).texts[:20], "wonderful " * 300]
    found = served.probabilities(texts)
    for text, row in zip(texts, found, strict=True):
        ids = encoder.tokenizer(text, truncation=True, max_length=128)["input_ids"]
        with torch.no_grad():
            wanted = teacher(torch.tensor([ids]) + 1).logits.softmax(dim=1)
        assert row == pytest.approx(wanted[0].numpy(), abs=1e-4)
    assert served.probabilities(texts[:1])[0] == pytest.approx(found[0], abs=1e-5)
    assert served.size > 1000


def test_what_cannot_be_compared_is_said(
    tmp_path: Path, train_csv: Path, test_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        quality.main(["nothing", "sst2", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("nothing: left out: no such set; there is sst2, imdb")
    assert second == f"sst2: left out: {tmp_path / 'sst2' / 'train_phrases.csv.gz'}: no such file"


def test_more_methods_than_colours_look_different() -> None:
    names = [f"method {n}" for n in range(9)]
    found = looks(names).values()
    assert len({(look["color"], look["marker"]) for look in found}) == 9
    figures = [
        Figures(f"method {n}", 0.9, 0.9, 0.0, 0.0, 10.0 * n + 1, 10.0, 1000, {}) for n in range(9)
    ]
    picture = plot([Comparison("own", {}, 40.0, figures, [])])
    assert all(name in picture for name in names)


def test_words_of_any_script() -> None:
    assert words("It's GOOD, 很好吃!") == ["it", "'", "s", "good", ",", "很", "好", "吃", "!"]

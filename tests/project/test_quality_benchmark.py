"""The benchmarks of quality run on small data; no time is asserted.

fastText takes part where `benchmarks/quality/requirements.txt` is installed.
"""

import json
import shutil
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.quality import __main__ as quality
from benchmarks.quality import fp16
from benchmarks.quality import results as results_files
from benchmarks.quality.classifier import split_words
from benchmarks.quality.network_sizes import Configuration, measure, train_all
from benchmarks.quality.report import marker_styles, plot
from benchmarks.quality.results import Result, Scores, SetResults, Times
from heed.model.data.labelled import read_labelled

FASTTEXT = "fastText, bigrams"
TFIDF = "TF-IDF, logistic regression"


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, trained: Path, train_csv: Path, test_csv: Path
) -> Path:
    """The folder of a finished comparison on files of its own."""
    out = tmp_path_factory.mktemp("quality")
    quality.main(arguments(out, trained, train_csv, test_csv))
    return out


def arguments(out: Path, bundle: Path, train: Path, test: Path) -> list[str]:
    files = ["--train", str(train), "--test", str(test), "--out", str(out)]
    not_an_encoder = ["--encoder-checkpoint", f"own={out}", "--encoder", str(out)]
    return [*files, *not_an_encoder, "--bundle", f"own={bundle}"]


@pytest.mark.slow
def test_comparison_writes_table_plot_and_json(finished: Path, trained: Path) -> None:
    (document,) = json.loads((finished / "quality.json").read_text())
    results = {each["classifier"]: each for each in document["results"]}
    expected = {"Heed", TFIDF}
    missing = [f"fine-tuned encoder: --encoder {finished}: not an encoder"]
    if find_spec("fasttext"):
        expected |= {FASTTEXT}
    else:
        missing = [f"{FASTTEXT}: fasttext is not installed", *missing]
    assert results.keys() == expected
    for reason, beginning in zip(document["left_out"], missing, strict=True):
        assert reason.startswith(beginning)
    assert document["rows"]["test"] == 80
    for each in results.values():
        assert 0.9 <= each["scores"]["accuracy"] <= 1
        assert 0 <= each["scores"]["ece_calibrated"] < 0.2
        assert each["times"]["microseconds"] > 0
        assert each["scores"]["bytes"] > 1000
    heed_bytes = sum(file.stat().st_size for file in trained.iterdir())
    assert results["Heed"]["scores"]["bytes"] == heed_bytes
    table = (finished / "quality.md").read_text()
    assert table.count("| own |") == len(expected)
    assert all(f"- own: {beginning}" in table for beginning in missing)
    picture = ElementTree.parse(finished / "quality.svg")
    assert {"own", "µs a text, one core", *expected} <= {
        "".join(node.itertext()) for node in picture.iter("{http://www.w3.org/2000/svg}text")
    }


@pytest.mark.slow
def test_second_run_uses_finished_classifiers_again(
    finished: Path,
    tmp_path: Path,
    trained: Path,
    train_csv: Path,
    test_csv: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = shutil.copytree(finished, tmp_path / "copy")
    scores, times = out / "own" / "tfidf" / "scores.json", out / "own" / "times.json"
    first_scores, first_times = scores.read_text(), times.read_text()
    again = arguments(out, trained, train_csv, test_csv)
    quality.main(again)
    assert (scores.read_text(), times.read_text()) == (first_scores, first_times)
    quality.main([*again, "--time-only"])
    assert scores.read_text() == first_scores
    assert times.read_text() != first_times
    assert "is being prepared" not in capsys.readouterr().err.replace("fine-tuned encoder is", "")


def test_result_of_other_rows_is_not_used_again(tmp_path: Path, test_csv: Path) -> None:
    rows = read_labelled(test_csv)
    inputs = results_files.fingerprint([rows, rows], "bundle 1")
    file = tmp_path / "scores.json"
    results_files.write(file, inputs, {"accuracy": 0.5})
    assert results_files.read(file, inputs) == {"accuracy": 0.5}
    fewer = rows.take(range(40))
    for other in (
        results_files.fingerprint([rows, fewer], "bundle 1"),
        results_files.fingerprint([rows, rows], "bundle 2"),
    ):
        assert results_files.read(file, other) is None


def test_time_only_names_what_is_not_finished(
    tmp_path: Path,
    trained: Path,
    train_csv: Path,
    test_csv: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as end:
        quality.main([*arguments(tmp_path, trained, train_csv, test_csv), "--time-only"])
    assert end.value.code == 2
    assert f"own: left out: {TFIDF}: it is not finished" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("fasttext") is None, reason="needs fasttext")
def test_fasttext_initialises_its_whole_matrix(finished: Path) -> None:
    """With fewer than ten threads the rows at the end of the matrix are zero."""
    model = import_module("fasttext").load_model(str(finished / "own" / "fasttext" / "model.bin"))
    norms = np.linalg.norm(model.get_input_matrix(), axis=1)
    assert (norms > 0).mean() > 0.999


@pytest.mark.slow
def test_onnx_encoder_equals_the_pytorch_teacher(
    tmp_path: Path, bert: Path, train_csv: Path, test_csv: Path
) -> None:
    import torch

    from benchmarks.quality.fine_tuned_encoder import FineTunedEncoder, export
    from heed.model.distill.encoder import read_encoder
    from heed.model.distill.teacher import Teacher
    from heed.model.training.checkpoint import TEACHER, Checkpoint, TrainingState

    torch.manual_seed(1)
    encoder = read_encoder(str(bert), "--teacher")
    teacher = Teacher(encoder, 3).eval()
    teacher.use_bfloat16 = False  # as the exported encoder
    weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    optimizer = torch.optim.SGD(teacher.parameters())
    Checkpoint(tmp_path, TEACHER).save(teacher, optimizer, TrainingState(best=weights))
    folder = tmp_path / "exported"
    folder.mkdir()
    export(folder, str(bert), tmp_path, 3)
    exported = FineTunedEncoder(folder)
    texts = [*read_labelled(test_csv).texts[:20], "wonderful " * 300]
    probabilities = exported.probabilities(texts)
    for text, row in zip(texts, probabilities, strict=True):
        ids = encoder.tokenizer(text, truncation=True, max_length=128)["input_ids"]
        with torch.no_grad():
            expected = teacher(torch.tensor([ids]) + 1).logits.softmax(dim=1)
        assert row == pytest.approx(expected[0].numpy(), abs=1e-4)
    assert exported.probabilities(texts[:1])[0] == pytest.approx(probabilities[0], abs=1e-5)
    assert exported.size > 1000


def test_unknown_set_and_missing_file_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        quality.main(["nothing", "sst2", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("nothing: left out: no such set; there is sst2, imdb")
    assert second == f"sst2: left out: {tmp_path / 'sst2' / 'train_phrases.csv.gz'}: no such file"


def test_more_classifiers_than_colours_have_different_styles() -> None:
    names = [f"classifier {n}" for n in range(9)]
    styles = marker_styles(names).values()
    assert len({(style["color"], style["marker"]) for style in styles}) == 9
    results = [
        Result(name, Scores(0.9, 0.9, 0.0, 0.0, 1000, {}), Times(10.0 * n + 1, 10.0))
        for n, name in enumerate(names)
    ]
    picture = plot([SetResults("own", {}, 40.0, results, [])])
    assert all(name in picture for name in names)


def test_words_of_any_script_are_split() -> None:
    expected = ["it", "'", "s", "good", ",", "很", "好", "吃", "!"]
    assert split_words("It's GOOD, 很好吃!") == expected


@pytest.mark.slow
def test_network_sizes_are_trained_once_and_scored(
    tmp_path: Path, train_csv: Path, test_csv: Path
) -> None:
    sizes = [Configuration(16, 0), Configuration(16, 1, 300)]
    bundles = train_all(train_csv, test_csv, sizes, 1, tmp_path)
    assert list(bundles) == ["d16 N0", "d16 N1 V0k"]
    written = [path.stat().st_mtime_ns for path in bundles.values()]
    assert train_all(train_csv, test_csv, sizes, 1, tmp_path) == bundles
    assert [path.stat().st_mtime_ns for path in bundles.values()] == written
    results = measure("own", test_csv, bundles)
    assert [each.classifier for each in results.results] == list(bundles)
    assert all(each.times.microseconds > 0 for each in results.results)


def test_fp16_table_counts_differences(
    trained: Path, test_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fp16.main([str(trained), str(test_csv)])
    columns = capsys.readouterr().out.split("|")
    _, name, texts, labels, logit_error, sum_error, _ = columns
    assert (name.strip(), texts.strip()) == (test_csv.parent.name, "80")
    assert int(labels) <= 2
    assert 0 < float(logit_error) < 0.05
    assert 0 <= float(sum_error) < 0.01


def test_fp16_of_a_folder_of_bundles_is_refused(
    trained: Path, test_csv: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        fp16.main([str(trained.parent), str(test_csv)])
    assert end.value.code == 2
    assert "name one of them" in capsys.readouterr().err

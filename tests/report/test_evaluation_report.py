"""The report page: self-contained and escaped, for few labels and for many."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from heed.model.data.labelled import LabelledTexts
from heed.model.evaluation.run import Evaluation, evaluate_bundle
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.metrics.classification import score_predictions
from heed.model.report.evaluation_report import render_report
from tests.support.command import heed
from tests.support.texts import write_csv

VOID = {"meta", "img", "br", "use", "path"}


class Balance(HTMLParser):
    """Fails on a closing tag without its opening tag."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, _: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def check(page: str) -> None:
    """Check that all tags are closed and that the page loads nothing from any address."""
    balance = Balance()
    balance.feed(page)
    assert balance.open == []
    addresses = re.findall(r"""(?:src|href|url|@import)\s*[=(:]\s*["']?([^"')\s>]+)""", page)
    assert all(address.startswith(("data:", "#")) for address in addresses), addresses
    assert "<script" not in page


def test_the_command_writes_one_page(trained: Path, test_csv: Path, tmp_path: Path) -> None:
    done = heed("evaluate", trained, test_csv, "--report", tmp_path / "a" / "b", "--explanations")
    assert "index.html" in done.stderr
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["index.html"]
    page = (tmp_path / "a" / "b" / "index.html").read_text(encoding="utf-8")
    check(page)
    for part in ("macro-F1", "Probabilities", "Confusion matrix", "leave one out"):
        assert part in page
    assert page.count("<svg") == 4


def test_markup_in_texts_and_labels_is_escaped(trained: Path, tmp_path: Path) -> None:
    text = "<script>alert('wonderful')</script> & <b>film</b>"
    data = write_csv(tmp_path / "x.csv", [(text, "negative"), (text + "!", "positive")])
    page = render_report(evaluate_bundle(trained, data))
    check(page)
    assert "&lt;" in page
    assert "&#x27;" in page
    assert "<b>film" not in page


def test_equal_data_give_equal_pages(trained: Path, test_csv: Path) -> None:
    pages = [render_report(evaluate_bundle(trained, test_csv)) for _ in range(2)]
    assert pages[0] == pages[1]


@pytest.mark.parametrize("classes", [2, 150])
def test_a_confusion_matrix_is_a_table_or_an_image(
    trained: Path, classes: int, tmp_path: Path
) -> None:
    """Random probabilities, with the texts of a real classifier."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(classes), 400)
    truth = random.integers(0, classes, 400)
    labels = [f"label <{number}>" for number in range(classes)]
    scores = score_predictions(probabilities, truth, labels, min_confidence=0.1)
    texts = [f"A film number {number}" for number in range(400)]
    data = LabelledTexts(tmp_path / "x.csv", texts, [labels[t] for t in truth], range(400))
    classifier = OnnxClassifier(Bundle.load(trained))
    page = render_report(Evaluation(classifier, data, truth, probabilities, scores, None))
    check(page)
    assert ("data:image/png" in page) == (classes == 150)
    assert "label &lt;1&gt;" in page


def test_a_page_without_errors_is_complete(trained: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "x.csv", [("Wonderful, wonderful film", "positive")])
    page = render_report(evaluate_bundle(trained, data))
    check(page)
    assert "None." in page


def test_a_folder_that_cannot_be_written_is_an_error(trained: Path, test_csv: Path) -> None:
    done = heed("evaluate", trained, test_csv, "--report", test_csv, check=False)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr

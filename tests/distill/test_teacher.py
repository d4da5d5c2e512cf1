"""The teacher: fine-tuned, and labelling texts."""

from pathlib import Path

import numpy as np
import torch

from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.distill.encoder import read_encoder
from heed.model.distill.label import TextLabeller, distill
from heed.model.distill.teacher import Teacher, fine_tuning_config
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.dataset import NO_LABEL
from heed.model.training.distillation_targets import StateProjection, TeacherOutputs
from heed.model.training.training_set import TrainingTexts
from tests.support import encoders
from tests.support.texts import reviews

LABELS = ["negative", "positive"]


def labelled(rows: list[tuple[str, str]]) -> LabelledTexts:
    texts, labels = zip(*rows, strict=True)
    return LabelledTexts(Path("rows.csv"), list(texts), list(labels), range(1, len(texts) + 1))


def test_padding_does_not_change_logits_and_id_0_may_be_a_token(tmp_path: Path) -> None:
    """In this encoder id 0 is a token and not padding."""
    encoder = read_encoder(str(encoders.roberta(tmp_path)), "--teacher")
    torch.manual_seed(0)
    teacher = Teacher(encoder, 3).eval()
    teacher.use_bfloat16 = False
    short, long = (
        torch.tensor([encoder.tokenizer(text)["input_ids"]]) + 1
        for text in ("A warm film", "The hotel was dreadful, and I will say so to anyone.")
    )
    alone = [teacher(ids).logits for ids in (short, long)]
    padded = torch.nn.functional.pad(short, (0, long.shape[1] - short.shape[1]))
    together = teacher(torch.cat([padded, long])).logits
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    states = encoder.network(input_ids=short - 1, attention_mask=torch.ones_like(short))
    mean = states.last_hidden_state.mean(dim=1)
    assert torch.allclose(alone[0], teacher.head(mean), atol=1e-5)
    teacher.use_bfloat16 = True  # works on processors without AMX units, too
    assert torch.allclose(alone[0], teacher(short).logits, atol=0.02)


def test_epochs_and_batch_size_of_the_fine_tuning_follow_the_data() -> None:
    assert (fine_tuning_config(100, 2, 0).batch, fine_tuning_config(100, 2, 0).epochs) == (16, 20)
    assert fine_tuning_config(67_349, 2, 0).epochs == 2
    assert fine_tuning_config(15_000, 150, 0).epochs == 6


def test_a_row_that_the_teacher_cannot_read_completely_keeps_its_label(bert: Path) -> None:
    short, long = reviews(12, seed=1), [(text * 60, label) for text, label in reviews(4, seed=2)]
    rows = labelled([*short, *long])
    tokenizer = Tokenizer.fit(rows.texts, 300)
    outputs = distill(
        str(bert), TrainingTexts(rows, None, [long[0][0]]), rows.take(range(12)), LABELS, tokenizer,
        seed=0, checkpoint=None, on_message=lambda _: None,
    )  # fmt: skip
    true_labels = np.append(label_ids(rows, LABELS), NO_LABEL)
    soft = outputs.soft_labels(true_labels)
    assert (soft[12:16, :].argmax(axis=1) == true_labels[12:16]).all()
    assert soft[12:16].max(axis=1).min() > 0.999
    assert soft[:12].max(axis=1).max() < 0.999
    assert soft[16].max() < 0.999, "the augmented text has no true label"
    counts = np.diff(outputs.token_targets.starts)
    assert (counts[12:16] == 0).all()
    assert counts[:12].tolist() == [len(tokenizer.ids(text)) for text in rows.texts[:12]]
    assert 0 < counts[16] < len(tokenizer.ids(rows.texts[12]))
    assert outputs.token_targets.values.astype(float).std() > 5


def test_texts_are_labelled_step_by_step(bert: Path) -> None:
    """In the first step the teacher reads no row, so there are no token targets."""
    rows = labelled([(text * 60, label) for text, label in reviews(6, seed=2)])
    true_labels = label_ids(rows, LABELS)
    encoder = read_encoder(str(bert), "--teacher")
    torch.manual_seed(0)
    projection = StateProjection.fit(torch.randn(200, encoder.width))
    labeller = TextLabeller(
        Teacher(encoder, 2),
        encoder,
        Tokenizer.fit(rows.texts, 300),
        TeacherOutputs.empty(2, projection, 0.5),
    )
    labeller.label(rows.texts, true_labels, np.zeros(6, dtype=bool))
    outputs = labeller.outputs()
    assert outputs.token_targets.starts.tolist() == [0] * 7
    assert outputs.logits.argmax(axis=1).tolist() == true_labels.tolist()
    labeller.label(["a film"], np.array([NO_LABEL]), np.ones(1, dtype=bool))
    assert labeller.done == 7
    assert labeller.outputs().token_targets.values.shape[0] > 0

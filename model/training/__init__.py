"""Training the attention network and the n-gram model, and saving checkpoints."""

from heed.model.training.checkpoint import STATE, TEACHER, Checkpoint
from heed.model.training.config import (
    LARGE_TRAINING_SET,
    MAX_TEXT_TOKENS,
    TrainConfig,
    class_weights,
    derive_config,
    vocabulary_size,
)
from heed.model.training.dataset import NO_LABEL, Dataset, tokenize_rows
from heed.model.training.distillation_targets import (
    StateProjection,
    TeacherOutputs,
    TokenTargets,
    align_token_targets,
)
from heed.model.training.metadata import (
    DataDescription,
    EncoderOptions,
    TeacherDescription,
    ThresholdRequest,
    TrainingMetadata,
    TuningResult,
)
from heed.model.training.ngram_fitting import MAX_LABELS, fit_ngrams
from heed.model.training.progress import progress_bar
from heed.model.training.search import Trial, search_config
from heed.model.training.trainer import (
    INFERENCE_TOKENS,
    deterministic,
    predict_logits,
    run_training,
    train_network,
)
from heed.model.training.training_set import TrainingSet, TrainingTexts, tokenize_training_texts

__all__ = [
    "INFERENCE_TOKENS",
    "LARGE_TRAINING_SET",
    "MAX_LABELS",
    "MAX_TEXT_TOKENS",
    "NO_LABEL",
    "STATE",
    "TEACHER",
    "Checkpoint",
    "DataDescription",
    "Dataset",
    "EncoderOptions",
    "StateProjection",
    "TeacherDescription",
    "TeacherOutputs",
    "ThresholdRequest",
    "TokenTargets",
    "TrainConfig",
    "TrainingMetadata",
    "TrainingSet",
    "TrainingTexts",
    "Trial",
    "TuningResult",
    "align_token_targets",
    "class_weights",
    "derive_config",
    "deterministic",
    "fit_ngrams",
    "predict_logits",
    "progress_bar",
    "run_training",
    "search_config",
    "tokenize_rows",
    "tokenize_training_texts",
    "train_network",
    "vocabulary_size",
]

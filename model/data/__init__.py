"""Read labelled texts, rationales and public data sets."""

from heed.model.data.hub import read_hub_rows, with_default_split
from heed.model.data.labelled import LabelledTexts, label_ids, read_labelled, read_texts
from heed.model.data.rationales import (
    RationaleText,
    WordRationales,
    has_rationales,
    read_rationales,
)
from heed.model.data.training_rows import DataFiles, TrainingRows, read_training_rows

__all__ = [
    "DataFiles",
    "LabelledTexts",
    "RationaleText",
    "TrainingRows",
    "WordRationales",
    "has_rationales",
    "label_ids",
    "read_hub_rows",
    "read_labelled",
    "read_rationales",
    "read_texts",
    "read_training_rows",
    "with_default_split",
]

"""Pretrained sentence encoders: initial token vectors, and distillation from a teacher."""

from heed.model.distill.augment import add_pseudo_labelled_texts
from heed.model.distill.encoder import extract_static_vectors, read_encoder
from heed.model.distill.label import distill
from heed.model.distill.static_vectors import ENGLISH, ENGLISH_ENCODER, load_english_vectors
from heed.model.distill.teacher import Teacher

__all__ = [
    "ENGLISH",
    "ENGLISH_ENCODER",
    "Teacher",
    "add_pseudo_labelled_texts",
    "distill",
    "extract_static_vectors",
    "load_english_vectors",
    "read_encoder",
]

"""Pretrained sentence encoders: initial token vectors, and distillation from a teacher."""

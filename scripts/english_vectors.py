"""Make the English vectors that are part of Heed, of a sentence encoder.

`python -m scripts.english_vectors ENCODER` writes them to model/distill/english/.
"""

import sys

from heed.model.distill.encoder import read_encoder, static_vectors
from heed.model.distill.static_vectors import ENGLISH
from heed.model.training.config import TrainConfig


def main() -> None:
    """Read the encoder and write its tokens' vectors."""
    (source,) = sys.argv[1:]
    encoder = read_encoder(source, "ENCODER")
    static_vectors(encoder, TrainConfig.width, []).save(ENGLISH)


if __name__ == "__main__":
    main()

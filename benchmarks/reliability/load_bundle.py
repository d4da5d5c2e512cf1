"""Load one bundle and print its answers as JSON, or why it is refused.

`fuzz.py` runs this program for each damaged bundle, so that a crash ends only this process.
"""

import json
import resource
import sys
from pathlib import Path

from heed.model.errors import HeedError
from heed.model.inference import Bundle, OnnxClassifier

MAX_ADDRESS_SPACE = 8 << 30
TEXTS = ("A gripping, beautifully shot film.", "房间很干净", "what is my balance")


def main() -> None:
    """Print `{"labels": [...], "logits": [...]}` or `{"refused": "..."}`."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    try:
        classifier = OnnxClassifier(Bundle.load(Path(sys.argv[1])))
        predictions = classifier.run([classifier.encode(text) for text in TEXTS], "contributions")
    except HeedError as error:
        print(json.dumps({"refused": str(error)}))
        return
    config = classifier.config.model_dump(mode="json", exclude={"sha256"})
    probabilities = [[round(p, 6) for p in one.probabilities] for one in predictions]
    print(json.dumps({"config": config, "probabilities": probabilities}))


if __name__ == "__main__":
    main()

"""Read labelled texts, rationales and public data sets."""

"""Accuracy, calibration, time and size of Heed and of other text classifiers on the same rows."""

"""Data, training, evaluation and export (extra `train`)."""

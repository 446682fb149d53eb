"""Speech features: log-mel and the SpeechAE encoder."""

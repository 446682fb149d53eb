"""Sources of the voice: files, microphone, system audio, pushed PCM."""

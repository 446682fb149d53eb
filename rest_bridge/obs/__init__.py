"""Sets OBS up, checks it and leaves it as it was, over obs-websocket (extra `obs`)."""

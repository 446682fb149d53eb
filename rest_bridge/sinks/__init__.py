"""Where frames and voice go: ZeroMQ, preview page, recorder, virtual camera, voice output."""

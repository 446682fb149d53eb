"""How the built-in faces and voice were made (`python -m rest_bridge.training.art`)."""

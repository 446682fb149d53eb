"""A streamer's install has no torch: the runtime must import, and start fast, without it."""

import subprocess
import sys

_IMPORT_ALL = """
import importlib, pathlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r} or name.startswith({ours!r}):
            raise ImportError(name + " must not be imported by the runtime")
sys.meta_path.insert(0, Block())
import rest_bridge
root = pathlib.Path(rest_bridge.__path__[0])
for file in sorted(root.rglob("*.py")):
    parts = file.relative_to(root.parent).with_suffix("").parts
    if parts[1] not in ("training", "model", "paper", "models", "faces", "__main__.py", "__main__"):
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
"""
_TRAINING_ONLY = ("torch", "numba", "scipy", "onnx", "onnxscript", "jaxtyping", "einops")
_OPTIONAL = ("onnxruntime", "pyvirtualcam", "pyaudiowpatch")
_OURS = ("rest_bridge.training", "rest_bridge.model.", "rest_bridge.paper.")


def run(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_whole_runtime_imports_without_training_packages_and_without_extras() -> None:
    run(_IMPORT_ALL.format(blocked=_TRAINING_ONLY + _OPTIONAL, ours=_OURS))


def test_help_loads_no_media_library() -> None:
    run(
        "import sys; from rest_bridge.cli import run; run(['--help']); "
        "assert not {'cv2', 'av', 'onnxruntime', 'sounddevice'} & set(sys.modules)"
    )

"""`python -m tests.hold_out COMMAND ...`: the command, with AVX2 as the best that there is.

Each library has its own way to be told, and ONNX Runtime has none: it asks the processor itself
(CPUID). So a copy of it is made in which every CPUID instruction is a trap, and a preloaded handler
(`cpuid.c`) answers without AVX-512 and AMX. `--check` shows that it holds: MLAS then blocks
convolutions by 8 channels instead of 16, NumPy and OpenCV list no AVX-512.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ENVIRONMENT: Final = {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "OPENCV_IPP": "avx2",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,"
    "-AVX512ER,-AVX512PF",
}
_CPUID: Final = b"\x0f\xa2"
_TRAP: Final = b"\xcc\x90"
_CHECK: Final = """
import sys, tempfile, pathlib
import cv2, numpy, onnxruntime
from rest_bridge.inference.package import DEFAULT_PACKAGE
print("onnxruntime from", onnxruntime.__file__)
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
path = pathlib.Path(tempfile.mkdtemp()) / "optimised.onnx"
options.optimized_model_filepath = str(path)
graph = str(DEFAULT_PACKAGE / "reference_encoder.onnx")
onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
import onnx
blocks = set()
for node in onnx.load(path).graph.node:
    if node.domain == "com.microsoft.nchwc" and node.op_type == "Conv":
        weight = next(t for t in onnx.load(path).graph.initializer if t.name == node.input[1])
        blocks.add(weight.dims[0] % 16)
print("MLAS blocks", "by 8: no AVX-512" if 8 in blocks else "by 16, or nothing to tell by")
known = numpy._core._multiarray_umath
print("NumPy", [name for name in known.__cpu_dispatch__ if known.__cpu_features__[name]])
print("OpenCV", cv2.getCPUFeaturesLine(), "(? = not used)")
"""


def held_out_runtime(folder: Path) -> None:
    """Copy ONNX Runtime into a folder, with traps in place of its CPUID instructions."""
    source = Path(sysconfig.get_paths()["purelib"]) / "onnxruntime"
    target = folder / "onnxruntime"
    if target.is_dir():
        return
    unfinished = folder / "unfinished"
    shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns("libonnxruntime.so*"))
    for library in (unfinished / "capi").glob("onnxruntime_pybind11_state*.so"):
        _patch(library)
    unfinished.rename(target)


def _patch(library: Path) -> None:
    listed = subprocess.run(
        ["objdump", "-d", "-F", "--no-show-raw-insn", str(library)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    addresses = [int(found, 16) for found in re.findall(r"^\s*([0-9a-f]+):\s+cpuid", listed, re.M)]
    shift = _file_shift(listed)
    content = bytearray(library.read_bytes())
    for address in addresses:
        place = address - shift
        if content[place : place + 2] != _CPUID:
            raise SystemExit(f"No CPUID where it was expected in {library}: {address:x}")
        content[place : place + 2] = _TRAP
    library.write_bytes(content)
    sys.stderr.write(f"{len(addresses)} CPUID instructions are traps in {library.name}\n")


def _file_shift(listed: str) -> int:
    """Return by how much addresses of the code lie before their places in the file."""
    found = re.findall(r"^([0-9a-f]+) <[^>]*> \(File Offset: (0x[0-9a-f]+)\):", listed, re.M)
    shifts = {int(address, 16) - int(offset, 16) for address, offset in found[-1000:]}
    if len(shifts) != 1:
        raise SystemExit("The code lies in several pieces; this cannot patch it.")
    return shifts.pop()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment in which everything believes that there is no AVX-512."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out_runtime(folder)
    handler = folder / "cpuid.so"
    subprocess.run(
        ["cc", "-O2", "-fPIC", "-shared", "-o", str(handler), str(HERE / "cpuid.c")], check=True
    )
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(part for part in (str(folder), before) if part)
    return {**os.environ, **ENVIRONMENT, "LD_PRELOAD": str(handler), "PYTHONPATH": path}


def main() -> None:
    """Run a command without AVX-512."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "rb-avx2")
    parser.add_argument("--check", action="store_true", help="show that it holds")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    words = [word for word in args.command if word != "--"]
    command = [sys.executable, "-c", _CHECK] if args.check else words
    if not command:
        parser.error("say what to run")
    raise SystemExit(subprocess.run(command, env=environment(args.folder)).returncode)


if __name__ == "__main__":
    main()

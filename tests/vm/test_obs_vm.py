"""Our camera into OBS and OBS's own out of it, in a virtual machine (see build.sh): minutes.

Slow: run with `-m slow` where REST_BRIDGE_TEST_VM names the folder that build.sh made.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.obs import build_plugin

pytestmark = pytest.mark.slow
# A processor without AVX: llvmpipe, which draws for OBS, would gather with AVX2, and QEMU 7.2 takes
# no index for index register 4 there (QEMU issue 2474): OBS died at `vpgatherdd (%rcx,%ymm4,1)` as
# its camera's first picture was converted.
PROCESSOR = "Nehalem"
HERE = Path(__file__).parent
MACHINE = os.environ.get("REST_BRIDGE_TEST_VM", "")  # tests run without such variables
TOOLS = ("qemu-system-x86_64", "obs", "Xvfb", "ip")


def test_obs_shows_our_camera_and_starts_its_own() -> None:
    machine = Path(MACHINE)
    if not MACHINE or not (machine / "initrd.gz").is_file():
        pytest.skip("no virtual machine: tests/vm/build.sh FOLDER, then REST_BRIDGE_TEST_VM=FOLDER")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    build_plugin()
    guest = machine / "guest-obs.sh"  # not below /tmp, which the guest has of its own
    guest.write_text(
        "export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LANG=C.UTF-8 OMP_NUM_THREADS=1\n"
        "export PYTHONDONTWRITEBYTECODE=1\n"
        f"cd {HERE.parents[1]} && PYTHONPATH=. {sys.executable} tests/vm/guest_obs.py\n"
    )
    done = subprocess.run(
        [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR, "-m", "3072",
            "-smp", "2", "-nographic", "-no-reboot", "-nic", "none",
            "-kernel", str(machine / "vmlinuz"), "-initrd", str(machine / "initrd.gz"),
            "-append", f"console=ttyS0 quiet panic=-1 rdinit=/init loglevel=3 guest={guest}",
            "-virtfs", "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,"
            "multidevs=remap",
        ],
        capture_output=True, text=True, timeout=2400, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    assert "VMEXIT rc=0" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    assert "Video Capture Device shows what our camera was given" in done.stdout
    assert "setup: Started OBS's virtual camera." in done.stdout
    assert "v4l2-ctl reads OBS's program from the virtual camera" in done.stdout
    assert "OBS's virtual camera is stopped" in done.stdout

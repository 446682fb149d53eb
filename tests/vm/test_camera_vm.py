"""The camera on the real v4l2loopback driver, in a virtual machine (see build.sh).

Slow: run with `-m slow` where REST_BRIDGE_TEST_VM names the folder that build.sh made.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def machine() -> Path:
    named = os.environ.get("REST_BRIDGE_TEST_VM", "")
    folder = Path(named)
    if not named or not (folder / "initrd.gz").is_file():
        pytest.skip("no virtual machine: tests/vm/build.sh FOLDER, then REST_BRIDGE_TEST_VM=FOLDER")
    return folder


def test_frames_arrive_byte_by_byte_through_the_real_driver(machine: Path) -> None:
    guest = machine / "guest.sh"  # not below /tmp, which the guest has of its own
    guest.write_text(
        "export PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LANG=C.UTF-8 OMP_NUM_THREADS=1\n"
        "export PYTHONDONTWRITEBYTECODE=1\n"
        f"export V4L2LOOPBACK={machine.resolve()}/v4l2loopback/v4l2loopback.ko\n"
        f"cd {HERE.parents[1]} && PYTHONPATH=. {sys.executable} tests/vm/guest_camera.py\n"
    )
    done = subprocess.run(
        [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "1",
            "-nographic", "-no-reboot", "-nic", "none",
            "-kernel", str(machine / "vmlinuz"), "-initrd", str(machine / "initrd.gz"),
            "-append", f"console=ttyS0 quiet panic=-1 rdinit=/init loglevel=3 guest={guest}",
            "-virtfs", "local,path=/,mount_tag=hostroot,security_model=none,readonly=on,"
            "multidevs=remap",
        ],
        capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    assert "VMEXIT rc=0" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
    assert done.stdout.count("frames read by v4l2-ctl are ours") == 3
    assert "a second program is told so" in done.stdout
    assert "the device was let go" in done.stdout
    assert "open again after the driver came back" in done.stdout

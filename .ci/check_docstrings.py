"""Run pydoclint and keep what makes a docstring wrong.

A docstring may leave out arguments and results that its first line already explains (STYLE.md:
none that repeats the signature), which pydoclint has no switch for. What it does document must
agree with the signature: that stays an error.
"""

import re
import subprocess
import sys

_LEFT_OUT = re.compile(r"DOC(101|109|201|402|405)\b")
_OTHER_NAMES = "Arguments in the docstring but not in the function signature"


def main() -> int:
    """Print the violations that count; return 1 if there is one."""
    done = subprocess.run(
        [sys.executable, "-m", "pydoclint.main", *(sys.argv[1:] or ["rest_bridge"])],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.stderr.write(done.stderr)
        return done.returncode
    bad: list[str] = []
    file = ""
    for line in (done.stdout + done.stderr).splitlines():
        if line.endswith(".py"):
            file = line.strip()
        left_out = _LEFT_OUT.search(line) or ("DOC103" in line and _OTHER_NAMES not in line)
        if re.match(r"\s+\d+: DOC", line) and not left_out:
            bad.append(f"{file}:{line.strip()}")
    sys.stdout.write("\n".join(bad) + ("\n" if bad else "docstrings agree with signatures\n"))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

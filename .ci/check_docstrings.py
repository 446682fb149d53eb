"""Run pydoclint and keep what makes a docstring wrong.

A docstring may leave out arguments and results that its first line already explains (STYLE.md:
none that repeats the signature), which pydoclint has no switch for. What it does document must
agree with the signature: that stays an error.
"""

import re
import subprocess
import sys

_LEFT_OUT = re.compile(r"DOC(101|106|107|109|201|402|404|405)\b")
_ONLY_SIGNATURE = re.compile(r"in the function signature but not in the docstring: \[(.*?)\]\.")
_ONLY_DOCSTRING = re.compile(r"in the docstring but not in the function signature: \[(.*?)\]")
_NAME = re.compile(r"\w+")


def _invented(line: str) -> bool:
    """Return whether a DOC103 names an argument that the signature does not have.

    `keys, values: float32 [...]` documents two at once, and `body` is what **body is called.
    """
    written, real = _ONLY_DOCSTRING.search(line), _ONLY_SIGNATURE.search(line)
    if written is None:
        return False
    return not set(_NAME.findall(written[1])) <= set(_NAME.findall(real[1] if real else ""))


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
        left_out = _LEFT_OUT.search(line) or ("DOC103" in line and not _invented(line))
        if re.match(r"\s+\d+: DOC", line) and not left_out:
            bad.append(f"{file}:{line.strip()}")
    sys.stdout.write("\n".join(bad) + ("\n" if bad else "docstrings agree with signatures\n"))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())

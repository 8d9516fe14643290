"""Asks the OSV database about every package of the lock, of both TFX lines.

    make audit

`uv audit` does the work; this tells its two failures apart, and what is accepted stands, with reason and
date, in pyproject.toml under [tool.uv.audit].

Exit status: 0 nothing new is known, 1 a finding that is not accepted, 2 uv's own errors, 3 the database did not answer, so
that nothing is known.
"""

import argparse
import os
import subprocess
import sys

FINDINGS, UNREACHABLE = 1, 3


def main():
    """Runs the audit; returns the exit status."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities of what the lock holds.")
    parser.add_argument("--uv", default=".uv/bin/uv", help="the uv to run (%(default)s)")
    parser.add_argument("--service-url", help="another server that speaks OSV's protocol")
    options = parser.parse_args()
    command = [options.uv, "audit", "--frozen", "--preview-features", "audit-command"]
    if options.service_url:
        command += ["--service-url", options.service_url]
    done = subprocess.run(
        command,
        env={"UV_HTTP_RETRIES": "2", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout)
    if "request" not in done.stderr.lower() or done.returncode in (0, FINDINGS):
        sys.stderr.write(done.stderr)
        if done.returncode == FINDINGS:
            print(
                "Not accepted: `make upgrade` if a fixed version is out, otherwise accept it by its id in "
                "pyproject.toml under [tool.uv.audit], with reason and date."
            )
        return done.returncode
    reason = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    why = reason[-1].replace("cause: ", "") if reason else "no message"
    print(
        f"The audit could not be made: the vulnerability database did not answer ({why}). Run it where it can be reached.",
        file=sys.stderr,
    )
    return UNREACHABLE


if __name__ == "__main__":
    sys.exit(main())

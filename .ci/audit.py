"""Holds the locks against the known vulnerabilities of osv.dev, or of a mirror of it.

Says so where no such service answers: then nothing was audited, and nothing failed either.
"""

import argparse
import json
import re
import subprocess
import sys

LOCKS = ["requirements.lock", "requirements-dev.lock"]
UNANSWERED = re.compile(r"ConnectionError|ServiceError|Timeout|Could not connect")


def main() -> None:
    parser = argparse.ArgumentParser(prog=".ci/audit.py", description=__doc__)
    parser.add_argument("--locks", nargs="+", default=LOCKS)
    parser.add_argument("--service", default="https://api.osv.dev/v1/query", metavar="URL")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
    command += [word for lock in arguments.locks for word in ("-r", lock)]
    command += ["-s", "osv", "--osv-url", arguments.service]
    command += ["--format", "json", "--desc", "off", "--progress-spinner", "off", "--timeout", "5"]
    result = subprocess.run(command, capture_output=True, text=True)
    try:
        packages = json.loads(result.stdout)["dependencies"]
    except ValueError:
        if UNANSWERED.search(result.stderr):
            print("no advisory service answered: not audited")
            return
        sys.exit(f"pip-audit failed: {result.stderr}")
    audited = [package for package in packages if "vulns" in package]
    for package in audited:
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "none"
            print(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    for package in packages:
        if package not in audited:
            print(f"{package['name']}: not audited: {package['skip_reason']}")
    print(f"{len(audited)} packages audited")
    if len(audited) < len(packages) or any(package["vulns"] for package in audited):
        sys.exit(1)


if __name__ == "__main__":
    main()

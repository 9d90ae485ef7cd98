"""Install the four packages of the service and the CKAN plugin ``govopen``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / "ops" / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


class BuildWithTranslations(build_py):
    """Merge and compile the extension's translations before its files are collected."""

    def run(self) -> None:
        script = ROOT / "ckanext-govopen" / "ckanext" / "govopen" / "i18n" / "build.py"
        if script.exists():
            subprocess.run([sys.executable, str(script)], check=True)
        super().run()


setup(
    name="govopen",
    version="0.1.0",
    description="Open government data and authorised operation of public data, on CKAN",
    license="AGPL-3.0-or-later",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["authz*", "licensing*", "billing*", "ops*"]),
        "ckanext.govopen",
        *(f"ckanext.govopen.{name}" for name in find_packages("ckanext-govopen/ckanext/govopen")),
    ],
    package_dir={"ckanext.govopen": "ckanext-govopen/ckanext/govopen"},
    include_package_data=True,
    cmdclass={"build_py": BuildWithTranslations},
    install_requires=[*requirements("ckan.txt"), *requirements("govopen.txt")],
    extras_require={"dev": requirements("dev.txt")},
    entry_points={
        "console_scripts": ["govopen = ops.cli:main"],
        "ckan.plugins": ["govopen = ckanext.govopen.plugin:GovOpenPlugin"],
    },
)

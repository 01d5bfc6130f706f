# SPDX-License-Identifier: BSD-2-Clause
"""Builds the package: the C extension, and the modules that are written from librsm's header (builder.py)."""

import pathlib
import sys

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import builder as rsm_builder  # noqa: E402


class BuildGenerated(build_py):
    """The package as it lies in src, and the generated modules beside it."""

    def run(self):
        super().run()
        package = pathlib.Path(self.build_lib, "rsm")
        (package / "errors.py").write_text(rsm_builder.errors(), encoding="utf-8")
        (package / "_release.py").write_text(rsm_builder.release_module(), encoding="utf-8")

    def byte_compile(self, files):
        """As Python itself would; setuptools warns where that is: not at all."""
        if not sys.dont_write_bytecode:
            super().byte_compile(files)


setup(version=rsm_builder.release(), cffi_modules=["builder.py:builder"], cmdclass={"build_py": BuildGenerated})

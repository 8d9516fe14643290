"""What `pyproject.toml` cannot say of the wheel: files of this checkout that lie elsewhere in it.

`datasets/`, `profiles/` and what a project is set up with go below `pipeline/`, as the names at the top of
site-packages are for libraries, of which `datasets` is one.
"""

from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

CODE = ("pipeline", "components", "trainer_module", "foundation")
SHIPPED = ("datasets", "profiles", "setup")


class Build(build_py):
    """With the lock, from which a project's first one takes the versions that were tested together."""

    def run(self):
        super().run()
        self.copy_file("uv.lock", str(Path(self.build_lib, "pipeline", "shipped", "uv.lock")))


setup(
    cmdclass={"build_py": Build},
    packages=[
        *find_namespace_packages(include=[*CODE, *(f"{name}.*" for name in CODE)]),
        *(f"pipeline.shipped.{name}" for name in SHIPPED),
    ],
    package_dir={f"pipeline.shipped.{name}": name for name in SHIPPED},
    py_modules=["local_runner", "kubeflow_runner"],
    include_package_data=False,
    package_data={"": ["*"]},
)

"""What `pyproject.toml` cannot say of the wheel: files of this checkout that lie elsewhere in it.

`datasets/`, `profiles/` and what a project is set up with go below `pipeline/`, as the names at the top of
site-packages are for libraries, of which `datasets` is one.
"""

from setuptools import find_namespace_packages, setup

CODE = ("pipeline", "components", "trainer_module", "foundation")
SHIPPED = ("datasets", "profiles", "setup")

setup(
    packages=[
        *find_namespace_packages(include=[*CODE, *(f"{name}.*" for name in CODE)]),
        *(f"pipeline.shipped.{name}" for name in SHIPPED),
    ],
    package_dir={f"pipeline.shipped.{name}": name for name in SHIPPED},
    py_modules=["local_runner", "kubeflow_runner"],
    include_package_data=False,
    package_data={"": ["*"]},
)

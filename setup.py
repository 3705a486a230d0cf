"""One distribution from three source roots, and the examples with it; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    package_dir={
        "emberhub": "widgets/emberhub",
        "emberhub_spawner": "spawner/emberhub_spawner",
        "emberhub_driver": "spawner/emberhub_driver",
        "emberhub_service": "hub_ext/emberhub_service",
        "emberhub_examples": "examples",
    },
)

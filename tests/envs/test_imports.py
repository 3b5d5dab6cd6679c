"""What importing the environments loads, and what physics knows."""

import subprocess
import sys


def test_importing_the_environments_loads_no_heavy_library():
    code = (
        "import sys, networld_envs;"
        "print(sorted({'torch', 'matplotlib', 'pygame', 'minari', 'h5py'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_physics_knows_no_environment_api():
    code = (
        "import sys, pkgutil, importlib, types;"
        "import importlib.util as u;"
        "spec = u.find_spec('networld_envs');"
        "package = types.ModuleType('networld_envs');"  # without running its __init__
        "package.__path__ = list(spec.submodule_search_locations);"
        "sys.modules['networld_envs'] = package;"
        "import networld_envs.physics as p;"
        "[importlib.import_module(f'networld_envs.physics.{m.name}')"
        " for m in pkgutil.iter_modules(p.__path__)];"
        "print(sorted({'gymnasium', 'pettingzoo'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

"""The commands in docs/operations.md name things that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import run_local
import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/operations.md").read_text()


def test_deployments_and_services_exist() -> None:
    base = "".join(file.read_text() for file in sorted(ROOT.glob("kube-config/base/*.yaml")))
    objects = {item["metadata"]["name"] for item in yaml.safe_load_all(base) if "metadata" in item}
    named = set(re.findall(r"(?:deployment|services)/([\w-]+)|name=([\w-]+)", TEXT))
    assert {name for pair in named for name in pair if name} <= objects
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    assert set(re.findall(r"docker-compose (?:logs|restart) (\w+)", TEXT)) <= set(services)


def test_the_logs_are_where_make_run_writes_them() -> None:
    logs = re.findall(r"tail (\S+)/([\w-]+)\.log", TEXT)
    assert {Path(folder).name for folder, _ in logs} == {run_local.LOGS.name}
    names = (run_local.GATEWAY, run_local.MODEL_SERVER)
    assert [name for _, name in logs] == [run_local._log(name, 9696).stem for name in names]


def test_the_table_of_failures() -> None:
    if not shutil.which("jq"):
        pytest.skip("needs jq")
    [program] = re.findall(r"jq -rR '(.*?)'", TEXT, re.DOTALL)
    good = {"level": "info", "timestamp": "t", "request_id": "1", "status": 200}
    bad = {**good, "level": "error", "status": 504, "reason": "model-timeout", "cause": "slow"}
    lines = "\n".join([json.dumps(good), "no JSON", json.dumps(bad)])
    table = subprocess.check_output(["jq", "-rR", program], input=lines, text=True)
    assert table == "t\t1\t504\tmodel-timeout\tslow\n"

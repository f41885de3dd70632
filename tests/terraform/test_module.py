"""The module by Terraform's own means: format, validity, and the tests that stand beside it."""

import re
from collections import Counter

import pytest

from tests.terraform.conftest import ROOT, Workspace

FOLDER = ROOT / "terraform" / "module"
SUITES = sorted(path.name for path in (FOLDER / "tests").glob("*.tftest.hcl"))


def test_files_are_formatted(workspace: Workspace) -> None:
    """`terraform fmt` has nothing to change, in tests and examples either."""
    workspace.run("fmt", "-check", "-recursive", "-diff")


def test_module_is_valid(workspace: Workspace) -> None:
    """Every argument, reference and type is known to the providers."""
    workspace.run("validate", "-no-color")


@pytest.mark.parametrize("suite", SUITES)
def test_suite_passes(module: Workspace, suite: str) -> None:
    """Terraform's own tests pass, with mock providers."""
    done = module.run("test", "-no-color", f"-filter=tests/{suite}", check=False)
    assert done.returncode == 0, (
        "\n".join(line for line in done.stdout.splitlines() if not line.endswith("... pass"))
        + done.stderr
    )
    passed = re.search(r"Success! (\d+) passed, 0 failed", done.stdout)
    runs = re.findall(r'^run "', (FOLDER / "tests" / suite).read_text(), re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) == len(runs) > 0


def test_each_validation_has_a_run_that_it_refuses() -> None:
    """For each variable there are as many refused values as rules."""
    rules: Counter[str] = Counter()
    for path in FOLDER.glob("variables*.tf"):
        for block in re.split(r"^variable ", path.read_text(), flags=re.MULTILINE)[1:]:
            rules[block.split('"')[1]] += len(re.findall(r"^  validation \{", block, re.MULTILINE))
    suite = (FOLDER / "tests" / "validations.tftest.hcl").read_text()
    refused = Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", suite))
    assert +rules == refused


def test_every_value_variable_is_checked_and_explained() -> None:
    """Only a yes or no goes without a validation; none goes without a description and a type."""
    for path in FOLDER.glob("variables*.tf"):
        for block in re.split(r"^variable ", path.read_text(), flags=re.MULTILINE)[1:]:
            name = block.split('"')[1]
            assert "  description = " in block, name
            kind = re.search(r"^  type\s+= (\w+)", block, re.MULTILINE)
            assert kind is not None, name
            assert kind[1] == "bool" or "\n  validation {" in block, name


def test_no_validation_hides_a_misspelt_attribute() -> None:
    """No `try` and no `can`: both turn a misspelt reference into a rule that never fires."""
    for path in FOLDER.glob("*.tf"):
        assert not re.findall(r"\b(?:try|can)\(", path.read_text()), path.name


@pytest.mark.parametrize(
    ("name", "right", "wrong", "command"),
    [
        pytest.param(
            *("function.tf", "timeout_seconds  ", "timeout_secs     "),
            ("validate",),
            id="argument",
        ),
        pytest.param(
            *("variables.tf", "var.vpc.network == null ||", "var.vpc.netwrok == null ||"),
            ("validate",),
            id="rule",
        ),
        # Seen only where there is a value to look at.
        pytest.param(
            *(
                "variables-settings.tf",
                ": var.openai_api_key.version",
                ": var.openai_api_key.verson",
            ),
            ("test", "-filter=tests/validations.tftest.hcl"),
            id="rule-on-what-may-be-null",
        ),
    ],
)
def test_misspelt_attribute_is_refused(
    module: Workspace, name: str, right: str, wrong: str, command: tuple[str, ...]
) -> None:
    """A typo fails the tests instead of passing quietly."""
    path = module.folder / name
    text = path.read_text()
    assert right in text
    try:
        path.write_text(text.replace(right, wrong, 1))
        refused = module.run(*command, "-no-color", check=False)
    finally:
        path.write_text(text)
    assert refused.returncode != 0
    assert wrong.rpartition(".")[2].split(maxsplit=1)[0] in refused.stdout + refused.stderr


def test_tree_is_left_clean(workspace: Workspace) -> None:
    """Nothing that Terraform makes lies in the tree, where it might be committed."""
    assert not workspace.folder.is_relative_to(ROOT)
    assert not list(FOLDER.parent.rglob(".terraform*"))
    assert not list(FOLDER.parent.rglob("*.tfstate*"))

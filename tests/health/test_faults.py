"""Each planted fault is found by its own line of `describer doctor`, and by none other."""

import pytest

from tests.health.faults import FAULTS, Fault
from tests.health.running import checks, report, run
from tests.health.sound import sound


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.name))
def test_each_planted_fault_is_found_by_its_own_line(fault: Fault) -> None:
    """And by none other; it names what is broken, and what to do."""
    state = sound()
    fault.plant(state)
    result = run(state, "--json", *fault.arguments)
    found = report(result)
    assert checks(found["wrong"]) == [fault.check], found["wrong"]
    assert result.exit_code == 1
    (told,) = found["wrong"]
    assert fault.says in told["message"] + told["remedy"]
    assert fault.remedy in told["remedy"]
    assert sorted(checks(found["unchecked"])) == sorted(fault.unchecked)

"""The real parts that the shipped runbooks run against."""

import pytest
import requests

from demo.world import MissingPart, pushgateway


def test_a_pushgateway_knows_nothing_of_those_before_it() -> None:
    try:
        with pushgateway() as url:
            pushed = requests.put(f"{url}/metrics/job/world-test", data="a_measure 1\n", timeout=30)
            assert pushed.status_code == 200
            assert "world-test" in requests.get(f"{url}/metrics", timeout=30).text
    except MissingPart as missing:
        pytest.skip(str(missing))
    with pushgateway() as url:
        assert "world-test" not in requests.get(f"{url}/metrics", timeout=30).text

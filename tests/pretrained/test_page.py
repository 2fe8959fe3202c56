"""docs/pretrained.md lists the networks that the tests compare, and how far they are from ours."""

from tests.pretrained.make_page import PAGE, updated
from tests.pretrained.make_parity import NOTED, complete, measured, read, why_noted
from tests.pretrained.test_peers import TOLERANCE


def test_page_is_up_to_date():
    page = PAGE.read_text()
    assert page == updated(page), "run: python -m tests.pretrained.make_page"


def test_every_network_with_a_peer_is_measured_or_says_why_not():
    rows = read()
    assert list(rows) == list(complete(rows)), "run: python -m tests.pretrained.make_parity"
    assert measured(rows)


def test_large_errors_have_a_reason():
    for key, row in measured(read()).items():
        assert row["error"] < TOLERANCE, key
        assert row["error"] <= NOTED or why_noted(key), f"{key}: give the reason in NOTES"

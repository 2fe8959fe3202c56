"""docs/pretrained.md lists the networks that the tests compare."""

from tests.pretrained.make_page import PAGE, updated


def test_page_is_up_to_date():
    page = PAGE.read_text()
    assert page == updated(page), "run: python -m tests.pretrained.make_page"

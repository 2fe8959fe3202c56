"""A report that several tests look at."""

import functools

from cnnlab import classical, inference
from cnnlab.report.run_page.page import make_report
from tests import trained_runs


def load(path, checkpoint):
    """A run's weights, of a network or of the baseline."""
    return (classical if path.name == "hog" else inference).load_run(path, checkpoint)


@functools.cache
def comparison_page():
    """Two seeds of a network, a baseline and a run of segmentation."""
    runs = [trained_runs.lenet(0), trained_runs.lenet(1), trained_runs.hog(), trained_runs.unet()]
    return make_report(runs, load=load)

"""Download and prepare a TFDS data set, or prepare one from archives that you have.

usage: python launch.py prepare --dataset=NAME [--data_dir=FOLDER] [--manual_dir=FOLDER]

  python launch.py prepare --dataset=fashion_mnist

Without a network, put the archives from the data set's publisher into a folder and name it with
--manual_dir. MNIST, Fashion-MNIST, CIFAR-10 and -100, Oxford-IIIT Pet and most
others need no TensorFlow; a few do, for this step only: pip install 'cnnlab[prepare]'.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.string("dataset", None, "Name as in TFDS's catalogue.")
    define.string("data_dir", None, "Folder of TFDS data sets; ~/tensorflow_datasets by default.")
    define.string("manual_dir", None, "Folder of archives that are used instead of downloads.")

"""Build the course as a site or as notebooks; draw its figures and measure its experiments.

usage: python launch.py course site --out=FOLDER         index.html opens without a server
       python launch.py course notebooks --out=FOLDER    a Jupyter notebook for each page
       python launch.py course [NAME...] [--out=course] [--redraw] [--json]

Site and notebooks use the saved figures and results; they need: pip install 'cnnlab[course]'.

experiments: most train small networks on the embedded digits, in minutes on two cores; each writes
its numbers to NAME.json and a picture to NAME.png:
  shifted_digit        a dense network loses a digit that is shifted; a convolutional one keeps it
  gradient_check       finite differences beside backpropagation
  shift_table          shift consistency of every architecture of the course
  hand_made_features   HOG against learned features, from few labels to many
  feature_maps         a dense network and LeNet with their weights, and LeNet's feature maps
  depth                plain against residual networks as they get deeper
  norm_motivations     activations and gradients through depth with and without batch norm
  moving_averages      running statistics of batch norm through training
  norms                batch norm, layer norm and none over batch sizes
  small_batches        where small batches harm batch norm: a dense network
  augmentation_gain    with and without augmentation, scored on rotated digits
  fine_tuning          fine-tuning against training from scratch; needs CIFAR-10 prepared
  checkerboard         transposed convolutions against resizing
  learned_filters      AlexNet's first layer before and after training; needs CIFAR-10 prepared

pictures, in seconds: every other NAME, that of a file in docs/course/figures. Without a NAME, all
are drawn, including experiments; --redraw reads the numbers of experiments from --out.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.string("out", "course", "The folder to write to.")
    define.bool("redraw", False, "Draw experiments from the numbers in --out, without training.")
    define.json()

"""Analyse a trained run: filters, maps, Grad-CAM, mistakes, calibration, robustness and more.

usage: python launch.py analyze KIND --workdir=FOLDER [IMAGE...] [--out=FILE] [--arrays=FILE.npz]
       python launch.py analyze curves FOLDER FOLDER... [--out=FILE]

kinds that analyse the network:
  filters               kernels of the first layer
  feature_maps          maps of the backbone, or of --layer, for one image
  statistics            activations, dead channels, and gradients of each layer
  receptive_field       receptive fields of the backbone's maps, or of --layer

kinds that explain images, given ones or some of the split (--target names another class):
  grad_cam              regions that support the class, at the coarsest map or at --layer
  grad_cam_plus_plus    the same, with weights suited to several objects
  integrated_gradients  contribution of each pixel to the class
  occlusion             where covering the image makes the class less probable

kinds that analyse many examples of the split:
  pca, tsne             a map of the examples' embeddings
  mistakes              the most confident mistakes, or the images with most wrong pixels
  confusion             the confusion matrix
  calibration           calibration of the probabilities, with temperature scaling
  robustness            scores on shifted, noisy, blurred and low-contrast images
  shift_consistency     how often the class stays the same when the image is shifted

kinds that compare several runs:
  curves                loss and scores over training; runs that differ by seed form one curve

The picture is written to --out, by default WORKDIR/analysis/KIND.png, as .png, .svg or .pdf.
--arrays writes the arrays that it shows, for numpy.load. With --json, the last line of standard
output is one JSON object.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.run()
    define.split()
    define.integer(
        "examples",
        None,
        "Number of examples of the split; the default depends on the kind.",
        lower_bound=1,
    )
    define.string("layer", None, "Name of a layer, e.g. backbone/conv2.")
    define.string("target", None, "The class to explain; by default the predicted one.")
    define.integer("max_shift", 3, "Largest shift on each axis, in pixels.", lower_bound=1)
    define.string("out", None, "The picture to write.")
    define.string("arrays", None, "The file of arrays to write, .npz.")
    define.json()

"""3x3 convolution in 4/9 of the multiplications (Lavin & Gray 2015, arXiv:1509.09308, sec. 4).

F(2x2, 3x3): each 2x2 tile of the output comes from a 4x4 tile of the input. Both are taken through
small linear transforms, between which the convolution is 16 matrix products over the channels.
The transforms only add and halve, so float32 results are as exact as the direct sum's; the larger
tiles of the paper lose a digit.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

# The paper's B^T, G and A^T: what the transforms of input, kernel and output do along one axis.
_INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))
_OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))

Matrix = Sequence[Sequence[float]]
Grid = list[list[jax.Array]]  # one array for each position in a tile
Pads = tuple[tuple[int, int], tuple[int, int]]


@jax.custom_vjp
def _conv3x3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _valid(x, kernel)


def conv3x3(x: jax.Array, kernel: jax.Array, pads: Pads) -> jax.Array:
    """Convolves with stride 1.

    Args:
      x: [batch, height, width, inputs].
      kernel: [3, 3, inputs, outputs].
      pads: zeros before and after height and width.
    """
    return _conv3x3(_pad(x, *pads), kernel)


def _forward(x: jax.Array, kernel: jax.Array) -> tuple:
    return _valid(x, kernel), (x, kernel)


def _backward(saved: tuple, grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _valid(_pad(grad, (2, 2), (2, 2)), flipped), _kernel_grad(x, grad)


_conv3x3.defvjp(_forward, _backward)


def _valid(x: jax.Array, kernel: jax.Array) -> jax.Array:
    height, width = x.shape[1] - 2, x.shape[2] - 2
    products = _map(jnp.matmul, _input_tiles(x), _kernel_tiles(kernel))
    rows, columns = (height + 1) // 2, (width + 1) // 2
    tiles = [
        [y.reshape(x.shape[0], rows, columns, -1) for y in row]
        for row in _transform(_OUTPUT, products)
    ]
    y = jnp.stack([jnp.stack(row, axis=3) for row in tiles], axis=2)
    return y.reshape(x.shape[0], 2 * rows, 2 * columns, -1)[:, :height, :width]


def _kernel_grad(x: jax.Array, grad: jax.Array) -> jax.Array:
    batch, height, width, _ = grad.shape
    # The adjoint of the output's transform, of tiles of 2x2.
    grad = _pad(grad, (0, height % 2), (0, width % 2))
    grad = grad.reshape(batch, grad.shape[1] // 2, 2, grad.shape[2] // 2, 2, -1)
    tiles = [[grad[:, :, i, :, j] for j in range(2)] for i in range(2)]
    grads = _map(_rows, _transform(_transpose(_OUTPUT), tiles))
    products = _map(lambda a, b: a.T @ b, _input_tiles(x), grads)
    return jnp.stack([jnp.stack(row) for row in _transform(_transpose(_KERNEL), products)])


def _input_tiles(x: jax.Array) -> Grid:
    """Transformed tiles of 4x4 that overlap by two: each [batch * tiles, inputs]."""
    batch, height, width, _ = x.shape
    x = _pad(x, (0, height % 2), (0, width % 2))
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    # Pairs of rows and columns on axes of their own: slices of them vectorise better than strides.
    x = x.reshape(batch, rows, 2, columns, 2, -1)
    tiles = [
        [x[:, i // 2 : rows - 1 + i // 2, i % 2, j // 2 : columns - 1 + j // 2, j % 2]
         for j in range(4)]
        for i in range(4)
    ]  # fmt: skip
    return _map(_rows, _transform(_INPUT, tiles))


def _kernel_tiles(kernel: jax.Array) -> Grid:
    return _transform(_KERNEL, [[kernel[i, j] for j in range(3)] for i in range(3)])


def _transform(matrix: Matrix, grid: Grid) -> Grid:
    """The matrix, times the grid, times the matrix transposed."""
    half = [
        [_combine(row, [line[j] for line in grid]) for j in range(len(grid[0]))] for row in matrix
    ]
    return [[_combine(row, line) for row in matrix] for line in half]


def _combine(weights: Sequence[float], arrays: Sequence[jax.Array]) -> jax.Array:
    """Sum of the arrays that have a weight, as few operations as it takes."""
    total = None
    for weight, array in zip(weights, arrays, strict=True):
        if weight == 0:
            continue
        if total is None:
            total = array if weight == 1 else weight * array
        elif abs(weight) == 1:
            total = total + array if weight > 0 else total - array
        else:
            total = total + weight * array
    return total


def _map(function, *grids: Grid) -> Grid:
    return [
        [function(*cells) for cells in zip(*lines, strict=True)]
        for lines in zip(*grids, strict=True)
    ]


def _transpose(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _pad(x: jax.Array, rows: tuple[int, int], columns: tuple[int, int]) -> jax.Array:
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)))

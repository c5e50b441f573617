"""Renders a scene at any resolution, antialiased by the signed distance to the edges."""

from collections.abc import Callable

import numpy as np

from glide_jax.data.shapes.scene import BACKGROUNDS, COLOURS, Scene

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def render(scene: Scene, resolution: int) -> np.ndarray:
    """Render a scene.

    Args:
        scene: the scene.
        resolution: r, the image's side in pixels.

    Returns:
        uint8[r r 3], RGB.
    """
    image = np.empty((resolution, resolution, 3), np.float32)
    image[:] = BACKGROUNDS[scene.background]
    for o in scene.objects:
        rows, columns = (_span(c, o.across, resolution) for c in (o.y, o.x))
        y = ((np.arange(rows.start, rows.stop) + 0.5) / resolution - o.y) / o.across
        x = ((np.arange(columns.start, columns.stop) + 0.5) / resolution - o.x) / o.across
        alpha = coverage(o.shape, x[None, :], y[:, None], o.across * resolution)[..., None]
        window = image[rows, columns]
        window += alpha * (np.asarray(COLOURS[o.colour], np.float32) - window)
    return np.rint(image).astype(np.uint8)


def coverage(shape: str, x: np.ndarray, y: np.ndarray, pixels_across: float) -> np.ndarray:
    """Return the fraction of each pixel that a shape of diameter 1 around (0, 0) covers.

    Args:
        shape: one of `scene.SHAPES`.
        x, y: f[h w], or arrays that broadcast to it: the pixels' centres, y down.
        pixels_across: the shape's diameter in pixels.

    Returns:
        f32[h w] in [0, 1]: 0.5 − signed distance in pixels, clipped. Exact for edges along the
        pixel grid, slightly too large at tips.
    """
    distance = _DISTANCES[shape](x, y)
    return np.clip(0.5 - distance * pixels_across, 0.0, 1.0).astype(np.float32)


def _span(centre: float, across: float, resolution: int) -> slice:
    """Return the range of pixels that an object can cover, along one axis."""
    reach = 0.6 * across * resolution + 1  # a star's tips reach beyond its diameter
    middle = centre * resolution
    return slice(max(int(middle - reach), 0), min(int(middle + reach) + 1, resolution))


def _circle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - 0.5


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.hypot(x, y) - 0.38) - 0.12


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    beyond_x, beyond_y = np.abs(x) - half_width, np.abs(y) - half_height
    outside = np.hypot(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    return outside + np.minimum(np.maximum(beyond_x, beyond_y), 0)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.44, 0.44)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y, 0.5, 0.16), _box(x, y, 0.16, 0.5))


def _polygon(vertices: np.ndarray) -> Distance:
    """Return the signed distance to a polygon (f[n 2]): nearest edge, sign by even-odd rule."""
    edges = [
        (float(x0), float(y0), float(x1 - x0), float(y1 - y0))
        for (x0, y0), (x1, y1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True)
    ]

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squared = np.full(np.broadcast_shapes(x.shape, y.shape), np.inf)
        inside = np.zeros(squared.shape, bool)
        for x0, y0, ex, ey in edges:
            px, py = x - x0, y - y0
            along = np.clip((px * ex + py * ey) / (ex * ex + ey * ey), 0, 1)
            squared = np.minimum(squared, (px - along * ex) ** 2 + (py - along * ey) ** 2)
            if ey:  # a horizontal edge is never crossed by a ray to the right
                crosses = (py >= 0) != (py >= ey)
                inside ^= crosses & (px < py * (ex / ey))
        return np.where(inside, -1.0, 1.0) * np.sqrt(squared)

    return distance


def _star_vertices() -> np.ndarray:
    """Five tips, the first straight up. Stars look small: the tips reach beyond the diameter."""
    angles = np.pi * (np.arange(10) / 5 - 0.5)
    radii = np.where(np.arange(10) % 2 == 0, 0.58, 0.27)
    vertices = np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)
    return vertices - (vertices.max(axis=0) + vertices.min(axis=0)) / 2


_DISTANCES: dict[str, Distance] = {
    "circle": _circle,
    "square": _square,
    "triangle": _polygon(np.array([(0.0, -0.45), (0.52, 0.45), (-0.52, 0.45)])),
    "star": _polygon(_star_vertices()),
    "cross": _cross,
    "ring": _ring,
}

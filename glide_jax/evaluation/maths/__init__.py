"""The maths of the metrics: pure functions of features, in NumPy and float64.

    features f32[n d] ─┬─ Moments ─ mean, covariance ─→ frechet_distance (FID, sFID)
                       ├─ kid: squared MMD of a cubic kernel
                       ├─ precision_recall, density_coverage: nearest neighbours
                       └─ interval: what resampled images would give
    logits f32[n c] ───── inception_score

Nothing here knows which network made the features, or of files. Features may be memory-mapped: they
are read in blocks, so that memory doesn't grow with their number.
"""

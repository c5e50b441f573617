"""`glide-jax serve`: a page and an API on which people sample, and one thread that owns the device.

application   routes: what comes in is checked by `fields`, images by `uploads`
turns         which images the next batch has: fair between clients, shared where it may be
worker        the thread that samples, batch after batch
jobs, images  what is kept in memory, and for how long; nothing of it reaches the disk
openapi       the document of the API, from the same tables that check it
"""

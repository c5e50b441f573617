"""Sets of prompts: what generated images are to show, and how the prompts are grouped."""

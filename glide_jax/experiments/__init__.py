"""Claims of papers, each tested on models so small that two CPU cores train them.

claims/NAME.py: a Claim ─ run_claim ─→ arms × seeds: scores (kept) ─→ figures, findings, verdict
"""

"""One claim a file: a Claim, named CLAIM."""

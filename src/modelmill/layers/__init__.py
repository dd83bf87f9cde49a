"""What several architectures share: initial values, the recurrent layer, tied weights."""

"""What several architectures share: initial values and the recurrent layer."""

"""What several architectures share: initial values, dropout, recurrent and tied layers, a loss."""

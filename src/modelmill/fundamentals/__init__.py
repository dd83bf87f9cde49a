"""What every model here is made of, in numbers small enough to check by hand.

`values` computes them with TensorFlow, one function a topic; `drawings` shows those that are
better looked at than read. Both import TensorFlow, so start `modelmill.runtime` first.
"""

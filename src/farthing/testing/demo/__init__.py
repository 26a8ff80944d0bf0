"""What does Farthing do? Fake providers, a real gateway and a few simulated people show it, with nothing at stake."""

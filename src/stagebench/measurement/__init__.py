"""Taking times: worker processes, the order of rounds, samples, the machine."""

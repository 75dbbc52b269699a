"""What bpkd costs past this machine: constants measured here, a simulation, and what follows from both."""

"""What a run takes, before it runs: `plan.plan` tells, `costs` works it out, without PyTorch."""

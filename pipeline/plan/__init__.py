"""What a run takes, before it runs."""

from pipeline.plan.costs import Plan, StagePlan
from pipeline.plan.plan import SECONDS, WORKERS, plan

__all__ = ["SECONDS", "WORKERS", "Plan", "StagePlan", "plan"]

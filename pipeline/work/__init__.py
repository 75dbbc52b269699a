"""What the stages share: opening data and models, one training segment, one shard of climbs."""

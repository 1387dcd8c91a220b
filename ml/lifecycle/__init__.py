"""What happens to a model from data to decision: training, promotion, scoring, watching, replay."""

"""SP-TAD: temporal action detection with sparse proposals (papers: Wu et al., 2021)."""

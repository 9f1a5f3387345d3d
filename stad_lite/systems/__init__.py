"""What all systems share: items to train on, truth, kept maps, the loop over videos."""

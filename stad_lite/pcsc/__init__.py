"""PCSC: two streams, RGB and flow, that exchange features and region proposals stage by stage."""

"""Models and images for others: publishing, ONNX, the BioImage Model Zoo, HyperSpy signals."""

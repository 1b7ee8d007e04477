"""Other programs' encoders and decoders, side by side with ours."""

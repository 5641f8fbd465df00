"""TensorFlow's recipe `tuned`: the files that differ from those of `matched`."""

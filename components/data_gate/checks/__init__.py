"""What stops a run whatever came before: values, types and labels that nothing can be learned from."""

"""The gallery on this machine: built with Node, and served beside the local stack."""

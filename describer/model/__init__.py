"""The model: what it is asked, how it answers, and what its errors mean."""

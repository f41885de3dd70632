"""The model stand-in: speaks OpenAI's protocol, measures the picture, fails on demand."""

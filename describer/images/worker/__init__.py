"""The converter's own process: an image's bytes in, a JPEG out. Only here a decoder is loaded.

Started by `convert` with no environment, no file of the function's but a socket, and limits of
its own: what a broken or hostile image does to a decoder ends here.
"""

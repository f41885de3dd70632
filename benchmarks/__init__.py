"""Measures the function against what one would take instead, and against the least it could cost.

peer    the documentation's call as a synchronous function, one image per thread, one write
floor   the same stream read with bare httpx2, and one bare Commit over gRPC
ours    the function as it is deployed

All three read one model server and write to one Firestore emulator, in turns, in one run.
"""

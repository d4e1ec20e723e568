"""limitbench against every alternative, in one run on one thread: dense torch, neural-tangents, diffrax, torchsde.

Each peer lives in an environment of its own and is a small program there that answers one line at a time, so that ours
and theirs take turns on the same core and a busy machine slows both alike.
"""

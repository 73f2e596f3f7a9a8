"""Pure-Python oracles: what each compiled function must compute, written to be read and not to be fast.

One module for each module of ``sophia._core``; ``from oracle import hdc`` (pytest puts ``tests`` on the path).
"""

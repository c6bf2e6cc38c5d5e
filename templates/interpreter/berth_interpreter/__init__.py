"""The server that runs code for E2B's code-interpreter SDKs: stateful cells over Jupyter kernels."""

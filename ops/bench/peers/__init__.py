"""Other systems that figures are compared with, run beside ours on the same machine."""

"""The node program: the only thing that changes a node. See docs/architecture.md for the protocol it speaks."""

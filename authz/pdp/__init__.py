"""The policy decision point: policy files, the engines that evaluate them, and the decision itself."""

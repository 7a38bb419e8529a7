"""The usual designs, each a server of stock KServe 0.21 and Feast 0.67, and the limit. Started as processes."""

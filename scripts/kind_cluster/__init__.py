"""newsrec with all that it needs in one Kubernetes cluster on this machine, by kind.

Tested against stand-ins for kind, Docker and the cluster, and with the real ``kubectl kustomize``; not yet run on a
cluster.
"""

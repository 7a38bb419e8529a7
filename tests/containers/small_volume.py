"""A small volume at /data, and what leaves no room in it."""

from docker.models.containers import Container

from tests.containers.hardened import HARDENED, IMAGE_USER

FILL = """
with open("/data/ballast", "wb", buffering=0) as ballast:
    try:
        while True:
            ballast.write(bytes(4096))
    except OSError as error:
        print(error.strerror)
"""
TRUNCATE = 'import os, sys; os.truncate("/data/ballast", os.path.getsize("/data/ballast") - int(sys.argv[1]))'


def small(megabytes: int) -> dict[str, str]:
    """The argument ``tmpfs`` of a container with a /data of that size."""
    return {**HARDENED["tmpfs"], "/data": f"size={megabytes}m,uid={IMAGE_USER},gid={IMAGE_USER},mode=700"}


def fill(container: Container, room: int = 0) -> None:
    """Leave ``room`` bytes in /data, or none at all."""
    filled = container.exec_run(["python3", "-c", FILL])
    assert filled.output.decode().strip() == "No space left on device"
    assert container.exec_run(["python3", "-c", TRUNCATE, str(room)]).exit_code == 0


def free(container: Container) -> None:
    assert container.exec_run(["rm", "/data/ballast"]).exit_code == 0

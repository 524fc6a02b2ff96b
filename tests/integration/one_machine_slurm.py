"""A real Slurm on this machine alone: munged, slurmctld and slurmd in a folder of their own.

Needs the programs of Debian's packages slurm-wlm and munge, but neither their
services nor their configuration nor root: everything is named by ``SLURM_CONF``.
There is no accounting database, and memory is watched without cgroups.
"""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "sinfo", "scancel")

CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
KillWait=2
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
MinJobAge=600
NodeName={host} CPUs={cpus} RealMemory={memory_mb}
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE
"""


def missing() -> list[str]:
    """Programs that are needed and not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def slurm(folder: Path, *, cpus: int, memory_mb: int) -> Iterator[dict[str, str]]:
    """Run Slurm; yields the environment in which its commands reach it.

    Parameters
    ----------
    folder
        A short path: sockets lie in it.
    cpus, memory_mb
        What the node is said to have, whatever the machine has.
    """
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    folder.chmod(0o755)  # munged wants nobody else to write along its socket's path
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    with socket.socket() as first, socket.socket() as second:
        for free in (first, second):
            free.bind(("127.0.0.1", 0))
        ports = [free.getsockname()[1] for free in (first, second)]
    configuration = CONFIGURATION.format(
        host=host,
        user=pwd.getpwuid(os.getuid()).pw_name,
        folder=folder,
        controller_port=ports[0],
        node_port=ports[1],
        cpus=cpus,
        memory_mb=memory_mb,
    )
    (folder / "slurm.conf").write_text(configuration)
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    # the executor plugin drops SLURM_CONF before it calls srun inside a job
    wrapper = folder / "bin/srun"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
    )
    wrapper.chmod(0o755)
    environment["PATH"] = f"{wrapper.parent}:{environment['PATH']}"
    munge = {"socket": "munge.socket", "key-file": key.name, "pid-file": "munge.pid"}
    munge |= {"log-file": "munge.log", "seed-file": "munge.seed"}
    daemons = [
        # `--force` only lets it start although others may read along the path to its log
        ["munged", "--foreground", "--force", *(f"--{k}={folder / v}" for k, v in munge.items())],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D"],
    ]
    with ExitStack() as stack:
        for command in daemons:
            log = stack.enter_context((folder / f"{command[0]}.txt").open("w"))
            daemon = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            stack.callback(daemon.wait)
            stack.callback(daemon.terminate)
            if command[0] == "munged":
                _wait_for(lambda: (folder / "munge.socket").exists(), folder)
        _wait_for(lambda: _ask(["sinfo", "-h", "-o", "%t"], environment) == "idle", folder)
        try:
            yield environment
        finally:
            _ask(["scancel", "--state=RUNNING"], environment)
            _ask(["scancel", "--state=PENDING"], environment)
            _wait_for(lambda: _ask(["squeue", "-h", "-t", "R,CG"], environment) == "", folder)
            _end_lost_jobs(wrapper.parent)


def _end_lost_jobs(programs: Path) -> None:
    """End what a node that was given up for lost has left running: nobody else cancels it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            given = process.environ()
            if "SLURM_JOB_ID" in given and str(programs) in given.get("PATH", ""):
                process.kill()


def _ask(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _wait_for(ready, folder: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = {path.name: path.read_text()[-2000:] for path in folder.glob("*.txt")}
            raise RuntimeError(f"Slurm did not get ready within {seconds} s: {logs}")
        time.sleep(0.1)

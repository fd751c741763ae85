"""Facts about a machine and its software that need no torch; what a probe of a device found."""

import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

#: tells the processes that a service starts how it was started itself
LAUNCH_VARIABLE = "_BENCHBEAT_LAUNCH"


class Probe(BaseModel):
    """What `python -P -m worker.probe` found out about one device of this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: Literal["cpu", "cuda", "mps"]
    #: 0, 1 ... among the machine's CUDA devices; 0 elsewhere
    device_index: int = 0
    #: the device's own name ("Apple M4", "NVIDIA H100 80GB HBM3")
    device_name: str
    #: MiB of the device's memory that jobs may use
    memory_mib: int
    #: the processor's name
    chip: str
    #: version and build of the operating system
    os_build: str
    system_memory_mib: int
    python_version: str
    torch_version: str
    transformers_version: str
    #: threads that torch computes with on the CPU
    threads: int
    #: driver and toolkit of the accelerator
    driver: str | None = None
    #: of a CUDA device, as torch writes it
    device_uuid: str | None = None


class SourceState(NamedTuple):
    """The git commit of benchbeat's own checkout, and whether files differ from it. None where it is no checkout."""

    commit: str | None
    dirty: bool | None


def output_of(*command: str) -> str:
    """Return what a command prints, stripped; empty where it is missing or fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def sysctl(name: str) -> str:
    """Return a value of macOS's sysctl; empty where it is unknown."""
    return output_of("sysctl", "-n", name)


def chip_name() -> str:
    """Return the processor's name ("Apple M4", "Intel(R) Xeon(R) Processor")."""
    if platform.system() == "Darwin":
        return sysctl("machdep.cpu.brand_string") or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    # ARM kernels write no "model name".
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def os_build() -> str:
    """Return the operating system's version and build ("macOS 15.1 (24B83)", "Debian GNU/Linux 12, Linux 6.1.0")."""
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]} ({sysctl('kern.osversion')})"
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def system_memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or less where a cgroup limits it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *cgroup_limits()])


def cgroup_limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """Return the memory limits, in bytes, of this process's control groups and of those above them (v1 and v2)."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            base, name = root / "memory", "memory.limit_in_bytes"
        elif controllers == "":
            base, name = root, "memory.max"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            limits += _limit(folder / name)
            if folder == base:
                break
    return limits


def _limit(file: Path) -> list[int]:
    """Return the limit that a file of a control group holds, or nothing where there is none ("max")."""
    try:
        return [int(file.read_text(encoding="ascii"))]
    except (OSError, ValueError):
        return []


@cache
def source_state() -> SourceState:
    """Return the state of benchbeat's own checkout. Installed from a wheel, it has none."""
    root = Path(__file__).resolve().parent.parent
    git = ("git", "--no-optional-locks", "-C", str(root))
    # A virtual environment may lie inside somebody else's repository, whose commit says nothing about us.
    if output_of(*git, "rev-parse", "--show-toplevel") != str(root):
        return SourceState(None, None)
    commit = output_of(*git, "rev-parse", "HEAD")
    return SourceState(commit or None, bool(output_of(*git, "status", "--porcelain")) if commit else None)


def launch_context() -> str:
    """Return how this process was started: `launchd`, `systemd`, `container`, `ssh`, `terminal` or `other`.

    What `benchbeat up` or `run` started says so: `up (terminal)`. It belongs to a run's environment: launchd, for one,
    gives a service less of the machine than a terminal does, unless it is asked not to.
    """
    if told := os.environ.get(LAUNCH_VARIABLE):
        return told
    if os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):  # the variable is inherited by what a unit starts
        return "systemd"
    if platform.system() == "Darwin" and os.getppid() == 1 and os.environ.get("XPC_SERVICE_NAME", "0") != "0":
        return "launchd"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return "container"
    if os.environ.get("SSH_CONNECTION"):
        return "ssh"
    return "terminal" if _has_terminal() else "other"


def _has_terminal() -> bool:
    """Whether this process belongs to a terminal, also where its output goes to a file."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True

"""What is known of programs by their names: which are agents, and which speak with no model, nor start what does."""

from __future__ import annotations

import os
from typing import Final

VARIABLE: Final = "LLMTRACE_INTERCEPT"
MODES: Final = ("auto", "always", "never")

_TOOLS = """
[ arch awk b2sum base32 base64 basename bzip2 cat chgrp chmod chown cksum clear cmp comm cp csplit cut date dd df
diff diff3 dir dircolors dirname du echo expand expr factor false fd file find fmt fold free gawk getconf getent
grep egrep fgrep groups gunzip gzip head hexdump hostid hostname iconv id install ip join jq kill killall less link
ln locale locate logname ls lsattr lsblk lscpu lsof lz4 man mawk md5sum mkdir mkfifo mknod mktemp more mount mv nl
nproc numfmt od paste patch pathchk pgrep pidof pkill pr printenv printf ps ptx pwd readlink realpath rev rg rm
rmdir sed seq sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat strings stty sum sync
sysctl tac tail tar tee test top touch tput tr tree true truncate tsort tty umount uname unexpand uniq unlink unzip
uptime users vdir wc whereis which who whoami xxd xz yes zip zstd
buildah docker git hg helm kubectl nerdctl podman rsync scp sftp ssh ssh-add ssh-agent ssh-keygen svn
apk apt apt-cache apt-get brew dnf dpkg gem pip pip3 rpm yum ar as c++ c++filt cc clang clang++ cmake cpp g++ gcc
gdb ld ldconfig ldd lld nm objcopy objdump ranlib readelf rustc strace strip valgrind
convert ffmpeg ffprobe magick pdftotext pdftoppm psql redis-cli sqlite3
"""

AGENTS: Final = ("claude", "codex", "gemini", "llm", "opencode")
"""Command-line agents whose traces are tested with the real programs."""

TOOLS: Final = frozenset(_TOOLS.split())
"""What `auto` leaves alone: the usual tools of a system, compilers, and those whose traffic is theirs (version control,
containers, remote shells, packages, databases). A proxy is of no use to them, and need not be started for them.
"""


def mode(asked: str | None = None) -> str:
    """How children are chosen, by LLMTRACE_INTERCEPT unless `asked`; what is none of the modes means `auto`."""
    found = (asked or os.environ.get(VARIABLE, "")).strip().lower()
    return found if found in MODES else "auto"


def is_intercepted(executable: str, mode: str) -> bool:
    """Whether a child with this executable, a name or a path, is given the proxy."""
    return mode == "always" or (mode == "auto" and os.path.basename(executable) not in TOOLS)

"""The node's firewall: cloudtool's own nftables table, rendered from server-files/setup/firewall.nft."""

import os

from . import files, paths, sshd

PATH = f"{paths.ETC}/firewall.nft"
# The uids of the apps' users (users.py makes them here) and the ports of their slots (docs/architecture.md).
APP_UIDS = "61000-63999"
APP_PORTS = "20000-31999"
# Those on which commands of apps listen (commands.py): each app may reach its own.
COMMAND_PORTS = "14000-19999"


def ensure(setup) -> None:
    """The rules on disk; they are checked before they replace the old ones. `load` puts them into the kernel."""
    if not setup.sshd and os.path.exists(PATH):
        # Without knowing sshd's ports the rules on disk are better than a guess that could lock somebody out.
        setup.ctx.warning(
            "sshd does not accept its own configuration (see sshd -t), so the firewall was left as it is."
        )
        return
    template = (files.read_bytes(f"{paths.PROGRAM}/setup/firewall.nft") or b"").decode()
    content = render(template, sshd.ports(setup.sshd))
    if files.read_bytes(PATH) != content.encode():
        candidate = f"{PATH}.candidate"
        files.write(candidate, content, mode=0o644)
        # A kernel without nftables (some containers) refuses even the check: that must not stop the set-up.
        problem = setup.ctx.run(["nft", "--check", "-f", candidate], check=False)
        os.unlink(candidate)
        if problem.returncode:
            first = (problem.stderr.strip().splitlines() or ["no reason given"])[0]
            setup.ctx.warning(
                f"nftables does not take the firewall's rules, so this node has none of cloudtool's: {first}"
            )
            return
        setup.will("load-firewall")
    setup.file(PATH, content)
    if b"ENABLED=yes" in (files.read_bytes("/etc/ufw/ufw.conf") or b""):
        setup.ctx.warning("ufw is active on this node too and may close ports 80 and 443: ufw allow 80,443/tcp")


def load(setup, loaded: bool) -> None:
    if not os.path.exists(PATH):
        return
    must = setup.must("load-firewall") or not loaded
    if must:
        result = setup.ctx.run(["systemctl", "reload-or-restart", "cloudtool-firewall.service"], check=False)
        if result.returncode:
            setup.ctx.warning("The firewall could not be loaded; see: journalctl -u cloudtool-firewall")
            return
    setup.note("firewall loaded", must)
    setup.done("load-firewall")


def render(template: str, ssh_ports: list[int]) -> str:
    values = {
        "@SSH_PORTS@": ", ".join(map(str, ssh_ports)),
        "@APP_UIDS@": APP_UIDS,
        "@APP_PORTS@": APP_PORTS,
        "@COMMAND_PORTS@": COMMAND_PORTS,
        "@OWN_PORTS@": own_ports(),
    }
    for name, value in values.items():
        template = template.replace(name, value)
    return template


def own_ports() -> str:
    """Of each uid of an app the ports of its own commands."""
    first, last = map(int, APP_UIDS.split("-"))
    port = int(COMMAND_PORTS.partition("-")[0])
    return ", ".join(f"{uid} . {port + 2 * (uid - first) + slot}" for uid in range(first, last + 1) for slot in (0, 1))

"""What cloudtool-boot.service does before the front starts: routes from the states, live slots and sleepers started.

It runs while systemd brings the node up, so it only asks for starts and waits for none.
"""

import os

from . import front, paths, slots, state
from .context import Context, Failure, Writer


def boot() -> int:
    ctx = Context({"verb": "boot", "by": "root"}, Writer(os.open(os.devnull, os.O_WRONLY)))
    states = state.load_all()
    os.makedirs(paths.FRONT, 0o755, exist_ok=True)
    front.write_files(front.desired(states))
    units = []
    for found in states:
        slots.configure_waking(found)
        for slot in state.SLOTS:
            release = found.fields["slots"][slot]
            launch = slots.load_launch(found.app, release) if release else None
            if launch is None or found.live is None:
                continue
            slots.configure(found, slot, launch)
            unit = paths.app_unit if slot == found.live_slot else paths.wake_socket
            units.append(unit(found.app, slot))
    try:
        if units:
            slots.systemctl(ctx, "start", "--no-block", *units)
    except Failure as failure:
        print(failure.message)
        return 1
    return 0

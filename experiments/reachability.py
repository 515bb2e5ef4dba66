"""Every guest pings every other one; passes when all are reached."""

from qemunet import Task

PARAMETERS = {"deadline_s": 10}


async def experiment(bed):
    deadline_s = bed.parameters["deadline_s"]
    names = [name for name in bed.guests if bed.guests[name].address is not None]
    reached = 0
    for target in names:
        address = bed.guests[target].address
        # -w goes on until one is answered: the first frames may be lost while bridges learn where everybody is.
        await bed.run(
            Task(
                f"reach {target}",
                {name: f"ping -c 1 -w {deadline_s} {address}" for name in names if name != target},
            )
        )
        reached += len(names) - 1
    return {"pairs_reached": reached}

"""The commands of `glide-jax`, a file each."""

from glide_jax.commands import (
    data,
    download,
    edit,
    export,
    import_,
    info,
    inpaint,
    plan,
    report,
    sample,
    upsample,
)
from glide_jax.commands.command import Add

COMMANDS: dict[str, Add] = {
    "sample": sample.add,
    "inpaint": inpaint.add,
    "edit": edit.add,
    "upsample": upsample.add,
    "download": download.add,
    "import": import_.add,
    "export": export.add,
    "info": info.add,
    "report": report.add,
    "data": data.add,
    "plan": plan.add,
}
"""Name → what adds its words."""
